//! A real store in a temporary directory, to be damaged.
#![allow(clippy::disallowed_methods, reason = "damages real files")]

use portplex::disk::Disk;
use portplex::disk::LockMode;
use portplex::disk::RealDisk;
use portplex::ident::BootId;
use portplex::ident::BootMs;
use portplex::ident::HistoryId;
use portplex::ident::Lsn;
use portplex::ident::StoreUuid;
use portplex::ident::StructureName;
use portplex::ident::WallMs;
use portplex::wal;
use portplex::wal::Appender;
use portplex::wal::Creation;
use portplex::wal::Manifest;
use portplex::wal::OpenStamp;
use portplex::wal::Replayed;
use portplex::wal::Seeds;
use portplex::wal::StoreError;
use portplex::wal::frame;
use portplex::wal::frame::FrameHeader;
use portplex::wal::segment::SegmentHeader;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// 16 KiB: three small frames fill a segment.
pub(crate) const SMALL: u64 = 16 * 1_024;
/// Room for more than one largest frame.
pub(crate) const LARGE: u64 = 2 * 1_024 * 1_024;
/// A block: what a small frame takes.
pub(crate) const BLOCK: u64 = 4_096;

/// What a log says: each frame's first lsn and payload.
pub(crate) type Log = Vec<(Lsn, Vec<u8>)>;

pub(crate) struct Store {
    _temporary: tempfile::TempDir,
    pub(crate) dir: PathBuf,
}

pub(crate) struct Opened {
    pub(crate) appender: Appender,
    pub(crate) log: Log,
    pub(crate) replayed: Replayed,
}

impl Store {
    /// A new store with frames of one block each, `clean`ly closed or left as a kill leaves it.
    pub(crate) fn with_frames(segment_size: u64, frames: u32, clean: bool) -> (Self, Log) {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let dir = temporary.path().join("store");
        let creation = Creation { structure: StructureName::default(), segment_size };
        wal::init(&RealDisk, &dir, &creation, &Seeds { uuid: StoreUuid(1), receipt_key: [2; 32] }).expect("init");
        let store = Self { _temporary: temporary, dir };
        let mut appender = store.open(Lsn::ZERO).expect("a new store opens").appender;
        let log = append(&mut appender, frames);
        if clean {
            appender.close(BootMs(9)).expect("closed");
        }
        (store, log)
    }

    pub(crate) fn open(&self, base: Lsn) -> Result<Opened, StoreError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let lock = wal::lock(&*disk, &self.dir, LockMode::Exclusive)?;
        let survey = wal::survey(&*disk, &self.dir)?;
        let mut log = Vec::new();
        let replayed = wal::replay(&*disk, &self.dir, &survey, base, &mut |info, payload| {
            log.push((info.first, payload.to_vec()));
            Ok(())
        })?;
        let epoch = survey.manifest.epoch;
        let stamp = OpenStamp {
            history: HistoryId(77 + epoch),
            boot: BootId(3),
            boot_ms: BootMs(4),
            wall: WallMs(5),
            wait_after_power_loss: false,
        };
        let appender = Appender::begin(disk, &self.dir, survey, replayed.clone(), stamp, lock)?;
        Ok(Opened { appender, log, replayed })
    }

    /// Opens it, expecting this log.
    pub(crate) fn opens_with(&self, log: &Log) -> Opened {
        let opened = self.open(Lsn::ZERO).unwrap_or_else(|error| panic!("refused: {error}"));
        assert_eq!(opened.log, *log);
        opened
    }

    /// Opens it, expecting a refusal that leaves every byte as it was.
    pub(crate) fn is_refused(&self, base: Lsn) -> StoreError {
        let before = self.image();
        let error = self.open(base).map(|opened| opened.log).expect_err("refused");
        assert!(self.image() == before, "a refused open changed the directory: {error}");
        error
    }

    /// Every file, and its bytes.
    pub(crate) fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut image = BTreeMap::new();
        let mut open = vec![self.dir.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    image.insert(path.clone(), fs::read(&path).expect("a file"));
                }
            }
        }
        image
    }

    /// The same temporary directory, another store in it.
    pub(crate) fn at(self, dir: PathBuf) -> Self {
        Self { dir, ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        wal::segment::path(&self.dir, number)
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::decode(&fs::read(self.path("MANIFEST")).expect("a MANIFEST")).expect("a good MANIFEST")
    }

    /// Replaces both copies of MANIFEST.
    pub(crate) fn set_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        for name in ["MANIFEST", "MANIFEST.bak"] {
            fs::write(self.path(name), manifest.encode()).expect("written");
        }
    }

    /// Makes WATERMARK say nothing.
    pub(crate) fn forget_watermark(&self) {
        fs::write(self.path("WATERMARK"), [0; 8_192]).expect("written");
    }

    pub(crate) fn salt(&self, number: u64) -> u32 {
        let bytes = fs::read(self.segment(number)).expect("a segment");
        SegmentHeader::decode(&bytes[..4_096]).expect("a header").salt
    }

    /// Puts a frame into a segment, with a good checksum.
    pub(crate) fn put_frame(&self, number: u64, offset: u64, header: &FrameHeader, payload: &[u8]) {
        let mut bytes = Vec::new();
        let _ = frame::encode(header, payload, self.salt(number), &mut bytes);
        edit(&self.segment(number), |file| {
            let start = offset as usize;
            file[start..start + bytes.len()].copy_from_slice(&bytes);
        });
    }

    /// The header of the frame at an offset.
    pub(crate) fn frame_header(&self, number: u64, offset: u64) -> FrameHeader {
        let bytes = fs::read(self.segment(number)).expect("a segment");
        frame::decode(&bytes[offset as usize..], self.salt(number)).expect("a good frame").header
    }

    /// The crc of the frame at an offset.
    pub(crate) fn frame_crc(&self, number: u64, offset: u64) -> u32 {
        let bytes = fs::read(self.segment(number)).expect("a segment");
        frame::decode(&bytes[offset as usize..], self.salt(number)).expect("a good frame").crc
    }
}

/// Appends frames of one block each.
pub(crate) fn append(appender: &mut Appender, frames: u32) -> Log {
    let mut log = Vec::new();
    for number in 0..frames {
        let payload = vec![number as u8 + 1; 100];
        let first = appender.append(&payload, 2, WallMs(8), BootMs(8)).expect("appended");
        log.push((first, payload));
    }
    log
}

/// Changes a file's bytes.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

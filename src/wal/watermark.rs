//! WATERMARK: how far the log is known durable, two slots of 4 KiB written in turn.
//!
//! It is a hint that can only raise what is believed durable: a slot that is damaged or of another
//! store is ignored.
#![forbid(unsafe_code)]

use super::bytes::Reader;
use super::bytes::Writer;
use super::bytes::all_zero;
use super::constants::BLOCK_SIZE;
use super::constants::WATERMARK;
use super::constants::WATERMARK_MAGIC;
use super::error::Operation;
use super::error::StoreError;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::threads::Mutex;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// What one slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The store.
    pub uuid: StoreUuid,
    /// The epoch of the open that wrote it.
    pub epoch: u64,
    /// Grows with every slot written; its lowest bit is the slot's place.
    pub sequence: u64,
    /// The highest lsn known durable.
    pub lsn: Lsn,
    /// The kernel boot that it was written in.
    pub boot: BootId,
    /// The boot clock then, in ms.
    pub boot_ms: BootMs,
    /// The store was closed and nothing came after this lsn.
    pub clean: bool,
}

impl Watermark {
    /// The slot: 4 KiB.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&WATERMARK_MAGIC);
        writer.u32(u32::from(self.clean));
        writer.u32(0);
        writer.u128(self.uuid.0);
        writer.u64(self.epoch);
        writer.u64(self.sequence);
        writer.u64(self.lsn.0);
        writer.u128(self.boot.0);
        writer.u64(self.boot_ms.0);
        let mut slot = writer.0;
        slot.resize(BLOCK_SIZE as usize, 0);
        let crc = checksum(&slot);
        slot[12..16].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    /// Reads a slot; `None` if it is not valid.
    #[must_use]
    pub fn decode(slot: &[u8]) -> Option<Self> {
        if slot.len() != BLOCK_SIZE as usize {
            return None;
        }
        let mut reader = Reader::new(slot);
        if reader.array()? != WATERMARK_MAGIC {
            return None;
        }
        let clean = match reader.u32()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        if reader.u32()? != checksum(slot) {
            return None;
        }
        let watermark = Self {
            clean,
            uuid: StoreUuid(reader.u128()?),
            epoch: reader.u64()?,
            sequence: reader.u64()?,
            lsn: Lsn(reader.u64()?),
            boot: BootId(reader.u128()?),
            boot_ms: BootMs(reader.u64()?),
        };
        all_zero(reader.bytes(reader.left())?).then_some(watermark)
    }
}

/// CRC-32 over the whole slot but the crc itself.
fn checksum(slot: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&slot[..12]);
    hasher.update(&slot[16..]);
    hasher.finalize()
}

/// The valid slots of this store, the younger one first. A file that is missing or cannot be read
/// has none.
pub(crate) fn read(disk: &dyn Disk, dir: &Path, uuid: StoreUuid) -> Result<Vec<Watermark>, StoreError> {
    let path = dir.join(WATERMARK);
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io(&path, Operation::Open, error)),
    };
    let mut slots = Vec::new();
    for place in 0..2 {
        let mut slot = vec![0; BLOCK_SIZE as usize];
        let size = file
            .read_at(&mut slot, place * BLOCK_SIZE)
            .map_err(|error| StoreError::io(&path, Operation::Read, error))?;
        let found = Watermark::decode(&slot[..size]).filter(|found| found.uuid == uuid && found.sequence % 2 == place);
        slots.extend(found);
    }
    slots.sort_by_key(|slot| std::cmp::Reverse((slot.epoch, slot.sequence)));
    Ok(slots)
}

/// WATERMARK while the store is open for writing: the writer moves it, any thread may sync it.
#[derive(Debug)]
pub struct WatermarkFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Watermark,
    synced_sequence: Option<u64>,
}

impl WatermarkFile {
    /// Opens the file, making it if it is gone, and writes `first` into it.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, first: Watermark) -> Result<Self, StoreError> {
        let path = dir.join(WATERMARK);
        let file = match disk.open(&path, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(disk, dir)?,
            other => other.map_err(|error| StoreError::io(&path, Operation::Open, error))?,
        };
        let state = Mutex::new(State { last: first, synced_sequence: None });
        let watermark = Self { path, file, state };
        watermark.write(&first)?;
        Ok(watermark)
    }

    /// Notes that everything up to `lsn` is durable. Not synced: a killed process leaves it in the
    /// page cache, and after a power cut an older one is as good.
    pub(crate) fn note(&self, lsn: Lsn, boot_ms: BootMs, clean: bool) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let next = Watermark { sequence: state.last.sequence + 1, lsn, boot_ms, clean, ..state.last };
        self.write(&next)?;
        state.last = next;
        Ok(())
    }

    /// What is noted from now on belongs to a later epoch.
    pub(crate) fn enter_epoch(&self, epoch: u64) {
        self.state.lock().last.epoch = epoch;
    }

    /// Makes durable what was noted, if anything was since the last time.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a failed sync is final.
    pub fn sync(&self) -> Result<(), StoreError> {
        let sequence = {
            let state = self.state.lock();
            if state.synced_sequence == Some(state.last.sequence) {
                return Ok(());
            }
            state.last.sequence
        };
        self.file.sync_data().map_err(|error| StoreError::failed(&self.path, Operation::Sync, error))?;
        let mut state = self.state.lock();
        state.synced_sequence = state.synced_sequence.max(Some(sequence));
        Ok(())
    }

    /// Whether something was noted that is not durable yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let state = self.state.lock();
        state.synced_sequence != Some(state.last.sequence)
    }

    fn write(&self, slot: &Watermark) -> Result<(), StoreError> {
        let offset = (slot.sequence % 2) * BLOCK_SIZE;
        self.file
            .write_at(&slot.encode(), offset)
            .map_err(|error| StoreError::failed(&self.path, Operation::Write, error))
    }
}

/// Makes the file with two empty slots, durably.
pub(crate) fn create(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn DiskFile>, StoreError> {
    let path = dir.join(WATERMARK);
    let failed = |operation| move |error| StoreError::io(&dir.join(WATERMARK), operation, error);
    let file = disk.create(&path).map_err(failed(Operation::Create))?;
    file.write_at(&[0; 2 * BLOCK_SIZE as usize], 0).map_err(failed(Operation::Write))?;
    file.sync_all().map_err(failed(Operation::Sync))?;
    disk.sync_dir(dir).map_err(|error| StoreError::io(dir, Operation::Sync, error))?;
    Ok(file)
}

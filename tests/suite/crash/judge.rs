//! Opens what a crash left and judges it: which state is it, does it stay, does it go on.

use super::plan::{DIR, Plan, State, digest, machine};
use portplex::disk::Disk;
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::{self, OpenError, Stepper};
use portplex::ident::{ConnectorName, Identity, PortSet, Target, Transport};
use portplex::structure::{Answer, Body, Introduction, Request};
use portplex::wal::StoreError;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What an image that nothing unsynced is on gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It opened, with this state.
    Opened([u8; 32]),
    /// No store yet; `init` made one.
    Begun,
    /// Refused, with a name for what is damaged; no byte was changed.
    Refused(&'static str),
    /// It must have opened and did not, or not twice the same.
    Bad(String),
}

/// Judges images, each only once.
pub(crate) struct Judge {
    plan: Plan,
    known: Mutex<HashMap<[u8; 32], Verdict>>,
    opens: std::sync::atomic::AtomicU64,
}

impl Judge {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, known: Mutex::default(), opens: 0.into() }
    }

    /// Distinct images so far.
    pub(crate) fn images(&self) -> usize {
        self.known.lock().expect("no panic").len()
    }

    /// Opens so far, those that were cut short included.
    pub(crate) fn opens(&self) -> u64 {
        self.opens.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Opens a store as after a power cut: under another kernel boot.
    pub(crate) fn open(&self, disk: &SimDisk) -> Result<Stepper, OpenError> {
        self.opens.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (machine, _) = machine(disk, 3, 100);
        Stepper::open(&machine, Path::new(DIR), &self.plan.options())
    }

    /// Judges a disk after a power cut: its verdict, and whether the image is a new one.
    pub(crate) fn judge(&self, disk: &SimDisk, hashes: &mut FileHashes) -> (Verdict, bool) {
        let hash = hashes.image(disk);
        if let Some(verdict) = self.known.lock().expect("no panic").get(&hash) {
            return (verdict.clone(), false);
        }
        let verdict = self.look(disk);
        let is_new = self.known.lock().expect("no panic").insert(hash, verdict.clone()).is_none();
        (verdict, is_new)
    }

    fn look(&self, disk: &SimDisk) -> Verdict {
        let (before, disk) = (disk, disk.fork());
        let first = match self.open(&disk) {
            Ok(stepper) => stepper,
            Err(OpenError::Store(StoreError::NotAStore { .. })) => return self.begin(&disk),
            Err(error) => return refused(&error, before, &disk),
        };
        if let Err(faults) = first.structure().audit() {
            return Verdict::Bad(format!("the audit found {faults:?}"));
        }
        let state = digest(first.structure());
        let epoch = first.engine().appender().epoch();
        let open_first = first.engine().appender().open_first();
        if first.structure().lsn() >= open_first {
            return Verdict::Bad("the new history starts inside the old one".into());
        }
        drop(first);
        let disk = disk.after_power_cut(&Loss::Everything);
        match self.open(&disk) {
            Err(error) => Verdict::Bad(format!("the second open was refused: {error}")),
            Ok(second) if digest(second.structure()) != state => {
                Verdict::Bad("the second recovery gave another state".into())
            }
            Ok(second) if second.engine().appender().epoch() <= epoch => Verdict::Bad("the epoch did not grow".into()),
            Ok(_) => Verdict::Opened(state),
        }
    }

    fn begin(&self, disk: &SimDisk) -> Verdict {
        let (machine, _) = machine(disk, 3, 100);
        match facility::init(&machine, Path::new(DIR), &self.plan.options()) {
            Ok(()) => {}
            Err(error) => return Verdict::Bad(format!("init was refused: {error}")),
        }
        match self.open(&disk.after_power_cut(&Loss::Everything)) {
            Ok(_) => Verdict::Begun,
            Err(error) => Verdict::Bad(format!("the open after init was refused: {error}")),
        }
    }

    /// As [`go_on`], with an image.
    pub(crate) fn go_on(&self, disk: &SimDisk, state: &State) -> Result<(), String> {
        go_on(self.open(disk).map_err(|error| error.to_string())?, state)
    }
}

/// Goes on with a store: a stranger takes everything that is free, and nothing that is not.
pub(crate) fn go_on(mut stepper: Stepper, state: &State) -> Result<(), String> {
    let faults = state.model.faults(stepper.structure(), state.now);
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    let mut ask = |request: Request| -> Result<Answer, String> {
        let mut replies = stepper.turn(vec![request]).map_err(|error| error.to_string())?;
        replies.remove(0).map(|reply| reply.answer).map_err(|error| error.to_string())
    };
    let introduction = Introduction {
        name: ConnectorName::new("STRANGER").expect("a name"),
        identity: Identity::default(),
        promise_ms: 0,
        enforced: false,
    };
    let Answer::Connected(actor) = ask(Request::Connect(introduction))? else {
        return Err("a stranger was not connected".into());
    };
    let mut number = 0;
    let mut stack = |body: Body| {
        number += 1;
        ask(Request::Stack { actor, number, lowest: number, body })
    };
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 4_100);
    stack(Body::SetAllowable { transport: Transport::Tcp, ports })?;
    let target = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
    let joined = stack(Body::Join { target });
    if joined.is_err() && !state.model.defined.contains(&target) {
        return Ok(());
    }
    let Answer::Joined(membership) = joined? else { return Err("not joined".into()) };
    let acquire = Body::Acquire { member: membership.member, at_least: 1, at_most: 60 };
    // Refused if nothing is free, or by quota and reserve.
    let Ok(Answer::Granted(grants)) = stack(acquire) else { return Ok(()) };
    for grant in grants {
        if grant.lsn.0 <= state.model.lsn {
            return Err(format!("token {} was given before", grant.lsn));
        }
        let meets = |group: u16, mask: u64| group == grant.group.number() && mask & grant.mask.0 != 0;
        let mut held = state.model.grants.values();
        if let Some(held) = held.find(|held| held.target == target && meets(held.group, held.mask)) {
            return Err(format!("a stranger got {grant:?}, and {held:?} is acknowledged"));
        }
        let young = |until: u64| until > state.now;
        let mut resting = state.model.resting.iter().filter(|rest| rest.target == target && young(rest.until));
        if let Some(rest) = resting.find(|rest| meets(rest.group, rest.mask)) {
            return Err(format!("a stranger got {grant:?}, and {rest:?} is in quarantine"));
        }
    }
    Ok(())
}

/// A refused open: its error has a name, and nothing was changed.
fn refused(error: &OpenError, before: &SimDisk, after: &SimDisk) -> Verdict {
    match name_of(error) {
        Some(_) if before.image() != after.image() => {
            Verdict::Bad(format!("the open was refused ({error}), and the directory changed"))
        }
        Some(name) => Verdict::Refused(name),
        None => Verdict::Bad(format!("the open was refused: {error}")),
    }
}

/// The name of an error that damage may have.
pub(crate) fn name_of(error: &OpenError) -> Option<&'static str> {
    Some(match error {
        OpenError::Store(StoreError::ManifestCorrupt { .. }) => "MANIFEST",
        OpenError::Store(StoreError::CorruptLog { .. }) => "log",
        OpenError::Store(StoreError::CorruptPack { .. }) => "pack",
        OpenError::Store(StoreError::SegmentMissing { .. }) => "missing segment",
        OpenError::Store(StoreError::TailUnexpected { .. }) => "tail",
        OpenError::Store(StoreError::FormatTooNew { .. }) => "format",
        OpenError::NoUsableCheckpoint { .. } => "checkpoint",
        _ => return None,
    })
}

/// Hashes of files that are shared between images: each is hashed once.
#[derive(Default)]
pub(crate) struct FileHashes(HashMap<*const Vec<u8>, (Arc<Vec<u8>>, [u8; 32])>);

impl FileHashes {
    /// Everything that an open can see: names, bytes, and the inode of LOCK.
    pub(crate) fn image(&mut self, disk: &SimDisk) -> [u8; 32] {
        if self.0.len() > 4_096 {
            self.0.clear();
        }
        let mut hasher = blake3::Hasher::new();
        let mut open = vec![PathBuf::from(DIR)];
        while let Some(dir) = open.pop() {
            for entry in disk.list(&dir).unwrap_or_default().into_iter().filter(|entry| entry.is_dir) {
                open.push(dir.join(entry.name));
            }
            hasher.update(dir.as_os_str().as_encoded_bytes());
        }
        for (path, bytes) in disk.image() {
            hasher.update(path.as_os_str().as_encoded_bytes());
            let known = self.0.entry(Arc::as_ptr(&bytes)).or_insert_with(|| {
                let hash = *blake3::hash(&bytes).as_bytes();
                (bytes, hash)
            });
            hasher.update(&known.1);
        }
        let lock = disk.inode(&Path::new(DIR).join("LOCK")).unwrap_or(0);
        hasher.update(&lock.to_le_bytes());
        *hasher.finalize().as_bytes()
    }
}

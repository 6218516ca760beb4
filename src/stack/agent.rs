//! One agent for each stack of a host: a lock that only the process's end gives up.
//!
//! Two agents that act for one stack under one kernel would hand out the same ports: the newer one
//! believes the attach's answer, the older one what it had. So an agent takes this lock before it
//! attaches, and holds it for life. A paused process keeps it, a dead one cannot (protocol.md R16).
#![forbid(unsafe_code)]

use super::StackError;
use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::LockGuard;
use crate::disk::LockMode;
use crate::disk::RealDisk;
use crate::ident::ConnectorName;
use crate::ident::StructureName;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The lock of one stack's agent: an exclusive flock on `DIR/STRUCTURE-NAME.agent`. Copies share
/// it; it goes with the last of them, or with the process. The file stays: who removed it would let
/// a second agent in.
#[derive(Clone, Debug)]
pub struct AgentLock(Arc<Held>);

#[derive(Debug)]
struct Held {
    name: ConnectorName,
    path: PathBuf,
    _guard: Box<dyn LockGuard>,
}

impl AgentLock {
    /// Where agents of one host meet unless they are told otherwise.
    pub const DIR: &'static str = "/run/portplex";

    /// Takes the lock of stack `name` of `structure`; never waits. `dir` is made if it is missing
    /// (mode 0700); its parent must exist. All agents of one kernel must use the same directory,
    /// those in containers too.
    ///
    /// # Errors
    /// [`StackError::AgentRunning`] if another agent holds it, [`StackError::AgentLock`] if the
    /// system does not let it be taken.
    pub fn take(dir: &Path, structure: StructureName, name: &ConnectorName) -> Result<Self, StackError> {
        let path = dir.join(format!("{structure}-{name}.agent"));
        let failed = |error: io::Error| StackError::AgentLock { path: path.clone(), reason: error.to_string() };
        existing(RealDisk.create_dir(dir)).map_err(failed)?;
        loop {
            existing(RealDisk.create(&path).map(drop)).map_err(failed)?;
            let guard = match RealDisk.try_lock(&path, LockMode::Exclusive) {
                Ok(Some(guard)) => guard,
                Ok(None) => return Err(StackError::AgentRunning { pid: pid_in(&path), path }),
                // Removed since it was made; so is what the inode below tells.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            match RealDisk.inode(&path) {
                Ok(inode) if inode == guard.inode() => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            }
            note_pid(&path).map_err(failed)?;
            return Ok(Self(Arc::new(Held { name: name.clone(), path, _guard: guard })));
        }
    }

    /// The stack whose agent holds it.
    #[must_use]
    pub fn name(&self) -> &ConnectorName {
        &self.0.name
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// What was there already is as good as made.
fn existing(made: io::Result<()>) -> io::Result<()> {
    made.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// Notes whose lock it is, for whoever is turned away.
fn note_pid(path: &Path) -> io::Result<()> {
    let file = RealDisk.open(path, Access::ReadWrite)?;
    file.set_len(0)?;
    file.write_at(format!("{}\n", std::process::id()).as_bytes(), 0)
}

/// What the holder noted; in another pid namespace it is that one's number.
fn pid_in(path: &Path) -> Option<u32> {
    let mut bytes = [0; 16];
    let length = RealDisk.open(path, Access::Read).ok()?.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(&bytes[..length]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> ConnectorName {
        ConnectorName::new(text).expect("a name")
    }

    #[test]
    fn a_second_agent_of_one_stack_hears_who_holds_the_lock() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("agents");
        let structure = StructureName::default();
        let lock = AgentLock::take(&dir, structure, &name("SYS1.TCPIP")).expect("free");
        assert_eq!(lock.path(), dir.join("EZBEPORT-SYS1.TCPIP.agent"));
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = AgentLock::take(&dir, structure, &name("SYS1.TCPIP")).expect_err("held");
        let (path, pid) = (lock.path().to_owned(), Some(std::process::id()));
        assert_eq!(refused, StackError::AgentRunning { path, pid });

        AgentLock::take(&dir, structure, &name("SYS2.TCPIP")).expect("another stack's");
        let other = StructureName::new(Some(11), None).expect("a structure");
        AgentLock::take(&dir, other, &name("SYS1.TCPIP")).expect("another structure's");

        let copy = lock.clone();
        drop(lock);
        AgentLock::take(&dir, structure, &name("SYS1.TCPIP")).expect_err("a copy holds it still");
        drop(copy);
        AgentLock::take(&dir, structure, &name("SYS1.TCPIP")).expect("free again, the file is there");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let error = AgentLock::take(&parent.path().join("a/b"), StructureName::default(), &name("SYS1"));
        let text = error.expect_err("its parent is missing").to_string();
        assert!(text.contains("a/b/EZBEPORT-SYS1.agent") && text.contains("No such file"), "{text}");
    }
}

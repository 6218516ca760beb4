//! The facility's process as its parent sees it: started, waited for, killed, ended.

use super::error::DevError;
use crate::cli::exit::Exit;
use crate::ident::StructureName;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// The hidden verb that makes a process a facility.
pub(super) const VERB: &str = "facility-child";

/// What the facility prints once it can be connected to.
pub(super) const SERVING: &str = "serving";

/// How long an orderly end may take before it is made a disorderly one.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// A facility that serves on a socket, or did.
#[derive(Debug)]
pub(super) struct FacilityProcess {
    child: Child,
    /// Its end tells the facility to close: also when this process is killed.
    leash: Option<ChildStdin>,
}

/// How to start one.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// This program.
    pub(super) program: PathBuf,
    /// The store.
    pub(super) data: PathBuf,
    /// The structure it must be.
    pub(super) structure: StructureName,
    /// Quarantine.
    pub(super) quarantine: Duration,
    /// On a network file system too.
    pub(super) allow_network_fs: bool,
}

impl FacilityProcess {
    /// Starts a facility and waits until it serves on `socket`.
    ///
    /// # Errors
    /// [`DevError::Spawn`]; [`DevError::Facility`] if it ended instead of serving.
    pub(super) fn start(recipe: &Recipe, socket: &Path) -> Result<Self, DevError> {
        let mut command = Command::new(&recipe.program);
        command.arg(VERB).arg("--data").arg(&recipe.data).arg("--socket").arg(socket);
        command.arg("--structure").arg(recipe.structure.to_string());
        command.arg("--quarantine-ms").arg(recipe.quarantine.as_millis().to_string());
        if recipe.allow_network_fs {
            command.arg("--allow-network-fs");
        }
        // What it is killed over while it looks at a copy of a checkpoint goes with the run's files.
        if let Some(temporary) = socket.parent() {
            command.env("TMPDIR", temporary);
        }
        // A group of its own: Ctrl-C is for the parent, which ends it in order.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(DevError::Spawn)?;
        let leash = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // Its end without a line is what counts; why is told by the status.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let mut process = Self { child, leash };
        if line.trim_end() == SERVING {
            return Ok(process);
        }
        drop(process.leash.take());
        let status = process.child.wait().map_err(DevError::Spawn)?;
        Err(ended(status))
    }

    /// Kills it with SIGKILL and waits until it is dead.
    ///
    /// # Errors
    /// [`DevError::System`] if it could not be killed.
    pub(super) fn kill(&mut self) -> Result<(), DevError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(|_| ()).map_err(|source| DevError::System { what: "the facility cannot be killed", source })
    }

    /// How it ended, if it did so by itself.
    pub(super) fn ended(&mut self) -> Option<DevError> {
        self.child.try_wait().ok().flatten().map(ended)
    }

    /// Ends it in order: it closes the store.
    ///
    /// # Errors
    /// [`DevError::Facility`] if it did not close well.
    pub(super) fn end(mut self) -> Result<(), DevError> {
        drop(self.leash.take());
        let rounds = END_PATIENCE.as_millis() / POLL.as_millis();
        for _ in 0..rounds {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(ended(status)),
                Ok(None) => thread::sleep(POLL),
                Err(source) => return Err(DevError::System { what: "the facility cannot be waited for", source }),
            }
        }
        self.kill()
    }
}

impl Drop for FacilityProcess {
    fn drop(&mut self) {
        // Whatever went wrong: no facility outlives its run. One that has ended already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const POLL: Duration = Duration::from_millis(2);

fn ended(status: ExitStatus) -> DevError {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let text = match (code, status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    };
    DevError::Facility { status: text, code: code.filter(|code| *code != 0).unwrap_or(Exit::Bug.code()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(program: &str) -> Recipe {
        let data = PathBuf::from("/nowhere");
        let structure = StructureName::default();
        Recipe { program: program.into(), data, structure, quarantine: Duration::ZERO, allow_network_fs: false }
    }

    #[test]
    fn a_facility_that_ends_instead_of_serving_is_told_by_its_exit_code() {
        let error = FacilityProcess::start(&recipe("/bin/false"), Path::new("/nowhere/socket")).unwrap_err();
        assert!(matches!(error, DevError::Facility { code: 1, .. }), "{error}");
        let error = FacilityProcess::start(&recipe("/bin/true"), Path::new("/nowhere/socket")).unwrap_err();
        assert_eq!(error.exit(), Exit::Bug, "ending well without serving is a bug: {error}");
        let error = FacilityProcess::start(&recipe("/no/such/program"), Path::new("/nowhere/socket")).unwrap_err();
        assert!(matches!(error, DevError::Spawn(_)), "{error}");
    }
}

//! The service's process as its parent sees it: started, waited for, killed, ended.

use super::error::DevError;
use crate::api::Door;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::ident::StructureName;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How long an orderly end may take before it is made a disorderly one.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// Longest line of the service that is read.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What services said on standard error: each warning is passed on once, however often it is started.
static HEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A service that serves, or did.
#[derive(Debug)]
pub(super) struct FacilityProcess {
    child: Child,
    /// Its end tells the service to close: also when this process is killed.
    leash: Option<ChildStdin>,
    /// Open for as long as it runs: what it says at its end is said to nobody.
    _out: Option<BufReader<ChildStdout>>,
    address: Option<SocketAddr>,
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
    /// How its warnings are passed on.
    pub(super) json: bool,
}

impl FacilityProcess {
    /// Starts a service and waits until it serves on `socket`, and on loopback: at `address`, or at any
    /// port.
    ///
    /// # Errors
    /// [`DevError::Spawn`]; [`DevError::Facility`] if it ended instead of serving.
    pub(super) fn start(recipe: &Recipe, socket: &Path, address: Option<SocketAddr>) -> Result<Self, DevError> {
        let listen = address.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
        let mut command = Command::new(&recipe.program);
        command.args(["serve", "--json", "--init", "--leash", "--log-level", "off", "--data"]).arg(&recipe.data);
        command.arg("--uds").arg(socket).arg("--listen").arg(listen.to_string());
        command.arg("--structure").arg(recipe.structure.to_string());
        command.arg("--quarantine-ms").arg(recipe.quarantine.as_millis().to_string());
        if recipe.allow_network_fs {
            command.arg("--allow-network-fs");
        }
        // What this run needs is in its flags: nobody's environment changes it.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PORTPLEX_SERVE_")) {
                command.env_remove(name);
            }
        }
        // What it is killed over while it looks at a copy of a checkpoint goes with the run's files.
        if let Some(temporary) = socket.parent() {
            command.env("TMPDIR", temporary);
        }
        // A group of its own: Ctrl-C is for the parent, which ends it in order.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(DevError::Spawn)?;
        let leash = child.stdin.take();
        let mut out = child.stdout.take().map(BufReader::new);
        let passing = child.stderr.take().map(|err| {
            let json = recipe.json;
            thread::Builder::new().name("service-says".to_owned()).spawn(move || pass_on(err, json))
        });
        let doors = out.as_mut().and_then(doors);
        let mut process = Self { child, leash, _out: out, address: None };
        if let Some(doors) = doors {
            process.address = doors.iter().find_map(|door| match door {
                Door::Tcp(address) => Some(*address),
                _ => None,
            });
            return Ok(process);
        }
        drop(process.leash.take());
        let status = process.child.wait().map_err(DevError::Spawn)?;
        // What it said comes before what is said of it.
        if let Some(Ok(passing)) = passing {
            let _ = passing.join();
        }
        Err(ended(status))
    }

    /// Where it listens on loopback.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Its page.
    pub(super) fn page(&self) -> Option<String> {
        self.address.map(|address| format!("http://{address}/"))
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

/// What a service says first: where it listens. `None` if it ends instead.
fn doors(out: &mut BufReader<ChildStdout>) -> Option<Vec<Door>> {
    let mut line = String::new();
    while out.take(LINE_BYTES_MAX).read_line(&mut line).is_ok_and(|length| length > 0) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(doors) = told["doors"].as_array() {
            return Some(doors.iter().filter_map(|door| door.as_str()?.parse().ok()).collect());
        }
        line.clear();
    }
    None
}

/// Passes on what a service says on standard error: a warning once, and why it ended.
fn pass_on(err: impl Read, json: bool) {
    let mut err = BufReader::new(err);
    let mut line = String::new();
    while (&mut err).take(LINE_BYTES_MAX).read_line(&mut line).is_ok_and(|length| length > 0) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        match (told["warning"].as_str(), told["message"].as_str()) {
            (Some(warning), _) if HEARD.lock().insert(warning.to_owned()) => output::tell_warning(warning, json),
            (Some(_), _) => {}
            (None, Some(message)) if !json => output::say(&format!("portplex serve: {message}")),
            _ => output::say(line.trim_end()),
        }
        line.clear();
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
        Recipe {
            program: program.into(),
            data,
            structure,
            quarantine: Duration::ZERO,
            allow_network_fs: false,
            json: false,
        }
    }

    #[test]
    fn a_facility_that_ends_instead_of_serving_is_told_by_its_exit_code() {
        let error = FacilityProcess::start(&recipe("/bin/false"), Path::new("/nowhere/socket"), None).unwrap_err();
        assert!(matches!(error, DevError::Facility { code: 1, .. }), "{error}");
        let error = FacilityProcess::start(&recipe("/bin/true"), Path::new("/nowhere/socket"), None).unwrap_err();
        assert_eq!(error.exit(), Exit::Bug, "ending well without serving is a bug: {error}");
        let error =
            FacilityProcess::start(&recipe("/no/such/program"), Path::new("/nowhere/socket"), None).unwrap_err();
        assert!(matches!(error, DevError::Spawn(_)), "{error}");
    }
}

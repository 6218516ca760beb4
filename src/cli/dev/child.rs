//! The hidden verb `facility-child`: a facility on a store of this machine, served on a unix
//! socket for as long as its parent lives.
//!
//! Standard input is the leash: when it ends, because the parent let go or was killed, the store
//! is closed in order and the process ends.

use super::process::SERVING;
use super::serve;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::notice;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Options;
use crate::ident::StructureName;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// What the parent says.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ChildArgs {
    /// Directory of the store; made if there is none
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Socket to serve on
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The structure it must be
    #[arg(long, value_name = "NAME")]
    structure: StructureName,
    /// Quarantine in ms
    #[arg(long, value_name = "MS")]
    quarantine_ms: u64,
    /// Open the store on a network file system too
    #[arg(long)]
    allow_network_fs: bool,
}

/// How often the facility is asked whether its storage failed.
const LOOK: Duration = Duration::from_millis(100);

/// How long connections may take to end once the leash is let go.
const ROUNDS_MAX: u32 = 2_000;

pub(crate) fn run(args: &ChildArgs) -> Result<(), Failure> {
    let options = Options {
        create: true,
        structure: Some(args.structure),
        quarantine: Duration::from_millis(args.quarantine_ms),
        allow_network: args.allow_network_fs,
        ..Options::default()
    };
    let facility = Arc::new(LocalFacility::open(&args.data, &options)?);
    notice::tell(&args.data, &facility.status()?, false);
    let listener = UnixListener::bind(&args.socket).map_err(|error| {
        Failure::told(Exit::StorageFailed, format!("{}: no socket can be made there: {error}", args.socket.display()))
    })?;
    let leash = watch_leash();
    {
        let facility = Arc::downgrade(&facility);
        let serving = thread::Builder::new().name("accept".to_owned());
        let started = serving.spawn(move || serve::serve(&facility, &listener));
        started.map_err(|error| Failure::told(Exit::StorageFailed, format!("no thread could be started: {error}")))?;
    }
    let mut out = io::stdout();
    writeln!(out, "{SERVING}").and_then(|()| out.flush()).map_err(Failure::Output)?;
    while leash.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if facility.is_failed() {
            break;
        }
    }
    close(facility)
}

/// Hears when standard input ends.
fn watch_leash() -> mpsc::Receiver<()> {
    let (letting_go, leash) = mpsc::channel();
    // Without the thread the sender is dropped: the leash counts as let go, the safe side.
    let _ = thread::Builder::new().name("leash".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut byte = [0; 64];
        while stdin.read(&mut byte).is_ok_and(|count| count > 0) {}
        let _ = letting_go.send(());
    });
    leash
}

/// Closes the store once the last connection is done with it.
fn close(mut facility: Arc<LocalFacility>) -> Result<(), Failure> {
    for _ in 0..ROUNDS_MAX {
        match Arc::try_unwrap(facility) {
            Ok(last) => return Ok(last.close().map(|_| ())?),
            Err(shared) => facility = shared,
        }
        thread::sleep(Duration::from_millis(1));
    }
    // A connection that does not end: this is a crash, which the next open is made for.
    Ok(())
}

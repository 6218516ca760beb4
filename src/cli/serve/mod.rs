//! `portplex serve`: one store of this machine as a service for stacks of other processes.
//!
//! It opens the store, says what it found, serves until it is told to end, and ends in order: what was
//! taken is answered and durable. It makes no store in silence.
#![forbid(unsafe_code)]

mod told;

use super::args::StructureArgs;
use super::exit::Exit;
use super::exit::Failure;
use super::output;
use super::source;
use crate::api::Door;
use crate::api::Drained;
use crate::api::Limits;
use crate::api::Running;
use crate::api::ServeError;
use crate::api::Server;
use crate::facility::Closed;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Options;
use crate::web::Ending;
use crate::web::Web;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex serve --init --data /srv/ports                  # make the store once, then serve it
  portplex serve --data /srv/ports --uds /run/portplex.sock
  portplex serve --data /srv/ports --listen 127.0.0.1:0    # a port that is free; it says which

The contract is portplex.v1 over gRPC; health and reflection are served too. TCP is loopback only:
there is no mutual TLS yet, and whoever reaches the port could take any port of any stack. For the
same reason keep the socket in a directory that only its users can enter.

SIGTERM or SIGINT ends it in order, within 10 s: calls that were taken are answered. A second one
ends it at once; nothing that was acknowledged is lost by that.";

/// Where it listens unless it is told.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7678);
/// How often it is looked whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long calls that were taken may need for their answers.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the last of the service's threads may need to let go of the store.
const LET_GO: Duration = Duration::from_secs(2);

/// Serve a store to stacks on this machine, over gRPC.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    data: PathBuf,
    /// Make the store if the directory has none
    #[arg(long)]
    init: bool,
    /// Address and port to listen on, loopback only; 127.0.0.1:7678 if neither this nor --uds is given
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Unix socket to listen on
    #[arg(long, value_name = "PATH")]
    uds: Option<PathBuf>,
    #[command(flatten)]
    structure: StructureArgs,
    /// Serve from a network file system too: neither its locks nor its syncs are to be relied on
    #[arg(long)]
    allow_network_fs: bool,
    /// What is told as JSON, one object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    let doors = doors(args)?;
    let stop = heed_signals()?;
    source::advise(&args.data, args.json);
    let options = Options {
        create: args.init,
        structure: args.structure.name(),
        allow_network: args.allow_network_fs,
        ..Options::default()
    };
    let facility = Arc::new(LocalFacility::open(&args.data, &options)?);
    let (running, ending) = match begin(args, &facility, &doors) {
        Ok(begun) => begun,
        Err(failure) => {
            close(facility, args.json)?;
            return Err(failure);
        }
    };
    while !stop.load(Ordering::SeqCst) && !facility.is_failed() {
        std::thread::sleep(LOOK);
    }
    ending.end();
    let drained = running.stop(DRAIN);
    if drained == Drained::Cut {
        output::tell_warning("some callers were not answered in time: their next attach tells them", args.json);
    }
    let closed = close(facility, args.json)?;
    told::ended(&closed, args.json)?;
    Ok(Exit::Done)
}

/// Opens the doors, and says so.
fn begin(args: &ServeArgs, facility: &Arc<LocalFacility>, doors: &[Door]) -> Result<(Running, Ending), Failure> {
    for warning in &facility.recovery().warnings {
        output::tell_warning(warning, args.json);
    }
    let status = facility.status()?;
    let structure = status.structure.parse().map_err(|_| Failure::told(Exit::Bug, "the store has no valid name"))?;
    let Web { routes, ending } = Web::new(vec![(structure, Arc::clone(facility))]);
    let server = Server::new(Limits::default()).host_local(structure, facility).http(routes);
    let running = server.start(doors).map_err(refused)?;
    told::serving(&args.data, &status, running.doors(), args.json)?;
    Ok((running, ending))
}

fn doors(args: &ServeArgs) -> Result<Vec<Door>, Failure> {
    let listen = args.listen.or(args.uds.is_none().then_some(LISTEN_DEFAULT));
    if let Some(address) = listen.filter(|address| !address.ip().is_loopback()) {
        return Err(refused(ServeError::NotLoopback { address }));
    }
    let tcp = listen.map(Door::Tcp);
    Ok(args.uds.clone().map(Door::Unix).into_iter().chain(tcp).collect())
}

fn refused(error: ServeError) -> Failure {
    let exit = match &error {
        ServeError::NotLoopback { .. } | ServeError::SocketInUse { .. } => Exit::Refused,
        _ => Exit::StorageFailed,
    };
    Failure::told(exit, error.to_string())
}

/// True after the first signal; the second one ends the process on the spot.
fn heed_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first one finds it false. As a shell counts: 128 and the signal's number.
        let at_once = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop));
        let in_order = signal_hook::flag::register(signal, Arc::clone(&stop));
        at_once
            .and(in_order)
            .map_err(|error| Failure::told(Exit::StorageFailed, format!("signals cannot be watched: {error}")))?;
    }
    Ok(stop)
}

/// Closes the store once nobody uses it any more.
fn close(mut facility: Arc<LocalFacility>, json: bool) -> Result<Closed, Failure> {
    let mut left = LET_GO;
    loop {
        facility = match Arc::try_unwrap(facility) {
            Ok(facility) => return Ok(facility.close()?),
            Err(shared) if left.is_zero() => {
                // What it leaves is what a crash leaves: nothing acknowledged is lost.
                drop(shared);
                output::tell_warning("the store was not closed: the next open recovers it", json);
                return Ok(Closed::default());
            }
            Err(shared) => shared,
        };
        std::thread::sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
}

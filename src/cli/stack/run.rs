//! `portplex stack run`: starts an agent's threads, heeds signals, ends in order.
#![forbid(unsafe_code)]

use super::agent::Agent;
use super::keeper::{self, Setup};
use super::local;
use super::position;
use super::probe;
use super::told::Told;
use crate::api::Door;
use crate::api::RemoteFacility;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::identity;
use crate::cli::output;
use crate::cli::profile::input;
use crate::cli::service_args::ServiceArgs;
use crate::ident::ConnectorName;
use crate::ident::StructureName;
use crate::profile::Profile;
use crate::stack::AgentLock;
use crate::stack::Options;
use crate::stack::Refill;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  portplex stack run --profile sys1.profile --facility unix:/run/portplex.sock
  portplex stack run --profile sys1.profile more.obey --facility http://127.0.0.1:7678 --vtam-group 11
  portplex stack run --profile sys1.profile --facility https://ports.example:7678 \\
      --tls-ca ca.pem --tls-cert SYS1.TCPIP.pem --tls-key SYS1.TCPIP.key

Programs ask for ports on the local socket: docs/agent.md has the protocol, examples/client.py and
examples/client.sh use it. While the service is away, ports in hand are handed out until the lease ends.

SIGTERM ends it; what it holds stays its own, and the next start under this boot takes it up. With
--disconnect everything goes back instead, if the kernel has no socket on any of it. SIGHUP reads the
profiles again and obeys them.";

/// The socket that programs find unless they are told, in the state directory.
pub(super) const SOCKET_NAME: &str = "stack.sock";

/// How often it is looked for signals.
const LOOK: Duration = Duration::from_millis(50);

/// Looks from one note of the position to the next.
const LOOKS_PER_NOTE: u32 = 100;

/// How long one try to connect waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest pause of the sweeper.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The stack's profile, and data sets that are obeyed after it, in order
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    profile: Vec<PathBuf>,
    /// The service to take groups from: http://ADDR:PORT, https://ADDR:PORT or unix:PATH
    #[arg(long, value_name = "URL")]
    facility: Door,
    /// The stack's name [default: after the profile, sys1.profile is that of SYS1.TCPIP]
    #[arg(long, value_name = "NAME")]
    name: Option<ConnectorName>,
    /// VTAM group id (start option XCFGRPID), 2 to 31: the vv of the structure's name
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u8).range(2..=31))]
    vtam_group: Option<u8>,
    /// The structure to connect to [default: by the profile and --vtam-group]
    #[arg(long, value_name = "NAME", conflicts_with = "vtam_group")]
    structure: Option<StructureName>,
    /// Directory of the lock that one agent per stack holds, and of what the next life needs to know:
    /// the same one for all agents of this kernel
    #[arg(long, value_name = "DIR", default_value = AgentLock::DIR)]
    state: PathBuf,
    /// Socket for programs [default: stack.sock in the state directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Who may connect to the socket: its mode, such as 0660 for a group
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = parse_mode)]
    socket_mode: u32,
    /// Length of the lease that the stack promises, ms; 0 = none. After it nothing is handed out
    /// [default: what the service asks for at the first attach]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=86_400_000))]
    promise_ms: Option<u64>,
    /// Groups that were too many for so long go back, ms
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(..=86_400_000))]
    idle_ms: u64,
    /// Refuse binds to a port above 0 that would be a claim of that port
    #[arg(long)]
    deny_nonzero_port: bool,
    /// At the end give everything back, if the kernel has no socket on any of it
    #[arg(long)]
    disconnect: bool,
    /// Forget what the life before knew of its store: after "fenced: the position …", or for another store
    #[arg(long)]
    anew: bool,
    /// Certificate of the authority that the service's certificate comes from, PEM; for https
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// This stack's certificate, PEM; for https
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM; for https
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The name that the service's certificate must have [default: the host of the URL]
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    tls_name: Option<String>,
    /// What is told as JSON, one object on one line for each event
    #[arg(long)]
    pub(super) json: bool,
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "a mode is three octal digits, such as 0660".to_owned())
}

/// What a signal asks for.
struct Asked {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let (first, more) = args.profile.split_first().ok_or_else(|| Failure::told(Exit::Usage, "no profile"))?;
    let profile = read(first, more, args.json)?;
    let name = name(args, first)?;
    let structure = match args.structure {
        Some(structure) => structure,
        None => input::structure_of(&profile, args.vtam_group)?,
    };
    let connect = connect(args, structure)?;
    let asked = heed_signals()?;
    let refused = |error: crate::stack::StackError| Failure::told(Exit::Refused, error.to_string());
    let lock = AgentLock::take(&args.state, structure, &name).map_err(refused)?;
    let identity = identity::here().map_err(|error| Failure::told(Exit::StorageFailed, error.to_string()))?;
    let noted = args.state.join(format!("{structure}-{name}.position"));
    let position = if args.anew { None } else { position::read(&noted) };
    let options = Options {
        refill: Refill { idle_ms: args.idle_ms, ..Refill::default() },
        deny_nonzero_port: args.deny_nonzero_port,
        position,
        lock: Some(lock),
        ..Options::default()
    };
    raise_descriptors();
    let told = Told { json: args.json };
    let agent = Arc::new(Agent::new(name.clone(), structure, args.facility.to_string()));
    let socket = args.socket.clone().unwrap_or_else(|| args.state.join(SOCKET_NAME));
    let door = Arc::new(local::Door::open(&socket, args.socket_mode)?);
    told.begins(&agent, &socket)?;
    let setup = Setup { connect, name, profile, identity, promise_ms: args.promise_ms, options };
    let ended = start(&agent, &door, setup, told).and_then(|over| work(args, &agent, &asked, &over, &noted, told));
    door.close();
    agent.book.end();
    note(&agent, &noted);
    ended.and_then(|()| end(args, &agent, told))
}

/// As many descriptors as this process may have: each program takes two.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // With fewer, programs wait until others have ended.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Everything that goes on beside the signals, in threads of their own.
fn start(
    agent: &Arc<Agent>,
    door: &Arc<local::Door>,
    setup: Setup,
    told: Told,
) -> Result<mpsc::Receiver<Failure>, Failure> {
    let failed =
        |error: std::io::Error| Failure::told(Exit::StorageFailed, format!("no thread can be started: {error}"));
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(failed)
    };
    let (over, ended) = mpsc::channel();
    let sweeping = Arc::clone(agent);
    spawn(
        "portplex-sweep",
        Box::new(move || {
            while sweeping.book.wait(sweeping.now(), SWEEP_EVERY) {
                sweeping.sweep();
            }
        }),
    )?;
    let (serving, door) = (Arc::clone(agent), Arc::clone(door));
    spawn("portplex-programs", Box::new(move || door.serve(&serving, told)))?;
    let kept = Arc::clone(agent);
    spawn(
        "portplex-keeper",
        Box::new(move || {
            // Who would hear it has ended.
            let _ = over.send(keeper::keep(&kept, &setup, told));
        }),
    )?;
    Ok(ended)
}

/// Until a signal ends it, or the stack cannot go on.
fn work(
    args: &RunArgs,
    agent: &Agent,
    asked: &Asked,
    over: &mpsc::Receiver<Failure>,
    noted: &Path,
    told: Told,
) -> Result<(), Failure> {
    let mut looks = 0;
    while !asked.stop.load(Ordering::SeqCst) {
        match over.recv_timeout(LOOK) {
            Ok(failure) => return Err(failure),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::told(Exit::Bug, "the thread that keeps the stack attached has ended"));
            }
        }
        if asked.reload.swap(false, Ordering::SeqCst) {
            reload(args, agent, told);
        }
        looks += 1;
        if looks % LOOKS_PER_NOTE == 0 {
            note(agent, noted);
        }
    }
    Ok(())
}

/// Obeys the profiles again. One that cannot be read, and any before the first attach, changes nothing.
fn reload(args: &RunArgs, agent: &Agent, told: Told) {
    for path in &args.profile {
        let source = path.display().to_string();
        let obeyed = input::bytes_of(path).map(|text| agent.obey(&text));
        match obeyed {
            Ok(Ok(obeyed)) => told.obeyed(&source, &obeyed),
            Ok(Err(error)) => output::tell_warning(&format!("{source}: not obeyed: {error}"), args.json),
            Err(failure) => output::tell_warning(&failure.to_string(), args.json),
        }
    }
}

/// Notes how far the stack has seen, for the next life.
fn note(agent: &Agent, noted: &Path) {
    if let Some(stack) = agent.stack() {
        position::write(noted, &stack.position());
    }
}

/// Leaves everything to the next life, or gives it back.
fn end(args: &RunArgs, agent: &Agent, told: Told) -> Result<Exit, Failure> {
    let Some(stack) = agent.stack().filter(|_| args.disconnect) else {
        told.changed("ended", "ended: what the stack holds is kept for its next start");
        return Ok(Exit::Done);
    };
    agent.end_programs();
    let grants = stack.grants();
    let in_use = grants.iter().flat_map(|grant| {
        let local = super::agent::local_of(grant.target);
        let ports = grant.mask.ports(grant.group);
        ports.map(move |port| super::book::Place { local, port, source: None }).collect::<Vec<_>>()
    });
    let in_use = in_use.filter(|place| !probe::is_free(place)).count();
    if in_use > 0 {
        let text =
            format!("not disconnected: {in_use} of its ports have a socket still; they are kept for the next start");
        output::tell_warning(&text, args.json);
        return Ok(Exit::Refused);
    }
    stack.disconnect().map_err(|error| Failure::told(Exit::Refused, error.to_string()))?;
    told.changed("disconnected", "disconnected: everything that the stack held is in quarantine, and it is forgotten");
    Ok(Exit::Done)
}

/// Reads the profiles; one with errors starts nothing.
fn read(first: &Path, more: &[PathBuf], json: bool) -> Result<Profile, Failure> {
    let (profile, texts) = input::read(first, more)?;
    for text in &texts {
        for found in &text.diagnostics {
            output::tell_warning(&format!("{}:{found}", text.name), json);
        }
    }
    if input::has_errors(&texts) {
        let text = format!("{}: the profile has errors, nothing was started: see above", first.display());
        return Err(Failure::told(Exit::Refused, text));
    }
    Ok(profile)
}

fn name(args: &RunArgs, profile: &Path) -> Result<ConnectorName, Failure> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let text = input::stack_named(profile).unwrap_or_default();
    ConnectorName::new(&text).map_err(|error| {
        let text = format!("{}: the stack is named after the file, and {error}; say --name", profile.display());
        Failure::told(Exit::Usage, text)
    })
}

fn connect(args: &RunArgs, structure: StructureName) -> Result<keeper::Connect, Failure> {
    let (tls_ca, tls_cert, tls_key) = (args.tls_ca.clone(), args.tls_cert.clone(), args.tls_key.clone());
    let mut options = ServiceArgs { tls_ca, tls_cert, tls_key, ..ServiceArgs::default() }.options()?;
    options.patience = PATIENCE;
    if let Some(tls) = &mut options.tls {
        tls.server_name.clone_from(&args.tls_name);
    }
    let door = args.facility.clone();
    Ok(Box::new(move || RemoteFacility::connect(&door, structure, options.clone())))
}

/// The first signal ends it in order, one that comes later at once.
fn heed_signals() -> Result<Asked, Failure> {
    let asked = Asked { stop: Arc::default(), reload: Arc::default() };
    let watch = || -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked.stop))?;
            signal_hook::flag::register(signal, Arc::clone(&asked.stop))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&asked.reload)).map(drop)
    };
    watch().map_err(|error| Failure::told(Exit::StorageFailed, format!("signals cannot be watched: {error}")))?;
    Ok(asked)
}

//! `portplex serve`: stores of this machine as a service for stacks, operators and programs.
//!
//! It opens every structure of its configuration, says what it found, serves until it is told to end,
//! and ends in order: what was taken is answered and durable. It makes no store in silence.
#![forbid(unsafe_code)]

mod follow;
mod leash;
mod line;
mod logs;
mod notify;
mod open;
mod operations;
mod profiles;
mod reload;
mod signals;
mod told;
mod typed;

pub(crate) use typed::ServeArgs;

use super::config;
use super::config::Config;
use super::exit::Exit;
use super::exit::Failure;
use super::output;
use crate::api::Drained;
use crate::api::Running;
use crate::api::ServeError;
use crate::api::Server;
use crate::api::http;
use crate::web::Ending;
use crate::web::Web;
use follow::Followers;
use line::Line;
use notify::Notifier;
use open::Opened;
use profiles::Profiles;
use reload::Reloading;
use signals::Signals;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex serve --init --data /srv/ports                  # make the store once, then serve it
  portplex serve --data /srv/ports --uds /run/portplex.sock
  portplex serve --data /srv/ports --listen 127.0.0.1:0    # a port that is free; it says which
  portplex serve --data /srv/ports --profile SYS1.TCPIP=sys1.profile   # shown under /v1/structures
  portplex serve --print-config > portplex.toml            # every key, with its default
  portplex serve --config portplex.toml --set log.level=debug
  PORTPLEX_SERVE_LOG_FORMAT=json portplex serve --config portplex.toml
  portplex serve --data /srv/ports --listen 10.0.0.1:7678 --tls-client-ca portplex-pki/ca.pem \\
    --tls-cert portplex-pki/facility.example.pem --tls-key portplex-pki/facility.example.key

The contract is portplex.v1 over gRPC; health and reflection are served too. Several structures are
served side by side: one [[structure]] table each in the configuration. Plain TCP is loopback only.
Beyond loopback both sides prove who they are by certificates (mutual TLS): `portplex cert` makes some
for a first try. At the unix socket the kernel says which uid asks: root and the uid of the service are
operators, --allow-uid lets others in.

SIGTERM or SIGINT ends it in order, within 10 s: calls that were taken are answered. A second one
ends it at once; nothing that was acknowledged is lost by that. SIGHUP reads the configuration,
certificates and profiles again, takes over what a running service can, and says what waits for a restart.";

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_millis(50);
/// How long calls that were taken may need for their answers.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    let config = args.config()?;
    if args.print_config {
        output::print(&config::print(&config))?;
        return Ok(Exit::Done);
    }
    open::refuse_doors(&config)?;
    let profiles = profiles::all(&config)?;
    let signals = Signals::heed()?;
    if args.leash {
        leash::watch(signals.stop());
    }
    let logs = logs::start(&config, args.json);
    let notifier = Notifier::of_environment();
    notifier.status("opening the stores");
    let opened = open::all(&config, args.json)?;
    // Before the first door opens: nothing that happens is missed.
    let followers = Followers::start(&opened);
    let (running, ending) = match begin(args, &config, &opened, &profiles) {
        Ok(begun) => begun,
        Err(failure) => {
            followers.stop();
            opened.close(args.json)?;
            return Err(failure);
        }
    };
    notifier.ready(&opened.summary());
    let mut reloading = Reloading::new(args, config, profiles, logs);
    while !signals.is_told_to_stop() && !opened.is_failed() {
        if signals.take_reload() {
            notifier.reloading();
            reloading.run(&running, &opened);
            notifier.ready(&opened.summary());
        }
        notifier.alive();
        std::thread::sleep(LOOK);
    }
    end(args, (running, ending), followers, opened, &notifier)
}

/// Opens the doors, and says so.
fn begin(
    args: &ServeArgs,
    config: &Config,
    opened: &Opened,
    profiles: &[Arc<Profiles>],
) -> Result<(Running, Ending), Failure> {
    let hosted: Vec<_> = opened.stores.iter().map(|store| (store.name, Arc::clone(&store.facility))).collect();
    let mut server = Server::new(config.limits).access(config.access()).lease(config.lease);
    let measured = http::routes(hosted, server.meters());
    let Web { routes, ending } = Web::with_reports(profiles::reported(&opened.stores, profiles));
    server = server.http(measured.merge(routes));
    for store in &opened.stores {
        server = server
            .host_local(store.name, &store.facility)
            .operate(store.name, Arc::new(operations::StoreOperations::new(&store.facility)));
    }
    let running = server.start(&config.listen).map_err(refused)?;
    for door in running.doors() {
        Line::of("listening").tell_start(format!("listening at {door}"));
    }
    told::serving(opened, running.doors(), args.json)?;
    Ok((running, ending))
}

/// In order: no new call is taken, those that were are answered, every event is told, the stores close.
fn end(
    args: &ServeArgs,
    (running, ending): (Running, Ending),
    followers: Followers,
    opened: Opened,
    notifier: &Notifier,
) -> Result<Exit, Failure> {
    notifier.stopping();
    Line::of("draining").info("draining: calls that were taken are answered");
    ending.end();
    let drained = running.stop(DRAIN);
    if drained == Drained::Cut {
        let text = "some callers were not answered in time: their next attach tells them";
        Line::of("drained").warn(text);
        output::tell_warning(text, args.json);
    } else {
        Line::of("drained").info("drained: every call that was taken was answered");
    }
    followers.stop();
    let closed = opened.close(args.json)?;
    told::ended(&closed, args.json)?;
    Ok(Exit::Done)
}

fn refused(error: ServeError) -> Failure {
    let exit = match &error {
        ServeError::NotLoopback { .. } | ServeError::SocketInUse { .. } | ServeError::Tls(_) => Exit::Refused,
        _ => Exit::StorageFailed,
    };
    Failure::told(exit, error.to_string())
}

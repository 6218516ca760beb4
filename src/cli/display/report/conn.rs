//! `portplex display conn`: each stack's sockets on DVIPAs, as Netstat CONN/-c shows them.
#![forbid(unsafe_code)]

use super::dry_run::DryRunArgs;
use super::dry_run::Scene;
use super::{NOT_HERE, foreign_text, socket_text, stack_text, table};
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::Transport;
use crate::profile::Profile;
use crate::profile::User;
use serde_json::{Value, json};
use std::net::SocketAddr;

const EXAMPLES: &str = "\
Examples:
  portplex display conn --profile sys*.profile --events day.events
  portplex display conn --profile sys*.profile --events day.events --json | jq '.stacks[].sockets[].local_port'

User Id is the job for which the stack's PORT or PORTRANGE reserves the local port. Conn numbers the
sockets of a stack as they come. Only sockets on the DVIPAs of the profiles are shown.";

/// With how events are written.
pub(crate) fn help() -> String {
    format!("{EXAMPLES}\n\n{}", super::dry_run::EVENTS)
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConnArgs {
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
}

pub(crate) fn run(args: &ConnArgs) -> Result<Exit, Failure> {
    let scene = args.dry_run.play()?;
    let json = || scene.json("conn", "stacks", json(&scene));
    scene.given.print(args.dry_run.given.json, json, || scene.text(text(&scene)))
}

/// One socket.
struct Row<'a> {
    user: Option<&'a str>,
    number: u32,
    dvipa: Dvipa,
    port: u16,
    /// `None` for a listener.
    peer: Option<SocketAddr>,
}

/// A stack's sockets by DVIPA and port, the listener before its connections.
fn rows<'a>(scene: &Scene, stack: &ConnectorName, profile: &'a Profile) -> Vec<Row<'a>> {
    let row = |(dvipa, port, peer, number)| Row { user: user(profile, dvipa, port), number, dvipa, port, peer };
    scene.run.sockets(stack).map(row).collect()
}

/// The job that a TCP port is reserved for, with its `*`.
fn user(profile: &Profile, dvipa: Dvipa, port: u16) -> Option<&str> {
    let of_port = profile.reservations.iter().filter(|entry| {
        let is_meant = entry.bind.is_none_or(|address| address == dvipa.address());
        entry.transport == Transport::Tcp && (entry.first..=entry.last).contains(&port) && is_meant
    });
    let mut jobs = of_port.filter_map(|entry| match &entry.user {
        User::Job(job) => Some(job.as_str()),
        User::Nobody | User::AuthPort => None,
    });
    jobs.next()
}

const fn state(row: &Row<'_>) -> (&'static str, &'static str) {
    if row.peer.is_some() { ("Establsh", "established") } else { ("Listen", "listen") }
}

pub(super) fn json(scene: &Scene) -> Vec<Value> {
    let socket = |row: Row<'_>| {
        json!({
            "user": row.user,
            "conn": format!("{:08X}", row.number),
            "local": row.dvipa.to_string(),
            "local_port": row.port,
            "foreign": row.peer.map(|peer| peer.ip().to_string()),
            "foreign_port": row.peer.map(|peer| peer.port()),
            "state": state(&row).1,
        })
    };
    let one = |(stack, profile): (&ConnectorName, &Profile)| {
        let sockets: Vec<Value> = rows(scene, stack, profile).into_iter().map(socket).collect();
        json!({"stack": stack.as_str(), "sockets": sockets})
    };
    scene.joined().map(one).collect()
}

pub(super) fn text(scene: &Scene) -> String {
    let one = |(stack, profile): (&ConnectorName, &Profile)| {
        let mut columns = Columns::new(&["User Id", "Conn", "Local Socket", "Foreign Socket", "State"], "lllll");
        for row in rows(scene, stack, profile) {
            columns.row(vec![
                row.user.unwrap_or(NOT_HERE).to_owned(),
                format!("{:08X}", row.number),
                socket_text(row.dvipa.address(), row.port),
                foreign_text(row.dvipa.address(), row.peer),
                state(&row).0.to_owned(),
            ]);
        }
        table(&format!("CONN FROM {}", stack_text(stack)), &columns.render(), "no socket on a DVIPA")
    };
    let parts: Vec<String> = scene.joined().map(one).collect();
    if parts.is_empty() { "CONN\nno stack is in the sysplex\n".to_owned() } else { parts.join("\n") }
}

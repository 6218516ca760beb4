//! `portplex display portlist`: the reserved ports as Netstat PORTLIST/-o shows them.
#![forbid(unsafe_code)]

use super::given::Given;
use super::given::GivenArgs;
use super::{stack_text, table};
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::ident::Transport;
use crate::profile::Profile;
use crate::profile::Reservation;
use crate::profile::Unreserved;
use crate::profile::User;
use serde_json::{Value, json};

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex display portlist --profile sys1.profile
  portplex display portlist --profile sys1.profile --obey add-ports.obey
  portplex display portlist --profile sys*.profile --json | jq '.stacks[].ports[] | select(.port == 4035)'

Flags: A autolog may restart the server, B BIND, D acknowledgments may be delayed, F SAF, N NOSMC,
R one of PORTRANGE, S SHAREPORT, W SHAREPORTWLM, X DENY. A range has one row, and UNRSV stands for all
ports that nobody reserved.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PortlistArgs {
    #[command(flatten)]
    pub(crate) given: GivenArgs,
}

pub(crate) fn run(args: &PortlistArgs) -> Result<Exit, Failure> {
    let given = args.given.read_some()?;
    given.print(args.given.json, || json(&given), || text(&given))
}

/// One row: a reservation, or what is said of all ports without one.
struct Row<'a> {
    /// First and last; `None` for UNRSV.
    ports: Option<(u16, u16)>,
    transport: Transport,
    user: &'a str,
    flags: String,
    is_range: bool,
    bind: Option<String>,
    saf: Option<&'a str>,
}

/// By port, those without one last.
fn rows(profile: &Profile) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = profile.reservations.iter().map(reserved).collect();
    rows.sort_by_key(|row| (row.ports, row.transport.index()));
    rows.extend(profile.unreserved.iter().map(unreserved));
    rows
}

fn reserved(entry: &Reservation) -> Row<'_> {
    let Reservation { first, last, transport, user, bind, shared, from_range, options, .. } = entry;
    let is_job = matches!(user, User::Job(_));
    let is_tcp = *transport == Transport::Tcp;
    let flags = [
        ('A', is_job && is_tcp && !options.no_autolog),
        ('B', bind.is_some()),
        ('D', is_job && is_tcp && options.delay_acks != Some(false)),
        ('F', options.saf.is_some()),
        ('N', options.smc == Some(false)),
        ('R', *from_range),
        ('S', *shared && !options.shared_by_wlm),
        ('W', *shared && options.shared_by_wlm),
    ];
    let user = match user {
        User::Nobody => "RESERVED",
        User::AuthPort => "AUTHPORT",
        User::Job(job) => job,
    };
    Row {
        ports: Some((*first, *last)),
        transport: *transport,
        user,
        flags: set(&flags),
        is_range: *from_range,
        bind: bind.map(|address| address.to_string()),
        saf: options.saf.as_deref(),
    }
}

fn unreserved(entry: &Unreserved) -> Row<'_> {
    Row {
        ports: None,
        transport: entry.transport,
        user: &entry.job,
        flags: set(&[('F', entry.saf.is_some()), ('X', entry.deny)]),
        is_range: false,
        bind: None,
        saf: entry.saf.as_deref(),
    }
}

fn set(flags: &[(char, bool)]) -> String {
    flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect()
}

pub(super) fn json(given: &Given) -> Value {
    let row = |row: Row<'_>| {
        json!({
            "port": row.ports.map(|(first, _)| first),
            "port_last": row.ports.map(|(_, last)| last),
            "protocol": row.transport.name(),
            "user": row.user,
            "flags": row.flags,
            "range": row.is_range,
            "address": row.bind,
            "saf": row.saf,
        })
    };
    let stacks = given.stacks.iter().map(|(stack, profile)| {
        json!({"stack": stack.as_str(), "ports": rows(profile).into_iter().map(row).collect::<Vec<_>>()})
    });
    json!({"report": "portlist", "stacks": stacks.collect::<Vec<_>>()})
}

pub(super) fn text(given: &Given) -> String {
    let one = |(stack, profile): &(crate::ident::ConnectorName, Profile)| {
        let titles = ["Port#", "Prot", "User", "Flags", "Range", "IP Address", "SAF Name"];
        let mut columns = Columns::new(&titles, "lllllll");
        for row in rows(profile) {
            let range = row.ports.filter(|_| row.is_range);
            columns.row(vec![
                row.ports.map_or_else(|| "UNRSV".to_owned(), |(first, _)| format!("{first:05}")),
                row.transport.name().to_uppercase(),
                row.user.to_owned(),
                row.flags,
                range.map(|(first, last)| format!("{first:05}-{last:05}")).unwrap_or_default(),
                row.bind.unwrap_or_default(),
                row.saf.unwrap_or_default().to_owned(),
            ]);
        }
        table(&format!("PORTLIST FROM {}", stack_text(stack)), &columns.render(), "no port is reserved")
    };
    given.stacks.iter().map(one).collect::<Vec<_>>().join("\n")
}

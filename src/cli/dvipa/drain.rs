//! `portplex dvipa drain`: closes a list and waits until it is empty.
#![forbid(unsafe_code)]

use super::Meant;
use super::TargetArgs;
use crate::api::RemoteError;
use crate::api::Watched;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service_args::Operator;
use crate::cli::service_args::Place;
use crate::cli::size::counted;
use crate::ident::BootMs;
use crate::ident::Target;
use crate::structure::Request;
use crate::structure::Structure;
use serde_json::json;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex dvipa drain 10.1.1.1 --service unix:/run/portplex.sock
  portplex dvipa drain 10.1.1.1 --json --service unix:/run/portplex.sock

Nothing new is granted from then on. Each time something changes it says what is still held, by whom,
and what is in quarantine; it ends when the list is gone. Stacks give ports back as their sockets
close; nothing is taken from them. Ctrl-C ends the waiting, the list stays closed: `dvipa define`
opens it again. A closed store has nobody who gives anything back: use `dvipa delete` there.";

/// How long it waits for a change before it looks whether the service is there.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

pub(crate) fn run(args: &DrainArgs) -> Result<Exit, Failure> {
    let meant = args.target.meant()?;
    let Place::Service(operator) = &meant.act.place else {
        let text =
            format!("draining needs a running service (--service URL); to close the list: {}", meant.command("delete"));
        return Err(Failure::told(Exit::Usage, text));
    };
    meant.request(&Request::Delete { target: meant.target })?;
    let mut told = None;
    let mut last = None;
    loop {
        match follow(&meant, operator, args.target.json, &mut told, &mut last) {
            // What was missed is in the next snapshot.
            Err(Failure::Operator(crate::api::OperatorError::Remote(RemoteError::Lagged { .. }))) => {}
            done => return done,
        }
    }
}

/// What was told last: held, quarantined.
type Told = Option<(u32, u32)>;

fn follow(meant: &Meant, operator: &Operator, json: bool, told: &mut Told, last: &mut Told) -> Result<Exit, Failure> {
    let mut watch = operator.client.watch(operator.structure, None)?;
    let mut structure: Option<Structure> = None;
    loop {
        match watch.next(PATIENCE)? {
            Some(Watched::Snapshot { items, .. }) => {
                let imported = Structure::import(items.into_iter());
                structure =
                    Some(imported.map_err(|error| {
                        Failure::told(Exit::Refused, format!("the state is not understood: {error}"))
                    })?);
            }
            Some(Watched::Event { lsn, event }) => {
                if let Some(structure) = structure.as_mut() {
                    structure.apply(lsn, BootMs(0), &event);
                }
                continue;
            }
            None => {}
        }
        let Some(structure) = &structure else { continue };
        *last = left(structure, meant.target);
        if *last == *told && told.is_some() {
            continue;
        }
        told.clone_from(last);
        tell(meant, structure, *last, json)?;
        if last.is_none() {
            return Ok(Exit::Done);
        }
    }
}

/// Ports held and in quarantine; `None` once the list is gone.
fn left(structure: &Structure, target: Target) -> Told {
    let list = structure.lists().find(|list| list.target == target)?;
    Some((list.held_ports, list.quarantined_ports))
}

fn tell(meant: &Meant, structure: &Structure, left: Told, json: bool) -> Result<(), Failure> {
    let stacks: Vec<(String, u32)> = holders(structure, meant.target);
    let Some((held, quarantined)) = left else {
        if json {
            return output::print_json(&json!({"drained": meant.target.dvipa_text()}));
        }
        return output::print(&format!("{}: empty, the list is gone", meant.target));
    };
    if json {
        let stacks: Vec<_> = stacks.iter().map(|(name, ports)| json!({"connector": name, "ports": ports})).collect();
        return output::print_json(&json!({"held": held, "quarantined": quarantined, "stacks": stacks}));
    }
    let stacks: Vec<String> = stacks.iter().map(|(name, ports)| format!("{name} {ports}")).collect();
    let by = if stacks.is_empty() { String::new() } else { format!(" by {}", stacks.join(", ")) };
    output::print(&format!("{}: {} held{by}; {quarantined} in quarantine", meant.target, counted(held, "port")))
}

/// Who still holds how much, those with the most first.
fn holders(structure: &Structure, target: Target) -> Vec<(String, u32)> {
    let mut state = crate::cli::state::State::new(structure.items());
    state.lists.retain(|list| list.target == target);
    let members = state.lists.iter().flat_map(|list| &list.members);
    let mut holders: Vec<(String, u32)> =
        members.map(|member| (member.connector.to_string(), member.ports())).filter(|(_, ports)| *ports > 0).collect();
    holders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    holders
}

//! `portplex connector clean-up --gone-from FILE`: an orchestrator's list of deleted machines.
//!
//! Protocol rule R8: only what is failed-persistent is cleaned up, under the incarnation that was read.
//! An active connector's stack may be connected and sending, whatever a list says, so it is left alone.
#![forbid(unsafe_code)]

use crate::cli::act::Act;
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size::counted;
use crate::ident::ConnectorName;
use crate::structure::ConnectorState;
use crate::structure::ConnectorView;
use crate::structure::Request;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Most bytes of a list.
const LENGTH_MAX: u64 = 16 << 20;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    text: String,
    gone: Gone,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gone {
    /// A machine; with a boot, only that boot of it.
    Machine(u128, Option<u128>),
    Connector(ConnectorName),
}

/// What becomes of a connector that the list names.
#[derive(Clone, Debug)]
struct Planned {
    view: ConnectorView,
    /// Why it is left alone; `None`: it is cleaned up.
    kept: Option<String>,
    /// What came of it.
    done: Option<Result<(), String>>,
}

pub(super) fn run(act: &Act, list: &Path, by: &ConnectorName, yes: bool) -> Result<Exit, Failure> {
    let entries = read(list)?;
    let structure = act.structure()?;
    let connectors: Vec<ConnectorView> =
        structure.connectors().filter(|view| view.state != ConnectorState::Forgotten).collect();
    let (mut planned, strangers) = plan(&entries, &connectors);
    if yes {
        for planned in planned.iter_mut().filter(|planned| planned.kept.is_none()) {
            let ConnectorView { name, actor, .. } = &planned.view;
            let (name, incarnation) = (name.clone(), actor.incarnation);
            let request = Request::CleanUp { name: name.clone(), incarnation, by: by.clone(), boot_is_dead: true };
            let done = act.request(name.as_str(), &request, |_| String::new());
            planned.done = Some(match done {
                Ok(_) => Ok(()),
                Err(failure) if failure.exit() == Exit::Refused => Err(failure.to_string()),
                // Nothing further would go through: what was done is in the log.
                Err(failure) => return Err(failure),
            });
        }
    }
    if act.json {
        output::print_json(&as_json(&planned, &strangers, yes))?;
    } else {
        output::print(&as_text(&planned, &strangers, yes))?;
    }
    let is_refused = planned.iter().any(|planned| matches!(planned.done, Some(Err(_))));
    Ok(if is_refused { Exit::Refused } else { Exit::Done })
}

#[allow(clippy::disallowed_methods, reason = "a list is read from wherever the user has it")]
fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LENGTH_MAX + 1).read_to_string(&mut text));
    let place = path.display();
    read.map_err(|error| Failure::told(Exit::StorageFailed, format!("{place}: cannot be read: {error}")))?;
    if text.len() as u64 > LENGTH_MAX {
        return Err(Failure::told(Exit::Usage, format!("{place}: more than 16 MiB is no list of machines")));
    }
    parse(&text)
        .map_err(|(line, error)| Failure::told(Exit::Usage, format!("{place}:{line}: {error}; nothing was done")))
}

/// Reads a list. One line that is not understood makes all of it void: it may be another file.
fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let mut entries = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let words: Vec<&str> = text.split('#').next().unwrap_or("").split_whitespace().collect();
        let gone = match words.as_slice() {
            [] => continue,
            [machine] if id(machine).is_some() => Gone::Machine(id(machine).unwrap_or_default(), None),
            [machine, boot] if id(machine).is_some() && id(boot).is_some() => {
                Gone::Machine(id(machine).unwrap_or_default(), id(boot))
            }
            [name] => Gone::Connector(ConnectorName::new(name).map_err(|error| (line, error.to_string()))?),
            _ => {
                return Err((
                    line,
                    "a line is a machine id, a machine id and a boot id, or a connector's name".to_owned(),
                ));
            }
        };
        entries.push(Entry { line, text: words.join(" "), gone });
    }
    Ok(entries)
}

/// 32 hex digits, with or without the dashes of a UUID.
fn id(word: &str) -> Option<u128> {
    let digits: String = word.chars().filter(|c| *c != '-').collect();
    let is_id = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { u128::from_str_radix(&digits, 16).ok() } else { None }
}

/// What is done to each connector that the list names, and which lines name none.
fn plan(entries: &[Entry], connectors: &[ConnectorView]) -> (Vec<Planned>, Vec<Entry>) {
    let mut planned: Vec<Planned> = Vec::new();
    let mut strangers = Vec::new();
    for entry in entries {
        let mut is_known = false;
        for view in connectors {
            let boot = view.identity.boot.0;
            let is_meant = match &entry.gone {
                Gone::Machine(machine, _) => view.identity.machine.0 == *machine,
                Gone::Connector(name) => view.name == *name,
            };
            if !is_meant {
                continue;
            }
            is_known = true;
            if planned.iter().any(|planned| planned.view.name == view.name && planned.kept.is_none()) {
                continue;
            }
            let kept = match (&entry.gone, view.state) {
                (Gone::Machine(_, Some(gone)), _) if *gone != boot => {
                    Some(format!("it runs under another boot, {boot:032x}"))
                }
                (_, ConnectorState::FailedPersistent) => None,
                _ if view.promise_ms > 0 => {
                    Some("active: its stack may be connected; wait until its lease has run out".to_owned())
                }
                _ => Some(
                    "active, without a lease: mark it with `connector fail` if you know that it is dead".to_owned(),
                ),
            };
            planned.retain(|planned| planned.view.name != view.name);
            planned.push(Planned { view: view.clone(), kept, done: None });
        }
        if !is_known {
            strangers.push(entry.clone());
        }
    }
    (planned, strangers)
}

fn as_text(planned: &[Planned], strangers: &[Entry], yes: bool) -> String {
    let mut columns = Columns::new(&["CONNECTOR", "INCARNATION", "STATE", "PORTS", "MACHINE", "WHAT"], "lrlrll");
    for Planned { view, kept, done } in planned {
        let what = match (kept, done) {
            (Some(why), _) => format!("kept: {why}"),
            (None, None) => "would be cleaned up".to_owned(),
            (None, Some(Ok(()))) => "cleaned up".to_owned(),
            (None, Some(Err(why))) => format!("REFUSED: {why}"),
        };
        columns.row(vec![
            view.name.to_string(),
            view.actor.incarnation.to_string(),
            view.state.name().to_owned(),
            view.held_ports.to_string(),
            format!("{:032x}", view.identity.machine.0),
            what,
        ]);
    }
    let mut text = if planned.is_empty() { String::new() } else { columns.render() };
    for Entry { line, text: what, .. } in strangers {
        text.push_str(&format!("line {line}: nothing is connected as {what}\n"));
    }
    let open = planned.iter().filter(|planned| planned.kept.is_none()).count() as u64;
    match (yes, open) {
        (_, 0) => text.push_str("nothing is to be cleaned up\n"),
        (false, open) => {
            text.push_str(&format!("nothing was changed: say --yes to clean up {}\n", counted(open, "connector")));
        }
        (true, _) => {}
    }
    text
}

fn as_json(planned: &[Planned], strangers: &[Entry], yes: bool) -> Value {
    let connectors: Vec<Value> = planned
        .iter()
        .map(|Planned { view, kept, done }| {
            let (what, why) = match (kept, done) {
                (Some(why), _) => ("kept", Some(why)),
                (None, None) => ("would-clean-up", None),
                (None, Some(Ok(()))) => ("cleaned-up", None),
                (None, Some(Err(why))) => ("refused", Some(why)),
            };
            json!({
                "connector": view.name.as_str(),
                "incarnation": view.actor.incarnation.0,
                "state": view.state.name(),
                "ports": view.held_ports,
                "machine": format!("{:032x}", view.identity.machine.0),
                "boot": format!("{:032x}", view.identity.boot.0),
                "what": what,
                "why": why,
            })
        })
        .collect();
    let unknown: Vec<Value> = strangers.iter().map(|entry| json!({"line": entry.line, "text": entry.text})).collect();
    json!({"done": yes, "connectors": connectors, "unknown": unknown})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::BootId;
    use crate::ident::Identity;
    use crate::ident::Incarnation;
    use crate::ident::MachineId;
    use crate::ident::ProcessId;
    use crate::structure::Actor;

    fn view(name: &str, machine: u128, boot: u128, state: ConnectorState, promise_ms: u64) -> ConnectorView {
        ConnectorView {
            name: ConnectorName::new(name).unwrap(),
            actor: Actor { slot: 0, incarnation: Incarnation(7) },
            state,
            identity: Identity { machine: MachineId(machine), boot: BootId(boot), process: ProcessId(1) },
            promise_ms,
            enforced: false,
            held_ports: 64,
        }
    }

    #[test]
    fn a_list_names_machines_boots_and_connectors_and_one_bad_line_voids_it() {
        let text = "# deleted today\n\n0000000000000000000000000000000a   # web-1\n00000000-0000-0000-0000-00000000000b 0000000000000000000000000000000c\nsys1.tcpip\n";
        let entries = parse(text).expect("understood");
        let gone: Vec<_> = entries.iter().map(|entry| (entry.line, entry.gone.clone())).collect();
        let name = ConnectorName::new("SYS1.TCPIP").unwrap();
        assert_eq!(gone, [(3, Gone::Machine(10, None)), (4, Gone::Machine(11, Some(12))), (5, Gone::Connector(name))]);
        for (text, line) in [("a b c\n", 1), ("\nnot a name!\n", 2), ("0a 0b\n", 1), ("ünlü\n", 1)] {
            assert_eq!(parse(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }

    #[test]
    fn only_what_failed_is_cleaned_up_and_of_the_boot_that_is_gone() {
        use ConnectorState::{Active, FailedPersistent};
        let connectors = [
            view("DEAD", 10, 1, FailedPersistent, 0),
            view("LEASED", 10, 1, Active, 30_000),
            view("UNLEASED", 11, 1, Active, 0),
            view("REBORN", 12, 2, FailedPersistent, 0),
            view("OTHER", 13, 1, FailedPersistent, 0),
        ];
        let list = "0000000000000000000000000000000a\n0000000000000000000000000000000b\n\
                    0000000000000000000000000000000c 00000000000000000000000000000001\n0000000000000000000000000000000f\nNOBODY\n";
        let (planned, strangers) = plan(&parse(list).expect("understood"), &connectors);
        let kept = |name: &str| {
            let planned = planned.iter().find(|planned| planned.view.name.as_str() == name);
            planned.map(|planned| planned.kept.clone().unwrap_or_default())
        };
        assert_eq!(kept("DEAD").as_deref(), Some(""));
        assert!(kept("LEASED").is_some_and(|why| why.contains("lease has run out")));
        assert!(kept("UNLEASED").is_some_and(|why| why.contains("connector fail")));
        assert!(kept("REBORN").is_some_and(|why| why.contains("another boot")));
        assert_eq!(kept("OTHER"), None);
        assert_eq!(strangers.iter().map(|entry| entry.line).collect::<Vec<_>>(), [4, 5]);
        let text = as_text(&planned, &strangers, false);
        assert!(text.contains("would be cleaned up") && text.contains("say --yes to clean up 1 connector"), "{text}");
    }
}

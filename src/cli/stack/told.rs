//! What a running agent says: lines for people, or one JSON object on one line for each event.
#![forbid(unsafe_code)]

use super::agent::Agent;
use super::agent::obeyed_json;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::stack::Obeyed;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// How it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) json: bool,
}

impl Told {
    /// That programs can connect.
    pub(super) fn begins(self, agent: &Agent, socket: &Path) -> Result<(), Failure> {
        let Agent { name, structure, facility, .. } = agent;
        if self.json {
            return output::print_json(&json!({
                "event": "begins",
                "stack": name.as_str(),
                "structure": structure.to_string(),
                "facility": facility,
                "socket": socket.display().to_string(),
            }));
        }
        let mut text = format!("portplex stack {name}: structure {structure}\n");
        let _ = writeln!(text, "  facility  {facility}");
        let _ = writeln!(text, "  programs  {}", socket.display());
        let _ = writeln!(text, "  try       portplex stack status --socket {}", socket.display());
        output::print(&text)
    }

    /// That it attached: what an earlier life left.
    pub(super) fn attached(self, agent: &Agent, found: usize, kept: usize) {
        let incarnation = agent.stack().map_or(0, |stack| stack.incarnation().0);
        let line = match found {
            0 => format!("attached, incarnation {incarnation}"),
            _ => format!(
                "attached, incarnation {incarnation}: {found} grants of an earlier life, {kept} of their ports have a \
                 socket and are kept"
            ),
        };
        let promise_ms = agent.stack().map(|stack| stack.promise_ms());
        let value = json!({
            "event": "attached",
            "incarnation": incarnation,
            "promise_ms": promise_ms,
            "found_grants": found,
            "kept_ports": kept,
        });
        self.event(&line, &value);
    }

    /// That something is as it should not be, or is well again.
    pub(super) fn changed(self, event: &str, line: &str) {
        self.event(line, &json!({"event": event, "message": line}));
    }

    /// What came of a data set.
    pub(super) fn obeyed(self, source: &str, obeyed: &Obeyed) {
        let mut value = obeyed_json(obeyed);
        value["event"] = json!("obeyed");
        value["source"] = json!(source);
        self.event(&obeyed_text(source, &value), &value);
    }

    fn event(self, line: &str, value: &Value) {
        // Nobody reads along any more: the agent goes on.
        let _ = if self.json { output::print_json(value) } else { output::print(line) };
    }
}

/// What came of a data set, for people; from its JSON, so that the one who sent it says the same.
pub(super) fn obeyed_text(source: &str, obeyed: &Value) -> String {
    let names = |field: &str| -> Vec<&str> {
        obeyed[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let mut text = format!("{source}: obeyed");
    for (field, word) in [("joined", "joined"), ("left", "to be left as connections end")] {
        let names = names(field);
        if !names.is_empty() {
            let _ = write!(text, "; {word}: {}", names.join(", "));
        }
    }
    if let Some(waiting) = obeyed["waiting"].as_str() {
        let _ = write!(text, "; the facility is asked later: {waiting}");
    }
    for found in obeyed["diagnostics"].as_array().into_iter().flatten() {
        let word = |field: &str| found[field].as_str().unwrap_or_default();
        let _ =
            write!(text, "\n{source}:{}:{}: {}: {}", found["line"], found["column"], word("severity"), word("message"));
        if !word("hint").is_empty() {
            let _ = write!(text, "; {}", word("hint"));
        }
    }
    text
}

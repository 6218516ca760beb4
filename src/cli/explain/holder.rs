//! A stack's connector in sentences: its state, and what it would take to have its ports back.
#![forbid(unsafe_code)]

use super::explanation::Cause;
use super::explanation::Remedy;
use super::moments::Moments;
use super::moments::Wanted;
use super::quarantine::duration;
use super::world::Stored;
use super::world::World;
use crate::cli::size::counted;
use crate::ident::Lsn;
use crate::structure::Change;
use crate::structure::ConnectorState;
use crate::structure::ConnectorView;

/// The records that its state is told from.
pub(super) fn want(view: &ConnectorView, wanted: &mut Wanted) {
    let incarnation = Lsn(view.actor.incarnation.0);
    wanted.lsns.insert(incarnation);
    if view.state == ConnectorState::FailedPersistent {
        wanted.failed.insert(view.actor.slot, incarnation);
    }
}

/// Its state, lease, incarnation and machine.
pub(super) fn state(view: &ConnectorView, moments: &Moments) -> Cause {
    let name = &view.name;
    let incarnation = view.actor.incarnation;
    let life = format!(
        "incarnation {incarnation}, attached {}, on machine {:032x}",
        attached(incarnation.0, moments),
        view.identity.machine.0
    );
    if view.state == ConnectorState::FailedPersistent {
        let text = format!(
            "{name} is failed-persistent {}, and keeps {}. It was {life}.",
            failed(view, moments),
            counted(view.held_ports, "port")
        );
        return Cause::new("failed-persistent", text);
    }
    let lease = match view.promise_ms {
        0 => "It promised no lease, so it never fails by itself".to_owned(),
        ms => format!("Its lease is {}", duration(ms)),
    };
    Cause::new("active", format!("{name} is active: {life}. {lease}."))
}

fn attached(incarnation: u64, moments: &Moments) -> String {
    match moments.at(Lsn(incarnation)) {
        Some(moment) => moment.shown(),
        None => "at a time that is no longer in the log".to_owned(),
    }
}

/// `since 2026-… (lsn 9) by the word of ALICE`.
pub(super) fn failed(view: &ConnectorView, moments: &Moments) -> String {
    let Some(moment) = moments.of_failure(view.actor.slot) else {
        return "since a time that is no longer in the log".to_owned();
    };
    let why = match &moment.event.change {
        Change::Failed { by: Some(by), .. } => format!("by the word of {by}"),
        _ => "because its lease ran out".to_owned(),
    };
    format!("since {} {why}", moment.shown())
}

/// How the ports that it holds come back.
pub(super) fn remedies(world: &World<'_>, view: &ConnectorView) -> Vec<Remedy> {
    let name = &view.name;
    let clean_up = |text: String| Remedy::by(text, world.connector_command("clean-up", view, " --boot-is-dead"));
    if view.state == ConnectorState::FailedPersistent {
        return vec![
            Remedy::new(format!(
                "{name} attaches again from the same machine: under the same boot it keeps its ports, under a new one \
                 they go to quarantine by themselves."
            )),
            clean_up("If this boot of its machine is dead, and only if you know it, vouch for it:".to_owned()),
        ];
    }
    vec![
        Remedy::new(format!("{name} gives ports back by itself once no socket of it uses them.")),
        Remedy::by(
            "If its machine is dead, and only if you know it, say so with your name:",
            world.connector_command("fail", view, ""),
        ),
        clean_up("Then vouch for it, and what it held goes to quarantine:".to_owned()),
    ]
}

/// What is wrong with the store as a whole, and who is waited for.
pub(super) fn notices(stored: &Stored) -> (Vec<Cause>, Vec<Remedy>) {
    let (mut causes, mut remedies) = (Vec::new(), Vec::new());
    for notice in &stored.notices {
        let code = match notice.state {
            "stopped" => "grants-stopped",
            "full" => "storage-full",
            state => state,
        };
        causes.push(Cause::new(code, format!("{}.", notice.text)));
        remedies.push(way_out(&notice.way_out));
    }
    let missing: Vec<String> =
        stored.structure().not_attached_since_stop(stored.structure().lsn().next()).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let rest = missing.len().saturating_sub(NAMES_MAX);
        let named = missing[..missing.len() - rest].join(", ");
        let more = if rest > 0 { format!(" and {}", counted(rest as u64, "other")) } else { String::new() };
        causes.push(Cause::new("not-all-attached", format!("Not attached since granting stopped: {named}{more}.")));
    }
    (causes, remedies)
}

/// A way out as a sentence, or as the command that it is.
fn way_out(text: &str) -> Remedy {
    if text.starts_with("portplex ") {
        return Remedy::new(format!("Say what happened to it: {text}"));
    }
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    Remedy::new(format!("{first}{}.", letters.as_str()))
}

/// Most names in a sentence.
const NAMES_MAX: usize = 10;

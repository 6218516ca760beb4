//! What a bind of one named port of a DVIPA would do on each stack whose profile is given.
//!
//! The cases are those of `stack::bind`: distributed or reserved for the job, locally; in a group of
//! its own, locally; else a claim.
#![forbid(unsafe_code)]

use super::ask;
use super::excluded;
use super::explanation::Cause;
use super::profiles::Named;
use super::world::World;
use crate::ident::Dvipa;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::Role;
use crate::profile::User;
use crate::structure::ConnectorState;
use crate::structure::PortOwner;

/// One cause for each profile; several where the job decides.
pub(super) fn verdicts(world: &World<'_>, dvipa: Dvipa, port: u16, owner: &PortOwner) -> Vec<Cause> {
    if port == 0 {
        return Vec::new();
    }
    world.profiles.iter().flat_map(|named| of_stack(world, named, dvipa, port, owner)).collect()
}

fn of_stack(world: &World<'_>, named: &Named, dvipa: Dvipa, port: u16, owner: &PortOwner) -> Vec<Cause> {
    let bound = |text: String| format!("A bind on {}: {text}.", named.name);
    let Some(definition) = named.profile.dvipa(dvipa) else {
        return vec![Cause::new(
            "bind-undefined",
            bound(format!("left to its kernel, for its profile does not define {dvipa}")),
        )];
    };
    if !definition.sysplexports {
        let statement = if definition.role == Role::Define { "VIPADEFINE" } else { "VIPABACKUP" };
        let source = named.source(statement, definition.data_set, definition.line);
        let text = format!("done by the stack alone, for {dvipa} has no SYSPLEXPORTS there ({})", source.place());
        return vec![Cause::new("bind-local", bound(text)).from(source)];
    }
    if let Some(found) = definition.distributions.iter().find(|distribution| distribution.names(port)) {
        let source = named.source("VIPADISTRIBUTE", found.data_set, found.line);
        let place = source.place();
        let text = format!(
            "done at once and without a claim, for it is distributed and listened to on every target ({place})"
        );
        return vec![Cause::new("bind-distributed", bound(text)).from(source)];
    }
    let mut causes = Vec::new();
    for entry in excluded::reservations(named, Transport::Tcp, port) {
        if let User::Job(job) = &entry.user {
            let source = named.source(excluded::kind(entry).1, entry.data_set, entry.line);
            let text = format!("done at once for job {job}, for which it is reserved ({})", source.place());
            causes.push(Cause::new("bind-reserved", bound(text)).from(source));
        }
    }
    let excluded = !excluded::exclusions(named, Transport::Tcp, port).is_empty();
    if excluded && !causes.is_empty() {
        causes.push(Cause::new("bind-excluded", bound("refused for every other job".to_owned())));
    } else if excluded {
        causes.push(Cause::new("bind-excluded", bound("refused, its profile excludes the port".to_owned())));
    } else {
        causes.push(by_claim(world, named, dvipa, port, owner, &bound));
    }
    causes
}

fn by_claim(
    world: &World<'_>,
    named: &Named,
    dvipa: Dvipa,
    port: u16,
    owner: &PortOwner,
    bound: &dyn Fn(String) -> String,
) -> Cause {
    if matches!(owner, PortOwner::Held { connector, .. } if *connector == named.name) {
        let text = "done from the group that it holds, unless a socket of it has the port".to_owned();
        return Cause::new("bind-own", bound(text));
    }
    let stored = world.stored.as_ref();
    let view = stored.and_then(|stored| stored.structure().connector(&named.name));
    let (Some(stored), Some(view)) = (stored, view) else {
        return match owner {
            PortOwner::Held { connector, .. } => {
                Cause::new("bind-held", bound(format!("its claim is refused, {connector} holds the port")))
            }
            PortOwner::Quarantined { .. } => {
                Cause::new("bind-quarantined", bound("its claim is refused until the quarantine ends".to_owned()))
            }
            _ => Cause::new("bind-claim", bound("a claim, once the stack has connected and joined".to_owned())),
        };
    };
    if view.state == ConnectorState::FailedPersistent {
        return Cause::new(
            "bind-failed",
            bound("not before it has attached again, it is failed-persistent".to_owned()),
        );
    }
    let Some(member) = stored.structure().member(view.actor.slot, Target::List(dvipa, Transport::Tcp)) else {
        return Cause::new("bind-claim", bound("a claim, once the stack has joined the list".to_owned()));
    };
    match ask::claim(stored, &view, member, port) {
        Ok(()) => Cause::new("bind-claim", bound("its claim of this port is granted".to_owned())),
        Err(refusal) => {
            let who = match owner {
                PortOwner::Held { connector, .. } => format!(", by {connector}"),
                _ => String::new(),
            };
            Cause::new("bind-refused", bound(format!("its claim is refused, {refusal}{who} [{}]", refusal.name())))
        }
    }
}

//! Why a port is where it is: free, held, in quarantine, in no mask.
#![forbid(unsafe_code)]

use super::bind;
use super::excluded;
use super::explanation::Cause;
use super::explanation::Explanation;
use super::explanation::Remedy;
use super::holder;
use super::moments;
use super::moments::Moments;
use super::moments::Wanted;
use super::quarantine;
use super::what;
use super::what::What;
use super::world::Stored;
use super::world::World;
use crate::cli::notice;
use crate::cli::size::counted;
use crate::cli::state::DvipaFilter;
use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Body;
use crate::structure::Change;
use crate::structure::ConnectorView;
use crate::structure::Event;
use crate::structure::Item;
use crate::structure::ListView;
use crate::structure::PortOwner;
use crate::structure::PortRange;
use crate::structure::Stamp;
use serde_json::json;

/// One port of one list.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) of: DvipaFilter,
    pub(super) port: u16,
    pub(super) transport: Transport,
}

impl Asked {
    fn target(self) -> Target {
        what::target(self.of, self.transport)
    }

    fn shown(self) -> String {
        let port = What::Port { of: self.of, port: self.port }.to_string();
        if self.transport == Transport::Tcp { port } else { format!("{port} ({})", self.transport) }
    }
}

/// The records that it is explained from.
pub(super) fn want(stored: &Stored, asked: Asked) -> Wanted {
    let mut wanted = Wanted::default();
    match stored.structure().owner(asked.target(), asked.port) {
        PortOwner::Held { connector, grant, .. } => {
            wanted.lsns.insert(grant);
            if is_adopted(stored, asked, grant) {
                wanted.adopted.insert(grant);
            }
            if let Some(view) = stored.structure().connector(&connector) {
                holder::want(&view, &mut wanted);
            }
        }
        PortOwner::Quarantined { since, .. } => drop(wanted.lsns.insert(since)),
        PortOwner::Free | PortOwner::NoList => {}
    }
    wanted
}

/// Whether a grant came from a stack's report: no request made it in this history.
fn is_adopted(stored: &Stored, asked: Asked, grant: Lsn) -> bool {
    let group = GroupNumber::of_port(asked.port);
    stored.structure().items().any(|item| match item {
        Item::Grant { lsn, group: of, number, .. } => lsn == grant && of == group && number == 0,
        _ => false,
    })
}

/// The whole explanation.
pub(super) fn explain(world: &World<'_>, asked: Asked, moments: &Moments) -> Explanation {
    let mut told = Told { asked, world, moments, causes: Vec::new(), remedies: Vec::new() };
    let owner = world.stored.as_ref().map(|stored| stored.structure().owner(asked.target(), asked.port));
    let list = world.stored.as_ref().and_then(|stored| list(stored, asked.target()));
    let answer = match (&world.stored, &owner, &list) {
        (Some(stored), Some(PortOwner::Held { connector, grant, .. }), Some(_)) => told.held(stored, connector, *grant),
        (Some(stored), Some(PortOwner::Quarantined { connector, since }), Some(list)) => {
            told.quarantined(stored, list, connector, *since)
        }
        (Some(stored), Some(PortOwner::Free), Some(list)) => told.free(stored, list),
        (Some(_), ..) => told.no_list(),
        (None, ..) => told.no_store(),
    };
    if let (DvipaFilter::One(dvipa), Transport::Tcp) = (asked.of, asked.transport) {
        let owner = owner.as_ref().unwrap_or(&PortOwner::NoList);
        told.causes.extend(bind::verdicts(world, dvipa, asked.port, owner));
    }
    let group = GroupNumber::of_port(asked.port);
    let mut numbers = json!({
        "port": asked.port,
        "transport": asked.transport.name(),
        "group": group.number(),
        "first": group.port_first(),
        "last": group.port_last(),
    });
    if let Some(list) = list {
        numbers["held"] = list.held_ports.into();
        numbers["quarantined"] = list.quarantined_ports.into();
    }
    match &owner {
        Some(PortOwner::Held { grant, incarnation, .. }) => {
            numbers["grant"] = grant.0.into();
            numbers["incarnation"] = incarnation.0.into();
        }
        Some(PortOwner::Quarantined { since, .. }) => numbers["since"] = since.0.into(),
        _ => {}
    }
    let notices = world.stored.as_ref().map(|stored| notice::json(&stored.notices)).unwrap_or_else(|| json!([]));
    let Told { causes, remedies, .. } = told;
    let what = What::Port { of: asked.of, port: asked.port }.to_string();
    Explanation { what, kind: "port", answer, causes, remedies, numbers, notices }
}

pub(super) fn list(stored: &Stored, target: Target) -> Option<ListView> {
    stored.structure().lists().find(|list| list.target == target)
}

/// What is being told.
struct Told<'a> {
    asked: Asked,
    world: &'a World<'a>,
    moments: &'a Moments,
    causes: Vec<Cause>,
    remedies: Vec<Remedy>,
}

impl Told<'_> {
    fn held(&mut self, stored: &Stored, connector: &ConnectorName, grant: Lsn) -> String {
        self.causes.push(self.grant(stored, grant));
        if let Some(view) = stored.structure().connector(connector) {
            self.causes.push(holder::state(&view, self.moments));
            self.remedies.extend(holder::remedies(self.world, &view));
        }
        let since = moments::shown(self.moments.of_grant(grant), grant);
        format!("{} is held by {connector} since {since}.", self.asked.shown())
    }

    /// How the grant came to be: a group, a claim, an adoption.
    fn grant(&self, stored: &Stored, grant: Lsn) -> Cause {
        let group = GroupNumber::of_port(self.asked.port);
        let of_group = format!("group {} (ports {}-{})", group.number(), group.port_first(), group.port_last());
        let held = stored.state.lists.iter().filter(|list| list.target == self.asked.target());
        let mut grants = held.flat_map(|list| &list.members).flat_map(|member| &member.grants);
        let mask =
            grants.find(|held| held.lsn == grant && held.group == group).map_or(PortMask::NONE, |held| held.mask);
        let part = match mask.count() {
            64 => "and holds all of it".to_owned(),
            count => format!("and holds {} of it", counted(count, "port")),
        };
        match self.moments.of_grant(grant).map(|moment| &moment.event) {
            Some(event) if matches!(event.change, Change::Adopted { .. }) => {
                let text = format!(
                    "It was adopted from what the stack reported when it attached, token {grant}: the log had lost the \
                     grant. It is of {of_group}, {part}."
                );
                Cause::new("adopted", text)
            }
            Some(event) if self.is_claim(stored, event) => {
                Cause::new("claimed", "The stack claimed this one port by its number.")
            }
            Some(event) if matches!(event.change, Change::Granted { .. }) => {
                Cause::new("acquired", format!("The stack acquired it with {of_group}, {part}."))
            }
            _ => Cause::new("granted", format!("It was granted in {of_group}, {part}.")),
        }
    }

    /// The log keeps a hash of each request: that of a claim of this port is known.
    fn is_claim(&self, stored: &Stored, event: &Event) -> bool {
        let (Stamp::First { hash, .. }, Change::Granted { member, mask, .. }) = (event.stamp, &event.change) else {
            return false;
        };
        let Some((connector, ..)) = stored.structure().member_of(*member) else { return mask.count() == 1 };
        let member = stored.structure().member(connector, self.asked.target());
        member.is_some_and(|member| Body::Claim { member, port: self.asked.port }.hash() == hash)
    }

    fn quarantined(&mut self, stored: &Stored, list: &ListView, connector: &ConnectorName, since: Lsn) -> String {
        let (verb, code, why) = match self.moments.at(since).map(|moment| &moment.event.change) {
            Some(Change::Released { .. }) => ("gave it back", "released", "A release gave it back.".to_owned()),
            Some(Change::Left { .. }) => {
                ("left the list", "left", "Who leaves a list gives all of it back.".to_owned())
            }
            Some(Change::Disconnected { .. }) => {
                ("disconnected", "disconnected", "Who disconnects gives everything back and is forgotten.".to_owned())
            }
            Some(Change::CleanedUp { by, boot_is_dead, .. }) => {
                let vouched = if *boot_is_dead { ", who stated that its boot is dead" } else { "" };
                ("was cleaned up", "cleaned-up", format!("It was cleaned up by the word of {by}{vouched}."))
            }
            Some(Change::Attached { .. }) => {
                let why = "It attached under another boot: the connections of the boot before are dead.";
                ("came back under another boot", "boot-changed", why.to_owned())
            }
            Some(Change::Revoked { .. }) => {
                ("lost it", "revoked", "Another stack proved a younger grant of it.".to_owned())
            }
            _ => ("held it before", "released", "How it was given back is no longer in the log.".to_owned()),
        };
        let ends = quarantine::ends(self.world, stored, list, since);
        self.causes.push(Cause::new(code, why));
        self.causes.push(Cause::new("quarantine-end", quarantine::shown(self.world, list, ends)));
        let text = format!(
            "Until then only {connector} may have it, and only under the boot under which it held it: the remote side \
             may still remember the connection."
        );
        self.causes.push(Cause::new("quarantine", text));
        self.remedies.push(match ends {
            quarantine::Ends::Stopped => Remedy::new("Resume granting first: see the notices of `portplex display`."),
            _ => Remedy::new("Wait, with a service that has the store open. Nothing shortens a quarantine."),
        });
        let since = moments::shown(self.moments.at(since), since);
        format!("{} is in quarantine: {connector} {verb} at {since}.", self.asked.shown())
    }

    fn free(&mut self, stored: &Stored, list: &ListView) -> String {
        let text = format!(
            "Nobody holds it, and it is not in quarantine. Ports of this list that are held: {}; in quarantine: {}.",
            list.held_ports, list.quarantined_ports
        );
        self.causes.push(Cause::new("free", text));
        let barred = self.barred(stored);
        let (stacks, allowed) = self.stacks(Some(stored));
        if !list.open {
            self.causes
                .push(Cause::new("closed", "The list is closed: its DVIPA was deleted, and nothing is granted."));
            self.remedies.push(Remedy::new("Define the DVIPA again: the list opens with all that is in it."));
        }
        let (causes, remedies) = holder::notices(stored);
        self.causes.extend(causes);
        self.remedies.extend(remedies);
        let shown = self.asked.shown();
        match (barred, stacks, allowed) {
            (true, ..) if self.asked.of == DvipaFilter::Any => {
                format!("{shown} is free, and the pool does not give it.")
            }
            (true, ..) => format!("{shown} is free, and in no mask: the explicit-bind pool has it."),
            (false, 0, _) => format!("{shown} is free."),
            (false, stacks, 0) => {
                self.remedies.push(Remedy::new("Change the statement that excludes it, and have the stack obey it."));
                let who = match stacks {
                    1 => "the only stack that shares it excludes it".to_owned(),
                    stacks => format!("all {stacks} stacks that share it exclude it"),
                };
                format!("{shown} is free, and in no mask: {who}.")
            }
            (false, stacks, allowed) if stacks == allowed => format!("{shown} is free."),
            (false, stacks, allowed) => format!("{shown} is free, and {allowed} of {stacks} stacks may be given it."),
        }
    }

    fn no_list(&mut self) -> String {
        let (shown, target) = (self.asked.shown(), self.asked.target());
        let text =
            format!("{} has no list of {target}: the first stack that joins it makes it.", self.world.dir.display());
        self.causes.push(Cause::new("unknown-list", text));
        self.stacks(None);
        format!("{shown} is not assigned by anybody: there is no list of {target}.")
    }

    fn no_store(&mut self) -> String {
        let text = format!("{} is not a store: this is from the profiles alone.", self.world.dir.display());
        self.causes.push(Cause::new("no-store", text));
        let (stacks, allowed) = self.stacks(None);
        let shown = self.asked.shown();
        match (stacks, allowed) {
            (0, _) => format!("{shown} is not assigned sysplex-wide: no profile has SYSPLEXPORTS for it."),
            (_, 0) => format!("{shown} is in no mask: every profile excludes it."),
            (stacks, allowed) => {
                format!("{shown} may be given to {allowed} of {stacks} stacks, as far as the profiles say.")
            }
        }
    }

    /// Whether the explicit-bind pool and the lists keep it from each other.
    fn barred(&mut self, stored: &Stored) -> bool {
        let Asked { of, port, transport } = self.asked;
        let range = stored.structure().range(transport);
        let last = |range: PortRange| range.first.saturating_add(range.count.saturating_sub(1));
        let inside = range.is_some_and(|range| (range.first..=last(range)).contains(&port));
        let before = self.causes.len();
        match (of, range) {
            (DvipaFilter::Any, None) => {
                let text = "No explicit-bind range is in force: the pool gives nothing.";
                self.causes.push(Cause::new("no-range", text));
            }
            (DvipaFilter::Any, Some(range)) if !inside => {
                let text = format!("The explicit-bind range in force is {}-{}.", range.first, last(range));
                self.causes.push(Cause::new("outside-range", text));
            }
            (DvipaFilter::Any, Some(_)) => {
                let lists = stored.structure().lists().map(|list| list.target);
                let mut using = lists.filter(|target| {
                    let in_use = || !matches!(stored.structure().owner(*target, port), PortOwner::Free);
                    matches!(target, Target::List(..)) && target.transport() == transport && in_use()
                });
                if let Some(first) = using.next() {
                    let more = using.count();
                    let more = if more > 0 { format!(" and {}", counted(more as u64, "other")) } else { String::new() };
                    let text =
                        format!("It is in use in the list of {first}{more}: the pool gives no port that a list has.");
                    self.causes.push(Cause::new("used-by-list", text));
                }
            }
            (DvipaFilter::One(_), Some(range)) if inside => {
                let text = format!(
                    "The explicit-bind range in force, {}-{}, keeps it for bind(ANY, 0) on every stack.",
                    range.first,
                    last(range)
                );
                self.causes.push(Cause::new("explicitbindportrange-in-force", text));
            }
            (DvipaFilter::One(_), _) => match stored.structure().owner(Target::Pool(transport), port) {
                PortOwner::Held { connector, .. } => {
                    let text =
                        format!("{connector} holds it in the explicit-bind pool, from a range that was in force.");
                    self.causes.push(Cause::new("in-pool", text));
                }
                PortOwner::Quarantined { connector, .. } => {
                    let text = format!("It is in quarantine in the explicit-bind pool, after {connector}.");
                    self.causes.push(Cause::new("in-pool", text));
                }
                PortOwner::Free | PortOwner::NoList => {}
            },
        }
        self.causes.len() > before
    }

    /// Says which stacks exclude it, and why: (stacks that share the list, stacks that allow it).
    fn stacks(&mut self, stored: Option<&Stored>) -> (usize, usize) {
        let Asked { of, port, transport } = self.asked;
        let DvipaFilter::One(dvipa) = of else { return (0, 0) };
        let members: Vec<ConnectorView> =
            stored.into_iter().flat_map(|stored| stored.members(self.asked.target())).collect();
        let (mut stacks, mut allowed) = (0, 0);
        for named in &self.world.profiles {
            let shares = named.profile.dvipa(dvipa).is_some_and(|definition| definition.sysplexports);
            let is_member = members.iter().any(|view| view.name == named.name);
            if shares || is_member || transport == Transport::Udp {
                let causes = excluded::exclusions(named, transport, port);
                if !is_member {
                    stacks += 1;
                    allowed += usize::from(causes.is_empty());
                }
                self.causes.extend(causes);
            }
        }
        for view in members {
            stacks += 1;
            let given = stored.and_then(|stored| stored.allowable(view.actor.slot, transport));
            allowed += usize::from(given.is_some_and(|ports| ports.contains(port)));
            self.causes.extend(self.allowance(&view.name, given));
        }
        (stacks, allowed)
    }

    /// What is to be said of the ports that a stack gave last, beside what its profile says.
    fn allowance(&self, name: &ConnectorName, given: Option<&PortSet>) -> Option<Cause> {
        let Asked { port, transport, .. } = self.asked;
        let Some(given) = given.map(|ports| ports.contains(port)) else {
            let text = format!("{name} has not said which ports it allows.");
            return Some(Cause::new("no-allowable-set", text));
        };
        match self.world.profile_of(name).map(|named| named.profile.allowable(transport).contains(port)) {
            None if !given => {
                let text = format!("{name} does not allow it; --profile {name}=FILE says why.");
                Some(Cause::new("not-allowable", text))
            }
            Some(profile) if profile != given => {
                let said = if given { "allowed" } else { "excluded" };
                let text = format!("{name} {said} it when it last gave its ports: it ran with another profile.");
                Some(Cause::new("allowable-differs", text))
            }
            _ => None,
        }
    }
}

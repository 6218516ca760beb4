//! Why a stack gets ports, or none.
#![forbid(unsafe_code)]

use super::ask;
use super::ask::Counts;
use super::explanation::Cause;
use super::explanation::Explanation;
use super::explanation::Remedy;
use super::holder;
use super::limits;
use super::moments::Moments;
use super::moments::Wanted;
use super::profiles::Named;
use super::world::Stored;
use super::world::World;
use crate::cli::notice;
use crate::cli::size::counted;
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Change;
use crate::structure::ConnectorState;
use crate::structure::ConnectorView;
use crate::structure::ListView;
use crate::structure::Refusal;
use serde_json::{Value, json};

/// The records that it is explained from.
pub(super) fn want(stored: &Stored, name: &ConnectorName) -> Wanted {
    let mut wanted = Wanted::default();
    match stored.structure().connector(name) {
        Some(view) => holder::want(&view, &mut wanted),
        // What is left of it tells how it went.
        None => wanted.lsns.extend(resting(stored, name).map(|(lsn, _)| lsn).max()),
    }
    wanted
}

/// What a connector that is gone left in quarantine: lsn and how many ports.
fn resting<'a>(stored: &'a Stored, name: &'a ConnectorName) -> impl Iterator<Item = (Lsn, u32)> + 'a {
    let of_name = |connector: u32| stored.structure().connector_name(connector) == Some(name);
    let all = stored.resting.values().flatten();
    all.filter(move |resting| of_name(resting.connector)).map(|resting| (resting.lsn, resting.mask.count()))
}

/// The whole explanation; `None` if there is no such stack anywhere.
pub(super) fn explain(
    world: &World<'_>,
    name: &ConnectorName,
    transport: Option<Transport>,
    moments: &Moments,
) -> Option<Explanation> {
    let named = world.profile_of(name);
    let view = world.stored.as_ref().and_then(|stored| Some((stored, stored.structure().connector(name)?)));
    let (answer, causes, remedies, numbers) = match view {
        Some((stored, view)) => {
            let mut told = Told { world, stored, view: &view, named, causes: Vec::new(), remedies: Vec::new() };
            let (answer, numbers) = told.connector(transport, moments);
            (answer, told.causes, told.remedies, numbers)
        }
        None => absent(world, name, named, moments)?,
    };
    let notices = world.stored.as_ref().map_or_else(|| json!([]), |stored| notice::json(&stored.notices));
    Some(Explanation { what: name.to_string(), kind: "stack", answer, causes, remedies, numbers, notices })
}

type Parts = (String, Vec<Cause>, Vec<Remedy>, Value);

/// A stack that the store has no connector of.
fn absent(world: &World<'_>, name: &ConnectorName, named: Option<&Named>, moments: &Moments) -> Option<Parts> {
    let left: Vec<_> = world.stored.iter().flat_map(|stored| resting(stored, name)).collect();
    let (mut causes, mut remedies) = (Vec::new(), Vec::new());
    let mut numbers = json!({});
    let dir = world.dir.display();
    let answer = if let Some((last, _)) = left.iter().max() {
        let ports: u32 = left.iter().map(|(_, ports)| ports).sum();
        numbers["quarantined"] = ports.into();
        let how = match moments.at(*last) {
            Some(moment) => match &moment.event.change {
                Change::CleanedUp { by, .. } => format!("was cleaned up at {} by the word of {by}", moment.shown()),
                _ => format!("disconnected at {}", moment.shown()),
            },
            None => "was forgotten".to_owned(),
        };
        let text = format!("{} that it held are in quarantine still.", counted(ports, "port"));
        causes.push(Cause::new("forgotten", text));
        format!("{name} is not connected: it {how}.")
    } else {
        let named = named?;
        if world.stored.is_some() {
            let text =
                format!("No connector of {dir} has this name: it has never connected, or has disconnected since.");
            causes.push(Cause::new("unknown-connector", text));
            format!(
                "{name} gets no port: it is not connected to the structure in {dir}; {} is its profile.",
                named.file()
            )
        } else {
            causes.push(Cause::new("no-store", format!("{dir} is not a store: this is from the profile alone.")));
            format!("{name} is known from its profile alone, {}.", named.file())
        }
    };
    if let Some(named) = named {
        causes.extend(limits::of_profile(named));
        if named.profile.sysplexports().next().is_some() {
            remedies
                .push(Remedy::new("Start its stack: it connects when its profile is processed, and joins by itself."));
        } else {
            remedies.push(Remedy::new("Put SYSPLEXPORTS on the first VIPADISTRIBUTE of the DVIPA."));
        }
    } else {
        remedies.push(Remedy::new("Start its stack: it connects anew, under a new incarnation."));
    }
    Some((answer, causes, remedies, numbers))
}

/// What is being told of a connector.
struct Told<'a> {
    world: &'a World<'a>,
    stored: &'a Stored,
    view: &'a ConnectorView,
    named: Option<&'a Named>,
    causes: Vec<Cause>,
    remedies: Vec<Remedy>,
}

impl Told<'_> {
    fn connector(&mut self, transport: Option<Transport>, moments: &Moments) -> (String, Value) {
        let (name, view) = (&self.view.name, self.view);
        self.causes.push(holder::state(view, moments));
        let lists: Vec<ListView> = self.stored.structure().lists().collect();
        let asked = |list: &&ListView| transport.is_none_or(|transport| list.target.transport() == transport);
        let joined = lists
            .iter()
            .filter(asked)
            .filter_map(|list| Some((list, self.stored.structure().member(view.actor.slot, list.target)?)));
        let joined: Vec<_> = joined.collect();
        let (mut refused, mut rows) = (Vec::new(), Vec::new());
        for (list, member) in &joined {
            let counts = ask::counts(self.stored, view, list.target);
            let outcome = ask::acquire(self.stored, view, *member);
            let own = self.own(list.target);
            rows.push(row(list, own, counts, outcome.as_ref().err()));
            self.list(list, own, counts, &outcome);
            refused.extend(outcome.err().map(|refusal| (list.target, refusal)));
        }
        if let Some(named) = self.named {
            self.compare(named);
        }
        let (causes, remedies) = holder::notices(self.stored);
        let stopped = causes.iter().find(|cause| cause.code != "not-all-attached").map(|cause| cause.code);
        self.causes.extend(causes);
        self.remedies.extend(remedies);
        let answer = if view.state == ConnectorState::FailedPersistent {
            self.remedies.extend(holder::remedies(self.world, view));
            let kept = counted(view.held_ports, "port");
            format!("{name} gets no port: it is failed-persistent {}, and keeps {kept}.", holder::failed(view, moments))
        } else if let Some(code) = stopped {
            format!("{name} gets no port: {}.", stopped_because(code))
        } else if joined.is_empty() {
            self.remedies
                .push(Remedy::new("A stack joins the list of every DVIPA that its profile gives SYSPLEXPORTS."));
            format!("{name} gets no port: it has joined no list.")
        } else {
            match &refused[..] {
                [] => {
                    let of =
                        if joined.len() == 1 { "its list".to_owned() } else { format!("its {} lists", joined.len()) };
                    format!(
                        "{name} can be granted ports of {of}, once a service has the store open and it has attached."
                    )
                }
                [(target, refusal)] => format!("{name} gets no new port of {target}: {}.", brief(refusal)),
                [(target, refusal), ..] => {
                    let (few, all) = (refused.len(), joined.len());
                    format!("{name} gets no new port of {few} of its {all} lists: of {target}, {}.", brief(refusal))
                }
            }
        };
        let numbers = json!({
            "incarnation": view.actor.incarnation.0,
            "promise_ms": view.promise_ms,
            "ports": view.held_ports,
            "lists": rows,
        });
        (answer, numbers)
    }

    /// Ports and grants that it holds in a list.
    fn own(&self, target: Target) -> (u32, usize) {
        let lists = self.stored.state.lists.iter().filter(|list| list.target == target);
        let mut members = lists.flat_map(|list| &list.members).filter(|member| member.connector == self.view.name);
        members.next().map_or((0, 0), |member| (member.ports(), member.grants.len()))
    }

    fn list(
        &mut self,
        list: &ListView,
        (ports, grants): (u32, usize),
        counts: Option<Counts>,
        outcome: &Result<u32, Refusal>,
    ) {
        let target = list.target;
        let holds = format!("It holds {} in {}", counted(ports, "port"), counted(grants as u64, "grant"));
        let split = counts.map_or_else(String::new, |Counts { free, held, quarantined, excluded }| {
            format!(
                " Of the 65536 ports {held} are held, {quarantined} in quarantine, {excluded} free but excluded for it, \
                 {free} free and allowable."
            )
        });
        let (code, why) = match outcome {
            Ok(next) => ("can-be-granted", format!("a next group would bring {}", counted(*next, "port"))),
            Err(Refusal::MustAttach) => ("must-attach", "it must attach first".to_owned()),
            Err(refusal) => (refusal.name(), brief(refusal)),
        };
        self.causes.push(Cause::new(code, format!("{target}: {why}. {holds}.{split}")));
        match outcome {
            Err(Refusal::Exhausted { quarantined, excluded, .. }) => self.full(list, *quarantined, *excluded),
            Err(Refusal::QuotaExceeded { .. }) => {
                let text =
                    format!("{target}: raise the quota in the list's policy, or have the stack give groups back.");
                self.remedies.push(Remedy::new(text));
            }
            Err(Refusal::Reserved { .. }) => {
                let text =
                    format!("{target}: lower the reserve in the list's policy, or have stacks give groups back.");
                self.remedies.push(Remedy::new(text));
            }
            Err(Refusal::Closed) => {
                let text = format!("{target}: define the DVIPA again; the list opens with all that is in it.");
                self.remedies.push(Remedy::new(text));
            }
            Err(Refusal::NoAllowableSet) => {
                let text =
                    format!("{target}: the stack has not said which ports it allows; it does when it starts anew.");
                self.remedies.push(Remedy::new(text));
            }
            _ => {}
        }
    }

    /// A list without a port for it: who holds how much, what rests, what its profile takes away.
    fn full(&mut self, list: &ListView, quarantined: u32, excluded: u32) {
        let target = list.target;
        let shown = self.stored.state.lists.iter().find(|shown| shown.target == target);
        let mut holders: Vec<(u32, &ConnectorName)> = shown
            .iter()
            .flat_map(|shown| &shown.members)
            .map(|member| (member.ports(), &member.connector))
            .filter(|(ports, _)| *ports > 0)
            .collect();
        holders.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        let most: Vec<String> =
            holders.iter().take(HOLDERS_MAX).map(|(ports, name)| format!("{name} {ports}")).collect();
        if !most.is_empty() {
            let text = format!("{target}: most ports are held by {}.", most.join(", "));
            self.causes.push(Cause::new("holders", text));
            let display = format!("portplex display lists --data {}", self.world.dir.display());
            self.remedies
                .push(Remedy::by(format!("{target}: have a stack give groups back. Who holds what:"), display));
        }
        if quarantined > 0 {
            let text = format!("{target}: ports that are free again when their quarantine ends: {quarantined}.");
            self.remedies.push(Remedy::new(text));
        }
        if excluded > 0 {
            if let Some(named) = self.named {
                self.causes.extend(limits::of_transport(named, target.transport()));
            }
            let text = format!(
                "{target}: free ports are excluded for this stack: {excluded}. Widen EPHEMERALPORTS, or \
                 reserve less with PORT, PORTRANGE and EXPLICITBINDPORTRANGE."
            );
            self.remedies.push(Remedy::new(text));
        }
    }

    /// The profile that was given against what the stack said when it was last there.
    fn compare(&mut self, named: &Named) {
        for transport in Transport::ALL {
            let Some(ports) = self.stored.allowable(self.view.actor.slot, transport) else { continue };
            let given = named.profile.allowable(transport);
            if *ports != given {
                let text = format!(
                    "The store has {} {} ports as allowable for it, {} allows {}: the stack last gave others than this profile does.",
                    ports.count(),
                    transport.name().to_uppercase(),
                    named.file(),
                    given.count()
                );
                self.causes.push(Cause::new("allowable-differs", text));
            }
        }
        for definition in named.profile.sysplexports() {
            let target = Target::List(definition.dvipa, Transport::Tcp);
            if self.stored.structure().member(self.view.actor.slot, target).is_none() {
                let found = definition.distributions.first();
                let (data_set, line) = found.map_or((definition.data_set, definition.line), |d| (d.data_set, d.line));
                let source = named.source("VIPADISTRIBUTE", data_set, line);
                let text =
                    format!("It has not joined {target}, though its profile has SYSPLEXPORTS ({}).", source.place());
                self.causes.push(Cause::new("not-joined", text).from(source));
            }
        }
    }
}

/// Most holders that are named.
const HOLDERS_MAX: usize = 5;

fn row(list: &ListView, (ports, grants): (u32, usize), counts: Option<Counts>, refusal: Option<&Refusal>) -> Value {
    json!({
        "list": list.target.to_string(),
        "ports": ports,
        "grants": grants,
        "held": list.held_ports,
        "quarantined": list.quarantined_ports,
        "excluded": counts.map(|counts| counts.excluded),
        "free": counts.map(|counts| counts.free),
        "refusal": refusal.map(Refusal::name),
    })
}

/// A refusal as the end of a sentence.
fn brief(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Exhausted { .. } => "the list is full for it".to_owned(),
        Refusal::QuotaExceeded { held, quota } => format!("its quota is used up, {held} of {quota} ports"),
        Refusal::Reserved { reserve } => {
            format!("only the reserve of {} is left, for stacks that hold none", counted(*reserve, "whole group"))
        }
        Refusal::Closed => "the list is closed, for its DVIPA was deleted".to_owned(),
        Refusal::NoAllowableSet => "it has not said which ports it allows".to_owned(),
        refusal => refusal.to_string(),
    }
}

fn stopped_because(code: &str) -> &'static str {
    match code {
        "grants-stopped" => "granting is stopped for everybody",
        "storage-full" => "the storage is full, and nothing new is granted",
        "read-only" => "the store's file system is read-only",
        _ => "this store is a copy, and nothing is written to it",
    }
}

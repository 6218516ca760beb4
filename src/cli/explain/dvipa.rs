//! A DVIPA: its lists, who holds how much, which profiles define it, and what is missing.
#![forbid(unsafe_code)]

use super::explanation::Cause;
use super::explanation::Explanation;
use super::explanation::Remedy;
use super::holder;
use super::port::list;
use super::profiles::Named;
use super::quarantine::duration;
use super::what;
use super::world::Stored;
use super::world::World;
use crate::cli::notice;
use crate::cli::size::counted;
use crate::cli::state::DvipaFilter;
use crate::ident::Dvipa;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::DvipaDefinition;
use crate::profile::Role;
use crate::structure::ListView;
use serde_json::{Value, json};

/// The whole explanation.
pub(super) fn explain(world: &World<'_>, of: DvipaFilter, transport: Option<Transport>) -> Explanation {
    let (mut causes, mut remedies, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let transports = Transport::ALL.into_iter().filter(|each| transport.is_none_or(|asked| asked == *each));
    let targets: Vec<Target> = transports.map(|transport| what::target(of, transport)).collect();
    let mut lists = Vec::new();
    if let Some(stored) = &world.stored {
        if let (DvipaFilter::Any, Some(asked)) = (of, targets.first()) {
            causes.extend(range(stored, asked.transport()));
        }
        for found in targets.iter().filter_map(|target| list(stored, *target)) {
            rows.push(row(stored, &found));
            causes.extend(of_list(stored, &found));
            lists.push(found);
        }
        let (of_store, ways_out) = holder::notices(stored);
        causes.extend(of_store);
        remedies.extend(ways_out);
    } else {
        let text = format!("{} is not a store: this is from the profiles alone.", world.dir.display());
        causes.push(Cause::new("no-store", text));
    }
    let mut shares = 0;
    if let DvipaFilter::One(dvipa) = of {
        let definitions = world.profiles.iter().filter_map(|named| Some((named, named.profile.dvipa(dvipa)?)));
        let definitions: Vec<_> = definitions.collect();
        shares = definitions.iter().filter(|(_, definition)| definition.sysplexports).count();
        for (named, definition) in &definitions {
            causes.extend(of_profile(named, definition));
        }
        if shares > 0 && shares < definitions.len() {
            let text = format!(
                "Of {} profiles that define it {shares} have SYSPLEXPORTS: the other stacks choose its ports by themselves, \
                 and may choose the same.",
                definitions.len()
            );
            causes.push(Cause::new("sysplexports-differs", text));
            remedies.push(Remedy::by(
                "Give it SYSPLEXPORTS in every profile that distributes or backs it up, and check them together:",
                check(world),
            ));
        }
        if let Some(stored) = world.stored.as_ref().filter(|_| transport != Some(Transport::Udp)) {
            causes.extend(missing(world, stored, dvipa));
        }
    }
    let shown = what::shown(of);
    let answer = match (&lists[..], &world.stored) {
        ([], stored) => {
            remedies.extend(way_to_a_list(world, of, shares));
            no_list(&shown, of, shares, stored.is_some(), world)
        }
        ([list], _) => one_list(world, &shown, list, &mut remedies),
        (lists, _) => {
            let held: u32 = lists.iter().map(|list| list.held_ports).sum();
            format!("{shown} has {}, {} held in all.", counted(lists.len() as u64, "list"), counted(held, "port"))
        }
    };
    let notices = world.stored.as_ref().map_or_else(|| json!([]), |stored| notice::json(&stored.notices));
    let numbers = json!({"lists": rows, "profiles": world.profiles.len(), "sysplexports": shares});
    Explanation { what: shown, kind: "dvipa", answer, causes, remedies, numbers, notices }
}

fn one_list(world: &World<'_>, shown: &str, list: &ListView, remedies: &mut Vec<Remedy>) -> String {
    let (held, resting, members) = (list.held_ports, list.quarantined_ports, list.members);
    if !list.open {
        remedies.push(Remedy::new("Define the DVIPA again: the list opens with all that is in it."));
        return format!(
            "{shown} is closed: it was deleted, and its list goes when nothing of it is held ({}) or in quarantine ({resting}).",
            counted(held, "port")
        );
    }
    let more = format!("portplex display groups --data {} --dvipa {shown}", world.dir.display());
    remedies.push(Remedy::by("Which groups are in use:", more));
    let free = 65_536 - held - resting;
    format!(
        "{shown} has an open list: {} joined, {} held, {resting} in quarantine, {free} free.",
        counted(members, "stack"),
        counted(held, "port")
    )
}

fn no_list(shown: &str, of: DvipaFilter, shares: usize, has_store: bool, world: &World<'_>) -> String {
    match (of, shares) {
        (DvipaFilter::Any, _) => "The explicit-bind pool has no list: no stack has joined it.".to_owned(),
        (_, 0) => format!("{shown} has no list: no profile that is known gives it SYSPLEXPORTS."),
        (_, shares) if has_store => {
            let profiles = counted(shares as u64, "profile");
            format!("{shown} has no list in {} yet; {profiles} with SYSPLEXPORTS would make it.", world.dir.display())
        }
        (_, shares) => format!("{shown} has SYSPLEXPORTS in {}.", counted(shares as u64, "profile")),
    }
}

fn way_to_a_list(world: &World<'_>, of: DvipaFilter, shares: usize) -> Vec<Remedy> {
    match of {
        DvipaFilter::Any => {
            let text = "GLOBALCONFIG EXPLICITBINDPORTRANGE first count: the range last processed anywhere is in force, \
                 and a stack that binds ANY joins the pool.";
            vec![Remedy::new(text)]
        }
        DvipaFilter::One(dvipa) if shares == 0 => vec![
            Remedy::new(format!(
                "Put SYSPLEXPORTS on the first statement that distributes it: VIPADISTRIBUTE DEFINE SYSPLEXPORTS {dvipa} PORT \
                 n DESTIP ALL. If it is distributed already, delete all its distribution in one data set first, and \
                 define it again in a second one."
            )),
            Remedy::by("Then check the profiles of all systems together:", check(world)),
        ],
        DvipaFilter::One(_) => vec![Remedy::new("Start one of these stacks: its first join makes the list.")],
    }
}

fn check(world: &World<'_>) -> String {
    let files: Vec<&str> = world.profiles.iter().map(Named::file).collect();
    let files = if files.is_empty() { "FILE".to_owned() } else { files.join(" ") };
    format!("portplex profile check {files}")
}

fn range(stored: &Stored, transport: Transport) -> Option<Cause> {
    let Some(range) = stored.structure().range(transport) else {
        return Some(Cause::new("no-range", "No explicit-bind range is in force: the pool gives nothing."));
    };
    let last = range.first.saturating_add(range.count.saturating_sub(1));
    let text = format!(
        "The explicit-bind range in force is {}-{last}, {}.",
        range.first,
        counted(u32::from(range.count), "port")
    );
    Some(Cause::new("range", text))
}

fn of_list(stored: &Stored, list: &ListView) -> Vec<Cause> {
    let target = list.target;
    let (held, resting) = (list.held_ports, list.quarantined_ports);
    let state = if list.open { "open" } else { "closed, its DVIPA was deleted" };
    let text = format!(
        "{target} is list {}, {state}: {} joined, {} held, {resting} in quarantine, {} free.",
        list.list,
        counted(list.members, "stack"),
        counted(held, "port"),
        65_536 - held - resting
    );
    let mut causes = vec![Cause::new(if list.open { "open" } else { "closed" }, text)];
    let policy = list.policy;
    let mut parts = Vec::new();
    if policy.quota > 0 {
        parts.push(format!("a stack may hold {}", counted(policy.quota, "port")));
    }
    if policy.reserve > 0 {
        let groups = counted(u32::from(policy.reserve), "whole group");
        parts.push(format!("stacks that hold a group leave {groups} to those that hold none"));
    }
    if policy.quarantine_ms > 0 {
        parts.push(format!("quarantine is {}", duration(u64::from(policy.quarantine_ms))));
    }
    if !parts.is_empty() {
        causes.push(Cause::new("policy", format!("{target}, policy: {}.", parts.join(", "))));
    }
    let shown = stored.state.lists.iter().find(|shown| shown.target == target);
    for member in shown.iter().flat_map(|shown| &shown.members) {
        let state = stored.structure().connector(&member.connector).map_or("unknown", |view| view.state.name());
        let text = format!(
            "{target}: {}, {state}, holds {} in {}.",
            member.connector,
            counted(member.ports(), "port"),
            counted(member.grants.len() as u64, "grant")
        );
        causes.push(Cause::new("holder", text));
    }
    causes
}

fn row(stored: &Stored, list: &ListView) -> Value {
    let shown = stored.state.lists.iter().find(|shown| shown.target == list.target);
    let holders: Vec<Value> = shown
        .iter()
        .flat_map(|shown| &shown.members)
        .map(|member| json!({"stack": member.connector.as_str(), "ports": member.ports(), "grants": member.grants.len()}))
        .collect();
    json!({
        "list": list.target.to_string(),
        "state": if list.open { "open" } else { "closed" },
        "stacks": list.members,
        "held": list.held_ports,
        "quarantined": list.quarantined_ports,
        "free": 65_536 - list.held_ports - list.quarantined_ports,
        "holders": holders,
    })
}

/// What one profile makes of it.
fn of_profile(named: &Named, definition: &DvipaDefinition) -> Vec<Cause> {
    let name = &named.name;
    let (verb, code, statement) = match definition.role {
        Role::Define => ("defines it".to_owned(), "defines", "VIPADEFINE"),
        Role::Backup { rank } => (format!("backs it up with rank {rank}"), "backs-up", "VIPABACKUP"),
    };
    let source = named.source(statement, definition.data_set, definition.line);
    let allowed = named.profile.allowable(Transport::Tcp).count();
    let text = format!("{name} {verb} ({}) and allows {} of TCP.", source.place(), counted(allowed, "port"));
    let mut causes = vec![Cause::new(code, text).from(source)];
    for (at, found) in definition.distributions.iter().enumerate() {
        let source = named.source("VIPADISTRIBUTE", found.data_set, found.line);
        let ports = found.ports.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        let ports: Vec<String> = ports.collect();
        let ports = if ports.is_empty() { "every port".to_owned() } else { format!("port {}", ports.join(" ")) };
        let with = match (definition.sysplexports, at) {
            (false, _) => ", without SYSPLEXPORTS",
            (true, 0) => ", with SYSPLEXPORTS",
            (true, _) => "",
        };
        let text = format!("{name} distributes {ports} by {}{with} ({}).", found.method.name(), source.place());
        causes.push(Cause::new("distributes", text).from(source));
    }
    if definition.distributions.is_empty() {
        let text = match definition.role {
            Role::Define => format!("{name} does not distribute it: its ports are that stack's own affair."),
            Role::Backup { .. } => format!("{name} distributes it only once it has taken over, as the owner does."),
        };
        causes.push(Cause::new("not-distributed", text));
    }
    causes
}

/// Stacks that should be in the list and are not, and stacks of which no profile was given.
fn missing(world: &World<'_>, stored: &Stored, dvipa: Dvipa) -> Vec<Cause> {
    let target = Target::List(dvipa, Transport::Tcp);
    let joined: Vec<_> = stored.members(target).map(|view| view.name).collect();
    let shares = |named: &&Named| named.profile.dvipa(dvipa).is_some_and(|definition| definition.sysplexports);
    let absent = world.profiles.iter().filter(shares).filter(|named| !joined.contains(&named.name));
    let mut causes: Vec<Cause> = absent
        .map(|named| {
            Cause::new("not-joined", format!("{} has not joined {target}, though its profile has it.", named.name))
        })
        .collect();
    if !world.profiles.is_empty() {
        let unknown = joined.iter().filter(|name| world.profile_of(name).is_none());
        causes.extend(unknown.map(|name| {
            let text = format!("{name} has joined {target}; its profile was not given.");
            Cause::new("no-profile", text)
        }));
    }
    causes
}

//! `portplex display vipadcfg`: the DVIPA statements of a profile as Netstat VIPADCFG/-F shows them.
#![forbid(unsafe_code)]

use super::given::Given;
use super::given::GivenArgs;
use super::vdpt::method_text;
use super::{socket_text, stack_text};
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::profile::Destinations;
use crate::profile::DistMethod;
use crate::profile::Distribution;
use crate::profile::DvipaDefinition;
use crate::profile::Forwarding;
use crate::profile::Moveable;
use crate::profile::Part;
use crate::profile::Profile;
use crate::profile::Role;
use crate::profile::Tier;
use crate::profile::VipaRange;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex display vipadcfg --profile sys1.profile
  portplex display vipadcfg --profile sys1.profile --obey delete.obey define.obey --detail
  portplex display vipadcfg --profile sys1.profile --json | jq '.stacks[0].distribute[].sysplexports'

One VIPA Distribute is one VIPADISTRIBUTE statement; a Dest without a port is every port that a
target listens on. A password is never shown.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VipadcfgArgs {
    #[command(flatten)]
    pub(crate) given: GivenArgs,
    /// OPTLOCAL, weights and what the distribution method was told, too
    #[arg(long)]
    detail: bool,
}

pub(crate) fn run(args: &VipadcfgArgs) -> Result<Exit, Failure> {
    let given = args.given.read_some()?;
    given.print(args.given.json, || json(&given), || text(&given, args.detail))
}

pub(super) fn text(given: &Given, detail: bool) -> String {
    let mut parts = Vec::new();
    for (stack, profile) in &given.stacks {
        let mut text = format!("Dynamic VIPA Information FROM {}\n", stack_text(stack));
        let before = text.len();
        let of_role = |is_define| profile.dvipas.iter().filter(move |found| (found.role == Role::Define) == is_define);
        part(&mut text, "VIPA Backup", of_role(false).map(dvipa_text));
        part(&mut text, "VIPA Define", of_role(true).map(dvipa_text));
        part(&mut text, "VIPA Range", profile.ranges.iter().map(range_text));
        let all = profile.dvipas.iter().flat_map(|of| of.distributions.iter().map(move |found| (of, found)));
        part(&mut text, "VIPA Distribute", all.map(|(of, found)| distribution_text(of, found, detail)));
        let routes = profile.routes.iter();
        let route = routes.map(|route| format!("DestXCF: {}\n  TargetIp: {}\n", route.dynamic_xcf, route.target));
        part(&mut text, "VIPA Route", route);
        let manager = profile.service_manager.iter().map(|manager| {
            let group = manager.multicast.map_or_else(|| "No".to_owned(), |group| group.to_string());
            let port = manager.port.map_or_else(|| "No".to_owned(), |port| port.to_string());
            format!("McastGrp: {group}  Port: {port}  Pwd: {}\n", yes_no(manager.password.is_some()))
        });
        part(&mut text, "VIPA Service Manager", manager);
        if text.len() == before {
            text.push_str("  no VIPADYNAMIC statement\n");
        }
        parts.push(text);
    }
    parts.join("\n")
}

/// A heading and what is under it; nothing if nothing is.
fn part(text: &mut String, title: &str, entries: impl Iterator<Item = String>) {
    for (at, entry) in entries.enumerate() {
        if at == 0 {
            let _ = writeln!(text, "  {title}:");
        }
        for line in entry.lines() {
            let _ = writeln!(text, "    {}", line.trim_end());
        }
    }
}

fn dvipa_text(of: &DvipaDefinition) -> String {
    let mut text = String::new();
    if let Some(interface) = &of.interface {
        let _ = writeln!(text, "IntfName: {interface}");
    }
    let _ = writeln!(text, "IpAddr/PrefixLen: {}{}", of.dvipa, prefix_text(of.prefix));
    let moveable = moveable(of).map_or("", |moveable| if moveable == "immediate" { "Immediate" } else { "WhenIdle" });
    let manager = yes_no(of.service_manager);
    match of.role {
        Role::Define => {
            let _ = write!(text, "  Moveable: {moveable}  SrvMgr: {manager}");
        }
        Role::Backup { rank } => {
            let _ = write!(text, "  Rank: {rank:06}  Moveable: {moveable:<9}  SrvMgr: {manager}");
        }
    }
    let tier = of.tier.map(|tier| format!("  {}", tier_text(tier))).unwrap_or_default();
    text.push_str(&tier);
    text.push_str(if of.cpc_scope { "  CPCScope" } else { "" });
    text
}

fn range_text(range: &VipaRange) -> String {
    let VipaRange { address, prefix, interface, disruptive, saf, zcx, .. } = range;
    let interface = interface.as_ref().map(|name| format!("IntfName: {name}\n")).unwrap_or_default();
    let moveable = if *disruptive { "Disrupt" } else { "NonDisr" };
    let saf = saf.as_ref().map(|name| format!("  SAF: {name}")).unwrap_or_default();
    let zcx = if *zcx { "  ZCX: Yes" } else { "" };
    format!("{interface}IpAddr/PrefixLen: {address}/{prefix}\n  Moveable: {moveable}{saf}{zcx}\n")
}

fn distribution_text(of: &DvipaDefinition, found: &Distribution, detail: bool) -> String {
    let mut text = String::new();
    let address = of.dvipa.address();
    let mut title = "Dest:      ";
    for (first, last) in &found.ports {
        let to = if first == last { String::new() } else { format!("-{last}") };
        let _ = writeln!(text, "{title}{}{to}", socket_text(address, *first));
        title = "           ";
    }
    if found.ports.is_empty() {
        let _ = writeln!(text, "{title}{address}");
    }
    match &found.destinations {
        Destinations::All => text.push_str("  DestXCF:   ALL\n"),
        Destinations::Some(targets) => {
            for target in targets {
                let part = match target.part {
                    Part::Weight(weight) if detail => format!("  Weight: {weight:02}"),
                    Part::Weight(_) => String::new(),
                    Part::Preferred => "  Preferred".to_owned(),
                    Part::Backup(rank) => format!("  Backup: {rank:03}"),
                };
                let _ = writeln!(text, "  DestXCF:   {}{part}", target.address);
            }
        }
    }
    let affinity = match found.timed_affinity_s {
        0 => "No".to_owned(),
        seconds => seconds.to_string(),
    };
    let _ = writeln!(
        text,
        "    DistMethod: {}  SysPt: {}  TimAff: {affinity}  Flg: {}",
        method_text(found.method),
        yes_no(of.sysplexports),
        flags(found).join(", ")
    );
    if detail {
        let optlocal = found.optlocal.map_or_else(|| "No".to_owned(), |value| value.to_string());
        let _ = writeln!(text, "    OptLoc: {optlocal}{}", tuning_text(found));
    }
    text
}

/// What the method was told, with the defaults where nothing was said.
fn tuning_text(found: &Distribution) -> String {
    let tuning = &found.tuning;
    match found.method {
        DistMethod::BaseWlm => {
            let [cp, zaap, ziip] = tuning.processor_weights.unwrap_or([100, 0, 0]);
            format!("  ProcType: CP {cp:03} zAAP {zaap:03} zIIP {ziip:03}")
        }
        DistMethod::ServerWlm => {
            let [zaap, ziip] = tuning.crossover_costs.unwrap_or([1, 1]);
            let importance = tuning.importance_weighting.unwrap_or(0);
            format!("  ProcXCost: zAAP {zaap:03} zIIP {ziip:03}  ILWeighting: {importance}")
        }
        DistMethod::HotStandby => format!(
            "  AutoSwitchBack: {}  HealthSwitch: {}",
            yes_no(tuning.auto_switch_back.unwrap_or(true)),
            yes_no(tuning.health_switch.unwrap_or(true))
        ),
        DistMethod::RoundRobin | DistMethod::WeightedActive | DistMethod::TargControlled => String::new(),
    }
}

/// Flg: what the other fields do not say.
fn flags(found: &Distribution) -> Vec<String> {
    let dynamic = found.ports.is_empty().then(|| "Dynamic".to_owned());
    let tier = found.tier.as_ref().map(|(tier, group)| format!("{} {group}", tier_text(*tier)));
    let forwarding = found.forwarding.map(|forwarding| forwarding_text(forwarding).to_owned());
    let control = found.control_port.map(|port| format!("CtrlPort {port}"));
    [dynamic, tier, forwarding, control].into_iter().flatten().collect()
}

/// `immediate` or `when_idle`; none for a backup that takes over what its owner said.
fn moveable(of: &DvipaDefinition) -> Option<&'static str> {
    match (of.role, of.creates, of.moveable) {
        (Role::Backup { .. }, false, _) => None,
        (_, _, Moveable::Immediate) => Some("immediate"),
        (_, _, Moveable::WhenIdle) => Some("when_idle"),
    }
}

fn prefix_text(prefix: Option<u8>) -> String {
    prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default()
}

const fn tier_text(tier: Tier) -> &'static str {
    match tier {
        Tier::One => "Tier1",
        Tier::Two => "Tier2",
    }
}

const fn forwarding_text(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Gre => "GRE",
        Forwarding::Encap => "ENCAP",
    }
}

const fn yes_no(is: bool) -> &'static str {
    if is { "Yes" } else { "No" }
}

pub(super) fn json(given: &Given) -> Value {
    let one = |(stack, profile): &(crate::ident::ConnectorName, Profile)| {
        let of_role = |is_define| {
            let found = profile.dvipas.iter().filter(move |found| (found.role == Role::Define) == is_define);
            found.map(dvipa_json).collect::<Vec<_>>()
        };
        let all = profile.dvipas.iter().flat_map(|of| of.distributions.iter().map(move |found| (of, found)));
        let range = |range: &VipaRange| {
            json!({
                "address": range.address.to_string(),
                "prefix": range.prefix,
                "interface": range.interface,
                "disruptive": range.disruptive,
                "saf": range.saf,
                "zcx": range.zcx,
            })
        };
        let routes = profile.routes.iter();
        let route =
            routes.map(|route| json!({"dest_xcf": route.dynamic_xcf.to_string(), "target": route.target.to_string()}));
        let manager = profile.service_manager.as_ref().map(|manager| {
            json!({
                "multicast": manager.multicast.map(|group| group.to_string()),
                "port": manager.port,
                "password": manager.password.is_some(),
            })
        });
        json!({
            "stack": stack.as_str(),
            "backup": of_role(false),
            "define": of_role(true),
            "range": profile.ranges.iter().map(range).collect::<Vec<_>>(),
            "distribute": all.map(|(of, found)| distribution_json(of, found)).collect::<Vec<_>>(),
            "route": route.collect::<Vec<_>>(),
            "service_manager": manager,
        })
    };
    json!({"report": "vipadcfg", "stacks": given.stacks.iter().map(one).collect::<Vec<_>>()})
}

fn dvipa_json(of: &DvipaDefinition) -> Value {
    let rank = match of.role {
        Role::Define => None,
        Role::Backup { rank } => Some(rank),
    };
    json!({
        "dvipa": of.dvipa.to_string(),
        "prefix": of.prefix,
        "interface": of.interface,
        "rank": rank,
        "moveable": moveable(of),
        "service_manager": of.service_manager,
        "tier": of.tier.map(tier_number),
        "cpc_scope": of.cpc_scope,
    })
}

fn distribution_json(of: &DvipaDefinition, found: &Distribution) -> Value {
    let Distribution { tuning, .. } = found;
    let targets = match &found.destinations {
        Destinations::All => None,
        Destinations::Some(targets) => {
            let target = |target: &crate::profile::Destination| match target.part {
                Part::Weight(weight) => json!({"dest_xcf": target.address.to_string(), "weight": weight}),
                Part::Preferred => json!({"dest_xcf": target.address.to_string(), "preferred": true}),
                Part::Backup(rank) => json!({"dest_xcf": target.address.to_string(), "backup": rank}),
            };
            Some(targets.iter().map(target).collect::<Vec<_>>())
        }
    };
    json!({
        "dvipa": of.dvipa.to_string(),
        "ports": found.ports,
        "targets": targets,
        "method": found.method.name(),
        "sysplexports": of.sysplexports,
        "timed_affinity_s": found.timed_affinity_s,
        "optlocal": found.optlocal,
        "processor_weights": tuning.processor_weights,
        "crossover_costs": tuning.crossover_costs,
        "importance_weighting": tuning.importance_weighting,
        "auto_switch_back": tuning.auto_switch_back,
        "health_switch": tuning.health_switch,
        "tier": found.tier.as_ref().map(|(tier, _)| tier_number(*tier)),
        "tier_group": found.tier.as_ref().map(|(_, group)| group),
        "forwarding": found.forwarding.map(|forwarding| forwarding_text(forwarding).to_lowercase()),
        "control_port": found.control_port,
    })
}

const fn tier_number(tier: Tier) -> u8 {
    match tier {
        Tier::One => 1,
        Tier::Two => 2,
    }
}

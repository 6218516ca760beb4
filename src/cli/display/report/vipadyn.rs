//! `portplex display vipadyn`: who is what to each DVIPA, as D TCPIP,,SYSPLEX,VIPADYN shows it.
#![forbid(unsafe_code)]

use super::dry_run::DryRunArgs;
use super::dry_run::Scene;
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::size::counted;
use crate::cli::state::system_and_stack;
use crate::distributor::Standing;
use crate::ident::Dvipa;
use crate::profile::DvipaDefinition;
use crate::profile::Role;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::IpAddr;

const EXAMPLES: &str = "\
Examples:
  portplex display vipadyn --profile SYS1.TCPIP=sys1.profile SYS2.TCPIP=sys2.profile
  portplex display vipadyn --profile sys*.profile --events takeover.events
  portplex display vipadyn --profile sys*.profile --json | jq '.dvipas[].stacks[] | select(.status == \"active\")'

STATUS is ACTIVE, BACKUP or MOVING, and empty for a stack that is a target only; DIST is DIST for the
stack that distributes, DEST for a target, BOTH for both.";

/// With how events are written.
pub(crate) fn help() -> String {
    format!("{EXAMPLES}\n\n{}", super::dry_run::EVENTS)
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VipadynArgs {
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
}

pub(crate) fn run(args: &VipadynArgs) -> Result<Exit, Failure> {
    let scene = args.dry_run.play()?;
    let json = || scene.json("vipadyn", "dvipas", json(&scene));
    scene.given.print(args.dry_run.given.json, json, || scene.text(text(&scene)))
}

/// The statement of the stack that has the DVIPA, else of the first that has one.
fn definition(scene: &Scene, dvipa: Dvipa) -> Option<&DvipaDefinition> {
    let owner = scene.run.sysplex().owner(dvipa);
    let profiles = || scene.run.profiles().iter();
    let of_owner = profiles().find(|(stack, _)| Some(stack) == owner).and_then(|(_, profile)| profile.dvipa(dvipa));
    of_owner.or_else(|| profiles().find_map(|(_, profile)| profile.dvipa(dvipa)))
}

pub(super) fn json(scene: &Scene) -> Vec<Value> {
    scene.run.dvipas().iter().map(|dvipa| one(scene, *dvipa)).collect()
}

fn one(scene: &Scene, dvipa: Dvipa) -> Value {
    let definition = definition(scene, dvipa);
    let stack = |standing: &Standing| {
        json!({
            "stack": standing.stack.as_str(),
            "status": standing.status.map(|status| status.to_string().to_lowercase()),
            "rank": rank(standing),
            "distributes": standing.distributes,
            "target": standing.is_target,
            "origin": origin(standing).map(str::to_lowercase),
        })
    };
    json!({
        "dvipa": dvipa.to_string(),
        "prefix": definition.and_then(|definition| definition.prefix),
        "interface": definition.map(|definition| interface(dvipa, definition)),
        "stacks": scene.run.sysplex().standings(dvipa).iter().map(stack).collect::<Vec<_>>(),
    })
}

pub(super) fn text(scene: &Scene) -> String {
    let stacks = counted(scene.joined().count() as u64, "STACK").replace("STACKs", "STACKS");
    let mut text = format!("VIPA DYNAMIC DISPLAY OF {stacks}\n");
    for dvipa in scene.run.dvipas() {
        if let Some(definition) = definition(scene, *dvipa) {
            let (address, name) = (dvipa.address(), interface(*dvipa, definition));
            let title = if address.is_ipv4() { "LINKNAME" } else { "INTFNAME" };
            let prefix = definition.prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
            let _ = writeln!(text, "{title}: {name}\n  IPADDR/PREFIXLEN: {address}{prefix}");
        }
        let standings = scene.run.sysplex().standings(*dvipa);
        if standings.is_empty() {
            text.push_str("    no stack of the sysplex has it or is a target\n");
            continue;
        }
        let mut columns = Columns::new(&["TCPNAME", "MVSNAME", "STATUS", "RANK", "DIST", "ORIGIN"], "lllrll");
        for standing in &standings {
            let (system, name) = system_and_stack(&standing.stack);
            columns.row(vec![
                name.to_owned(),
                system.to_owned(),
                standing.status.map(|status| status.to_string()).unwrap_or_default().to_owned(),
                rank(standing).map(|rank| rank.to_string()).unwrap_or_default(),
                dist(standing).to_owned(),
                origin(standing).unwrap_or_default().to_owned(),
            ]);
        }
        for line in columns.render().lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    if scene.run.dvipas().is_empty() {
        text.push_str("no profile has a VIPADEFINE or VIPABACKUP\n");
    }
    text
}

/// What the origin calls the DVIPA's link: VIPL and the address in hexadecimal; for IPv6 the
/// interface of the statement.
fn interface(dvipa: Dvipa, definition: &DvipaDefinition) -> String {
    match (dvipa.address(), &definition.interface) {
        (_, Some(interface)) => interface.clone(),
        (IpAddr::V4(address), None) => format!("VIPL{:08X}", address.to_bits()),
        (IpAddr::V6(_), None) => super::NOT_HERE.to_owned(),
    }
}

const fn rank(standing: &Standing) -> Option<u8> {
    match standing.role {
        Some(Role::Backup { rank }) => Some(rank),
        Some(Role::Define) | None => None,
    }
}

const fn dist(standing: &Standing) -> &'static str {
    match (standing.distributes, standing.is_target) {
        (true, true) => "BOTH",
        (true, false) => "DIST",
        (false, true) => "DEST",
        (false, false) => "",
    }
}

const fn origin(standing: &Standing) -> Option<&'static str> {
    match standing.role {
        Some(Role::Define) => Some("VIPADEFINE"),
        Some(Role::Backup { .. }) => Some("VIPABACKUP"),
        None => None,
    }
}

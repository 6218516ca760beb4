//! `portplex display vdpt`: where each distributed port leads, as Netstat VDPT/-O shows it.
#![forbid(unsafe_code)]

use super::dry_run::DryRunArgs;
use super::dry_run::Scene;
use super::{NOT_HERE, stack_text, with_details};
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::distributor::Distributor;
use crate::distributor::PortRow;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::PortSet;
use crate::profile::DistMethod;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const EXAMPLES: &str = "\
Examples:
  portplex display vdpt --profile SYS1.TCPIP=sys1.profile SYS2.TCPIP=sys2.profile
  portplex display vdpt --profile sys*.profile --events day.events --detail
  portplex display vdpt --profile sys*.profile --json | jq '.stacks[].rows[] | select(.ready == 0)'

TSR and Health show the one health figure of `load`. Ports of one statement that nobody has listened
on have one row if there are more than 16 in line. A port that no statement names is Dynamic; without
a method it is not distributed, its listener is simply known.";

/// With how events are written.
pub(crate) fn help() -> String {
    format!("{EXAMPLES}\n\n{}", super::dry_run::EVENTS)
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VdptArgs {
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
    /// Every field of Netstat VDPT DETAIL too
    #[arg(long)]
    detail: bool,
}

pub(crate) fn run(args: &VdptArgs) -> Result<Exit, Failure> {
    let scene = args.dry_run.play()?;
    let json = || scene.json("vdpt", "stacks", json(&scene));
    scene.given.print(args.dry_run.given.json, json, || scene.text(text(&scene, args.detail)))
}

/// More ports than this in line, on none of which anybody listened, have one row together.
const ALONE_MAX: u16 = 16;

/// A target of one port, or of several in line on which nobody listened.
struct Row {
    dvipa: Dvipa,
    port_last: u16,
    row: PortRow,
}

/// A stack's rows by DVIPA and port; none if it distributes nothing.
fn rows(scene: &Scene, stack: &ConnectorName) -> Vec<Row> {
    let of_dvipa = |(dvipa, distributor): (Dvipa, &Distributor)| {
        let heard = distributor.rows();
        let mut rows = idle(dvipa, distributor, &heard.iter().map(|row| row.port).collect());
        rows.extend(heard.into_iter().map(|row| Row { dvipa, port_last: row.port, row }));
        rows.sort_by(|one, other| (one.row.port, &one.row.stack).cmp(&(other.row.port, &other.row.stack)));
        rows
    };
    scene.owned(stack).flat_map(of_dvipa).collect()
}

/// The targets of the ports that statements name and nobody has listened on.
fn idle(dvipa: Dvipa, distributor: &Distributor, heard: &BTreeSet<u16>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut taken = PortSet::empty();
    heard.iter().for_each(|port| taken.insert_range(*port, *port));
    // A stack may have opened connections from such a port.
    let busy: BTreeSet<u16> = distributor.connections().map(|(flow, _)| flow.port).collect();
    for rule in distributor.rules() {
        let mut ports = PortSet::empty();
        for (first, last) in &rule.ports {
            ports.insert_range(*first, *last);
        }
        // The first statement that names a port has it.
        for (first, last) in taken.ranges() {
            ports.remove_range(first, last);
        }
        for (first, last) in ports.ranges() {
            taken.insert_range(first, last);
        }
        let alone: Vec<u16> = busy.iter().copied().filter(|port| ports.contains(*port)).collect();
        alone.iter().for_each(|port| ports.remove_range(*port, *port));
        let (long, short): (Vec<_>, Vec<_>) =
            ports.ranges().into_iter().partition(|(first, last)| last - first >= ALONE_MAX);
        let alone = alone.into_iter().chain(short.into_iter().flat_map(|(first, last)| first..=last));
        for (port, port_last) in alone.map(|port| (port, port)).chain(long) {
            for stack in distributor.targets(rule) {
                let row = PortRow {
                    port,
                    stack: stack.clone(),
                    ready: 0,
                    total: 0,
                    active: distributor.active(port, stack),
                    load: distributor.load(stack, port),
                    method: Some(rule.method),
                    dynamic: false,
                    standby_active: false,
                    quiesced: distributor.quiesced(port, stack),
                };
                rows.push(Row { dvipa, port_last, row });
            }
        }
    }
    rows
}

/// Flg, as the origin writes them. `has_active`: HOTSTANDBY has picked a target of that port.
fn flags(row: &PortRow, has_active: bool) -> Vec<&'static str> {
    let method = row.method.map(method_text);
    let is_standby = row.method == Some(DistMethod::HotStandby) && has_active;
    let standby = is_standby.then_some(if row.standby_active { "Active" } else { "Inactive" });
    let dynamic = row.dynamic.then_some("Dynamic");
    let quiesced = row.quiesced.then_some("Quiesced");
    [method, dynamic, standby, quiesced].into_iter().flatten().collect()
}

/// A distribution method as the origin's reports write it.
pub(super) const fn method_text(method: DistMethod) -> &'static str {
    match method {
        DistMethod::BaseWlm => "BaseWLM",
        DistMethod::RoundRobin => "Roundrobin",
        DistMethod::ServerWlm => "ServerWLM",
        DistMethod::WeightedActive => "WeightedActive",
        DistMethod::HotStandby => "HotStandby",
        DistMethod::TargControlled => "TargControlled",
    }
}

pub(super) fn json(scene: &Scene) -> Vec<Value> {
    let json = |Row { dvipa, port_last, row }: Row| {
        json!({
            "dvipa": dvipa.to_string(),
            "port": row.port,
            "port_last": port_last,
            "dest": row.stack.as_str(),
            "dest_xcf": scene.xcf(&row.stack, dvipa).map(|address| address.to_string()),
            "total_conn": row.total,
            "active_conn": row.active,
            "ready": row.ready,
            "wlm": row.load.weight,
            "health": row.load.health_percent,
            "method": row.method.map(DistMethod::name),
            "dynamic": row.dynamic,
            "standby_active": row.standby_active,
            "quiesced": row.quiesced,
        })
    };
    let stacks = scene.joined().map(|(stack, _)| (stack, rows(scene, stack)));
    let some = stacks.filter(|(_, rows)| !rows.is_empty());
    some.map(|(stack, rows)| json!({"stack": stack.as_str(), "rows": rows.into_iter().map(json).collect::<Vec<_>>()}))
        .collect()
}

pub(super) fn text(scene: &Scene, detail: bool) -> String {
    let mut parts = Vec::new();
    for (stack, _) in scene.joined() {
        let rows = rows(scene, stack);
        if rows.is_empty() {
            continue;
        }
        let titles = ["Dest", "DestXCF", "TotalConn", "Rdy", "WLM", "TSR", "Flg"];
        let mut columns = Columns::new(&titles, "llrrrrl");
        let mut details = Vec::new();
        let active = rows.iter().filter(|row| row.row.standby_active).map(|row| (row.dvipa, row.row.port));
        let active: BTreeSet<(Dvipa, u16)> = active.collect();
        for Row { dvipa, port_last, row } in &rows {
            let to = if *port_last == row.port { String::new() } else { format!("-{port_last}") };
            columns.row(vec![
                format!("{}{to}", super::socket_text(dvipa.address(), row.port)),
                scene.xcf_text(&row.stack, *dvipa),
                format!("{:010}", row.total),
                format!("{:03}", row.ready),
                row.load.weight.map_or_else(|| NOT_HERE.to_owned(), |weight| format!("{weight:02}")),
                format!("{:03}", row.load.health_percent),
                flags(row, active.contains(&(*dvipa, row.port))).join(", "),
            ]);
            if detail {
                details.push(format!(
                    "TCSR: {NOT_HERE}  CER: {NOT_HERE}  SEF: {NOT_HERE}  Abnorm: {NOT_HERE}  Health: {:03}  \
                     ActConn: {:010}  QosPlcAct: {NOT_HERE}  W/Q: {NOT_HERE}",
                    row.load.health_percent, row.active
                ));
            }
        }
        let table = with_details(&columns.render(), &details);
        parts.push(format!("Dynamic VIPA Destination Port Table FROM {}\n{table}", stack_text(stack)));
    }
    if parts.is_empty() {
        return "Dynamic VIPA Destination Port Table\nno stack distributes connections or knows a listener\n"
            .to_owned();
    }
    parts.join("\n")
}

//! `portplex display vcrt`: every connection and the stack that has it, as Netstat VCRT/-V shows it.
//!
//! A distributor shows all connections that it routes, every other stack those that end there.
#![forbid(unsafe_code)]

use super::dry_run::DryRunArgs;
use super::dry_run::Scene;
use super::{NOT_HERE, socket_text, stack_text, table, with_details};
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::distributor::Flow;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::Profile;
use serde_json::{Value, json};
use std::net::IpAddr;

const EXAMPLES: &str = "\
Examples:
  portplex display vcrt --profile sys*.profile --events day.events
  portplex display vcrt --profile sys*.profile --events day.events --detail
  portplex display vcrt --profile sys*.profile --events day.events --json | jq '.stacks[0].connections | length'

A stack that has a DVIPA shows all connections to it, another stack those that end there. Timed
affinities are shown by the stack that has the DVIPA.";

/// With how events are written.
pub(crate) fn help() -> String {
    format!("{EXAMPLES}\n\n{}", super::dry_run::EVENTS)
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VcrtArgs {
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
    /// Routing data of each connection, and timed affinities, too
    #[arg(long)]
    detail: bool,
}

pub(crate) fn run(args: &VcrtArgs) -> Result<Exit, Failure> {
    let scene = args.dry_run.play()?;
    let json = || scene.json("vcrt", "stacks", json(&scene));
    scene.given.print(args.dry_run.given.json, json, || scene.text(text(&scene, args.detail)))
}

/// One connection in a stack's table.
struct Row<'a> {
    flow: Flow,
    dest: &'a ConnectorName,
    route: Option<IpAddr>,
}

/// One affinity in a stack's table.
struct Affinity<'a> {
    dvipa: Dvipa,
    port: u16,
    client: IpAddr,
    dest: &'a ConnectorName,
    count: u32,
}

/// A stack's table in order of the DVIPAs.
fn rows<'a>(scene: &'a Scene, stack: &'a ConnectorName, profile: &Profile) -> Vec<Row<'a>> {
    let sysplex = scene.run.sysplex();
    let mut rows = Vec::new();
    for dvipa in scene.run.dvipas() {
        let route = |dest: &ConnectorName| {
            let xcf = scene.xcf(dest, *dvipa)?;
            let route = profile.routes.iter().find(|route| route.dynamic_xcf == xcf && dest != stack)?;
            Some(route.target)
        };
        match sysplex.distributor(*dvipa).filter(|distributor| distributor.owner() == stack) {
            Some(distributor) => {
                let all = distributor.connections();
                rows.extend(all.map(|(flow, dest)| Row { flow: *flow, dest, route: route(dest) }));
            }
            None => {
                let own = sysplex.books(stack, *dvipa).into_iter().flat_map(|books| books.connections());
                rows.extend(own.map(|flow| Row { flow: *flow, dest: stack, route: None }));
            }
        }
    }
    rows
}

fn affinities<'a>(scene: &'a Scene, stack: &'a ConnectorName) -> Vec<Affinity<'a>> {
    let of_dvipa = |(dvipa, distributor): (Dvipa, &'a crate::distributor::Distributor)| {
        let all = distributor.affinities();
        all.map(move |(client, port, dest, count)| Affinity { dvipa, port, client, dest, count })
    };
    scene.owned(stack).flat_map(of_dvipa).collect()
}

pub(super) fn json(scene: &Scene) -> Vec<Value> {
    let one = |(stack, profile): (&ConnectorName, &Profile)| {
        let connection = |Row { flow, dest, route }: Row<'_>| {
            json!({
                "dvipa": flow.dvipa.to_string(),
                "port": flow.port,
                "source": flow.peer.ip().to_string(),
                "source_port": flow.peer.port(),
                "dest": dest.as_str(),
                "dest_xcf": scene.xcf(dest, flow.dvipa).map(|address| address.to_string()),
                "vipa_route": route.map(|address| address.to_string()),
            })
        };
        let affinity = |Affinity { dvipa, port, client, dest, count }: Affinity<'_>| {
            json!({
                "dvipa": dvipa.to_string(),
                "port": port,
                "client": client.to_string(),
                "dest": dest.as_str(),
                "dest_xcf": scene.xcf(dest, dvipa).map(|address| address.to_string()),
                "connections": count,
            })
        };
        json!({
            "stack": stack.as_str(),
            "connections": rows(scene, stack, profile).into_iter().map(connection).collect::<Vec<_>>(),
            "affinities": affinities(scene, stack).into_iter().map(affinity).collect::<Vec<_>>(),
        })
    };
    scene.joined().map(one).collect()
}

pub(super) fn text(scene: &Scene, detail: bool) -> String {
    let mut parts = Vec::new();
    for (stack, profile) in scene.joined() {
        let mut columns = Columns::new(&["Dest", "Source", "DestXCF"], "lll");
        let mut details = Vec::new();
        for Row { flow, dest, route } in rows(scene, stack, profile) {
            columns.row(vec![
                socket_text(flow.dvipa.address(), flow.port),
                socket_text(flow.peer.ip(), flow.peer.port()),
                scene.xcf_text(dest, flow.dvipa),
            ]);
            if detail {
                let route = route.map_or_else(|| "No".to_owned(), |address| address.to_string());
                details.push(format!(
                    "PolicyRule: {NOT_HERE}  PolicyAction: {NOT_HERE}  Intf: {NOT_HERE}  VipaRoute: {route}  \
                     Gw: {NOT_HERE}"
                ));
            }
        }
        let title = format!("Dynamic VIPA Connection Routing Table FROM {}", stack_text(stack));
        let mut part = table(&title, &with_details(&columns.render(), &details), "no connection");
        let affinities = affinities(scene, stack);
        if detail && !affinities.is_empty() {
            let mut columns = Columns::new(&["Dest", "Client", "DestXCF", "Count"], "lllr");
            for Affinity { dvipa, port, client, dest, count } in affinities {
                columns.row(vec![
                    socket_text(dvipa.address(), port),
                    client.to_string(),
                    scene.xcf_text(dest, dvipa),
                    count.to_string(),
                ]);
            }
            part.push_str(&format!("Timed affinities\n{}", columns.render()));
        }
        parts.push(part);
    }
    if parts.is_empty() {
        return "Dynamic VIPA Connection Routing Table\nno stack is in the sysplex\n".to_owned();
    }
    parts.join("\n")
}

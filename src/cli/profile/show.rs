//! `portplex profile show`: what a stack makes of a profile.
#![forbid(unsafe_code)]

use super::input;
use super::snippet;
use crate::cli::columns::Columns;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::ident::GroupNumber;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Transport;
use crate::profile::Destinations;
use crate::profile::DistMethod;
use crate::profile::Distribution;
use crate::profile::DvipaDefinition;
use crate::profile::Profile;
use crate::profile::Role;
use serde::Serialize;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  portplex profile show tcpip.profile --vtam-group 11
  portplex profile show tcpip.profile --obey add-ports.obey
  portplex profile show tcpip.profile --json | jq '.tcp.count'

--obey applies data sets, in order, as VARY TCPIP,,OBEYFILE does to the stack that runs with the
profile. What is wrong in the files goes to standard error, and 1 is the exit code if there is an
error.

A DVIPA has one row (one element of `dvipas`) for each distribution method; no ports means that
every port with a listener is distributed, no method that nothing is.";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The profile
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Data sets to obey after the profile, in order
    #[arg(long, value_name = "FILE", num_args = 1..)]
    obey: Vec<PathBuf>,
    /// VTAM group id (start option XCFGRPID), 2 to 31: the vv of the structure's name
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u8).range(2..=31))]
    vtam_group: Option<u8>,
    /// One JSON object on one line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Shown {
    profile: String,
    structure: String,
    dvipas: Vec<ShownDvipa>,
    tcp: Allowable,
    udp: Allowable,
}

#[derive(Serialize)]
struct ShownDvipa {
    dvipa: String,
    role: &'static str,
    rank: Option<u8>,
    sysplexports: bool,
    ports: Vec<u16>,
    method: Option<&'static str>,
    /// For people: ports as ranges.
    #[serde(skip)]
    ranges: Vec<(u16, u16)>,
    #[serde(skip)]
    targets: String,
}

#[derive(Serialize)]
struct Allowable {
    count: u32,
    ranges: Vec<(u16, u16)>,
    whole_groups: usize,
    partial: Vec<Partial>,
}

#[derive(Serialize)]
struct Partial {
    group: u16,
    mask: String,
}

pub(super) fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    let (profile, texts) = input::read(&args.file, &args.obey)?;
    for text in &texts {
        for found in &text.diagnostics {
            output::say(&snippet::line(&text.name, found));
        }
    }
    let shown = Shown {
        profile: args.file.display().to_string(),
        structure: input::structure_of(&profile, args.vtam_group)?.to_string(),
        dvipas: profile.dvipas.iter().flat_map(rows).collect(),
        tcp: allowable(&profile, Transport::Tcp),
        udp: allowable(&profile, Transport::Udp),
    };
    if args.json {
        output::print_json(&shown)?;
    } else {
        output::print(&text(&shown, &profile))?;
    }
    Ok(if input::has_errors(&texts) { Exit::Refused } else { Exit::Done })
}

/// One row for each method; one without method if nothing is distributed.
fn rows(definition: &DvipaDefinition) -> Vec<ShownDvipa> {
    let mut methods: Vec<DistMethod> = Vec::new();
    for distribution in &definition.distributions {
        if !methods.contains(&distribution.method) {
            methods.push(distribution.method);
        }
    }
    let (role, rank) = match definition.role {
        Role::Define => ("define", None),
        Role::Backup { rank } => ("backup", Some(rank)),
    };
    let row = |method: Option<DistMethod>| {
        let of_method = |found: &&Distribution| Some(found.method) == method;
        let found: Vec<&Distribution> = definition.distributions.iter().filter(of_method).collect();
        let mut ports = PortSet::empty();
        for (first, last) in found.iter().flat_map(|distribution| &distribution.ports) {
            ports.insert_range(*first, *last);
        }
        let ranges = ports.ranges();
        ShownDvipa {
            dvipa: definition.dvipa.to_string(),
            role,
            rank,
            sysplexports: definition.sysplexports,
            ports: ranges.iter().flat_map(|(first, last)| *first..=*last).collect(),
            method: method.map(DistMethod::name),
            ranges,
            targets: targets(&found),
        }
    };
    if methods.is_empty() { vec![row(None)] } else { methods.into_iter().map(|method| row(Some(method))).collect() }
}

fn targets(found: &[&Distribution]) -> String {
    let mut names: Vec<String> = Vec::new();
    for distribution in found {
        let each = match &distribution.destinations {
            Destinations::All => vec!["ALL".to_owned()],
            Destinations::Some(_) => distribution.destinations.addresses().map(|to| to.to_string()).collect(),
        };
        names.extend(each.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    names.join(" ")
}

fn allowable(profile: &Profile, transport: Transport) -> Allowable {
    let ports = profile.allowable(transport);
    let mask = |group| (group, ports.mask(group));
    let partial = GroupNumber::all().map(mask).filter(|(_, mask)| !mask.is_empty() && *mask != PortMask::ALL);
    Allowable {
        count: ports.count(),
        ranges: ports.ranges(),
        whole_groups: GroupNumber::all().filter(|group| ports.mask(*group) == PortMask::ALL).count(),
        partial: partial.map(|(group, mask)| Partial { group: group.number(), mask: mask.to_string() }).collect(),
    }
}

fn text(shown: &Shown, profile: &Profile) -> String {
    let connects = profile.sysplexports().next().is_some();
    let note = if connects { "" } else { " (no DVIPA has SYSPLEXPORTS)" };
    let mut text = format!("Profile    {}\nStructure  {}{note}\n", shown.profile, shown.structure);
    if !shown.dvipas.is_empty() {
        let titles = ["DVIPA", "ROLE", "RANK", "SYSPLEXPORTS", "METHOD", "PORTS", "TARGETS"];
        let mut columns = Columns::new(&titles, "llrllll");
        for row in &shown.dvipas {
            let any = if row.method.is_some() && row.ranges.is_empty() { "any" } else { "" };
            columns.row(vec![
                row.dvipa.clone(),
                row.role.to_owned(),
                row.rank.map(|rank| rank.to_string()).unwrap_or_default(),
                if row.sysplexports { "yes" } else { "no" }.to_owned(),
                row.method.unwrap_or_default().to_owned(),
                if any.is_empty() { ranges(&row.ranges, " ") } else { any.to_owned() },
                row.targets.clone(),
            ]);
        }
        text.push_str(&format!("\n{}", columns.render()));
    }
    for (name, of) in [("TCP", &shown.tcp), ("UDP", &shown.udp)] {
        text.push_str(&format!(
            "\n{name} source ports that this stack allows: {}, {} whole groups and {} partial\n  {}\n",
            of.count,
            of.whole_groups,
            of.partial.len(),
            ranges(&of.ranges, ", ")
        ));
    }
    text
}

fn ranges(ranges: &[(u16, u16)], between: &str) -> String {
    let each = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    each.collect::<Vec<_>>().join(between)
}

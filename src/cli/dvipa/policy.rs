//! `portplex dvipa policy`: what one stack may take of a list, and how long ports rest.
#![forbid(unsafe_code)]

use super::TargetArgs;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::structure::Policy;
use crate::structure::Refusal;
use crate::structure::Request;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex dvipa policy 10.1.1.1 --service unix:/run/portplex.sock             # show it
  portplex dvipa policy 10.1.1.1 --quota 6400 --reserve 16 --service unix:/run/portplex.sock
  portplex dvipa policy /srv/ports 10.1.1.1 --quarantine 240000

What is not named stays as it is; 0 takes a rule away. Nothing that is held is taken from anybody: a
stack over a new quota gets nothing more until it is below it.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Most ports that one stack may hold in this list; 0 for no limit
    #[arg(long, value_name = "PORTS")]
    quota: Option<u32>,
    /// Whole free groups that a stack which already holds one may not take: 0 to 1024
    #[arg(long, value_name = "GROUPS", value_parser = clap::value_parser!(u16).range(0..=1_024))]
    reserve: Option<u16>,
    /// How long a released port is held back from other stacks, ms: 1000 to 86400000; 0 for what the
    /// service runs with
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=86_400_000))]
    quarantine: Option<u32>,
}

pub(crate) fn run(args: &PolicyArgs) -> Result<Exit, Failure> {
    let meant = args.target.meant()?;
    let structure = meant.act.structure()?;
    let Some(list) = structure.lists().find(|list| list.target == meant.target) else {
        let refusal = Refusal::UnknownList { target: meant.target };
        let way_out = format!("\n  which lists there are: portplex dvipa list {}", meant.act.place.argument());
        return Err(Failure::Refused { place: format!("{}", meant.act.place), refusal, way_out });
    };
    let before = list.policy;
    let after = Policy {
        quota: args.quota.unwrap_or(before.quota),
        reserve: args.reserve.unwrap_or(before.reserve),
        quarantine_ms: args.quarantine.unwrap_or(before.quarantine_ms),
        ..before
    };
    let changed = after != before && meant.request(&Request::SetPolicy { target: meant.target, policy: after })?;
    if args.target.json {
        output::print_json(&json!({
            "dvipa": meant.target.dvipa_text(),
            "transport": meant.target.transport().name(),
            "quota": after.quota,
            "reserve": after.reserve,
            "quarantine_ms": after.quarantine_ms,
            "clean_up_ms": after.clean_up_ms,
            "changed": changed,
        }))?;
        return Ok(Exit::Done);
    }
    let or = |number: u64, unit: &str, nothing: &str| {
        if number == 0 { nothing.to_owned() } else { format!("{number} {unit}") }
    };
    output::print(&format!(
        "{}{}\n  quota       {}\n  reserve     {}\n  quarantine  {}",
        meant.target,
        if changed { ": changed" } else { "" },
        or(after.quota.into(), "ports per stack", "none"),
        or(after.reserve.into(), "groups of 64 ports", "none"),
        or(after.quarantine_ms.into(), "ms", "as the service is configured"),
    ))?;
    if (1..60_000).contains(&after.quarantine_ms) {
        let text = "a quarantine under 60000 ms is shorter than TIME_WAIT of most remote sides";
        output::tell_warning(text, args.target.json);
    }
    Ok(Exit::Done)
}

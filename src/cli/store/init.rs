//! `portplex store init`: an empty store.
#![forbid(unsafe_code)]

use crate::cli::args::StructureArgs;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::size;
use crate::cli::source;
use crate::facility;
use crate::facility::Machine;
use crate::facility::Options;
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  portplex store init /srv/ports
  portplex store init /srv/ports --vtam-group 11 --tcp-group 21   # structure EZBEPORT1121
  portplex store init /tmp/small --segment-size 16KiB             # many rotations, for tests

One directory holds one structure; its name and segment size stay for ever. The parent directory
must exist. A complete store is never touched: that is refused with exit code 1.";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Directory to make the store in: empty, missing, or left by an interrupted init
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    structure: StructureArgs,
    /// Size of one log file: 16KiB to 1GiB, a multiple of 4KiB; units K, KiB, M, MiB, G, GiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size::parse_segment_size)]
    segment_size: u64,
    /// Make it on a network file system too: neither its locks nor its syncs are to be relied on
    #[arg(long)]
    allow_network_fs: bool,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let structure = args.structure.name().unwrap_or_default();
    let options = Options {
        structure: Some(structure),
        segment_size: args.segment_size,
        allow_network: args.allow_network_fs,
        ..Options::default()
    };
    source::advise(&args.dir, args.json);
    facility::init(&Machine::real(), &args.dir, &options)?;
    let dir = args.dir.display();
    if args.json {
        let dir = dir.to_string();
        output::print_json(&json!({
            "initialised": dir,
            "structure": structure.to_string(),
            "segment_size": args.segment_size,
        }))?;
    } else {
        let size = size::show_size(args.segment_size);
        output::print(&format!("{dir}: an empty structure {structure}, segments of {size}"))?;
    }
    Ok(Exit::Done)
}

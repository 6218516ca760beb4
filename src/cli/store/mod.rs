//! `portplex store`: what an operator does to a store as a whole.
#![forbid(unsafe_code)]

mod adopt;
mod backup;
mod checkpoint;
mod dump;
mod init;
mod restore;
mod resume;
mod status;
mod verify;

use super::exercise;
use super::exercise::ExerciseArgs;
use super::exit::Exit;
use super::exit::Failure;
use std::path::PathBuf;

/// Make, check, print, copy and restore a store, and say what happened to one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    verb: StoreVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum StoreVerb {
    /// Make an empty store; a directory that an interrupted init left is begun again
    #[command(after_long_help = init::EXAMPLES)]
    Init(init::InitArgs),
    /// Read every byte of a store and check all of it; changes none
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(OfflineArgs),
    /// Print the whole state as JSON lines; changes no byte
    #[command(after_long_help = dump::EXAMPLES)]
    Dump(OfflineArgs),
    /// Say what happened to a store that is no longer where it was
    #[command(after_long_help = adopt::EXAMPLES)]
    Adopt(adopt::AdoptArgs),
    /// Let granting go on after lost data, a restore or a power loss, by your word
    #[command(after_long_help = resume::EXAMPLES)]
    Resume(resume::ResumeArgs),
    /// Say how a running service or a closed store is: holdings, stops, alarms; changes nothing
    #[command(after_long_help = status::EXAMPLES)]
    Status(status::StatusArgs),
    /// Have a running service make a checkpoint now
    #[command(after_long_help = checkpoint::EXAMPLES)]
    Checkpoint(checkpoint::CheckpointArgs),
    /// Write a proven copy of a store, closed or served, while everybody goes on; changes no byte of it
    #[command(after_long_help = backup::EXAMPLES)]
    Backup(backup::BackupArgs),
    /// Make a store of a backup; it grants nothing until every stack has attached
    #[command(after_long_help = restore::EXAMPLES)]
    Restore(restore::RestoreArgs),
    /// Send random requests of every kind, for a test that kills, freezes or starves this process
    #[command(after_long_help = exercise::EXAMPLES)]
    Exercise(ExerciseArgs),
}

/// A store that is read offline.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OfflineArgs {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// JSON instead of text, errors and warnings too
    #[arg(long)]
    pub(crate) json: bool,
}

impl StoreArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            StoreVerb::Init(args) => args.json,
            StoreVerb::Verify(args) | StoreVerb::Dump(args) => args.json,
            StoreVerb::Status(args) => args.json,
            StoreVerb::Checkpoint(args) => args.json,
            StoreVerb::Adopt(args) => args.json,
            StoreVerb::Resume(args) => args.json,
            StoreVerb::Backup(args) => args.json,
            StoreVerb::Restore(args) => args.json,
            StoreVerb::Exercise(args) => args.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            StoreVerb::Init(args) => init::run(args),
            StoreVerb::Verify(args) => verify::run(args),
            StoreVerb::Dump(args) => dump::run(args),
            StoreVerb::Status(args) => status::run(args),
            StoreVerb::Checkpoint(args) => checkpoint::run(args),
            StoreVerb::Adopt(args) => adopt::run(args),
            StoreVerb::Resume(args) => resume::run(args),
            StoreVerb::Backup(args) => backup::run(args),
            StoreVerb::Restore(args) => restore::run(args),
            StoreVerb::Exercise(args) => exercise::run(args),
        }
    }
}

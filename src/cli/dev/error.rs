//! Why `portplex dev` could not do its work, and which exit code says so.
#![forbid(unsafe_code)]

use crate::api::RemoteError;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::identity::Unidentified;
use crate::stack::StackError;
use crate::structure::Refusal;
use std::io;
use std::path::PathBuf;

/// Why a run did not start or did not end as planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum DevError {
    /// A profile cannot be read.
    #[error("{}: the profile cannot be read: {source}", path.display())]
    ProfileUnreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A profile has errors: they are listed with line and column.
    #[error("{path}: the profile has errors, nothing was started:\n{list}")]
    ProfileBad {
        /// Which.
        path: String,
        /// One line for each, with path, line and column.
        list: String,
    },
    /// A profile's file name gives no stack name.
    #[error("{}: the stack is named after the file, and {reason}; rename it, such as to sys1.profile", path.display())]
    NoName {
        /// Which.
        path: PathBuf,
        /// What is wrong with the name.
        reason: String,
    },
    /// Two profiles give one stack name.
    #[error("two profiles are named {name}: a stack is named after its file, give each file its own name")]
    SameName {
        /// The name.
        name: String,
    },
    /// More stacks than a run can show.
    #[error("{count} profiles, at most {limit} stacks can run here")]
    TooManyStacks {
        /// Given.
        count: usize,
        /// Allowed.
        limit: usize,
    },
    /// A profile has no DVIPA whose ports are assigned sysplex-wide.
    #[error(
        "{name}: no DVIPA of its profile has SYSPLEXPORTS, so it takes no ports from the facility; \
             add SYSPLEXPORTS to the first VIPADISTRIBUTE of one"
    )]
    NoSysplexPorts {
        /// The stack.
        name: String,
    },
    /// The profiles are of different subplexes.
    #[error(
        "{first} and {second} are in different subplexes ({first_structure}, {second_structure}): \
             run one dev for each"
    )]
    Subplexes {
        /// One stack.
        first: String,
        /// Its structure.
        first_structure: String,
        /// Another stack.
        second: String,
        /// Its structure.
        second_structure: String,
    },
    /// The profile's group id names no structure.
    #[error("{name}: {reason}")]
    Structure {
        /// The stack.
        name: String,
        /// Why.
        reason: String,
    },
    /// The facility's process could not be started.
    #[error("the facility's process cannot be started: {0}")]
    Spawn(#[source] io::Error),
    /// The facility's process ended before it served: it has said why on standard error.
    #[error("the facility did not come up ({status}); it says why above")]
    Facility {
        /// How it ended.
        status: String,
        /// The exit code it ended with.
        code: u8,
    },
    /// The facility's process is not reached.
    #[error("the facility is not reached: {0}")]
    Service(#[from] RemoteError),
    /// A stack cannot go on.
    #[error("stack {name}: {source}")]
    Stack {
        /// Which.
        name: String,
        /// Why.
        source: StackError,
    },
    /// Real sockets cannot be opened.
    #[error("stack {name}: {what}: {source}")]
    Network {
        /// Which stack.
        name: String,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The kernel's socket tables cannot be read.
    #[error("the kernel's socket tables (/proc/net/tcp) cannot be read, so foreign ports are unknown: {0}")]
    Tables(#[source] io::Error),
    /// Something of the operating system's that every run needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// What the facility says about its state cannot be read.
    #[error("the facility's state cannot be read: {0}")]
    State(#[source] crate::facility::CallError),
}

impl DevError {
    /// What it ends the program with.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Facility { code, .. } => {
                let row = Exit::TABLE.iter().find(|row| row.0.code() == *code && *code != 0);
                row.map_or(Exit::Bug, |row| row.0)
            }
            Self::ProfileUnreadable { .. }
            | Self::Spawn(_)
            | Self::Service(_)
            | Self::Network { .. }
            | Self::Tables(_)
            | Self::System { .. }
            | Self::State(_) => Exit::StorageFailed,
            Self::Stack { source: StackError::Refused(Refusal::StorageFull), .. } => Exit::StorageFull,
            Self::ProfileBad { .. }
            | Self::NoName { .. }
            | Self::SameName { .. }
            | Self::TooManyStacks { .. }
            | Self::NoSysplexPorts { .. }
            | Self::Subplexes { .. }
            | Self::Structure { .. }
            | Self::Stack { .. } => Exit::Refused,
        }
    }
}

impl From<Unidentified> for DevError {
    fn from(Unidentified { what, source }: Unidentified) -> Self {
        Self::System { what, source }
    }
}

impl From<DevError> for Failure {
    fn from(error: DevError) -> Self {
        Self::told(error.exit(), error.to_string())
    }
}

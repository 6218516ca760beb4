//! What is said from the profiles of a structure's stacks: handed in by whoever has read them.
#![forbid(unsafe_code)]

use crate::facility::Clocks;
use crate::facility::LocalFacility;
use crate::facility::Status;
use crate::ident::Transport;
use crate::structure::PortRange;
use crate::structure::Structure;
use serde_json::Value;

/// The displays that come from profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The DVIPA statements.
    Vipadcfg,
    /// Who is what to each DVIPA.
    Vipadyn,
    /// The reserved ports.
    Portlist,
    /// The explicit-bind range, configured and active.
    Ports,
    /// Where each distributed port leads.
    Vdpt,
    /// Every connection and the stack that has it.
    Vcrt,
    /// Each stack's sockets on DVIPAs.
    Conn,
}

/// What a structure is like at one lsn, all of it durable.
#[derive(Debug)]
pub struct Seen {
    /// A copy.
    pub structure: Structure,
    /// The facility's clocks then.
    pub clocks: Clocks,
    /// The facility's state, a little before.
    pub status: Status,
}

/// Why there is no explanation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unexplained {
    /// What was asked about is no port, stack or DVIPA.
    #[error("{text}")]
    NotUnderstood {
        /// What can be asked.
        text: String,
    },
    /// Nothing has that name.
    #[error("{text}")]
    Unknown {
        /// What has one that is like it.
        text: String,
    },
}

/// Who knows the profiles of one structure's stacks. Its methods may block.
pub trait Reports: Send + Sync {
    /// Every profile: an array of objects with `stack`, `file` and `diagnostics`.
    fn profiles(&self) -> Value;

    /// One display, as `portplex display --json` prints it. `range` is the explicit-bind range in force.
    fn display(&self, report: Report, status: &Status, range: Option<PortRange>) -> Value;

    /// The answer of `portplex explain --json`; `what` is what is typed there.
    ///
    /// # Errors
    /// [`Unexplained`].
    fn explain(
        &self,
        facility: &LocalFacility,
        seen: Seen,
        what: &str,
        transport: Option<Transport>,
    ) -> Result<Value, Unexplained>;
}

impl Report {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Vipadcfg, Self::Vipadyn, Self::Portlist, Self::Ports, Self::Vdpt, Self::Vcrt, Self::Conn];

    /// Its name, as it is typed behind `portplex display`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vipadcfg => "vipadcfg",
            Self::Vipadyn => "vipadyn",
            Self::Portlist => "portlist",
            Self::Ports => "ports",
            Self::Vdpt => "vdpt",
            Self::Vcrt => "vcrt",
            Self::Conn => "conn",
        }
    }
}

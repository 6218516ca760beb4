//! What a sysplex cannot do, and books that do not agree.
#![forbid(unsafe_code)]

use super::learn::Collision;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;

/// Why a sysplex could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SysplexError {
    /// No such stack has joined.
    #[error("{stack} is not in the sysplex: it must join first")]
    UnknownStack {
        /// The stack.
        stack: ConnectorName,
    },
    /// A stack joined that is there.
    #[error("{stack} is in the sysplex already: it must leave before it joins again")]
    AlreadyJoined {
        /// The stack.
        stack: ConnectorName,
    },
    /// The operator named a DVIPA that the stack's profile does not define.
    #[error("{stack} has no VIPADEFINE or VIPABACKUP of {dvipa}: only such a DVIPA is deactivated or reactivated")]
    NotConfigured {
        /// The stack.
        stack: ConnectorName,
        /// The DVIPA.
        dvipa: Dvipa,
    },
    /// DEACTIVATE of a DVIPA that is deactivated.
    #[error("{dvipa} is deactivated on {stack} already: reactivate it there first")]
    Deactivated {
        /// The stack.
        stack: ConnectorName,
        /// The DVIPA.
        dvipa: Dvipa,
    },
    /// REACTIVATE of a DVIPA that is not deactivated.
    #[error("{dvipa} is not deactivated on {stack}: there is nothing to reactivate")]
    NotDeactivated {
        /// The stack.
        stack: ConnectorName,
        /// The DVIPA.
        dvipa: Dvipa,
    },
    /// Two stacks have the same 4-tuple.
    #[error(transparent)]
    Collision(#[from] Collision),
}

/// Books that do not agree: a bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A count is not the number of what it counts.
    #[error("{dvipa}: {what} of {stack} on port {port} is {count}, but there are {found}")]
    Count {
        /// The DVIPA.
        dvipa: Dvipa,
        /// What is counted.
        what: &'static str,
        /// The stack.
        stack: ConnectorName,
        /// The port.
        port: u16,
        /// What the count says.
        count: u32,
        /// What there is.
        found: u32,
    },
    /// The owner and a stack have different books.
    #[error("{dvipa}: {what} of {stack} differ between the stack and the owner {owner}")]
    Books {
        /// The DVIPA.
        dvipa: Dvipa,
        /// What differs.
        what: &'static str,
        /// The stack.
        stack: ConnectorName,
        /// The owner.
        owner: ConnectorName,
    },
    /// A stack's place in the chain is wrong.
    #[error("{dvipa}: the chain is wrong about {stack}: {what}")]
    Chain {
        /// The DVIPA.
        dvipa: Dvipa,
        /// The stack.
        stack: ConnectorName,
        /// What is wrong.
        what: &'static str,
    },
    /// What the operator said counts for one DVIPA of a stack and not for another.
    #[error("{dvipa}: what is quiesced on {stack} is not what its operator said")]
    Quiesced {
        /// The DVIPA.
        dvipa: Dvipa,
        /// The stack.
        stack: ConnectorName,
    },
    /// The DVIPA has no owner although it should, or one that is not there.
    #[error("{dvipa}: the stack that has it and the one that routes for it differ")]
    Owner {
        /// The DVIPA.
        dvipa: Dvipa,
    },
}

//! What a stack tells the owner of a DVIPA: each change as it happens, and everything on request.
#![forbid(unsafe_code)]

use super::decision::Flow;
use super::server::{Scope, Server};
use crate::ident::ConnectorName;
use std::net::IpAddr;

/// One change on one stack. Changes are numbered, so that a lost one is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The stack.
    pub stack: ConnectorName,
    /// Number of the change, 1 for the stack's first of this DVIPA.
    pub version: u64,
    /// The change.
    pub change: Change,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Programs began or ceased to listen.
    Listening {
        /// Port and job.
        server: Server,
        /// How many listen now; 0 = none, and nothing is sent there.
        ready: u16,
    },
    /// A connection was opened, from the outside or by the stack.
    Opened {
        /// The connection.
        flow: Flow,
        /// TIMEDAFFINITY that it counts for, s; 0 = none.
        affinity_s: u16,
    },
    /// A connection ended.
    Closed {
        /// The connection.
        flow: Flow,
    },
    /// The operator quiesced servers or resumed them (VARY TCPIP,,SYSPLEX).
    Quiesced {
        /// Which ones.
        scope: Scope,
        /// Quiesced rather than resumed.
        quiesced: bool,
    },
}

/// All that a stack has of a DVIPA: what a new owner learns from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The stack.
    pub stack: ConnectorName,
    /// Number of the last change that is in it.
    pub version: u64,
    /// Ports and jobs with how many programs listen, in order; never 0.
    pub listeners: Vec<(Server, u16)>,
    /// What the operator quiesced.
    pub quiesced: Vec<Scope>,
    /// Connections with the TIMEDAFFINITY that they count for, s; 0 = none.
    pub connections: Vec<(Flow, u16)>,
    /// Affinities whose timer runs.
    pub affinities: Vec<AffinityHeld>,
}

/// An affinity without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinityHeld {
    /// The client.
    pub client: IpAddr,
    /// The port.
    pub port: u16,
    /// TIMEDAFFINITY, s.
    pub seconds: u16,
    /// What is left of it, ms: the clocks of two stacks cannot be compared.
    pub left_ms: u64,
}

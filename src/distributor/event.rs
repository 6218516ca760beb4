//! One event of a dry run, and why a line of a script is none or cannot happen.
#![forbid(unsafe_code)]

use super::decision::Flow;
use super::dry_run::EFFECTS_MAX;
use super::error::SysplexError;
use super::script::{EVENTS_MAX, SCRIPT_LENGTH_MAX};
use super::server::{Scope, Server};
use crate::ident::ConnectorName;
use crate::ident::Dvipa;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Programs listen on a port.
    Listen {
        /// The stack.
        stack: ConnectorName,
        /// The DVIPA; `None` for ANY: every DVIPA.
        dvipa: Option<Dvipa>,
        /// Port and job.
        server: Server,
        /// How many; 0 = none any longer.
        ready: u16,
    },
    /// A client's connection request arrives.
    Arrive {
        /// The connection.
        flow: Flow,
        /// The stack of the sysplex that it comes from; `None` from outside.
        from: Option<ConnectorName>,
    },
    /// A stack opens a connection with the DVIPA as its own address.
    Connect {
        /// The stack.
        stack: ConnectorName,
        /// The connection.
        flow: Flow,
    },
    /// A connection ends.
    Close {
        /// The connection.
        flow: Flow,
    },
    /// The operator quiesces or resumes servers of a stack.
    Quiesce {
        /// The stack.
        stack: ConnectorName,
        /// Which ones.
        scope: Scope,
        /// Quiesced rather than resumed.
        quiesced: bool,
    },
    /// The operator deactivates a DVIPA on a stack.
    Deactivate {
        /// The stack.
        stack: ConnectorName,
        /// The DVIPA.
        dvipa: Dvipa,
    },
    /// The operator takes that back.
    Reactivate {
        /// The stack.
        stack: ConnectorName,
        /// The DVIPA.
        dvipa: Dvipa,
    },
    /// A workload manager's word on a stack's system, or on one server.
    Load {
        /// The stack.
        stack: ConnectorName,
        /// One server; `None` for the system.
        server: Option<(Dvipa, u16)>,
        /// WLM weight, 0 to 64, if it was said.
        weight: Option<u8>,
        /// Health, 0 to 100 %, if it was said.
        health_percent: Option<u8>,
    },
    /// A stack is gone.
    Fail {
        /// The stack.
        stack: ConnectorName,
    },
    /// A stack comes again, with its profile.
    Join {
        /// The stack.
        stack: ConnectorName,
    },
    /// Time passes.
    Wait {
        /// How long, ms.
        ms: u64,
    },
}

/// A line of a script that is none, or that cannot happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {fault}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub fault: ScriptFault,
}

/// What is wrong with a line of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptFault {
    /// The script is too long.
    #[error("the script is longer than {SCRIPT_LENGTH_MAX} bytes: shorten it")]
    TooLong,
    /// The script has too many events.
    #[error("the script has more than {EVENTS_MAX} events: shorten it")]
    TooMany,
    /// The events concern too much.
    #[error(
        "the events so far concern more than {EFFECTS_MAX} sockets and DVIPAs: shorten the script, or name one DVIPA \
         instead of all"
    )]
    TooMuch,
    /// A line that is no UTF-8.
    #[error("the line is not UTF-8 text: remove the bytes that are no characters")]
    NotText,
    /// A word that begins no event.
    #[error(
        "{word} is no event: write listen, stop, arrive, connect, close, quiesce, resume, deactivate, reactivate, load, \
         fail, join or wait"
    )]
    UnknownEvent {
        /// The word.
        word: String,
    },
    /// A word is not what must stand in its place.
    #[error("{word} is not {wanted}: write {form}")]
    BadWord {
        /// The word.
        word: String,
        /// What must stand there.
        wanted: &'static str,
        /// The event as it must be written.
        form: &'static str,
    },
    /// The line ends too early.
    #[error("{wanted} is missing: write {form}")]
    Missing {
        /// What must stand there.
        wanted: &'static str,
        /// The event as it must be written.
        form: &'static str,
    },
    /// The line goes on.
    #[error("{word} is one word too many: write {form}")]
    Surplus {
        /// The word.
        word: String,
        /// The event as it must be written.
        form: &'static str,
    },
    /// No profile of that stack was given.
    #[error("{stack} is none of the stacks given: name one of {given}")]
    UnknownStack {
        /// The stack.
        stack: ConnectorName,
        /// Those that are.
        given: String,
    },
    /// The stack has failed and not joined again.
    #[error("{stack} is not in the sysplex: it must join first")]
    NotJoined {
        /// The stack.
        stack: ConnectorName,
    },
    /// The stack is there.
    #[error("{stack} is in the sysplex already: it must fail before it joins again")]
    AlreadyJoined {
        /// The stack.
        stack: ConnectorName,
    },
    /// No profile defines or backs up that address.
    #[error("{dvipa} is no DVIPA of the profiles given: name one of {given}")]
    UnknownDvipa {
        /// The address.
        dvipa: Dvipa,
        /// Those that are.
        given: String,
    },
    /// The operator cannot say that.
    #[error("{error}")]
    Refused {
        /// Why.
        error: SysplexError,
    },
    /// Nobody has that connection.
    #[error("no stack has the connection {flow}: close one that arrived or was opened and is not closed yet")]
    NoConnection {
        /// The connection.
        flow: Flow,
    },
}

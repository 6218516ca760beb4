//! Which role may do which act: the one table, and what is said to who may not.
#![forbid(unsafe_code)]

use super::Peer;
use super::Role;
use crate::ident::ConnectorName;
use crate::structure::Request;
use http::Method;
use std::fmt;

/// Something a peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Act {
    /// gRPC health and reflection.
    Probe,
    /// Single reads over gRPC, and a stack's stream before it says whose.
    Read,
    /// Every event, in order.
    Watch,
    /// Everything a stack does: challenge, report, connect, attach, resume, renew, and its numbered
    /// requests. The only act that is for a name.
    ActAsStack,
    /// Define a list, or open it again.
    Define,
    /// Close a list.
    Delete,
    /// Quota, reserve, quarantine and clean-up of a list.
    SetPolicy,
    /// The explicit-bind range.
    SetRange,
    /// Declare a stack failed.
    MarkFailed,
    /// Give up what a failed stack holds.
    CleanUp,
    /// Let granting go on after a loss or a restore.
    ResumeGrants,
    /// Anything else an operator does to a service.
    Operate,
    /// Pages, `/v1`, `/metrics` and probes over HTTP: GET, HEAD and OPTIONS.
    Page,
    /// Every other HTTP request.
    Change,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 14] = [
        Self::Probe,
        Self::Read,
        Self::Watch,
        Self::ActAsStack,
        Self::Define,
        Self::Delete,
        Self::SetPolicy,
        Self::SetRange,
        Self::MarkFailed,
        Self::CleanUp,
        Self::ResumeGrants,
        Self::Operate,
        Self::Page,
        Self::Change,
    ];

    /// The roles that may.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Probe | Self::Read | Self::Page => &Role::ALL,
            Self::Watch => &[Role::Operator, Role::ReadOnly],
            Self::ActAsStack => &[Role::Stack, Role::Operator],
            Self::Define
            | Self::Delete
            | Self::SetPolicy
            | Self::SetRange
            | Self::MarkFailed
            | Self::CleanUp
            | Self::ResumeGrants
            | Self::Operate
            | Self::Change => &[Role::Operator],
        }
    }

    /// As it stands after "may not".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Probe => "ask for health or the contract",
            Self::Read => "read",
            Self::Watch => "watch",
            Self::ActAsStack => "act as a stack",
            Self::Define => "define a DVIPA",
            Self::Delete => "delete a DVIPA",
            Self::SetPolicy => "set a policy",
            Self::SetRange => "set the explicit-bind range",
            Self::MarkFailed => "mark a connector failed",
            Self::CleanUp => "clean up a connector",
            Self::ResumeGrants => "let granting go on",
            Self::Operate => "operate the service",
            Self::Page => "read pages",
            Self::Change => "change anything over HTTP",
        }
    }

    /// What a request to the structure is.
    #[must_use]
    pub fn of_request(request: &Request) -> Self {
        match request {
            Request::Define { .. } => Self::Define,
            Request::Delete { .. } => Self::Delete,
            Request::SetPolicy { .. } => Self::SetPolicy,
            Request::SetRange { .. } => Self::SetRange,
            Request::MarkFailed { .. } => Self::MarkFailed,
            Request::CleanUp { .. } => Self::CleanUp,
            Request::ResumeGrants { .. } => Self::ResumeGrants,
            Request::Stack { .. } | Request::Connect { .. } | Request::Attach { .. } | Request::Resume { .. } => {
                Self::ActAsStack
            }
            // What a later release adds, and what only a facility asks of itself.
            _ => Self::Operate,
        }
    }

    /// What a call is by its path: what every peer of the role may begin. Calls that carry requests of
    /// several kinds look again at each of them.
    #[must_use]
    pub fn of_call(method: &Method, path: &str) -> Self {
        if path.starts_with("/grpc.") {
            return Self::Probe;
        }
        match path {
            "/portplex.v1.Stacks/Calls"
            | "/portplex.v1.Structures/ListStructures"
            | "/portplex.v1.Structures/Query"
            | "/portplex.v1.Structures/Submit" => Self::Read,
            "/portplex.v1.Structures/Watch" => Self::Watch,
            path if path.starts_with("/portplex.") => Self::Operate,
            _ if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) => Self::Page,
            _ => Self::Change,
        }
    }
}

/// Whether a path is that of a gRPC call.
pub(crate) fn is_grpc(path: &str) -> bool {
    path.starts_with("/grpc.") || path.starts_with("/portplex.")
}

/// Why a peer may not. The text says who, what, and which role would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{who} may not {what}: {need}")]
pub struct Denied {
    /// Who asked.
    pub who: String,
    /// What it asked for.
    pub what: String,
    /// What it would have to be.
    pub need: String,
}

impl Peer {
    /// Whether this peer may do that.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn may(&self, act: Act) -> Result<(), Denied> {
        if act.roles().contains(&self.role) {
            return Ok(());
        }
        let roles: Vec<&str> = act.roles().iter().map(|role| role.name()).collect();
        let need = format!("that needs the role {}", roles.join(" or "));
        Err(self.denied(act.words(), need))
    }

    /// Whether this peer may act for the stack of that name: a stack acts for itself only.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn may_act_as(&self, name: &ConnectorName) -> Result<(), Denied> {
        self.may(Act::ActAsStack)?;
        match &self.name {
            Some(own) if self.role == Role::Stack && own != name => Err(self.denied(
                format!("act as stack {name}"),
                "a stack acts for itself only; that needs a certificate or a uid of that stack, or the role operator",
            )),
            _ => Ok(()),
        }
    }

    /// By whose word an act of an operator is: the peer's own name where it has one, and no other.
    ///
    /// # Errors
    /// [`Denied`]: the request names somebody else.
    pub(crate) fn vouch(&self, by: &mut String) -> Result<(), Denied> {
        let Some(own) = &self.name else { return Ok(()) };
        if by.is_empty() {
            own.as_str().clone_into(by);
        }
        if by.eq_ignore_ascii_case(own.as_str()) {
            return Ok(());
        }
        let by: String = by.chars().take(ConnectorName::LENGTH_MAX).collect();
        Err(self.denied(format!("vouch as {by:?}"), "an operator with a name vouches by that name, or leaves it out"))
    }

    fn denied(&self, what: impl fmt::Display, need: impl fmt::Display) -> Denied {
        Denied { who: self.to_string(), what: what.to_string(), need: need.to_string() }
    }
}

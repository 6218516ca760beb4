//! What a call that has no answer is told: as a message, and as a gRPC status, by one table.
#![forbid(unsafe_code)]

use super::access::Denied;
use super::convert::Malformed;
use super::operations::OperationCause;
use super::operations::OperationFailure;
use super::v1;
use crate::facility::CallError;
use crate::structure::Refusal;
use prost::Message;
use tonic::Code;
use tonic::Status;
use v1::call_error::Why;

/// After how long whoever met a full queue, or a limit, tries again, ms.
pub(crate) const OVERLOADED_RETRY_MS: u32 = 50;
/// The same where an operator must make room first.
const FULL_RETRY_MS: u32 = 1_000;
/// The kind of the message in a status's details.
const DETAIL: &str = "type.googleapis.com/portplex.v1.CallError";

/// Why a call over the wire has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The facility says so.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The service hosts other structures.
    #[error("structure {structure} is not hosted by this service: see which ones are, or ask the service that has it")]
    NotHosted {
        /// Which.
        structure: String,
    },
    /// Whoever asks may not.
    #[error(transparent)]
    Denied(Denied),
    /// This stack, or all together, ask more often than the service's limits let them.
    #[error("too fast: try again in {retry_after_ms} ms")]
    TooFast {
        /// When, ms.
        retry_after_ms: u32,
    },
    /// An operation on a store as a whole failed.
    #[error(transparent)]
    Operation(#[from] OperationFailure),
    /// The message was not understood; nothing of it was acted on.
    #[error("not understood: {0}")]
    Malformed(#[from] Malformed),
    /// The other side did not understand: it named field and reason.
    #[error("the other side did not understand: {field}: {reason}; do both sides run the same release?")]
    NotUnderstood {
        /// The field.
        field: String,
        /// What was wrong with it.
        reason: String,
    },
}

impl Failure {
    /// The one table of gRPC codes.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NotHosted { .. } => Code::NotFound,
            Self::Malformed(_) | Self::NotUnderstood { .. } => Code::InvalidArgument,
            Self::Denied(_) => Code::PermissionDenied,
            Self::TooFast { .. } => Code::ResourceExhausted,
            Self::Call(CallError::Refused(refusal)) => of_refusal(refusal),
            Self::Call(CallError::Gone) => Code::Unavailable,
            Self::Operation(failure) => of_operation(failure.cause),
            // The outcome is unknown: nothing that a library should repeat by itself.
            Self::Call(_) => Code::Internal,
        }
    }

    /// When to try again, ms; 0: nothing is known, or it is of no use.
    #[must_use]
    pub fn retry_after_ms(&self) -> u32 {
        match self {
            Self::TooFast { retry_after_ms } => *retry_after_ms,
            Self::Call(CallError::Refused(Refusal::Overloaded)) => OVERLOADED_RETRY_MS,
            Self::Call(CallError::Refused(Refusal::StorageFull)) => FULL_RETRY_MS,
            Self::Call(CallError::Refused(Refusal::TooEarly { left_ms })) => {
                u32::try_from(*left_ms).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }

    /// What a caller of the facility is told. A service that hosts other structures has none for it, and
    /// what it did not understand it did not do.
    pub(crate) fn into_call_error(self) -> CallError {
        match self {
            Self::Call(error) => error,
            Self::TooFast { .. } => Refusal::Overloaded.into(),
            Self::NotHosted { .. } | Self::Denied(_) => CallError::Gone,
            Self::Malformed(_) | Self::NotUnderstood { .. } | Self::Operation(_) => CallError::WrongAnswer,
        }
    }

    /// The failure as a status, with the typed message in its details.
    pub(crate) fn to_status(&self) -> Status {
        let (code, message) = (self.code(), self.to_string());
        if matches!(self, Self::Denied(_)) {
            // The code and the text say it all.
            return Status::new(code, message);
        }
        let detail = prost_types::Any { type_url: DETAIL.to_owned(), value: v1::CallError::from(self).encode_to_vec() };
        let details = RpcStatus { code: code as i32, message: message.clone(), details: vec![detail] };
        Status::with_details(code, message, details.encode_to_vec().into())
    }

    /// What a status tells; `None` if it is no failure of ours, but of what is between.
    pub(crate) fn of_status(status: &Status) -> Option<Self> {
        let details = RpcStatus::decode(status.details()).ok()?;
        let detail = details.details.iter().find(|detail| detail.type_url == DETAIL)?;
        let sent = v1::CallError::decode(detail.value.as_slice()).ok()?;
        Some(Self::try_from(sent).unwrap_or_else(Self::Malformed))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Call(refusal.into())
    }
}

impl From<&Failure> for v1::CallError {
    fn from(failure: &Failure) -> Self {
        let why = match failure {
            Failure::Call(CallError::Refused(refusal)) => Why::Refused(refusal.into()),
            Failure::TooFast { .. } => Why::Refused((&Refusal::Overloaded).into()),
            // It is told as a status, which ends the stream: never as this.
            Failure::Denied(denied) => {
                Why::Malformed(v1::Malformed { field: "permission".to_owned(), reason: denied.to_string() })
            }
            Failure::Call(CallError::StorageFailed { reason }) => Why::StorageFailed(reason.clone()),
            Failure::Call(CallError::Gone) => Why::Gone(v1::Nothing {}),
            Failure::Call(CallError::WrongAnswer) => Why::WrongAnswer(v1::Nothing {}),
            Failure::NotHosted { structure } => Why::NotHosted(structure.clone()),
            Failure::Malformed(Malformed { field, reason }) => {
                Why::Malformed(v1::Malformed { field: (*field).to_owned(), reason: reason.to_string() })
            }
            Failure::Operation(failure) => Why::OperationFailed(failure.into()),
            Failure::NotUnderstood { field, reason } => {
                Why::Malformed(v1::Malformed { field: field.clone(), reason: reason.clone() })
            }
        };
        Self { why: Some(why), retry_after_ms: failure.retry_after_ms() }
    }
}

impl TryFrom<v1::CallError> for Failure {
    type Error = Malformed;

    fn try_from(sent: v1::CallError) -> Result<Self, Malformed> {
        let retry_after_ms = sent.retry_after_ms;
        Ok(match sent.why.ok_or(Malformed::missing("error.why"))? {
            Why::Refused(refusal) => match refusal.try_into()? {
                Refusal::Overloaded if ![0, OVERLOADED_RETRY_MS].contains(&retry_after_ms) => {
                    Self::TooFast { retry_after_ms }
                }
                refusal => Self::Call(CallError::Refused(refusal)),
            },
            Why::StorageFailed(reason) => Self::Call(CallError::StorageFailed { reason }),
            Why::Gone(v1::Nothing {}) => Self::Call(CallError::Gone),
            Why::WrongAnswer(v1::Nothing {}) => Self::Call(CallError::WrongAnswer),
            Why::NotHosted(structure) => Self::NotHosted { structure },
            Why::OperationFailed(failed) => Self::Operation(failed.try_into()?),
            Why::Malformed(v1::Malformed { field, reason }) => Self::NotUnderstood { field, reason },
        })
    }
}

const fn of_operation(cause: OperationCause) -> Code {
    match cause {
        OperationCause::Refused => Code::FailedPrecondition,
        OperationCause::Corrupt => Code::DataLoss,
        OperationCause::StorageFull => Code::ResourceExhausted,
        OperationCause::IoFailed => Code::Internal,
    }
}

fn of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::ConnectorExists { .. } => Code::AlreadyExists,
        Refusal::UnknownConnector | Refusal::UnknownList { .. } => Code::NotFound,
        Refusal::OtherMachine { .. }
        | Refusal::MustAttach
        | Refusal::NotFailed { .. }
        | Refusal::BootMayBeAlive
        | Refusal::Closed
        | Refusal::NotJoined
        | Refusal::NoAllowableSet
        | Refusal::PortHeld { .. }
        | Refusal::PortQuarantined { .. }
        | Refusal::PortExcluded { .. }
        | Refusal::ChallengeNeeded
        | Refusal::ReportNeeded
        | Refusal::OtherStore { .. }
        | Refusal::StillConnected { .. }
        | Refusal::GrantsStopped { .. }
        | Refusal::AdoptedPending { .. }
        | Refusal::TooEarly { .. }
        | Refusal::NotAllAttached { .. } => Code::FailedPrecondition,
        Refusal::StaleIncarnation { .. } | Refusal::AlreadyAnswered { .. } | Refusal::StaleToken { .. } => {
            Code::Aborted
        }
        Refusal::NotOwner { .. } | Refusal::ReceiptBad => Code::PermissionDenied,
        Refusal::OutOfRange { .. } => Code::OutOfRange,
        Refusal::RequestIdReused { .. } | Refusal::TooLarge { .. } => Code::InvalidArgument,
        Refusal::Overloaded
        | Refusal::NumbersExhausted
        | Refusal::Exhausted { .. }
        | Refusal::QuotaExceeded { .. }
        | Refusal::Reserved { .. }
        | Refusal::TooMany { .. }
        | Refusal::StorageFull => Code::ResourceExhausted,
    }
}

/// `google.rpc.Status`, as the details of a status must be.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

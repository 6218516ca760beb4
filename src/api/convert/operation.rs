//! Operations on a store as a whole: what travels and what is meant.
#![forbid(unsafe_code)]

use super::Malformed;
use super::Misform;
use super::read;
use super::within;
use crate::api::operations::BackedUp;
use crate::api::operations::OperationCause;
use crate::api::operations::OperationFailure;
use crate::api::operations::WhoAsked;
use crate::api::operations::WhoFound;
use crate::api::v1;
use crate::ident::Lsn;
use crate::ident::WallMs;

impl TryFrom<&v1::WhoRequest> for WhoAsked {
    type Error = Malformed;

    fn try_from(sent: &v1::WhoRequest) -> Result<Self, Malformed> {
        if !(1..=Self::LIMIT_MAX).contains(&sent.limit) {
            let reason = Misform::OutOfRange { value: sent.limit.into(), least: 1, most: Self::LIMIT_MAX.into() };
            return Err(Malformed { field: "who.limit", reason });
        }
        Ok(Self {
            target: read("who.target", sent.target.clone())?,
            port: within("who.port", sent.port, 0, u16::MAX)?,
            at: sent.at_ms.map(WallMs),
            limit: sent.limit,
        })
    }
}

impl v1::WhoRequest {
    pub(crate) fn of(structure: &str, asked: &WhoAsked) -> Self {
        let WhoAsked { target, port, at, limit } = *asked;
        let at_ms = at.map(|at| at.0);
        Self { structure: structure.to_owned(), target: Some((&target).into()), port: port.into(), at_ms, limit }
    }
}

impl From<WhoFound> for v1::WhoResponse {
    fn from(found: WhoFound) -> Self {
        let WhoFound { state, answer, text, json, warnings } = found;
        Self { state, answer, text, json, warnings }
    }
}

impl From<v1::WhoResponse> for WhoFound {
    fn from(sent: v1::WhoResponse) -> Self {
        let v1::WhoResponse { state, answer, text, json, warnings } = sent;
        Self { state, answer, text, json, warnings }
    }
}

impl From<BackedUp> for v1::BackupResponse {
    fn from(made: BackedUp) -> Self {
        Self { lsn: made.lsn.0, digest: made.digest, took_ms: made.took_ms }
    }
}

impl From<v1::BackupResponse> for BackedUp {
    fn from(sent: v1::BackupResponse) -> Self {
        Self { lsn: Lsn(sent.lsn), digest: sent.digest, took_ms: sent.took_ms }
    }
}

impl From<&OperationFailure> for v1::OperationFailed {
    fn from(failure: &OperationFailure) -> Self {
        let cause = match failure.cause {
            OperationCause::Refused => v1::OperationCause::Refused,
            OperationCause::Corrupt => v1::OperationCause::Corrupt,
            OperationCause::StorageFull => v1::OperationCause::StorageFull,
            OperationCause::IoFailed => v1::OperationCause::IoFailed,
        };
        Self { cause: cause.into(), text: failure.text.clone() }
    }
}

impl TryFrom<v1::OperationFailed> for OperationFailure {
    type Error = Malformed;

    fn try_from(sent: v1::OperationFailed) -> Result<Self, Malformed> {
        let cause = match v1::OperationCause::try_from(sent.cause) {
            Ok(v1::OperationCause::Refused) => OperationCause::Refused,
            Ok(v1::OperationCause::Corrupt) => OperationCause::Corrupt,
            Ok(v1::OperationCause::StorageFull) => OperationCause::StorageFull,
            Ok(v1::OperationCause::IoFailed) => OperationCause::IoFailed,
            Ok(v1::OperationCause::Unspecified) | Err(_) => {
                return Err(Malformed::unknown("operation cause", sent.cause));
            }
        };
        Ok(Self { cause, text: sent.text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Target;
    use crate::ident::Transport;

    #[test]
    fn what_is_asked_of_a_log_comes_back_the_same_and_nothing_out_of_range_does() {
        for (port, at, limit) in [(0, None, 1), (u16::MAX, Some(WallMs(u64::MAX)), WhoAsked::LIMIT_MAX)] {
            let asked = WhoAsked { target: Target::Pool(Transport::Udp), port, at, limit };
            let sent = v1::WhoRequest::of("EZBEPORT", &asked);
            assert_eq!(WhoAsked::try_from(&sent), Ok(asked));
            for wrong in [
                v1::WhoRequest { limit: 0, ..sent.clone() },
                v1::WhoRequest { limit: WhoAsked::LIMIT_MAX + 1, ..sent.clone() },
                v1::WhoRequest { port: 65_536, ..sent.clone() },
                v1::WhoRequest { target: None, ..sent.clone() },
            ] {
                assert!(WhoAsked::try_from(&wrong).is_err(), "{wrong:?}");
            }
        }
    }

    #[test]
    fn every_failure_of_an_operation_is_told_as_what_it_is() {
        use OperationCause::{Corrupt, IoFailed, Refused, StorageFull};
        for cause in [Refused, Corrupt, StorageFull, IoFailed] {
            let failure = OperationFailure { cause, text: format!("{cause}: /srv/ports") };
            assert_eq!(OperationFailure::try_from(v1::OperationFailed::from(&failure)), Ok(failure));
        }
        for cause in [0, 5, -1] {
            assert!(OperationFailure::try_from(v1::OperationFailed { cause, text: String::new() }).is_err());
        }
    }
}

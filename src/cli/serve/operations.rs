//! What an operator asks of a store that this process has open, as a whole.
#![forbid(unsafe_code)]

use crate::api::BackedUp;
use crate::api::OperationCause;
use crate::api::OperationFailure;
use crate::api::Operations;
use crate::api::WhoAsked;
use crate::api::WhoFound;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::who;
use crate::facility::LocalFacility;
use crate::ident::Lsn;
use std::path::Path;
use std::sync::Arc;

/// The operations of one store.
pub(super) struct StoreOperations {
    facility: Arc<LocalFacility>,
}

impl StoreOperations {
    pub(super) fn new(facility: &Arc<LocalFacility>) -> Self {
        Self { facility: Arc::clone(facility) }
    }
}

impl Operations for StoreOperations {
    fn backup(&self, to: &Path) -> Result<BackedUp, OperationFailure> {
        let made = self.facility.backup(to).map_err(|error| failed(error.into()))?;
        Ok(BackedUp { lsn: made.lsn, digest: made.content.to_string(), took_ms: made.took_ms })
    }

    fn checkpoint(&self) -> Result<Lsn, OperationFailure> {
        let failed = |error: crate::facility::CheckpointNowError| OperationFailure {
            cause: OperationCause::IoFailed,
            text: error.to_string(),
        };
        self.facility.checkpoint_now().map_err(failed)
    }

    fn who(&self, asked: &WhoAsked) -> Result<WhoFound, OperationFailure> {
        who::beside_writer(&self.facility, asked).map_err(failed)
    }
}

/// The same meaning as the exit code of the verb on a closed store.
fn failed(failure: Failure) -> OperationFailure {
    let cause = match failure.exit() {
        Exit::Corrupt | Exit::TooNew => OperationCause::Corrupt,
        Exit::StorageFull => OperationCause::StorageFull,
        Exit::StorageFailed | Exit::Bug => OperationCause::IoFailed,
        _ => OperationCause::Refused,
    };
    OperationFailure { cause, text: failure.to_string() }
}

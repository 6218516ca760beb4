//! Operations on a store as a whole. Each works on a thread that may wait, a few at a time.
#![forbid(unsafe_code)]

use super::Shared;
use crate::api::convert::Malformed;
use crate::api::convert::Misform;
use crate::api::failure::Failure;
use crate::api::operations;
use crate::api::operations::OperationFailure;
use crate::api::operations::WhoAsked;
use crate::api::v1;
use crate::facility::CallError;
use crate::structure::Refusal;
use std::path::PathBuf;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use tonic::Status;

pub(super) struct Operations(pub(super) Arc<Shared>);

impl Operations {
    /// Does it on a thread that may wait. Who gives the call up gives up the answer only.
    async fn work<T: Send + 'static>(
        &self,
        structure: &str,
        work: impl FnOnce(&dyn operations::Operations) -> Result<T, OperationFailure> + Send + 'static,
    ) -> Result<T, Status> {
        let hosted = self.0.hosted(structure).map_err(|failure| failure.to_status())?;
        let cannot = || Status::unimplemented("this structure's facility has no store of its own");
        let operations = hosted.operations.clone().ok_or_else(cannot)?;
        let overloaded = |_| Failure::from(Refusal::Overloaded).to_status();
        let room = Arc::clone(&self.0.operations).try_acquire_owned().map_err(overloaded)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&*operations);
            drop(room);
            done
        });
        // Only a panic or the end of the runtime leaves it undone: the outcome is unknown.
        let done = done.await.map_err(|_| Failure::Call(CallError::Gone).to_status())?;
        done.map_err(|failure| Failure::Operation(failure).to_status())
    }
}

#[tonic::async_trait]
impl v1::operations_server::Operations for Operations {
    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<v1::BackupResponse>, Status> {
        let v1::BackupRequest { structure, path } = request.into_inner();
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            let reason = Misform::NotAbsolute;
            return Err(Failure::from(Malformed { field: "backup.path", reason }).to_status());
        }
        let made = self.work(&structure, move |operations| operations.backup(&path)).await?;
        Ok(Response::new(made.into()))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        let v1::CheckpointRequest { structure } = request.into_inner();
        let lsn = self.work(&structure, |operations| operations.checkpoint()).await?;
        Ok(Response::new(v1::CheckpointResponse { lsn: lsn.0 }))
    }

    async fn who(&self, request: Request<v1::WhoRequest>) -> Result<Response<v1::WhoResponse>, Status> {
        let sent = request.into_inner();
        let asked = WhoAsked::try_from(&sent).map_err(|malformed| Failure::from(malformed).to_status())?;
        let found = self.work(&sent.structure, move |operations| operations.who(&asked)).await?;
        Ok(Response::new(found.into()))
    }
}

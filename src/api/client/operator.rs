//! The operator's client: single calls to a service, by a person or a script that waits for each.
//!
//! Nothing is tried again by itself: a call whose answer was lost may have had its effect, and every
//! operator's request may be repeated.
#![forbid(unsafe_code)]

use super::RemoteError;
use super::RemoteOptions;
use super::dial;
use super::watching::RemoteWatch;
use crate::api::Door;
use crate::api::convert::Malformed;
use crate::api::failure::Failure;
use crate::api::limits;
use crate::api::operations::BackedUp;
use crate::api::operations::OperationFailure;
use crate::api::operations::WhoAsked;
use crate::api::operations::WhoFound;
use crate::api::v1;
use crate::facility::CallError;
use crate::facility::Page;
use crate::facility::Query;
use crate::facility::Reply;
use crate::facility::Rows;
use crate::facility::Status;
use crate::ident::Lsn;
use crate::ident::StructureName;
use crate::structure::Item;
use crate::structure::Request;
use std::future::Future;
use std::path::Path;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::Channel;
use v1::operations_client::OperationsClient;
use v1::structures_client::StructuresClient;

/// Why an operator's call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// Nobody answers, or not as a service would.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The service does not let this caller do that.
    #[error("{door}: not permitted: {reason}")]
    Denied {
        /// The service.
        door: String,
        /// What it says.
        reason: String,
    },
    /// The structure's answer is a refusal, or the outcome is unknown.
    #[error("{0}")]
    Call(CallError),
    /// An operation on the store as a whole failed.
    #[error("{0}")]
    Operation(OperationFailure),
    /// One side does not understand the other.
    #[error("{door}: {reason}; do both sides run the same release?")]
    NotUnderstood {
        /// The service.
        door: String,
        /// What was not understood.
        reason: String,
    },
}

/// A connection to a service for single calls. Its methods wait: not to be used from asynchronous code.
#[derive(Debug)]
pub struct OperatorClient {
    door: Door,
    channel: Channel,
    handle: Handle,
    runtime: Option<Runtime>,
}

impl OperatorClient {
    /// Connects.
    ///
    /// # Errors
    /// [`OperatorError::Remote`].
    pub fn connect(door: &Door, options: RemoteOptions) -> Result<Self, OperatorError> {
        let (runtime, handle) = super::runtime_of(&options)?;
        let patience = options.patience;
        let connecting = async { tokio::time::timeout(patience, dial::dial(door, options.tls.as_ref())).await };
        let late =
            || RemoteError::Unreachable { door: door.to_string(), reason: "it does not answer in time".to_owned() };
        let channel = handle.block_on(connecting).unwrap_or_else(|_| Err(late()))?.channel;
        Ok(Self { door: door.clone(), channel, handle, runtime })
    }

    /// Where the service is.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// What the service hosts, in alphabetical order.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn structures(&self) -> Result<Vec<StructureName>, OperatorError> {
        let mut client = self.client();
        let listed = self.wait(async move { client.list_structures(v1::ListStructuresRequest {}).await })?;
        let parsed = listed.structures.iter().map(|name| name.parse());
        parsed.collect::<Result<_, _>>().map_err(|error| self.not_understood(error))
    }

    /// One request of an operator.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn submit(&self, structure: StructureName, request: &Request) -> Result<Reply, OperatorError> {
        let request = v1::Request::try_from(request).map_err(|refusal| OperatorError::Call(refusal.into()))?;
        let asked = v1::SubmitRequest { structure: structure.to_string(), request: Some(request) };
        let mut client = self.client();
        let sent = self.wait(async move { client.submit(asked).await })?;
        sent.try_into().map_err(|malformed: Malformed| self.not_understood(malformed))
    }

    /// One read.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn query(&self, structure: StructureName, query: &Query) -> Result<Page, OperatorError> {
        let asked = v1::QueryRequest { structure: structure.to_string(), query: Some(query.into()) };
        let mut client = self.client();
        let sent = self.wait(async move { client.query(asked).await })?;
        sent.try_into().map_err(|malformed: Malformed| self.not_understood(malformed))
    }

    /// The facility as a whole.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn status(&self, structure: StructureName) -> Result<Status, OperatorError> {
        match self.query(structure, &Query::Status)?.rows {
            Rows::Status(status) => Ok(status),
            _ => Err(OperatorError::Call(CallError::WrongAnswer)),
        }
    }

    /// The whole state as of one lsn: the snapshot with which a watch begins.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn snapshot(&self, structure: StructureName) -> Result<Vec<Item>, OperatorError> {
        let mut watch = self.watch(structure, None)?;
        loop {
            // Each step waits for a message; a service that is gone ends it with an error.
            if let Some(super::Watched::Snapshot { items, .. }) = watch.next(limits::KEEP_ALIVE_EVERY)? {
                return Ok(items);
            }
        }
    }

    /// Starts watching: a snapshot, then every later event; with `after` the events alone.
    ///
    /// # Errors
    /// [`OperatorError`]; later ones come out of [`RemoteWatch::next`].
    pub fn watch(&self, structure: StructureName, after: Option<Lsn>) -> Result<RemoteWatch, OperatorError> {
        let asked = v1::WatchRequest { structure: structure.to_string(), after: after.map(|lsn| lsn.0) };
        let mut client = self.client();
        let updates = self.wait(async move { client.watch(asked).await })?;
        Ok(RemoteWatch::of(self.door.clone(), structure, self.handle.clone(), updates, after))
    }

    /// Has the service copy its store to a directory on its own machine.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn backup(&self, structure: StructureName, to: &Path) -> Result<BackedUp, OperatorError> {
        let path = to.to_str().ok_or_else(|| self.not_understood("the path is not UTF-8"))?.to_owned();
        let asked = v1::BackupRequest { structure: structure.to_string(), path };
        let mut client = self.operations();
        Ok(self.wait(async move { client.backup(asked).await })?.into())
    }

    /// Has the service make a checkpoint; its lsn.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn checkpoint(&self, structure: StructureName) -> Result<Lsn, OperatorError> {
        let asked = v1::CheckpointRequest { structure: structure.to_string() };
        let mut client = self.operations();
        Ok(Lsn(self.wait(async move { client.checkpoint(asked).await })?.lsn))
    }

    /// Who had a port, from the service's log.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn who(&self, structure: StructureName, asked: &WhoAsked) -> Result<WhoFound, OperatorError> {
        let asked = v1::WhoRequest::of(&structure.to_string(), asked);
        let mut client = self.operations();
        Ok(self.wait(async move { client.who(asked).await })?.into())
    }

    fn client(&self) -> StructuresClient<Channel> {
        StructuresClient::new(self.channel.clone()).max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    fn operations(&self) -> OperationsClient<Channel> {
        // A hold is told in text and in JSON, and there may be many: the caller said how many it wants.
        OperationsClient::new(self.channel.clone()).max_decoding_message_size(limits::WHO_BYTES_MAX)
    }

    fn wait<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, OperatorError> {
        self.handle.block_on(call).map(tonic::Response::into_inner).map_err(|status| self.error(&status))
    }

    fn error(&self, status: &tonic::Status) -> OperatorError {
        let door = self.door.to_string();
        match Failure::of_status(status) {
            Some(Failure::NotHosted { structure }) => RemoteError::NotHosted { door, structure }.into(),
            Some(Failure::Call(error)) => OperatorError::Call(error),
            Some(Failure::Operation(failure)) => OperatorError::Operation(failure),
            Some(failure) => OperatorError::NotUnderstood { door, reason: failure.to_string() },
            None if matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated) => {
                OperatorError::Denied { door, reason: status.message().to_owned() }
            }
            None if matches!(status.code(), Code::Unimplemented) => {
                OperatorError::NotUnderstood { door, reason: status.message().to_owned() }
            }
            None => RemoteError::Unreachable { door, reason: dial::chain(status) }.into(),
        }
    }

    fn not_understood(&self, reason: impl ToString) -> OperatorError {
        OperatorError::NotUnderstood { door: self.door.to_string(), reason: reason.to_string() }
    }
}

impl Drop for OperatorClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

//! Watching from elsewhere: a snapshot, then every later event in order.
#![forbid(unsafe_code)]

use super::RemoteError;
use super::fault_of;
use super::line::Line;
use crate::api::Door;
use crate::api::convert::Malformed;
use crate::api::limits;
use crate::api::v1;
use crate::ident::Lsn;
use crate::ident::StructureName;
use crate::structure::Event;
use crate::structure::Item;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::Streaming;
use v1::structures_client::StructuresClient;
use v1::watch_update::What;

/// What a watch brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Once, first, unless the watch resumed: the whole state.
    Snapshot {
        /// As of this lsn.
        lsn: Lsn,
        /// Every item, in canonical order:
        /// [`Structure::import`](crate::structure::Structure::import) makes a structure of them.
        items: Vec<Item>,
    },
    /// One change.
    Event {
        /// Its lsn.
        lsn: Lsn,
        /// What changed.
        event: Event,
    },
}

/// A watch that goes on elsewhere. Not to be used from asynchronous code: it waits.
#[derive(Debug)]
pub struct RemoteWatch {
    line: Arc<Line>,
    handle: Handle,
    updates: Streaming<v1::WatchUpdate>,
    items: Vec<Item>,
    last: Lsn,
}

impl RemoteWatch {
    pub(super) fn start(line: &Arc<Line>, handle: &Handle, after: Option<Lsn>) -> Result<Self, RemoteError> {
        let mut client = StructuresClient::new(line.channel()?).max_decoding_message_size(limits::MESSAGE_BYTES_MAX);
        let asked = v1::WatchRequest { structure: line.structure.to_string(), after: after.map(|lsn| lsn.0) };
        let updates = handle.block_on(client.watch(asked)).map_err(|status| fault_of(line, &status))?.into_inner();
        let last = after.unwrap_or(Lsn::ZERO);
        Ok(Self { line: Arc::clone(line), handle: handle.clone(), updates, items: Vec::new(), last })
    }

    /// One that was begun without a stream for stacks.
    pub(super) fn of(
        door: Door,
        structure: StructureName,
        handle: Handle,
        updates: Streaming<v1::WatchUpdate>,
        after: Option<Lsn>,
    ) -> Self {
        let line = Arc::new(Line::new(door, structure, None));
        Self { line, handle, updates, items: Vec::new(), last: after.unwrap_or(Lsn::ZERO) }
    }

    /// The lsn of the last event delivered, or of the snapshot: where a watch that ended resumes.
    #[must_use]
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// What comes next, waiting up to `patience`; `None` if nothing came.
    ///
    /// # Errors
    /// [`RemoteError::Lagged`], [`RemoteError::Unreachable`]; both are final.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Watched>, RemoteError> {
        let Self { line, handle, updates, items, last } = self;
        handle.block_on(async {
            let watched = tokio::time::timeout(patience, next(line, updates, items)).await;
            let Ok(watched) = watched else { return Ok(None) };
            let watched = watched?;
            *last = match &watched {
                Watched::Snapshot { lsn, .. } | Watched::Event { lsn, .. } => *lsn,
            };
            Ok(Some(watched))
        })
    }
}

async fn next(
    line: &Line,
    updates: &mut Streaming<v1::WatchUpdate>,
    items: &mut Vec<Item>,
) -> Result<Watched, RemoteError> {
    let malformed = |malformed: Malformed| line.unreachable(malformed);
    loop {
        let update = updates.message().await.map_err(|status| fault_of(line, &status))?;
        let update = update.ok_or_else(|| line.unreachable("the service ended the watch"))?;
        match update.what.ok_or_else(|| malformed(Malformed::missing("update.what")))? {
            What::Items(part) => {
                for item in part.items {
                    items.push(item.try_into().map_err(malformed)?);
                }
            }
            What::SnapshotLsn(lsn) => {
                return Ok(Watched::Snapshot { lsn: Lsn(lsn), items: std::mem::take(items) });
            }
            What::Event(event) => {
                let (lsn, event) = event.try_into().map_err(malformed)?;
                return Ok(Watched::Event { lsn, event });
            }
            What::LaggedResumeFrom(lsn) => return Err(RemoteError::Lagged { resume_from: Lsn(lsn) }),
        }
    }
}

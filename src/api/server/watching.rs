//! Watching: a thread for each watcher, that waits for events and hands them on.
#![forbid(unsafe_code)]

use super::WatchDoor;
use super::live::Seat;
use crate::api::Open;
use crate::api::convert;
use crate::api::v1;
use crate::facility::WatchError;
use crate::ident::Lsn;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tonic::Status;
use v1::watch_update::What;

/// Updates that wait to be written; then the watcher falls behind in the facility's ring.
const UPDATES_WAITING_MAX: usize = 256;
/// How often a watcher without events looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(250);
/// Items that are looked at for one message.
const ITEMS_AT_ONCE: usize = 1_024;

type Updates = mpsc::Sender<Result<v1::WatchUpdate, Status>>;

pub(super) fn start(
    door: WatchDoor,
    after: Option<Lsn>,
    stopping: watch::Receiver<bool>,
    room: (Seat, Open),
) -> mpsc::Receiver<Result<v1::WatchUpdate, Status>> {
    let (updates, receiver) = mpsc::channel(UPDATES_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        // Without a reader there is nobody to tell.
        let _ = watch(door, after, &stopping, &updates);
        drop(room);
    });
    receiver
}

/// The reader went.
struct ReaderGone;

fn tell(updates: &Updates, what: What) -> Result<(), ReaderGone> {
    updates.blocking_send(Ok(v1::WatchUpdate { what: Some(what) })).map_err(|_| ReaderGone)
}

fn end(updates: &Updates, status: Status) -> Result<(), ReaderGone> {
    updates.blocking_send(Err(status)).map_err(|_| ReaderGone)
}

fn watch(
    door: WatchDoor,
    after: Option<Lsn>,
    stopping: &watch::Receiver<bool>,
    updates: &Updates,
) -> Result<(), ReaderGone> {
    let mut watch = match door(after) {
        Ok(watch) => watch,
        Err(error) => return end(updates, status_of(&error)),
    };
    // The facility can be closed while its watchers still look: they hear of it.
    drop(door);
    if let Some(snapshot) = watch.snapshot() {
        let mut items = snapshot.items().map(|item| v1::Item::from(&item)).peekable();
        let mut waiting: Vec<v1::Item> = Vec::new();
        while items.peek().is_some() || !waiting.is_empty() {
            waiting.extend(items.by_ref().take(ITEMS_AT_ONCE.saturating_sub(waiting.len())));
            let part = waiting.drain(..convert::fitting(&waiting)).collect();
            tell(updates, What::Items(v1::ItemsPart { items: part }))?;
        }
        tell(updates, What::SnapshotLsn(snapshot.lsn().0))?;
    }
    loop {
        if *stopping.borrow() {
            return end(updates, Status::unavailable("the service ends: connect again"));
        }
        match watch.next(PATIENCE) {
            Ok(Some((lsn, event))) => tell(updates, What::Event(v1::Event::of(lsn, &event)))?,
            Ok(None) if updates.is_closed() => return Err(ReaderGone),
            Ok(None) => {}
            Err(WatchError::Lagged { resume_from }) => {
                return tell(updates, What::LaggedResumeFrom(resume_from.0));
            }
            Err(error) => return end(updates, status_of(&error)),
        }
    }
}

fn status_of(error: &WatchError) -> Status {
    match error {
        WatchError::Unreadable { .. } => Status::out_of_range(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}

//! What a facility measures of itself, read beside the writer: see [`LocalFacility::readings`].
#![forbid(unsafe_code)]

use super::FiguresFrom;
use super::FiguresPage;
use super::LocalFacility;
use super::Ticket;
use super::alarms::Alarms;
use super::clock::Clock;
use super::command::Command;
use super::engine::Engine;
use super::meters::Meters;
use super::readings::CheckpointReadings;
use super::readings::LogReadings;
use super::readings::Readings;
use super::tally;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::structure::Refusal;
use crate::threads::Mutex;
use crate::wal::Manifest;
use crate::wal::ManifestKeeper;
use std::sync::Arc;

/// Where readings come from.
#[derive(Debug)]
pub(crate) struct Measured {
    meters: Arc<Meters>,
    alarms: Arc<Alarms>,
    keeper: Arc<ManifestKeeper>,
    clock: Arc<dyn Clock>,
    store: StoreUuid,
    /// As MANIFEST was when it was last not being changed: a change may hang with the disk.
    listed: Mutex<Listed>,
}

/// What MANIFEST tells.
#[derive(Clone, Copy, Debug, Default)]
struct Listed {
    epoch: u64,
    log: LogReadings,
    newest: CheckpointReadings,
}

impl Measured {
    pub(crate) fn of(engine: &Engine, clock: Arc<dyn Clock>) -> Self {
        let keeper = engine.appender().keeper();
        let (store, listed) = keeper.look(|manifest| (manifest.uuid, listed(manifest)));
        Self { meters: engine.meters(), alarms: engine.alarms(), keeper, clock, store, listed: Mutex::new(listed) }
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.clock.measured_us()
    }

    /// A caller was turned away at a full queue.
    pub(crate) fn rejected(&self) {
        self.meters.rejected();
    }

    fn listed(&self) -> Listed {
        let mut last = self.listed.lock();
        if let Some(found) = self.keeper.try_look(listed) {
            *last = found;
        }
        *last
    }
}

impl LocalFacility {
    /// What the facility measures of itself. Waits for nobody: not for the writer, and not for the disk.
    #[must_use]
    pub fn readings(&self) -> Readings {
        let Measured { meters, alarms, store, .. } = &self.measured;
        let Listed { epoch, log, newest } = self.measured.listed();
        let (shown, progress) = (&meters.shown, self.checkpointer.progress());
        let ((ports_granted, ports_released), (frames, records)) = (shown.ports(), shown.frames());
        let (queue_length, queue_length_max) = self.queue.length();
        let queue_rejected = meters.queue_rejected();
        let mut refusals = shown.refusals();
        if let Some((_, count)) = refusals.iter_mut().find(|(name, _)| *name == Refusal::Overloaded.name()) {
            *count += queue_rejected;
        }
        Readings {
            store: *store,
            history: progress.history(),
            epoch,
            durable: progress.durable(),
            is_failed: self.is_failed(),
            is_full: shown.is_full(),
            stop: shown.stop(),
            alarms: alarms.raised(),
            watchers: self.rings.all.watchers(),
            requests: shown.requests(),
            refusals,
            events: shown.events(),
            ports_granted,
            ports_released,
            frames,
            records,
            appended_bytes: progress.appended_bytes(),
            frame_records: shown.distribution(tally::FRAME_RECORDS),
            frame_bytes: shown.distribution(tally::FRAME_BYTES),
            commit_commands: shown.distribution(tally::COMMIT_COMMANDS),
            sync_us: shown.distribution(tally::SYNC_US),
            sync_pending_us: meters.sync_pending_us(self.measured.now_us()),
            queue_us: shown.distribution(tally::QUEUE_US),
            queue_length,
            queue_length_max,
            queue_rejected,
            log,
            checkpoints: self.checkpointer.readings(newest),
        }
    }

    /// Asks the writer for lists and connectors in numbers: at most 1,024 of each in one page, and no
    /// longer than half a millisecond of its time.
    pub fn figures(&self, from: FiguresFrom) -> Ticket<FiguresPage> {
        self.ticket(|completer| Command::Figures(from, completer))
    }
}

fn listed(manifest: &Manifest) -> Listed {
    let floor = match manifest.checkpoints.as_slice() {
        [older, _younger] => older.lsn,
        _ => Lsn::ZERO,
    };
    let mut log = LogReadings::default();
    for segment in &manifest.segments {
        let bytes = segment.sealed.map_or(segment.size, |seal| seal.offset);
        log.segments += 1;
        log.bytes += bytes;
        if segment.sealed.is_some_and(|seal| seal.end.lsn <= floor) {
            log.history_segments += 1;
            log.history_bytes += bytes;
        }
    }
    let newest = manifest.checkpoints.last().map_or_else(CheckpointReadings::default, |entry| CheckpointReadings {
        lsn: entry.lsn,
        wall: entry.wall,
        bytes: entry.files.iter().map(|file| file.size).sum(),
        ..CheckpointReadings::default()
    });
    Listed { epoch: manifest.epoch, log, newest }
}

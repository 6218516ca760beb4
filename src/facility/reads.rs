//! Answers to reads: pure views of the structure at one lsn.
#![forbid(unsafe_code)]

use super::ConnectorStatus;
use super::Page;
use super::Query;
use super::RecoveryReport;
use super::Rows;
use super::Status;
use super::StopView;
use super::alarms::Alarms;
use super::deadlines::Deadlines;
use super::engine::Counters;
use super::options::PAGE_ROWS_MAX;
use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::structure::Context;
use crate::structure::Stop;
use crate::structure::StopCause;
use crate::structure::Structure;
use crate::structure::Wait;

/// Most connectors that a status names as awaited.
const WAITING_FOR_MAX: usize = 16;

/// What a read may look at.
pub(crate) struct View<'a> {
    pub(crate) structure: &'a Structure,
    pub(crate) report: &'a RecoveryReport,
    pub(crate) counters: Counters,
    pub(crate) history: HistoryId,
    pub(crate) epoch: u64,
    pub(crate) open_first: Lsn,
    pub(crate) deadlines: &'a Deadlines,
    pub(crate) store: StoreUuid,
    pub(crate) context: Context,
    pub(crate) storage: Option<&'a str>,
    pub(crate) file_system: &'a str,
    pub(crate) alarms: &'a Alarms,
}

impl View<'_> {
    pub(crate) fn page(&self, query: &Query) -> Page {
        let rows = match query {
            Query::Status => Rows::Status(self.status()),
            Query::Connector(name) => Rows::Connector(self.connector(name)),
            Query::Owner { target, port } => Rows::Owner(self.structure.owner(*target, *port)),
            Query::Items { from } => self.items(*from),
        };
        Page { history: self.history, lsn: self.structure.lsn(), rows }
    }

    fn status(&self) -> Status {
        Status {
            store: self.store,
            structure: self.structure.name().to_string(),
            epoch: self.epoch,
            records: self.counters.records,
            frames: self.counters.frames,
            grants: self.counters.grants,
            connectors: counted(self.structure.connectors().count()),
            lists: counted(self.structure.lists().count()),
            stop: self.structure.stop().map(|stop| self.stop(&stop)),
            storage: self.storage.map(str::to_owned),
            file_system: self.file_system.to_owned(),
            alarms: self.alarms.list(),
            recovery: self.report.clone(),
        }
    }

    fn stop(&self, stop: &Stop) -> StopView {
        let end = match stop.cause {
            StopCause::PowerLoss => match self.structure.power_loss_wait(&self.context) {
                Some(Wait::Until(at)) => at,
                Some(Wait::Over) | None => self.context.now,
            },
            StopCause::Restored => self.structure.restored_window_end(&self.context).unwrap_or(self.context.now),
            StopCause::DataLost => self.context.now,
        };
        let waiting_for = self.structure.not_attached_since_stop(self.context.open_first);
        StopView {
            cause: stop.cause,
            since: stop.since,
            adopted_ports: stop.adopted,
            waiting_for: waiting_for.take(WAITING_FOR_MAX).cloned().collect(),
            left_ms: end.0.saturating_sub(self.context.now.0),
        }
    }

    fn connector(&self, name: &ConnectorName) -> Option<ConnectorStatus> {
        let view = self.structure.connector(name)?;
        Some(ConnectorStatus {
            actor: view.actor,
            state: view.state,
            held_ports: view.held_ports,
            attached: view.actor.incarnation.0 >= self.open_first.0,
            lease_until: self.deadlines.deadline(view.actor.slot),
        })
    }

    fn items(&self, from: u64) -> Rows {
        let items = self.structure.items_page(from, PAGE_ROWS_MAX);
        let next = (items.len() == PAGE_ROWS_MAX).then(|| from + PAGE_ROWS_MAX as u64);
        Rows::Items { items, next }
    }
}

fn counted(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

//! What the engine measures of its own work, and what it tells of the state in numbers.
#![forbid(unsafe_code)]

use super::Engine;
use crate::facility::FiguresFrom;
use crate::facility::FiguresPage;
use crate::facility::alarms::Alarms;
use crate::facility::meters::Meters;
use crate::facility::options::PAGE_ROWS_MAX;
use crate::facility::readings::ConnectorStanding;
use crate::facility::readings::LeaseState;
use crate::ident::BootMs;
use crate::ident::WallMs;
use crate::structure::ConnectorFigures;
use crate::wal::StoreError;
use std::sync::Arc;

impl Engine {
    /// Where this engine shows what it measured.
    pub(crate) fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }

    /// The alarms, as all threads of the facility raise them.
    pub(crate) fn alarms(&self) -> Arc<Alarms> {
        Arc::clone(&self.alarms)
    }

    /// Writes and syncs the frame, by the clock.
    pub(super) fn append(&mut self, wall: WallMs, now: BootMs) -> Result<(), StoreError> {
        let bytes_before = self.appender.appended_bytes();
        let began = self.clock.measured_us();
        self.meters.sync_begins(began);
        self.appender.append(&self.payload, self.count, wall, now)?;
        let took = self.clock.measured_us().saturating_sub(began);
        self.meters.sync_ends();
        let bytes = self.appender.appended_bytes() - bytes_before;
        self.tally.frame(self.count, bytes, self.waiting.len(), took);
        Ok(())
    }

    /// Shows what was counted: before those who waited are answered, so that they find themselves in it.
    pub(super) fn show(&mut self) {
        self.tally.standing(self.storage.is_full(), self.structure.stop().map(|stop| stop.cause));
        self.meters.shown.publish(&self.tally);
    }

    pub(super) fn figures(&self, from: FiguresFrom, now: BootMs) -> FiguresPage {
        let most = PAGE_ROWS_MAX as u32;
        let (lists, lists_next) = from.lists.map_or((Vec::new(), None), |from| self.structure.list_figures(from, most));
        let (connectors, connectors_next) =
            from.connectors.map_or((Vec::new(), None), |from| self.structure.connector_figures(from, most));
        let next = FiguresFrom { lists: lists_next, connectors: connectors_next };
        FiguresPage {
            lsn: self.structure.lsn(),
            lists,
            lists_count: self.structure.lists_count(),
            connectors: connectors.iter().map(|connector| self.standing(connector, now)).collect(),
            next: (next.lists.is_some() || next.connectors.is_some()).then_some(next),
        }
    }

    fn standing(&self, connector: &ConnectorFigures, now: BootMs) -> ConnectorStanding {
        let lease = match self.deadlines.deadline(connector.slot) {
            None => LeaseState::None,
            Some(until) if until > now => LeaseState::Running,
            Some(_) => LeaseState::Over,
        };
        ConnectorStanding {
            state: connector.state,
            is_attached: connector.incarnation.0 >= self.appender.open_first().0,
            held_ports: connector.held_ports,
            lease,
        }
    }
}

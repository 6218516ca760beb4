//! Answers to reads: pure views of the structure at one lsn.
#![forbid(unsafe_code)]

use super::ConnectorStatus;
use super::Owner;
use super::Page;
use super::Query;
use super::RecoveryReport;
use super::Rows;
use super::Status;
use super::deadlines::Deadlines;
use super::engine::Counters;
use super::options::PAGE_ROWS_MAX;
use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::structure::PortOwner;
use crate::structure::Structure;

/// What a read may look at.
pub(crate) struct View<'a> {
    pub(crate) structure: &'a Structure,
    pub(crate) report: &'a RecoveryReport,
    pub(crate) counters: Counters,
    pub(crate) history: HistoryId,
    pub(crate) epoch: u64,
    pub(crate) open_first: Lsn,
    pub(crate) deadlines: &'a Deadlines,
}

impl View<'_> {
    pub(crate) fn page(&self, query: &Query) -> Page {
        let rows = match query {
            Query::Status => Rows::Status(self.status()),
            Query::Connector(name) => Rows::Connector(self.connector(name)),
            Query::Owner { target, port } => Rows::Owner(owner(self.structure.owner(*target, *port))),
            Query::Items { from } => self.items(*from),
        };
        Page { history: self.history, lsn: self.structure.lsn(), rows }
    }

    fn status(&self) -> Status {
        Status {
            structure: self.structure.name().to_string(),
            epoch: self.epoch,
            records: self.counters.records,
            frames: self.counters.frames,
            grants: self.counters.grants,
            connectors: counted(self.structure.connectors().count()),
            lists: counted(self.structure.lists().count()),
            recovery: self.report.clone(),
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

fn owner(owner: PortOwner) -> Owner {
    match owner {
        PortOwner::NoList => Owner::NoList,
        PortOwner::Free => Owner::Free,
        PortOwner::Held { connector, incarnation, grant, group } => {
            Owner::Held { connector, incarnation, grant, group }
        }
        PortOwner::Quarantined { connector, since } => Owner::Quarantined { connector, since },
    }
}

fn counted(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

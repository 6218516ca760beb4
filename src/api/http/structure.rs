//! What one structure is measured by: what its facility shows at any time, and what its writer tells when
//! it is asked.
#![forbid(unsafe_code)]

use super::exposition::Exposition;
use super::exposition::SECOND;
use super::families::Family;
use crate::facility::CallError;
use crate::facility::ConnectorStanding;
use crate::facility::FiguresFrom;
use crate::facility::LeaseState;
use crate::facility::LocalFacility;
use crate::facility::Readings;
use crate::facility::Ticket;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::ConnectorState;
use crate::structure::ListFigures;
use crate::structure::StopCause;
use std::future::poll_fn;
use std::time::Duration;

/// Most lists with series of their own: eight each.
pub(super) const LISTS_MAX: usize = 1_024;
/// How long the writer may take to tell all its figures. It answers after the sync at work.
const FIGURES_PATIENCE: Duration = Duration::from_secs(2);

/// Lists and connectors of one structure, summed up.
#[derive(Debug, Default)]
pub(super) struct Figures {
    lists: Vec<ListFigures>,
    lists_count: u64,
    left_out: u64,
    ports: [u64; 4],
    least_free: [Option<u32>; 2],
    connectors: [u64; 3],
    connector_ports: [u64; 3],
    leases: [u64; 3],
}

const PORT_STATES: [&str; 4] = ["free", "held", "quarantined", "excluded"];
const CONNECTOR_STATES: [&str; 3] = ["active", "waiting", "failed_persistent"];
const LEASE_STATES: [&str; 3] = ["running", "over", "none"];

/// Adds everything about one structure; `figures` as [`Figures::of`] got them before.
pub(super) fn add(exposition: &mut Exposition, name: &str, facility: &LocalFacility, figures: Option<&Figures>) {
    exposition.flag(Family::FiguresComplete, &[name], figures.is_some());
    if let Some(figures) = figures {
        figures.add_to(exposition, name);
    }
    // After the figures: what was counted until then is in it.
    let readings = facility.readings();
    add_work(exposition, name, &readings);
    add_store(exposition, name, &readings);
    add_recovery(exposition, name, facility);
}

pub(super) async fn answer<T>(ticket: Ticket<T>) -> Result<T, CallError> {
    poll_fn(|context| ticket.poll_take(context)).await
}

impl Figures {
    /// Asks the writer; `None` if it does not tell all in time.
    pub(super) async fn of(facility: &LocalFacility) -> Option<Self> {
        tokio::time::timeout(FIGURES_PATIENCE, Self::ask(facility)).await.ok()?.ok()
    }

    async fn ask(facility: &LocalFacility) -> Result<Self, CallError> {
        let mut figures = Self::default();
        let mut from = Some(FiguresFrom::start());
        while let Some(start) = from {
            let page = answer(facility.figures(start)).await?;
            page.lists.iter().for_each(|list| figures.take_list(*list));
            page.connectors.iter().for_each(|connector| figures.take_connector(connector));
            figures.lists_count = u64::from(page.lists_count);
            from = page.next;
        }
        Ok(figures)
    }

    fn take_list(&mut self, list: ListFigures) {
        for (sum, ports) in self.ports.iter_mut().zip(ports_of(&list)) {
            *sum += u64::from(ports);
        }
        if let (true, Target::List(_, transport)) = (list.open, list.target) {
            let least = &mut self.least_free[transport.index()];
            *least = Some(least.map_or(list.free_ports, |least| least.min(list.free_ports)));
        }
        if self.lists.len() < LISTS_MAX {
            self.lists.push(list);
        } else {
            self.left_out += 1;
        }
    }

    fn take_connector(&mut self, connector: &ConnectorStanding) {
        let state = match connector.state {
            ConnectorState::FailedPersistent => 2,
            _ if connector.is_attached => 0,
            _ => 1,
        };
        self.connectors[state] += 1;
        self.connector_ports[state] += u64::from(connector.held_ports);
        let lease = match connector.lease {
            LeaseState::Running => 0,
            LeaseState::Over => 1,
            LeaseState::None => 2,
        };
        self.leases[lease] += 1;
    }

    fn add_to(&self, exposition: &mut Exposition, name: &str) {
        for list in &self.lists {
            let (dvipa, transport) = (list.target.dvipa_text(), list.target.transport().name());
            let labels = [name, &dvipa, transport];
            for (state, ports) in PORT_STATES.into_iter().zip(ports_of(list)) {
                exposition.whole(Family::ListPorts, &[name, &dvipa, transport, state], u64::from(ports));
            }
            exposition.whole(Family::ListFreeGroups, &labels, u64::from(list.free_groups));
            exposition.whole(Family::ListMembers, &labels, u64::from(list.members));
            exposition.flag(Family::ListOpen, &labels, list.open);
        }
        exposition.whole(Family::Lists, &[name], self.lists_count);
        exposition.whole(Family::ListsLeftOut, &[name], self.left_out);
        for transport in [Transport::Tcp, Transport::Udp] {
            if let Some(least) = self.least_free[transport.index()] {
                exposition.whole(Family::LeastFreePorts, &[name, transport.name()], u64::from(least));
            }
        }
        for (state, ports) in PORT_STATES.into_iter().zip(self.ports) {
            exposition.whole(Family::Ports, &[name, state], ports);
        }
        for (place, state) in CONNECTOR_STATES.into_iter().enumerate() {
            exposition.whole(Family::Connectors, &[name, state], self.connectors[place]);
            exposition.whole(Family::ConnectorPorts, &[name, state], self.connector_ports[place]);
        }
        for (state, count) in LEASE_STATES.into_iter().zip(self.leases) {
            exposition.whole(Family::Leases, &[name, state], count);
        }
    }
}

fn ports_of(list: &ListFigures) -> [u32; 4] {
    [list.free_ports, list.held_ports, list.quarantined_ports, list.excluded_ports]
}

/// What is done, and how long it takes.
fn add_work(exposition: &mut Exposition, name: &str, readings: &Readings) {
    let of_kind = |kind| readings.events.iter().find(|(known, _)| *known == kind).map_or(0, |(_, count)| *count);
    exposition.whole(Family::Grants, &[name], of_kind("granted"));
    exposition.whole(Family::GrantedPorts, &[name], readings.ports_granted);
    exposition.whole(Family::Releases, &[name], of_kind("released"));
    exposition.whole(Family::ReleasedPorts, &[name], readings.ports_released);
    let counts = [
        (Family::Requests, &readings.requests),
        (Family::Refusals, &readings.refusals),
        (Family::Events, &readings.events),
    ];
    for (family, counts) in counts {
        for (kind, count) in counts {
            exposition.whole(family, &[name, kind], *count);
        }
    }
    exposition.whole(Family::Frames, &[name], readings.frames);
    exposition.whole(Family::Records, &[name], readings.records);
    exposition.whole(Family::LogAppended, &[name], readings.appended_bytes);
    exposition.distribution(Family::FrameRecords, &[name], &readings.frame_records, 1.0);
    exposition.distribution(Family::FrameSize, &[name], &readings.frame_bytes, 1.0);
    exposition.distribution(Family::CommitCommands, &[name], &readings.commit_commands, 1.0);
    exposition.distribution(Family::Sync, &[name], &readings.sync_us, SECOND);
    exposition.real(Family::SyncPending, &[name], seconds(readings.sync_pending_us));
    exposition.distribution(Family::Queue, &[name], &readings.queue_us, SECOND);
    exposition.whole(Family::QueueLength, &[name], readings.queue_length as u64);
    exposition.whole(Family::QueueLengthMax, &[name], readings.queue_length_max as u64);
    exposition.whole(Family::QueueRejected, &[name], readings.queue_rejected);
    exposition.whole(Family::Watchers, &[name], readings.watchers as u64);
}

/// How the store stands.
fn add_store(exposition: &mut Exposition, name: &str, readings: &Readings) {
    let (store, history) = (readings.store.to_string(), readings.history.to_string());
    exposition.whole(Family::DurableLsn, &[name], readings.durable.0);
    exposition.whole(Family::Epoch, &[name], readings.epoch);
    exposition.flag(Family::StoreInfo, &[name, &store, &history], true);
    exposition.flag(Family::Failed, &[name], readings.is_failed);
    exposition.flag(Family::StorageFull, &[name], readings.is_full);
    for cause in [StopCause::PowerLoss, StopCause::DataLost, StopCause::Restored] {
        exposition.flag(Family::Stopped, &[name, cause.name()], readings.stop == Some(cause));
    }
    exposition.whole(Family::Alarms, &[name], readings.alarms);
    let log = readings.log;
    exposition.whole(Family::Segments, &[name], log.segments);
    exposition.whole(Family::LogSize, &[name], log.bytes);
    exposition.whole(Family::HistorySegments, &[name], log.history_segments);
    exposition.whole(Family::HistorySize, &[name], log.history_bytes);
    let checkpoints = readings.checkpoints;
    exposition.whole(Family::Checkpoints, &[name, "made"], checkpoints.made);
    exposition.whole(Family::Checkpoints, &[name, "failed"], checkpoints.failed);
    exposition.whole(Family::CheckpointLsn, &[name], checkpoints.lsn.0);
    if checkpoints.lsn.0 > 0 {
        exposition.real(Family::CheckpointTime, &[name], checkpoints.wall.0 as f64 / 1e3);
        exposition.whole(Family::CheckpointSize, &[name], checkpoints.bytes);
    }
    if checkpoints.made > 0 {
        exposition.real(Family::CheckpointTook, &[name], seconds(checkpoints.took_us));
    }
    exposition.real(Family::CheckpointBehind, &[name], checkpoints.behind_ms as f64 / 1e3);
    exposition.whole(Family::CheckpointBehindBytes, &[name], checkpoints.behind_bytes);
}

fn add_recovery(exposition: &mut Exposition, name: &str, facility: &LocalFacility) {
    let recovery = facility.recovery();
    exposition.real(Family::RecoveryTook, &[name], seconds(recovery.took_us));
    exposition.whole(Family::RecoveryRecords, &[name], recovery.records);
    exposition.whole(Family::RecoveryTorn, &[name], recovery.torn_bytes);
    exposition.whole(Family::RecoveryWarnings, &[name], recovery.warnings.len() as u64);
}

fn seconds(us: u64) -> f64 {
    us as f64 / SECOND
}

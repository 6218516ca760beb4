//! Queries and pages.
#![forbid(unsafe_code)]

use super::Malformed;
use super::group;
use super::name;
use super::nothing;
use super::nouns;
use super::read;
use super::read_all;
use super::within;
use crate::api::v1;
use crate::facility::Alarm;
use crate::facility::ConnectorStatus;
use crate::facility::Page;
use crate::facility::Query;
use crate::facility::RecoveryReport;
use crate::facility::Rows;
use crate::facility::Status;
use crate::facility::StopView;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::structure::PortOwner;
use prost::Message;
use v1::owner::Who;
use v1::page::Rows as SentRows;
use v1::query::What;

/// Most bytes of items in one message. One item has at most some 400 KiB (a port set without two
/// neighbouring ports).
const ITEMS_BYTES_MAX: usize = 1 << 20;

impl From<&Query> for v1::Query {
    fn from(query: &Query) -> Self {
        let what = match query {
            Query::Status => What::Status(nothing()),
            Query::Connector(name) => What::Connector(name.as_str().to_owned()),
            Query::Owner { target, port } => {
                What::Owner(v1::OwnerQuery { target: Some(target.into()), port: (*port).into() })
            }
            Query::Items { from } => What::ItemsFrom(*from),
        };
        Self { what: Some(what) }
    }
}

impl TryFrom<v1::Query> for Query {
    type Error = Malformed;

    fn try_from(sent: v1::Query) -> Result<Self, Malformed> {
        Ok(match sent.what.ok_or(Malformed::missing("query"))? {
            What::Status(v1::Nothing {}) => Self::Status,
            What::Connector(text) => Self::Connector(name("query.connector", &text)?),
            What::Owner(v1::OwnerQuery { target, port }) => {
                Self::Owner { target: read("owner.target", target)?, port: within("owner.port", port, 0, u16::MAX)? }
            }
            What::ItemsFrom(from) => Self::Items { from },
        })
    }
}

impl From<&Page> for v1::Page {
    fn from(page: &Page) -> Self {
        let rows = match &page.rows {
            Rows::Status(status) => SentRows::Status(status.into()),
            Rows::Connector(connector) => {
                SentRows::Connector(v1::ConnectorRow { connector: connector.as_ref().map(Into::into) })
            }
            Rows::Owner(owner) => SentRows::Owner(owner.into()),
            Rows::Items { items, next } => {
                SentRows::Items(v1::ItemsPage { items: items.iter().map(Into::into).collect(), next: *next })
            }
        };
        Self { history: page.history.0, lsn: page.lsn.0, rows: Some(rows) }
    }
}

impl v1::Page {
    /// The page that answers a query; items beyond [`ITEMS_BYTES_MAX`] are left to the next page.
    pub(crate) fn answering(query: &Query, page: &Page) -> Self {
        let mut sent = Self::from(page);
        if let (Query::Items { from }, Some(SentRows::Items(rows))) = (query, &mut sent.rows) {
            let kept = fitting(&rows.items);
            if kept < rows.items.len() {
                rows.items.truncate(kept);
                rows.next = Some(from + kept as u64);
            }
        }
        sent
    }
}

/// How many of these items go into one message: at least one.
pub(crate) fn fitting(items: &[v1::Item]) -> usize {
    let mut bytes = 0;
    let is_over = |item: &v1::Item| {
        bytes += item.encoded_len();
        bytes > ITEMS_BYTES_MAX
    };
    items.iter().position(is_over).map_or(items.len(), |place| place.max(1))
}

impl TryFrom<v1::Page> for Page {
    type Error = Malformed;

    fn try_from(sent: v1::Page) -> Result<Self, Malformed> {
        let rows = match sent.rows.ok_or(Malformed::missing("page.rows"))? {
            SentRows::Status(status) => Rows::Status(status.try_into()?),
            SentRows::Connector(row) => Rows::Connector(row.connector.map(TryInto::try_into).transpose()?),
            SentRows::Owner(owner) => Rows::Owner(owner.try_into()?),
            SentRows::Items(v1::ItemsPage { items, next }) => Rows::Items { items: read_all(items)?, next },
        };
        Ok(Self { history: HistoryId(sent.history), lsn: Lsn(sent.lsn), rows })
    }
}

impl From<&ConnectorStatus> for v1::ConnectorStatus {
    fn from(connector: &ConnectorStatus) -> Self {
        Self {
            actor: Some(connector.actor.into()),
            state: nouns::state_out(connector.state),
            held_ports: connector.held_ports,
            attached: connector.attached,
            lease_until_ms: connector.lease_until.map(|until| until.0),
        }
    }
}

impl TryFrom<v1::ConnectorStatus> for ConnectorStatus {
    type Error = Malformed;

    fn try_from(sent: v1::ConnectorStatus) -> Result<Self, Malformed> {
        Ok(Self {
            actor: read("connector.actor", sent.actor)?,
            state: nouns::state_in(sent.state)?,
            held_ports: sent.held_ports,
            attached: sent.attached,
            lease_until: sent.lease_until_ms.map(BootMs),
        })
    }
}

impl From<&PortOwner> for v1::Owner {
    fn from(owner: &PortOwner) -> Self {
        let who = match owner {
            PortOwner::NoList => Who::NoList(nothing()),
            PortOwner::Free => Who::Free(nothing()),
            PortOwner::Held { connector, incarnation, grant, group } => Who::Held(v1::Holder {
                connector: connector.as_str().to_owned(),
                incarnation: incarnation.0,
                grant: grant.0,
                group: group.number().into(),
            }),
            PortOwner::Quarantined { connector, since } => {
                Who::Quarantined(v1::Rest { connector: connector.as_str().to_owned(), since: since.0 })
            }
        };
        Self { who: Some(who) }
    }
}

impl TryFrom<v1::Owner> for PortOwner {
    type Error = Malformed;

    fn try_from(sent: v1::Owner) -> Result<Self, Malformed> {
        Ok(match sent.who.ok_or(Malformed::missing("owner.who"))? {
            Who::NoList(v1::Nothing {}) => Self::NoList,
            Who::Free(v1::Nothing {}) => Self::Free,
            Who::Held(held) => Self::Held {
                connector: name("holder.connector", &held.connector)?,
                incarnation: Incarnation(held.incarnation),
                grant: Lsn(held.grant),
                group: group("holder.group", held.group)?,
            },
            Who::Quarantined(rest) => {
                Self::Quarantined { connector: name("rest.connector", &rest.connector)?, since: Lsn(rest.since) }
            }
        })
    }
}

impl From<&Status> for v1::Status {
    fn from(status: &Status) -> Self {
        let alarm = |alarm: &Alarm| v1::Alarm { wall_ms: alarm.wall_ms.0, text: alarm.text.clone() };
        Self {
            store: nouns::store_out(status.store),
            structure: status.structure.clone(),
            epoch: status.epoch,
            records: status.records,
            frames: status.frames,
            grants: status.grants,
            connectors: status.connectors,
            lists: status.lists,
            stop: status.stop.as_ref().map(Into::into),
            storage: status.storage.clone(),
            file_system: status.file_system.clone(),
            alarms: status.alarms.iter().map(alarm).collect(),
            recovery: Some((&status.recovery).into()),
        }
    }
}

impl TryFrom<v1::Status> for Status {
    type Error = Malformed;

    fn try_from(sent: v1::Status) -> Result<Self, Malformed> {
        let alarm = |alarm: v1::Alarm| Alarm { wall_ms: WallMs(alarm.wall_ms), text: alarm.text };
        Ok(Self {
            store: nouns::store_in(&sent.store)?,
            structure: sent.structure,
            epoch: sent.epoch,
            records: sent.records,
            frames: sent.frames,
            grants: sent.grants,
            connectors: sent.connectors,
            lists: sent.lists,
            stop: sent.stop.map(TryInto::try_into).transpose()?,
            storage: sent.storage,
            file_system: sent.file_system,
            alarms: sent.alarms.into_iter().map(alarm).collect(),
            recovery: sent.recovery.ok_or(Malformed::missing("status.recovery"))?.into(),
        })
    }
}

impl From<&StopView> for v1::StopStatus {
    fn from(stop: &StopView) -> Self {
        Self {
            cause: nouns::cause_out(stop.cause),
            since: stop.since.0,
            adopted_ports: stop.adopted_ports,
            waiting_for: stop.waiting_for.iter().map(|name| name.as_str().to_owned()).collect(),
            left_ms: stop.left_ms,
        }
    }
}

impl TryFrom<v1::StopStatus> for StopView {
    type Error = Malformed;

    fn try_from(sent: v1::StopStatus) -> Result<Self, Malformed> {
        let waiting_for = sent.waiting_for.iter().map(|text| name("stop.waiting_for", text));
        Ok(Self {
            cause: nouns::cause_in(sent.cause)?,
            since: Lsn(sent.since),
            adopted_ports: sent.adopted_ports,
            waiting_for: waiting_for.collect::<Result<_, _>>()?,
            left_ms: sent.left_ms,
        })
    }
}

impl From<&RecoveryReport> for v1::Recovery {
    fn from(report: &RecoveryReport) -> Self {
        Self {
            checkpoint_lsn: report.checkpoint_lsn.0,
            records: report.records,
            last_lsn: report.last_lsn.0,
            torn_bytes: report.torn_bytes,
            frame_mended: report.frame_mended,
            took_us: report.took_us,
            warnings: report.warnings.clone(),
        }
    }
}

impl From<v1::Recovery> for RecoveryReport {
    fn from(sent: v1::Recovery) -> Self {
        Self {
            checkpoint_lsn: Lsn(sent.checkpoint_lsn),
            records: sent.records,
            last_lsn: Lsn(sent.last_lsn),
            torn_bytes: sent.torn_bytes,
            frame_mended: sent.frame_mended,
            took_us: sent.took_us,
            warnings: sent.warnings,
        }
    }
}

//! A copy of a structure that follows its events, with what is counted on the way.
#![forbid(unsafe_code)]

use super::rates::Rates;
use super::trend::Trends;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::shapes::event;
use crate::structure::Change;
use crate::structure::Event;
use crate::structure::Structure;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// An event as it is told to streams.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) lsn: Lsn,
    /// One JSON object on one line; `None`: some events up to `lsn` were missed.
    pub(crate) line: Option<String>,
}

/// The copy. Exact as of its lsn, but for the moments at which quarantine began since it was made:
/// those are when the event was seen here, some ms later than in the log.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) structure: Structure,
    pub(crate) history: HistoryId,
    pub(crate) rates: Rates,
    pub(crate) trends: Trends,
}

impl Copy {
    pub(crate) fn new(structure: Structure, history: HistoryId, now: BootMs) -> Self {
        Self { structure, history, rates: Rates::new(now), trends: Trends::default() }
    }

    /// Applies an event, and says what it is in names.
    pub(crate) fn apply(&mut self, lsn: Lsn, now: BootMs, event: &Event) -> Arc<Told> {
        self.rates.count(&event.change);
        let list = self.list_of(&event.change);
        // Names that end with an event are known before it, those that begin with it after.
        let begins = matches!(event.change, Change::Connected { .. });
        let before = if begins { Vec::new() } else { event::fields(event, &self.structure) };
        self.structure.apply(lsn, now, event);
        let fields = if begins { event::fields(event, &self.structure) } else { before };
        if let Some(view) = list.and_then(|list| self.structure.list_at(list)) {
            self.trends.note(view.list, now, view.held_ports + view.quarantined_ports);
        }
        let mut told = Map::new();
        told.insert("lsn".to_owned(), json!(lsn.0));
        told.insert("event".to_owned(), json!(event::name(&event.change)));
        told.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Arc::new(Told { lsn, line: Some(Value::Object(told).to_string()) })
    }

    /// Time passed; what only grows is let go.
    pub(crate) fn advance(&mut self, now: BootMs) {
        self.rates.advance(now);
        self.trends.advance(now);
        self.structure.take_awakened(&mut Vec::new());
    }

    fn list_of(&self, change: &Change) -> Option<u32> {
        let member = match change {
            Change::Granted { member, .. } | Change::Adopted { member, .. } => *member,
            Change::Ready { list, .. } => return Some(*list),
            _ => return None,
        };
        let (.., target) = self.structure.member_of(member)?;
        self.structure.list_by_target(target)
    }
}

//! How much of each list is free, held, in quarantine and excluded, and what each connector holds: in
//! pages whose cost is bounded, for those who count and do not look at single ports.
#![forbid(unsafe_code)]

use super::ConnectorState;
use super::Structure;
use super::bits::Bits;
use super::bits::PortsView;
use super::list::List;
use crate::ident::GroupNumber;
use crate::ident::Incarnation;
use crate::ident::Target;

/// Masks that one page looks at before it ends: about half a millisecond.
const MASKS_LOOKED_AT_MAX: usize = 65_536;

/// One list in numbers. Free, held, quarantined and excluded ports are 65,536 together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListFigures {
    /// What it is for.
    pub target: Target,
    /// False once deleted.
    pub open: bool,
    /// How many have joined it.
    pub members: u32,
    /// Ports that some stack could be given, if its profile allows them.
    pub free_ports: u32,
    /// Ports held.
    pub held_ports: u32,
    /// Ports in quarantine.
    pub quarantined_ports: u32,
    /// Ports that nobody has and nobody can be given, whatever its profile says: port 0; of a DVIPA's
    /// list what belongs to the explicit-bind pool; of the pool what is outside its range, or in use in
    /// a list.
    pub excluded_ports: u32,
    /// Groups of which every port is free, as above.
    pub free_groups: u32,
}

/// One connector in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorFigures {
    /// Its slot.
    pub slot: u32,
    /// Its newest incarnation.
    pub incarnation: Incarnation,
    /// Active or failed-persistent.
    pub state: ConnectorState,
    /// Promised lease, ms; 0 = none.
    pub promise_ms: u64,
    /// Ports it holds in all lists.
    pub held_ports: u32,
}

impl Structure {
    /// The lists in at most `most` slots from `from` on, in slot order, and the slot to go on with
    /// unless that was all.
    #[must_use]
    pub fn list_figures(&self, from: u32, most: u32) -> (Vec<ListFigures>, Option<u32>) {
        let mut figures = Vec::new();
        let end = from.saturating_add(most).min(self.lists.slots());
        let mut looked_at = 0;
        for slot in from..end {
            if looked_at >= MASKS_LOOKED_AT_MAX {
                return (figures, Some(slot));
            }
            let Some(list) = self.lists.get(slot) else { continue };
            figures.push(self.figures_of(list, &mut looked_at));
        }
        (figures, (end < self.lists.slots()).then_some(end))
    }

    /// The connectors in at most `most` slots from `from` on, but the forgotten ones, and the slot to go
    /// on with unless that was all.
    #[must_use]
    pub fn connector_figures(&self, from: u32, most: u32) -> (Vec<ConnectorFigures>, Option<u32>) {
        let end = from.saturating_add(most).min(self.connectors.slots());
        let known = (from..end).filter_map(|slot| {
            let connector = self.connectors.get(slot).filter(|known| known.state != ConnectorState::Forgotten)?;
            Some(ConnectorFigures {
                slot,
                incarnation: connector.incarnation,
                state: connector.state,
                promise_ms: connector.promise_ms,
                held_ports: connector.held,
            })
        });
        (known.collect(), (end < self.connectors.slots()).then_some(end))
    }

    fn figures_of(&self, list: &List, looked_at: &mut usize) -> ListFigures {
        let pool = self.pools[list.target.transport().index()].as_deref();
        let no_ports = Bits::NONE;
        let is_pool = matches!(list.target, Target::Pool(_));
        // Ports that nobody is given: those of `barred`, and for the pool those that its range lacks.
        let barred = match pool {
            Some(pool) if is_pool => Some(pool.used.view()),
            Some(pool) => Some(pool.barred.view()),
            None => None,
        };
        let range = pool.filter(|_| is_pool).map(|pool| pool.range.view());
        let some_barred = barred.map_or(&no_ports, |barred| barred.some);
        let mut excluded_ports = 0;
        let mut whole = list.whole_free.without(some_barred);
        for group in GroupNumber::all() {
            let is_first = group.number() == 0;
            let is_affected = is_first || some_barred.has(group) || range.is_some();
            if !is_affected || !list.some_free.has(group) {
                continue;
            }
            *looked_at += 1;
            let free = self.holdings.masks(list, group).free();
            let excluded = free & excluded_mask(group, barred, range);
            excluded_ports += excluded.count_ones();
            if excluded != 0 {
                whole.set(group, false);
            }
        }
        let taken = list.held + list.quarantined + excluded_ports;
        ListFigures {
            target: list.target,
            open: list.open,
            members: u32::try_from(list.members.len()).expect("at most one per connector"),
            free_ports: 65_536 - taken,
            held_ports: list.held,
            quarantined_ports: list.quarantined,
            excluded_ports,
            free_groups: whole.count(),
        }
    }
}

fn excluded_mask(group: GroupNumber, barred: Option<PortsView<'_>>, range: Option<PortsView<'_>>) -> u64 {
    let barred = barred.map_or(0, |barred| barred.masks[group.index()]);
    let outside = range.map_or(0, |range| !range.masks[group.index()]);
    let zero = u64::from(group.number() == 0);
    barred | outside | zero
}

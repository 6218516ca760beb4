//! What the structure itself would answer: requests are decided, never applied.
//!
//! The store is closed, so every stack must attach before it may ask. What is asked here is what it
//! would be answered then.
#![forbid(unsafe_code)]

use super::world::Stored;
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::structure::Body;
use crate::structure::Change;
use crate::structure::ClockFloor;
use crate::structure::ConnectorState;
use crate::structure::ConnectorView;
use crate::structure::Context;
use crate::structure::Event;
use crate::structure::Item;
use crate::structure::Member;
use crate::structure::Policy;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::Stamp;
use crate::structure::Structure;

/// Ports of a list as one stack sees them: every port is in exactly one of the four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Free, and allowable for the stack.
    pub(super) free: u32,
    pub(super) held: u32,
    pub(super) quarantined: u32,
    /// Free, and not for this stack: its profile leaves them out, or the explicit-bind pool has them.
    pub(super) excluded: u32,
}

/// What an acquire of one group would get: a number of ports.
pub(super) fn acquire(stored: &Stored, view: &ConnectorView, member: Member) -> Result<u32, Refusal> {
    let events = ask(stored.structure(), stored, view, Body::Acquire { member, at_least: 1, at_most: 1 })?;
    Ok(events.iter().map(|(_, mask)| mask.count()).sum())
}

/// Whether a claim of one port would be granted.
pub(super) fn claim(stored: &Stored, view: &ConnectorView, member: Member, port: u16) -> Result<(), Refusal> {
    ask(stored.structure(), stored, view, Body::Claim { member, port }).map(drop)
}

/// How the ports of a list stand to one stack. `None` if it has given no allowable ports, or is no
/// member.
///
/// The structure is asked for more than there is, and its refusal has the numbers. Where something
/// else would be the answer first (a quota, a reserve, a list that is closed, granting stopped, the
/// stack failed) a copy without it is asked.
pub(super) fn counts(stored: &Stored, view: &ConnectorView, target: Target) -> Option<Counts> {
    let member = stored.structure().member(view.actor.slot, target)?;
    let copy = unhindered(stored.structure(), view, target)?;
    let every = GroupNumber::COUNT;
    match ask(&copy, stored, view, Body::Acquire { member, at_least: every, at_most: every }) {
        Err(Refusal::Exhausted { free, held, quarantined, excluded, .. }) => {
            Some(Counts { free, held, quarantined, excluded })
        }
        Err(_) => None,
        Ok(granted) => {
            // Some port of every group. What the stack would take back from quarantine is not free.
            let list = stored.structure().lists().find(|list| list.target == target)?;
            let resting = stored.resting.get(&list.list).map(Vec::as_slice).unwrap_or_default();
            let rests = |group| {
                let masks = resting.iter().filter(|resting| resting.group == group).map(|resting| resting.mask);
                masks.fold(PortMask::NONE, PortMask::or)
            };
            let free = granted.iter().map(|(group, mask)| mask.without(rests(*group)).count()).sum();
            let (held, quarantined) = (list.held_ports, list.quarantined_ports);
            Some(Counts { free, held, quarantined, excluded: ALL_PORTS - free - held - quarantined })
        }
    }
}

const ALL_PORTS: u32 = 65_536;

fn ask(
    structure: &Structure,
    stored: &Stored,
    view: &ConnectorView,
    body: Body,
) -> Result<Vec<(GroupNumber, PortMask)>, Refusal> {
    let number = stored.numbers.get(&view.actor.slot).copied().unwrap_or(1);
    let request = Request::Stack { actor: view.actor, number, lowest: number, body };
    let context = Context {
        now: BootMs(0),
        random: 0,
        // As if it had attached in this open.
        open_first: Lsn::ZERO,
        floor: ClockFloor::default(),
        quarantine_ms: u32::MAX,
        deadline: None,
    };
    let mut events = Vec::new();
    structure.decide(&request, &context, &mut events)?;
    let granted = |event: &Event| match event.change {
        Change::Granted { group, mask, .. } => Some((group, mask)),
        _ => None,
    };
    Ok(events.iter().filter_map(granted).collect())
}

/// The same structure with nothing between this stack and the free ports of the list.
fn unhindered(structure: &Structure, view: &ConnectorView, target: Target) -> Option<Structure> {
    let items = structure.items().map(|item| match item {
        Item::List { list, target: of, created, defined, .. } if of == target => {
            Item::List { list, target: of, created, open: true, defined, policy: Policy::default() }
        }
        Item::Connector {
            connector,
            name,
            incarnation,
            identity,
            boot_since,
            promise_ms,
            enforced,
            sets,
            window_lowest,
            ..
        } if connector == view.actor.slot => Item::Connector {
            connector,
            name,
            incarnation,
            state: ConnectorState::Active,
            identity,
            boot_since,
            promise_ms,
            enforced,
            sets,
            window_lowest,
        },
        item => item,
    });
    let mut copy = Structure::import(items).ok()?;
    if let Some(stop) = copy.stop() {
        let by = Some(view.name.clone());
        let resumed = Event { stamp: Stamp::None, change: Change::Resumed { by } };
        let lsn = copy.lsn().max(stop.highest).next();
        copy.fits(lsn, &resumed).ok()?;
        copy.apply(lsn, BootMs(0), &resumed);
    }
    Some(copy)
}

//! The end of a run: faults stop, everything comes back, is given back, and can be had again.

use super::super::host::QUARANTINE_MS;
use super::super::kernels::{POOL, Place};
use super::{FIRST, POOL_FIRST, Slot, World, dvipa, target};
use portplex::stack::{Stack, State};
use portplex::structure::{PortOwner, Structure};

/// How often a stack may fail to give back when faults have stopped.
const TRIES_MAX: u32 = 10;

/// How long granting may be stopped when faults have stopped, s: promise, drift and quarantine, and
/// until every stack is back.
const STOPPED_MAX_S: u32 = 60;

impl World {
    /// Faults stop; then L1 and P5 hold.
    pub(super) fn settle(&self) -> Result<(), String> {
        self.is_over.set(true);
        self.net.with(|inner| {
            inner.is_calm = true;
            inner.cut.clear();
            inner.host.disarm();
        });
        self.round(4_000)?;
        let mut waited = 0;
        while self.net.with(|inner| inner.host.structure().is_none_or(|structure| structure.stop().is_some())) {
            waited += 1;
            if waited > STOPPED_MAX_S {
                let stop = self.net.with(|inner| inner.host.structure().and_then(Structure::stop));
                return Err(format!("L1: granting does not go on: {stop:?}"));
            }
            self.round(1_000)?;
        }
        self.give_all_back()?;
        self.round(3 * QUARANTINE_MS + 12_000)?;
        let left = self.left()?;
        let unknown = self.net.with(|inner| inner.unknown());
        let is_unknown = |owner: &PortOwner| matches!(owner, PortOwner::Held { grant, .. } if unknown.contains(grant));
        if let Some(held) = left.iter().find(|(_, owner)| !is_unknown(owner)) {
            return Err(format!("P5: {} ports are not given back or not free again, as {held:?}", left.len()));
        }
        if !left.is_empty() {
            // Ports that no stack knows of; all do after an attach, and nothing is left then.
            self.each(|slot| self.reattach(slot));
            self.round(1_000)?;
            self.give_all_back()?;
            self.round(3 * QUARANTINE_MS + 12_000)?;
            if let Some(held) = self.left()?.first() {
                return Err(format!("P5: not given back after every stack attached again, as {held:?}"));
            }
        }
        let mut slot = self.slots[0].lock();
        // Without TIMEWAITINTERVAL the port that came back last waits for another one to come back.
        for port in 0..191 {
            let before = slot.sockets.len();
            // A port that was just returned may rest until the stack is looked after.
            for _ in 0..600 {
                self.bind(&mut slot, 0, 0);
                if slot.sockets.len() > before {
                    break;
                }
                self.tick(&slot);
                self.net.step();
            }
            if slot.sockets.len() == before {
                let stack = slot.stack.as_ref();
                let (state, usage) = (stack.map(Stack::state), stack.map(Stack::usage));
                let missing: Vec<u16> =
                    (FIRST..FIRST + 192).filter(|port| !slot.sockets.iter().any(|bound| bound.port == *port)).collect();
                let error = stack.map(|stack| stack.bind(dvipa(0), 0));
                return Err(format!(
                    "L1: only {port} of 191 ports can be had, {state:?} {usage:?} {missing:?} {error:?}"
                ));
            }
        }
        drop(slot);
        self.check()
    }

    /// Everybody closes everything and gives it back. Nothing hinders it now; but a stack whose calls
    /// went to a facility that was not back yet may only be about to attach.
    fn give_all_back(&self) -> Result<(), String> {
        for index in 0..self.slots.len() {
            let mut tries = 0;
            loop {
                let done = {
                    let mut slot = self.slots[index].lock();
                    self.close_all_in_order(&mut slot);
                    slot.stack.as_ref().map(Stack::release_all)
                };
                if matches!(done, Some(Ok(()))) {
                    break;
                }
                tries += 1;
                if tries > TRIES_MAX {
                    return Err(format!("P5: SYS{index} cannot give back, though all is well: {done:?}"));
                }
                self.round(500)?;
            }
        }
        Ok(())
    }

    /// Ports that are not free.
    fn left(&self) -> Result<Vec<(Place, PortOwner)>, String> {
        let left = self.net.with(|inner| {
            let structure = inner.host.structure()?;
            let ports = (0..=POOL).flat_map(|of| (FIRST..POOL_FIRST + 64).map(move |port| (of, port)));
            let owners = ports.map(|place| (place, structure.owner(target(place.0), place.1)));
            Some(owners.filter(|(_, owner)| !matches!(owner, PortOwner::Free)).collect())
        });
        left.ok_or_else(|| "L1: the facility does not come back".to_owned())
    }

    fn each(&self, mut work: impl FnMut(&mut Slot)) {
        self.slots.iter().for_each(|slot| work(&mut slot.lock()));
    }

    /// A calm time, in which every stack is brought back and looked after.
    fn round(&self, ms: u64) -> Result<(), String> {
        let end = self.time.now() + ms;
        while self.time.now() < end {
            self.each(|slot| {
                (slot.is_on, slot.paused_until) = (true, 0);
                match slot.stack.as_ref().map(Stack::state) {
                    None => self.start(slot),
                    Some(State::Fenced) => self.crash(slot, true),
                    Some(State::Unreachable | State::Expired) => self.reattach(slot),
                    Some(_) => self.tick(slot),
                }
            });
            for _ in 0..10 {
                self.net.step();
            }
            self.check()?;
            self.let_grants_go_on();
            for index in 0..self.slots.len() {
                // Whose name another machine took, or never gave back, is helped by an operator.
                let state = self.slots[index].lock().stack.as_ref().map(Stack::state);
                let is_out = matches!(state, None | Some(State::Unreachable | State::Expired));
                if is_out && self.below(4) == 0 {
                    self.operate(index);
                }
            }
        }
        Ok(())
    }
}

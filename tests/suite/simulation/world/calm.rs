//! The end of a run: faults stop, everything comes back, is given back, and can be had again.

use super::super::host::QUARANTINE_MS;
use super::{FIRST, Slot, World, dvipa, target};
use portplex::stack::{Stack, State};
use portplex::structure::PortOwner;

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
        self.each(|slot| {
            self.close_all_in_order(slot);
            if let Some(stack) = &slot.stack {
                let _ = stack.release_all();
            }
        });
        self.round(3 * QUARANTINE_MS + 12_000)?;
        let left = self.net.with(|inner| {
            let structure = inner.host.structure()?;
            let ports = FIRST..FIRST + 192;
            let left = ports.filter(|port| !matches!(structure.owner(target(), *port), PortOwner::Free));
            Some(left.map(|port| (port, structure.owner(target(), port))).collect::<Vec<_>>())
        });
        match left {
            None => return Err("L1: the facility does not come back".to_owned()),
            Some(left) if !left.is_empty() => return Err(format!("P5: not given back or not free again: {left:?}")),
            Some(_) => {}
        }
        let mut slot = self.slots[0].lock();
        // Without TIMEWAITINTERVAL the port that came back last waits for another one to come back.
        for port in 0..191 {
            let before = slot.sockets.len();
            // A port that was just returned may rest until the stack is looked after.
            for _ in 0..600 {
                self.bind(&mut slot, 0);
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
                let error = stack.map(|stack| stack.bind(dvipa(), 0));
                return Err(format!(
                    "L1: only {port} of 191 ports can be had, {state:?} {usage:?} {missing:?} {error:?}"
                ));
            }
        }
        drop(slot);
        self.check()
    }

    fn close_all_in_order(&self, slot: &mut Slot) {
        while !slot.sockets.is_empty() {
            self.close_one(slot);
        }
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
            for index in 0..self.slots.len() {
                if self.slots[index].lock().stack.is_none() && self.below(4) == 0 {
                    self.operate(index);
                }
            }
        }
        Ok(())
    }
}

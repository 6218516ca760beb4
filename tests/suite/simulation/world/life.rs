//! How agents and machines come and go, and what becomes of their sockets.

use super::super::kernels::{Kernel, POOL, Place};
use super::{PROMISE_MS, Slot, World, clock, local, name, place, profile};
use portplex::facility::Clock;
use portplex::ident::{BootId, Identity, MachineId, PortSet, ProcessId};
use portplex::stack::{Observer, Options, Refill, Stack, StackError};
use std::sync::Arc;

impl World {
    pub(super) fn introduce(&self, slot: &Slot) -> (Identity, Options) {
        let identity = Identity {
            machine: MachineId(slot.kernel.machine),
            boot: BootId(slot.kernel.boot),
            process: ProcessId(slot.process),
        };
        let share = slot.index.is_multiple_of(2);
        let refill = Refill { low_ports: 4, at_once_max: 1, idle_ms: 800, share, ..Refill::default() };
        let seed = [self.below(256) as u8; 32];
        let clock = Arc::clone(&slot.clock) as Arc<dyn Clock>;
        let observer = Some(Arc::clone(&self.watch) as Arc<dyn Observer>);
        (identity, Options { seed, promise_ms: PROMISE_MS, refill, clock, observer, ..Options::default() })
    }

    /// An agent starts, and takes over the sockets that its kernel has.
    pub(super) fn start(&self, slot: &mut Slot) {
        slot.process += 1;
        let (identity, options) = self.introduce(slot);
        let started = Stack::start(self.net.door(slot.index), name(slot.index), profile(slot.index), identity, options);
        match started {
            Ok((stack, _)) => {
                slot.stack = Some(stack);
                self.adopt(slot);
            }
            Err(error) => self.refused(&error),
        }
    }

    pub(super) fn adopt(&self, slot: &mut Slot) {
        for of in 0..=POOL {
            self.adopt_at(slot, of);
        }
    }

    fn adopt_at(&self, slot: &mut Slot, of: usize) {
        let Some(stack) = &slot.stack else { return };
        let mut in_use = PortSet::empty();
        let of_sockets = slot.sockets.iter().map(|bound| place(bound.local, bound.port));
        let of_connections = slot.connections.iter().map(|(tuple, _)| place(tuple.local, tuple.port));
        for (_, port) in
            slot.orphans.iter().copied().chain(of_sockets).chain(of_connections).filter(|(at, _)| *at == of)
        {
            in_use.insert_range(port, port);
        }
        let is_idle = !slot.orphans.iter().any(|(at, _)| *at == of);
        match stack.adopt(local(of), &in_use) {
            Ok(bound) => {
                slot.orphans.retain(|(at, port)| *at != of || !bound.iter().any(|bound| bound.port == *port));
                let lost: Vec<Place> = slot.orphans.iter().copied().filter(|(at, _)| *at == of).collect();
                slot.orphans.retain(|(at, _)| *at != of);
                self.lose(slot.kernel, &lost, "no grant covers them any more");
                slot.sockets.extend(bound);
            }
            Err(StackError::NotSysplexPorts { .. }) if is_idle => {}
            // The list itself is of the part that is lost, and none is joined before granting goes on.
            Err(StackError::NotSysplexPorts { .. }) if self.net.with(|inner| inner.host.is_in_doubt) => {
                let lost: Vec<Place> = slot.orphans.extract_if(.., |(at, _)| *at == of).collect();
                self.lose(slot.kernel, &lost, "the facility has no such list");
            }
            Err(error) if is_idle => self.refused(&error),
            Err(error) => {
                self.refused(&error);
                // Its agent tries again with the next life.
                self.leave(slot);
            }
        }
    }

    /// Sockets that must go. After an older state was put back that is as it should be: what the log
    /// and the stack do not both name is not used (protocol.md R19). Else it must not be.
    pub(super) fn lose(&self, kernel: Kernel, lost: &[Place], why: &str) {
        if lost.is_empty() {
            return;
        }
        let is_in_doubt = self.net.with(|inner| inner.host.is_in_doubt);
        if !is_in_doubt {
            self.violated(format!("P2, I4: {kernel:?} has sockets, and {why}: {lost:?}"));
        }
        let (mut kernels, now) = (self.kernels.lock(), self.time.now());
        lost.iter().for_each(|place| kernels.close(kernel, *place, now));
    }

    /// The agent goes, its kernel keeps the sockets.
    pub(super) fn leave(&self, slot: &mut Slot) {
        slot.stack = None;
        let of_sockets = slot.sockets.drain(..).map(|bound| place(bound.local, bound.port));
        let of_connections = slot.connections.drain(..).map(|(tuple, _)| place(tuple.local, tuple.port));
        let mut places: Vec<Place> = of_sockets.chain(of_connections).collect();
        places.sort_unstable();
        places.dedup();
        let mut kernels = self.kernels.lock();
        places.iter().for_each(|place| kernels.orphan(slot.kernel, *place));
        slot.orphans.extend(places);
    }

    pub(super) fn reattach(&self, slot: &mut Slot) {
        let Some(stack) = &slot.stack else { return };
        match stack.reattach(self.net.door(slot.index)) {
            Ok(adopted) => {
                let stopped: Vec<Place> = adopted.stopped.iter().map(|(local, port)| place(*local, *port)).collect();
                slot.sockets.retain(|bound| !stopped.contains(&place(bound.local, bound.port)));
                slot.connections.retain(|(tuple, _)| !stopped.contains(&place(tuple.local, tuple.port)));
                self.lose(slot.kernel, &stopped, "its agent is told to stop them");
                self.adopt(slot);
            }
            Err(error) => self.refused(&error),
        }
    }

    /// The agent dies; its kernel goes on, with the sockets or without.
    pub(super) fn crash(&self, slot: &mut Slot, sockets_live: bool) {
        if slot.stack.is_none() {
            return;
        }
        self.counters.lock().process_crashes += 1;
        self.leave(slot);
        if !sockets_live {
            self.close_all(slot);
        }
    }

    fn close_all(&self, slot: &mut Slot) {
        let (mut kernels, now) = (self.kernels.lock(), self.time.now());
        slot.orphans.drain(..).for_each(|place| kernels.close(slot.kernel, place, now));
    }

    /// The machine goes down, and comes back as another boot.
    pub(super) fn reboot(&self, slot: &mut Slot) {
        self.leave(slot);
        self.close_all(slot);
        slot.kernel.boot += 1;
        slot.is_on = false;
        slot.paused_until = 0;
        slot.clock = clock(&self.time, slot.kernel, self.dice.lock().next());
        self.counters.lock().reboots += 1;
    }
}

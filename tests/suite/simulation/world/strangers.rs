//! Operators, other machines under a stack's name, and stores that are put back.

use super::super::kernels::Kernel;
use super::{World, dvipa, name, place, profile, token, uncovered};
use portplex::ident::{BootId, ConnectorName, Identity, MachineId, ProcessId};
use portplex::stack::Stack;
use portplex::structure::{ConnectorState, Item, Request};

/// The doors of other machines to the network: nobody cuts them off.
const INTRUDERS: usize = 1_000;

fn operator() -> ConnectorName {
    ConnectorName::new("OPERATOR").expect("a name")
}

impl World {
    /// An operator says what is true when it is said: that a boot is dead, or nothing. Without the word a
    /// clean-up must be refused, for nobody here enforces what the stacks promise.
    pub(super) fn operate(&self, index: usize) {
        let Some(slot) = self.slots[index].try_lock() else { return };
        let wanted = name(index);
        let found = self.net.with(|inner| {
            let mut items = inner.host.structure()?.items();
            items.find_map(|item| match item {
                Item::Connector { name, incarnation, state, identity, .. } if name == wanted => {
                    Some((incarnation, state, identity))
                }
                _ => None,
            })
        });
        let Some((incarnation, state, identity)) = found else { return };
        let kernel = Kernel { machine: identity.machine.0, boot: identity.boot.0 };
        let is_dead = kernel != slot.kernel;
        drop(slot);
        let by = operator();
        let door = self.net.door(usize::MAX);
        let name = name(index);
        if state != ConnectorState::FailedPersistent && self.below(2) == 0 {
            drop(door.submit(Request::MarkFailed { name: name.clone(), incarnation, by: Some(by.clone()) }));
        }
        drop(door.submit(Request::CleanUp { name, incarnation, by, boot_is_dead: is_dead }));
    }

    /// Another machine comes up under the same name. If it is let in it uses one port, and goes.
    pub(super) fn intrude(&self, index: usize) {
        let Some(slot) = self.slots[index].try_lock() else { return };
        let kernel = Kernel { machine: 100 + slot.kernel.machine, boot: self.time.now().into() };
        let identity =
            Identity { machine: MachineId(kernel.machine), boot: BootId(kernel.boot), process: ProcessId(1) };
        let (_, options) = self.introduce(&slot);
        let started = Stack::start(self.net.door(INTRUDERS + index), name(index), profile(index), identity, options);
        drop(slot);
        let Ok((stack, _)) = started else { return };
        let of = self.below(2) as usize;
        if let Ok(bound) = stack.bind(dvipa(of), 0) {
            let (at, now) = (place(bound.local, bound.port), self.time.now());
            self.kernels.lock().bind(kernel, usize::MAX, at, token(bound.grant), now);
            self.kernels.lock().close(kernel, at, now);
            stack.release(bound);
        }
        let _ = stack.disconnect();
    }

    /// The store is put back from a backup, or a backup is made.
    pub(super) fn restore(&self) {
        let restores = |inner: &super::super::net::Inner| inner.host.restores;
        let is_restored = self.net.with(|inner| {
            let before = restores(inner);
            inner.host.restore();
            restores(inner) > before
        });
        if is_restored {
            self.kernels.lock().forget_tokens();
        }
    }

    /// An operator has looked at every stack (protocol.md R21), and lets granting go on where data was
    /// lost or a backup put back: when no kernel uses a port that the facility does not have as its own.
    pub(super) fn let_grants_go_on(&self) {
        let mut kernels = self.kernels.lock();
        self.net.with(|inner| {
            let Some(structure) = inner.host.structure() else { return };
            let is_stopped = structure.stop().is_some_and(|stop| stop.cause.adopts());
            if !is_stopped && inner.host.is_in_doubt {
                // The answer to the word may have been lost in a crash, and the word not.
                kernels.forget_tokens();
            }
            if !is_stopped || uncovered(structure, &kernels).is_some() {
                return;
            }
            let request = Request::ResumeGrants { by: Some(operator()), adopt_reported: true };
            if inner.host.ask(request).is_some_and(|answer| answer.is_ok()) {
                inner.host.is_in_doubt = false;
                kernels.forget_tokens();
            }
        });
    }
}

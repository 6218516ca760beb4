//! What the simulated kernels see, and who may not have met: the checker. It knows nothing of groups,
//! masks, grants or quarantine lists: only sockets, when they were opened and when they were closed.

use std::collections::BTreeMap;

/// One boot of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kernel {
    pub(crate) machine: u128,
    pub(crate) boot: u128,
}

/// One socket that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) kernel: Kernel,
    pub(crate) slot: usize,
    since: u64,
}

/// The sockets of all kernels on the one DVIPA.
#[derive(Debug)]
pub(crate) struct Kernels {
    /// How long the remote side remembers a port, true ms; less what two clocks may drift.
    remembered_ms: u64,
    open: BTreeMap<u16, Socket>,
    last: BTreeMap<u16, (Kernel, u64)>,
    /// The newest token under which a port was used.
    tokens: BTreeMap<u16, (Kernel, u64)>,
    pub(crate) binds: u64,
    pub(crate) duplicates: u64,
    pub(crate) early: u64,
    pub(crate) faults: Vec<String>,
}

impl Kernels {
    pub(crate) fn new(quarantine_ms: u64) -> Self {
        let remembered_ms = quarantine_ms - quarantine_ms / 500;
        Self {
            remembered_ms,
            open: BTreeMap::new(),
            last: BTreeMap::new(),
            tokens: BTreeMap::new(),
            binds: 0,
            duplicates: 0,
            early: 0,
            faults: Vec::new(),
        }
    }

    /// A socket was bound.
    pub(crate) fn bind(&mut self, kernel: Kernel, slot: usize, port: u16, token: u64, now: u64) {
        self.binds += 1;
        if let Some(other) = self.open.get(&port) {
            self.duplicates += 1;
            self.faults.push(format!("P1, I1: port {port} is bound by {kernel:?} at {now} ms and in use: {other:?}"));
        }
        if let Some((other, end)) = self.last.get(&port)
            && *other != kernel
            && now < end + self.remembered_ms
        {
            self.early += 1;
            let ago = now - end;
            self.faults
                .push(format!("R22: port {port} is bound by {kernel:?} at {now} ms, {other:?} left {ago} ms ago"));
        }
        if let Some((other, before)) = self.tokens.get(&port)
            && *other != kernel
            && token <= *before
        {
            self.faults.push(format!("fencing: port {port} came to {kernel:?} under {token}, {other:?} had {before}"));
        }
        self.tokens.insert(port, (kernel, token));
        self.open.insert(port, Socket { kernel, slot, since: now });
    }

    /// The last connection of a socket was closed, or its kernel went.
    pub(crate) fn close(&mut self, kernel: Kernel, port: u16, now: u64) {
        match self.open.get(&port) {
            Some(socket) if socket.kernel == kernel => {
                debug_assert!(socket.since <= now);
                self.open.remove(&port);
                self.last.insert(port, (kernel, now));
            }
            // Somebody else's by now: that was a fault when it was bound.
            _ => {}
        }
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = (u16, Socket)> {
        self.open.iter().map(|(port, socket)| (*port, *socket))
    }
}

//! Which program has which port, and when a port that nobody has any more goes back.
//!
//! A port belongs to the connection of the program that asked for it. When that ends, or the program
//! gives the port back, it waits until no socket of this kernel is on it; only then the stack has it
//! again. A program that died has no sockets, so its ports come back by themselves; a child that
//! inherited one keeps its port.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use crate::stack::BoundPort;
use crate::stack::Local;
use crate::stack::Tuple;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Most ports and connections that programs may have here.
pub(super) const HELD_MAX: usize = 1 << 20;

/// The first look after a port had a socket still, ms; each further one after twice the time …
const LOOK_MS_MIN: u64 = 50;
/// … up to this.
const LOOK_MS_MAX: u64 = 5_000;

/// Ports looked at in one go.
const SWEEP_MAX: usize = 1_024;

/// Where sockets meet: a port of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) local: Local,
    pub(super) port: u16,
    /// The address that a socket there has; `None`: that of `local`.
    pub(super) source: Option<IpAddr>,
}

/// One thing held: a port, or a connection from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) destination: Option<SocketAddr>,
    serial: u64,
}

/// What the stack gave out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    Bound(BoundPort),
    Open(Tuple),
}

#[derive(Debug)]
struct Held {
    given: Given,
    /// The program's connection; `None`: it has ended, or the port was taken for a time.
    owner: Option<u64>,
    waits: Option<Waits>,
}

/// When it is looked at next, and how long after that again.
#[derive(Clone, Copy, Debug)]
struct Waits {
    due: BootMs,
    pause_ms: u64,
}

/// Everything that was given out and is not back.
#[derive(Debug, Default)]
pub(super) struct Book {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    held: BTreeMap<Key, Held>,
    waiting: BTreeMap<(BootMs, Key), ()>,
    serial: u64,
    over: bool,
}

/// No room for one more.
#[derive(Debug)]
pub(super) struct Full(pub(super) Given);

impl Given {
    fn place(&self) -> (Place, Option<SocketAddr>) {
        match self {
            Self::Bound(BoundPort { local, port, .. }) => (Place { local: *local, port: *port, source: None }, None),
            Self::Open(Tuple { local, source_address, port, destination, .. }) => {
                let of_local = matches!(local, Local::Address(dvipa) if dvipa.address() == *source_address);
                let source = (!of_local).then_some(*source_address);
                (Place { local: *local, port: *port, source }, Some(*destination))
            }
        }
    }
}

impl Book {
    /// Notes what was given to a program's connection.
    ///
    /// # Errors
    /// [`Full`] with what was given: it is to be given back.
    pub(super) fn take(&self, owner: u64, given: Given) -> Result<Key, Full> {
        self.put(given, Some(owner), None)
    }

    /// Notes what belongs to no connection: it goes back when no socket is on it, from `due` on.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn keep(&self, given: Given, due: BootMs) -> Result<Key, Full> {
        self.put(given, None, Some(Waits { due, pause_ms: LOOK_MS_MIN }))
    }

    fn put(&self, given: Given, owner: Option<u64>, waits: Option<Waits>) -> Result<Key, Full> {
        let mut inner = self.inner.lock();
        if inner.held.len() >= HELD_MAX {
            return Err(Full(given));
        }
        let (place, destination) = given.place();
        inner.serial += 1;
        let key = Key { place, destination, serial: inner.serial };
        inner.held.insert(key, Held { given, owner, waits });
        if let Some(waits) = waits {
            inner.waiting.insert((waits.due, key), ());
            self.changed.notify_all();
        }
        Ok(key)
    }

    /// What a program means by a port, or by a connection from it: its own, else one that belongs to
    /// no connection.
    pub(super) fn find(&self, owner: u64, local: Local, port: u16, destination: Option<SocketAddr>) -> Option<Key> {
        let inner = self.inner.lock();
        let first = Key { place: Place { local, port, source: None }, destination: None, serial: 0 };
        let there = inner.held.range(first..).take_while(|(key, _)| (key.place.local, key.place.port) == (local, port));
        let meant =
            there.filter(|(key, held)| key.destination == destination && held.owner.is_none_or(|of| of == owner));
        // Of its own before nobody's.
        meant.max_by_key(|(_, held)| held.owner).map(|(key, _)| *key)
    }

    /// Makes a connection from a port that was found: the port stays as it is.
    pub(super) fn with_bound<T>(&self, key: Key, make: impl FnOnce(&BoundPort) -> T) -> Option<T> {
        let inner = self.inner.lock();
        match &inner.held.get(&key)?.given {
            Given::Bound(bound) => Some(make(bound)),
            Given::Open(_) => None,
        }
    }

    /// Its program is done with it: it goes back as soon as no socket is on it.
    pub(super) fn let_go(&self, keys: impl IntoIterator<Item = Key>, now: BootMs) {
        let mut inner = self.inner.lock();
        for key in keys {
            let Inner { held, waiting, .. } = &mut *inner;
            let Some(held) = held.get_mut(&key) else { continue };
            held.owner = None;
            if let Some(waits) = held.waits.replace(Waits { due: now, pause_ms: LOOK_MS_MIN }) {
                waiting.remove(&(waits.due, key));
            }
            waiting.insert((now, key), ());
        }
        self.changed.notify_all();
    }

    /// Looks at everything that is due: what nobody's socket is on is returned, for the stack.
    pub(super) fn sweep(&self, now: BootMs, is_free: impl Fn(&Place) -> bool) -> Vec<Given> {
        let (mut back, due) = self.take_due(now);
        for (key, pause_ms) in due {
            // Asked without the lock: it is a handful of system calls.
            let free = is_free(&key.place);
            let mut inner = self.inner.lock();
            let Some(held) = inner.held.get_mut(&key) else { continue };
            if free {
                back.extend(inner.held.remove(&key).map(|held| held.given));
            } else {
                let pause_ms = (pause_ms * 2).min(LOOK_MS_MAX);
                let due = now.plus(pause_ms);
                held.waits = Some(Waits { due, pause_ms });
                inner.waiting.insert((due, key), ());
            }
        }
        back
    }

    /// Takes out what is due. Where another one has the same place the kernel need not be asked: the
    /// place stays in use.
    fn take_due(&self, now: BootMs) -> (Vec<Given>, Vec<(Key, u64)>) {
        let mut inner = self.inner.lock();
        let (mut back, mut ask) = (Vec::new(), Vec::new());
        for _ in 0..SWEEP_MAX {
            let Some((&(due, key), ())) = inner.waiting.first_key_value() else { break };
            if due > now {
                break;
            }
            inner.waiting.pop_first();
            if inner.has_another(&key) {
                back.extend(inner.held.remove(&key).map(|held| held.given));
            } else if let Some(pause_ms) =
                inner.held.get_mut(&key).and_then(|held| held.waits.take()).map(|w| w.pause_ms)
            {
                ask.push((key, pause_ms));
            }
        }
        (back, ask)
    }

    /// Waits until something may be due, or for `most`. False once it is over.
    pub(super) fn wait(&self, now: BootMs, most: Duration) -> bool {
        let mut inner = self.inner.lock();
        if inner.over {
            return false;
        }
        let due_ms = inner.waiting.first_key_value().map(|((due, _), ())| due.0.saturating_sub(now.0));
        let pause = due_ms.map_or(most, |ms| Duration::from_millis(ms).min(most));
        if !pause.is_zero() {
            self.changed.wait_for(&mut inner, pause);
        }
        !inner.over
    }

    /// Nobody sweeps any more.
    pub(super) fn end(&self) {
        self.inner.lock().over = true;
        self.changed.notify_all();
    }

    /// Forgets ports that are not this stack's any more; whose connections had them.
    pub(super) fn forget(&self, stopped: &[(Local, u16)]) -> Vec<u64> {
        let mut inner = self.inner.lock();
        let mut owners = Vec::new();
        for (local, port) in stopped {
            let first = Key { place: Place { local: *local, port: *port, source: None }, destination: None, serial: 0 };
            let there = inner.held.range(first..).map(|(key, _)| *key);
            let keys: Vec<Key> = there.take_while(|key| (key.place.local, key.place.port) == (*local, *port)).collect();
            for key in keys {
                let Some(held) = inner.held.remove(&key) else { continue };
                owners.extend(held.owner);
                if let Some(waits) = held.waits {
                    inner.waiting.remove(&(waits.due, key));
                }
            }
        }
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// How much is held, and how much of it waits for sockets to go or for its time to end.
    pub(super) fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        let waiting = inner.held.values().filter(|held| held.owner.is_none()).count();
        (inner.held.len(), waiting)
    }
}

impl Inner {
    fn has_another(&self, key: &Key) -> bool {
        let first = Key { place: key.place, destination: None, serial: 0 };
        self.held
            .range(first..)
            .take_while(|(other, _)| other.place == key.place)
            .take(2)
            .any(|(other, _)| other != key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Lsn;

    const NOW: BootMs = BootMs(1_000);

    fn local() -> Local {
        Local::Address("10.1.1.1".parse().unwrap())
    }

    fn bound(port: u16) -> Given {
        Given::Bound(BoundPort { local: local(), port, grant: Some(Lsn(7)) })
    }

    fn open(port: u16, destination: &str) -> Given {
        let source_address = "10.1.1.1".parse().unwrap();
        let destination = destination.parse().unwrap();
        Given::Open(Tuple { local: local(), source_address, port, destination, grant: Some(Lsn(7)) })
    }

    #[test]
    fn a_port_goes_back_only_when_its_program_is_gone_and_no_socket_is_on_it() {
        let book = Book::default();
        let key = book.take(1, bound(44_800)).unwrap();
        assert!(book.sweep(NOW, |_| true).is_empty(), "its program has it");
        book.let_go([key], NOW);
        assert!(book.sweep(NOW, |_| false).is_empty(), "a socket is on it");
        assert!(book.sweep(NOW.plus(10), |_| panic!("looked at too soon")).is_empty());
        assert_eq!(book.sweep(NOW.plus(100), |_| true), [bound(44_800)]);
        assert_eq!(book.counts(), (0, 0));
    }

    #[test]
    fn a_port_kept_for_a_time_goes_back_after_it_or_when_it_is_let_go() {
        let book = Book::default();
        book.keep(bound(44_800), NOW.plus(60_000)).unwrap();
        assert!(book.sweep(NOW.plus(59_999), |_| true).is_empty());
        assert_eq!(book.sweep(NOW.plus(60_000), |_| true), [bound(44_800)]);
        book.keep(bound(44_801), NOW.plus(60_000)).unwrap();
        let key = book.find(9, local(), 44_801, None).expect("anybody may give it back");
        book.let_go([key], NOW);
        assert_eq!(book.sweep(NOW, |_| true), [bound(44_801)]);
        assert!(book.sweep(NOW.plus(90_000), |_| panic!("nothing is left")).is_empty());
    }

    #[test]
    fn of_several_connections_from_one_port_only_the_last_waits_for_the_kernel() {
        let book = Book::default();
        let keys: Vec<Key> =
            ["192.0.2.1:80", "192.0.2.2:80"].iter().map(|far| book.take(1, open(5_000, far)).unwrap()).collect();
        book.let_go([keys[0]], NOW);
        assert_eq!(book.sweep(NOW, |_| panic!("the port stays in use")), [open(5_000, "192.0.2.1:80")]);
        book.let_go([keys[1]], NOW);
        assert!(book.sweep(NOW, |_| false).is_empty());
        assert_eq!(book.sweep(NOW.plus(1_000), |_| true), [open(5_000, "192.0.2.2:80")]);
    }

    #[test]
    fn a_program_finds_its_own_and_nobodys_but_not_anothers() {
        let book = Book::default();
        book.take(1, bound(5_000)).unwrap();
        assert!(book.find(2, local(), 5_000, None).is_none());
        let far = "192.0.2.1:80".parse().ok();
        assert!(book.find(1, local(), 5_000, far).is_none(), "there is no such connection");
        let key = book.find(1, local(), 5_000, None).expect("its own");
        assert_eq!(book.with_bound(key, |bound| bound.port), Some(5_000));
        assert_eq!(book.forget(&[(local(), 5_000)]), [1]);
        assert_eq!(book.counts(), (0, 0));
    }

    #[test]
    fn looks_at_a_port_that_stays_in_use_become_rare() {
        let book = Book::default();
        book.keep(bound(5_000), NOW).unwrap();
        let looks = std::cell::Cell::new(0);
        for ms in 0..60_000 {
            book.sweep(NOW.plus(ms), |_| {
                looks.set(looks.get() + 1);
                false
            });
        }
        assert!((10..=20).contains(&looks.get()), "{}", looks.get());
    }
}

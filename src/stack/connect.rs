//! `connect`: four numbers that no other live connection has.
//!
//! A socket that was bound keeps its port. One that was not gets a port with its connection, and may
//! share it with connections to other destinations: no two of one 4-tuple, and one source port for
//! many of them once fresh ones run low. So one stack goes beyond the origin's 63,000 connections.
#![forbid(unsafe_code)]

use super::BoundPort;
use super::Local;
use super::Stack;
use super::StackError;
use super::core::target;
use super::hand::{Ends, Given, Ports};
use super::view::View;
use crate::ident::Dvipa;
use crate::ident::Lsn;
use crate::ident::Transport;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A connection that was opened here: ended with [`Stack::close`]. Dropped without, it stays.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the connection stays open until it is closed"]
pub struct Tuple {
    /// The local address that its port belongs to.
    pub local: Local,
    /// The source address of its packets.
    pub source_address: IpAddr,
    /// The source port.
    pub port: u16,
    /// The far end.
    pub destination: SocketAddr,
    /// The grant that the port is from; `None`: it needed none.
    pub grant: Option<Lsn>,
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", SocketAddr::new(self.source_address, self.port), self.destination)
    }
}

/// Connections shown at a time.
const PAGE: usize = 1_024;

impl Stack {
    /// Opens a connection from a local address with any source port: `connect` of a socket that was
    /// not bound to a port.
    ///
    /// # Errors
    /// [`StackError`] with the cause.
    pub fn connect(&self, dvipa: Dvipa, destination: SocketAddr) -> Result<Tuple, StackError> {
        self.connect_at(Local::Address(dvipa), dvipa.address(), destination)
    }

    /// Opens a connection of a job's socket that was not bound at all: the source address is what
    /// SRCIP says, else TCPSTACKSOURCEVIPA. `None`: neither says anything, and the kernel's own
    /// selection decides over address and port.
    ///
    /// # Errors
    /// [`StackError`] with the cause.
    pub fn connect_any(&self, job: &str, destination: SocketAddr) -> Result<Option<Tuple>, StackError> {
        let source = self.view.load().profile.source_address(job, destination.ip());
        let Some(source) = source else { return Ok(None) };
        let local = Dvipa::new(source).map_or(Local::Any, Local::Address);
        self.connect_at(local, source, destination).map(Some)
    }

    fn connect_at(&self, local: Local, source_address: IpAddr, destination: SocketAddr) -> Result<Tuple, StackError> {
        let ends = ends(source_address, destination)?;
        let view = self.view.load();
        let destination = ends.destination;
        let of = |(port, grant): (u16, Option<Lsn>)| Tuple { local, source_address, port, destination, grant };
        let Local::Address(dvipa) = local else { return self.connect_own(&view, ends).map(of) };
        let listed = view.list(dvipa);
        if listed.is_none() && !view.is_sysplexports(dvipa) {
            return self.connect_own(&view, ends).map(of);
        }
        self.in_time()?;
        if let Some(ports) = listed {
            if let Some(shared) = share(ports, ends) {
                return Ok(of(granted(shared)));
            }
            if let Some(fresh) = ports.connect(ends) {
                if ports.is_low() {
                    self.refill_soon(target(dvipa));
                }
                return Ok(of(granted(fresh)));
            }
        }
        let open = |ports: &Ports| share(ports, ends).or_else(|| ports.connect(ends));
        self.wait_for(target(dvipa), open).map(|opened| of(granted(opened)))
    }

    fn connect_own(&self, view: &View, ends: Ends) -> Result<(u16, Option<Lsn>), StackError> {
        let open = |ports: &Ports| ports.connect(ends);
        let opened = open(&view.own).or_else(|| self.core.lock().own_take(self.now(), &view.own_allowable, open));
        // Its own ports cost a stack nothing: they are shared when there is no fresh one left.
        let opened = opened.or_else(|| view.own.connect_shared(ends));
        let exhausted = || StackError::OwnExhausted { ports: view.own_allowable.count() };
        opened.map(|(port, _)| (port, None)).ok_or_else(exhausted)
    }

    /// Opens a connection from a port that the caller's socket is bound to. A socket bound to the
    /// unspecified address gets its source address as in [`connect_any`](Self::connect_any); may that
    /// be a SYSPLEXPORTS DVIPA, the port must be from the explicit-bind pool, below 1,024 or reserved
    /// for the job (IP Configuration Guide, "EXPLICITBINDPORTRANGE"). `None`: the kernel's own
    /// selection decides over the address.
    ///
    /// # Errors
    /// [`StackError::TupleInUse`], [`StackError::NotUnique`].
    pub fn connect_from(
        &self,
        bound: &BoundPort,
        job: &str,
        destination: SocketAddr,
    ) -> Result<Option<Tuple>, StackError> {
        let view = self.view.load();
        let (port, grant) = (bound.port, bound.grant);
        let source_address = match bound.local {
            Local::Address(dvipa) => Some(dvipa.address()),
            Local::Any => view.profile.source_address(job, destination.ip()),
        };
        let Some(source_address) = source_address else { return Ok(None) };
        let ends = ends(source_address, destination)?;
        if bound.local == Local::Any && grant.is_none() {
            let is_shared = Dvipa::new(source_address).is_ok_and(|dvipa| view.is_sysplexports(dvipa));
            let reserved = view.profile.reserved_for(Transport::Tcp, port, job) == Some(true);
            if is_shared && port >= 1_024 && !reserved {
                return Err(StackError::NotUnique { source_address, port });
            }
        }
        let destination = ends.destination;
        let tuple = Tuple { local: bound.local, source_address, port, destination, grant };
        let Some(ports) = view.ports(bound.local, grant) else { return Ok(Some(tuple)) };
        let (place, token) = ports.look(port);
        // A distributed port, or one reserved for the job, is in no hand: the kernel has the say.
        if grant.is_none() && place == super::hand::Place::Nowhere {
            return Ok(Some(tuple));
        }
        if ports.connect_from(ends, port, grant.unwrap_or(token)) {
            Ok(Some(tuple))
        } else {
            Err(StackError::TupleInUse { source_address, port, destination })
        }
    }

    /// Ends a connection. A port that it shared is back when the last one has ended; one that a
    /// socket was bound to stays bound.
    pub fn close(&self, tuple: Tuple) {
        let Tuple { local, source_address, port, destination, grant } = tuple;
        let view = self.view.load();
        let Some(ports) = view.ports(local, grant) else { return };
        let ends = Ends { source: source_address, destination };
        let token = grant.unwrap_or_else(|| ports.look(port).1);
        if ports.close(ends, port, token) == Given::Look {
            self.came_back(local, grant, port);
        }
    }

    /// How many connections are open here.
    #[must_use]
    pub fn connection_count(&self) -> u64 {
        self.view.load().each().map(|ports| ports.connection_count()).sum()
    }

    /// Shows every open connection: source, source port, far end. Those that are opened or closed
    /// meanwhile may be shown or not.
    pub fn connections(&self, mut see: impl FnMut(SocketAddr, SocketAddr)) {
        for ports in self.view.load().each() {
            let (mut shard, mut after) = (0, None);
            while let Some(rows) = ports.connections(shard, after, PAGE) {
                for (ends, port) in &rows {
                    see(SocketAddr::new(ends.source, *port), ends.destination);
                }
                after = rows.last().copied();
                shard += usize::from(after.is_none());
            }
        }
    }
}

/// A port that is shared already, where free ones are few.
fn share(ports: &Ports, ends: Ends) -> Option<(u16, Lsn)> {
    if ports.is_scarce() { ports.connect_shared(ends) } else { None }
}

fn granted((port, grant): (u16, Lsn)) -> (u16, Option<Lsn>) {
    (port, Some(grant))
}

fn ends(source_address: IpAddr, destination: SocketAddr) -> Result<Ends, StackError> {
    let destination = SocketAddr::new(destination.ip().to_canonical(), destination.port());
    if source_address.is_ipv4() != destination.is_ipv4() {
        return Err(StackError::OtherVersion { source_address, destination });
    }
    Ok(Ends { source: source_address, destination })
}

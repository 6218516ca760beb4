//! Portplex lets many hosts share one virtual IP address and never use the same source port on it
//! at the same time, through every crash.
//!
//! Hosts that share an address (a *DVIPA*) draw **groups** of 64 ports from a **structure**. The
//! structure lives in a **facility**: here an embedded one, a store in a directory of this machine,
//! whose append-only log records every grant and release. A stack that fails, a process that is
//! killed, a torn write or a lying disk never cause a duplicate grant.
//!
//! # A first grant
//!
//! ```
//! use portplex::facility::{Facility, LocalFacility, Options};
//! use portplex::ident::{ConnectorName, Identity, PortSet, Target, Transport};
//! use portplex::structure::Introduction;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let options = Options { create: true, ..Options::default() };
//! let list = Target::List("10.1.1.1".parse()?, Transport::Tcp);
//! let stack = Introduction {
//!     name: ConnectorName::new("SYS1.TCPIP")?,
//!     identity: Identity::default(),
//!     promise_ms: 0,
//!     enforced: false,
//! };
//!
//! // A stack connects, says which ports it may use, joins the DVIPA's list and takes one group.
//! let facility = Arc::new(LocalFacility::open(dir.path(), &options)?);
//! let connection = facility.connect(stack.clone())?;
//! let mut ports = PortSet::empty();
//! ports.insert_range(1024, 65_535);
//! connection.set_allowable(Transport::Tcp, ports)?;
//! let membership = connection.join(list)?.value;
//! let grant = connection.acquire(membership.member, 1, 1)?.value[0];
//! assert_eq!(grant.mask.count(), 64);
//!
//! // Dropped without a close: to the store that is a crash.
//! drop(connection);
//! drop(facility);
//!
//! // The next open recovers, and the grant is still held.
//! let facility = Arc::new(LocalFacility::open(dir.path(), &options)?);
//! let (_connection, attached) = facility.attach(stack)?;
//! assert_eq!(attached.grants[0].lsn, grant.lsn);
//! assert_eq!(attached.grants[0].group, grant.group);
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! Arrows point down only: a module may name those below it, and a test holds the list.
//!
//! ```text
//! cli                             the command line, `dev` (feature `cli`)
//! web                             the facility for people and programs: JSON, a page (feature `service`)
//! api                             the facility as a service: gRPC server and client (feature `service`)
//! shapes                          a structure as it is shown: counted, named, as JSON
//! stack                           the host's side: groups in hand, ports handed out, connections
//! facility | distributor          one writer: group commit, recovery, watch | who gets a connection
//! wal | checkpoint | profile      bytes in order | the state as of one lsn | TCP/IP profiles
//! record                          event <-> bytes
//! structure                       the rules: a pure value, no I/O, clock or randomness
//! ident | disk | threads          the nouns as types | the only door to files | locks, atomics, threads
//! ```
//!
//! # One `acquire`, in six rooms
//!
//! 1. A [`Connection`](facility::Connection) numbers the request and hands it in.
//! 2. [`LocalFacility`](facility::LocalFacility) puts it into a bounded queue, or says `Overloaded`.
//! 3. The writer thread takes all that wait.
//! 4. [`Structure::decide`](structure::Structure::decide) says what each would cause, and
//!    [`apply`](structure::Structure::apply) makes it happen.
//! 5. [`record`] turns the events into bytes; [`wal`] makes one frame of all of them.
//! 6. [`disk`] writes it and syncs once. Then, and only then, everybody is answered, refusals too.
//!
//! A write or sync that fails is final: everybody waiting hears that the outcome is unknown, and the
//! next open recovers. Recovery walks rooms 6, 5 and `apply` of room 4, never `decide`: a better rule
//! in a later release cannot change what an old log means.
//!
//! # Promises
//!
//! No port of a DVIPA is ever in the hands of two stacks. What was acknowledged survives. Damage is
//! named, never skipped. A plain crash, however often and wherever, never leads to a refused open.
//! Nothing leaks for ever.
//!
//! What is on disk, byte by byte, is in `storage-format.md`.
//!
//! # Features
//!
//! `cli` (default) is the binary, `service` (default) the facility over gRPC. Linking the library with `default-features = false` pulls in no
//! runtime, no argument parser and no web stack. `sim` adds the simulated disk and a checkpoint store
//! that it can lose, for tests. `shuttle` hands every lock and thread to a model checker: for tests of what
//! threads do to each other, and for nothing else.

pub mod checkpoint;
pub mod disk;
pub mod distributor;
pub mod facility;
pub mod ident;
pub mod profile;
pub mod record;
pub mod stack;
pub mod structure;
#[cfg(feature = "shuttle")]
pub mod threads;
#[cfg(not(feature = "shuttle"))]
mod threads;
pub mod wal;

#[cfg(any(feature = "cli", feature = "service"))]
mod shapes;

#[cfg(feature = "service")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "service")]
pub mod web;

//! The facility as a service: `portplex.v1` over gRPC, its server and its client.
//!
//! `portplex.v1.proto` is the contract. [`Server`] puts any [`Facility`](crate::facility::Facility)
//! behind it, by structure name; [`RemoteFacility`] is one again on the other side, so that a stack
//! works the same on both. Async code ends at the facility's door: a request is handed in, and its
//! ticket wakes the stream that waits for it.
//!
//! Nothing here decides anything about ports, and nothing is tried again by itself that may have had
//! an effect: a call whose answer was lost is [`Gone`](crate::facility::CallError::Gone), and the
//! stack's attach settles what became of it (protocol.md R12).
#![forbid(unsafe_code)]

pub mod access;
mod client;
mod convert;
mod door;
mod failure;
pub mod http;
mod limits;
mod meters;
mod operations;
mod server;

pub use client::{OperatorClient, OperatorError, RemoteError, RemoteFacility, RemoteOptions, RemoteWatch, Watched};
pub use convert::{Malformed, Misform};
pub use door::{Door, DoorError};
pub use failure::Failure;
pub use limits::{Limits, MESSAGE_BYTES_MAX};
pub use meters::{
    Barred, CallsLayer, ConnectionCounts, CountedBody, CountedCalls, DoorKind, Open, ServiceMeters, Turned,
};
pub use operations::{BackedUp, OperationCause, OperationFailure, Operations, WhoAsked, WhoFound};
pub use server::{Drained, Running, ServeError, Server};

/// The messages and services of `portplex.v1.proto`, made from it by a test that holds them in step.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::unwrap_used, rustdoc::all)]
pub mod v1 {
    include!("portplex.v1.rs.in");

    /// The contract as a descriptor, for gRPC reflection.
    pub const DESCRIPTOR: &[u8] = include_bytes!("portplex.v1.bin");
}

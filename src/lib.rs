//! Portplex: crash-safe assignment of source ports for hosts that share one virtual IP address.

pub mod checkpoint;
pub mod disk;
pub mod facility;
pub mod ident;
pub mod profile;
pub mod record;
pub mod stack;
pub mod structure;
pub mod wal;

#[cfg(feature = "cli")]
pub mod cli;

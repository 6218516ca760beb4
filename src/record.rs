//! Event and item to bytes and back: the meaning of what the log and the checkpoint store.
//!
//! One event is one record, one item is one row. Every kind has one fixed size, so nothing stored
//! has a length that could lie. Decoding is strict: an unknown kind, a field that no value of the
//! type can have, a byte too many or too few, or bytes that would not be written again exactly so
//! are errors; nothing is ever skipped. The tables are in `storage-format.md`, sections "Records"
//! and "Checkpoint"; golden bytes in `tests/suite/old_files.rs` hold both to them.
//!
//! What a record *does* is the structure's affair: whether a slot is in use or a port is free is not
//! checked here.
#![forbid(unsafe_code)]

mod digest;
mod error;
mod events;
mod fields;
pub mod rows;
mod skim;

pub use digest::{ContentDigest, ContentHasher, digest};
pub use error::RecordError;
pub use events::{GRANT_SIZE_MAX, RECORD_SIZE_MAX, RECORD_SIZE_MIN, Records, decode_all, encode, kind_name, size_of};
pub use rows::HistoryRow;
pub use skim::may_name;

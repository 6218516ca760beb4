//! The log: bytes in order.
//!
//! A store is a directory. [`init`] makes it; [`lock`], [`survey`] and [`replay`] read it without
//! changing a byte, in this order; [`Appender::begin`] makes an allowed open count and appends from
//! then on. What is on the disk, byte by byte, is in `storage-format.md`; its numbers are in
//! [`constants`].
//!
//! ```text
//!   init        an empty store; MANIFEST comes last
//!   lock        one writer or many readers
//!   survey      which MANIFEST is believed, what WATERMARK proves
//!   replay      walk over the segments; verdict on every misfit
//!   begin       frame above what is proven encoded anew, MANIFEST, then WATERMARK
//!   append      one frame, one write, one sync; rotate takes the spare into use
//!   adopt       a store that was moved, restored or copied
//!   copy_store  a backup
//!   pack        what became history, packed
//! ```
//!
//! The log stores payloads and does not know what a record is. What only a crash can do to it is
//! repaired at the next open; anything else is refused and named, never skipped.
#![forbid(unsafe_code)]

pub mod constants;
pub mod frame;
pub mod pack;
pub mod segment;

mod adopt;
mod appender;
mod backup;
mod begin;
mod bytes;
mod entries;
mod error;
mod history;
mod init;
mod keeper;
mod manifest;
mod replay;
mod retire;
mod spare;
mod survey;
mod verdict;
mod walk;
mod watermark;
mod zeros;

pub use adopt::{Adoption, Frame, NewStore, adopt};
pub use appender::{Appender, OpenStamp, Position};
pub use backup::copy_store;
pub use entries::{CheckpointEntry, FileEntry, HistoryEntry, PackEntry, Seal, SegmentEntry};
pub use error::{LogFault, ManifestFault, NotAStore, Operation, StoreError};
pub use init::{Creation, Seeds, init};
pub use keeper::ManifestKeeper;
pub use manifest::{ChainEnd, Manifest, StopMark, Undecodable};
pub use replay::{FrameSink, Replayed, read_durable, replay, verify};
pub(crate) use retire::retire_by;
pub use retire::{Retention, Retired, retire};
pub use spare::SpareFiller;
pub use survey::{Survey, lock, survey};
pub use walk::FrameInfo;
pub use watermark::{Watermark, WatermarkFile};

#[cfg(test)]
mod tests;

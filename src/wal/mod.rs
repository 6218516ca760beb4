//! wal: the log, bytes in order. Skeleton.
#![forbid(unsafe_code)]

pub mod constants;
pub mod frame;
pub mod segment;

mod appender;
mod bytes;
mod error;
mod init;
mod keeper;
mod manifest;
mod replay;
mod retire;
mod spare;
mod survey;
mod watermark;

pub use appender::{Appender, OpenStamp, Position};
pub use error::{LogFault, ManifestFault, NotAStore, Operation, StoreError};
pub use init::{Creation, Seeds, adopt_moved, init};
pub use keeper::ManifestKeeper;
pub use manifest::{ChainEnd, CheckpointEntry, FileEntry, HistoryEntry, Manifest, Seal, SegmentEntry, Undecodable};
pub use replay::{FrameInfo, FrameSink, Replayed, Verified, read_durable, replay, verify};
pub use retire::{Retention, Retired, retire};
pub use spare::SpareFiller;
pub use survey::{Survey, lock, survey};
pub use watermark::{Watermark, WatermarkFile};

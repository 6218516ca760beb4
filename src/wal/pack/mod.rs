//! Packed history: what no recovery needs any more, in a tenth of the room and quick to search.
//!
//! A *pack* is one file that holds the frames of a run of sealed segments, all below the older
//! checkpoint: in blocks of about 1 MiB packed with zstd, each with a digest, and with an index by lsn
//! and time. Nothing of a frame is lost: lsns, times, payloads and the chain of crcs come out as they
//! were, and where in which segment the frame was. Small packs are put together later, so that a long
//! history has few files.
//!
//! ```text
//!   make        frames go into a new file, which is read back and compared
//!   list        MANIFEST names the pack in the place of what went into it; that is removed
//!   PackFile    its index, its blocks by number, and what is beside them
//! ```
//!
//! What the frames mean is the caller's: a [`Summary`] says which keys a block names, and which records
//! are worth reading without the rest.
#![forbid(unsafe_code)]

mod block;
mod fault;
#[cfg(any(test, feature = "sim"))]
mod forge;
mod index;
mod make;
#[cfg(any(test, feature = "sim"))]
mod probe;
mod read;
mod source;
mod varint;
mod write;

pub use fault::PackFault;
#[cfg(any(test, feature = "sim"))]
pub use forge::{ForgedFrame, ForgedFrames, forge};
pub use index::Block;
pub use index::PackHeader;
pub use index::PackIndex;
pub use index::PackedSegment;
pub use index::Part;
pub use index::Side;
pub use index::Stood;
pub use make::Pack;
pub use make::PackReport;
pub use make::PackRun;
pub use make::list;
pub(crate) use make::list_by;
pub use make::make;
#[cfg(any(test, feature = "sim"))]
pub use probe::probe;
pub use read::PackFile;
pub(crate) use read::PackWalk;
pub(crate) use read::check_presence;
pub use read::path;

use super::FrameInfo;
use super::constants::LOG_DIR;
use super::error::StoreError;
use std::path::Path;
use std::path::PathBuf;

/// What a pack tells beside its frames, by whoever knows what their records mean.
pub trait Summary {
    /// What a reader must know who begins at the next frame.
    fn start(&mut self) -> Vec<u8>;

    /// Takes the next frame. What it names goes to `keys`, in any order; records that are worth reading
    /// without the rest go to `aside`.
    ///
    /// # Errors
    /// [`FrameInfo::corrupt`] for a payload that makes no sense.
    fn frame(
        &mut self,
        frame: &FrameInfo,
        stood: Stood,
        payload: &[u8],
        keys: &mut Vec<u64>,
        aside: &mut Vec<u8>,
    ) -> Result<(), StoreError>;
}

/// Asked again and again while a pack is made, with the bytes written or read since: may wait; `false`
/// stops it.
pub type Pace<'a> = dyn FnMut(usize) -> bool + 'a;

/// Reads the keys of blocks, which come in pieces.
#[derive(Clone, Debug, Default)]
pub struct KeyReader {
    rest: Vec<u8>,
    /// The keys of one block; kept, so that each block need not reserve anew.
    keys: Vec<u64>,
}

impl KeyReader {
    /// Takes more bytes; hands over the keys of every block that is complete by then, sorted. `None`:
    /// they make no sense.
    #[must_use]
    pub fn take(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u64])) -> Option<()> {
        self.rest.extend_from_slice(bytes);
        let mut left = &self.rest[..];
        loop {
            let mut after = left;
            match take_keys(&mut after, &mut self.keys) {
                Taken::All => sink(&self.keys),
                Taken::CutShort => break,
                Taken::Impossible => return None,
            }
            left = after;
        }
        let used = self.rest.len() - left.len();
        self.rest.drain(..used);
        Some(())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

enum Taken {
    All,
    CutShort,
    Impossible,
}

fn take_keys(bytes: &mut &[u8], keys: &mut Vec<u64>) -> Taken {
    let Some(count) = varint::take(bytes) else { return Taken::CutShort };
    if count > bytes.len() as u64 {
        return Taken::CutShort;
    }
    keys.clear();
    keys.reserve(count as usize);
    let mut last = 0_u64;
    for place in 0..count {
        let Some(difference) = varint::take(bytes) else { return Taken::CutShort };
        match last.checked_add(difference) {
            Some(key) if place == 0 || difference > 0 => last = key,
            _ => return Taken::Impossible,
        }
        keys.push(last);
    }
    Taken::All
}

/// Where the pack of these segments is.
fn file_path(dir: &Path, first_segment: u64, last_segment: u64) -> PathBuf {
    dir.join(LOG_DIR).join(format!("{first_segment:012}-{last_segment:012}.pack"))
}

/// The segments in a pack's file name; `None` if it is no pack's name.
#[must_use]
pub fn segments_of(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".pack")?.split_once('-')?;
    let is_plain = |text: &str| text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain(first) || !is_plain(last) {
        return None;
    }
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (file_path(Path::new(""), first, last).file_name()?.to_str()? == name).then_some((first, last))
}

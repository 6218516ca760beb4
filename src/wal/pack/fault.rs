//! What does not fit in a pack.
#![forbid(unsafe_code)]

use crate::ident::Lsn;
use crate::wal::frame::FrameFault;

/// What does not fit in a pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackFault {
    /// There is no such file.
    #[error("it is missing")]
    Missing,
    /// Shorter or longer than MANIFEST says.
    #[error("the file has {found} bytes, MANIFEST says {expected}")]
    FileSize {
        /// What MANIFEST says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// Not a pack, or cut.
    #[error("it does not start and end as a pack does")]
    Magic,
    /// Another format.
    #[error("it has format {found}")]
    Format {
        /// Which.
        found: u32,
    },
    /// Header and index are not what their digest says.
    #[error("the digest of header and index does not match")]
    Digest,
    /// A whole pack, and not the one that MANIFEST lists.
    #[error("it is another pack than MANIFEST lists")]
    Other,
    /// A field that cannot be, under a good digest.
    #[error("its {field} cannot be")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// A part whose bytes are not what the index says.
    #[error("the digest of {part} does not match")]
    PartDigest {
        /// Which, in words.
        part: String,
    },
    /// A part that does not unpack to the size that the index says; it was not unpacked further.
    #[error("{part} does not unpack to the {size} bytes that the index says")]
    Unpack {
        /// Which, in words.
        part: String,
        /// What it should have unpacked, in bytes.
        size: usize,
    },
    /// A block whose content makes no sense.
    #[error("{what} of block {block} cannot be")]
    Block {
        /// Which.
        block: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// A frame that does not continue the log.
    #[error("block {block}: {fault}")]
    Frame {
        /// Which block.
        block: usize,
        /// What does not fit.
        fault: FrameFault,
    },
    /// The chain of its frames ends elsewhere.
    #[error(
        "block {block} ends with lsn {found} and crc {found_crc:#010x}, expected {expected} and {expected_crc:#010x}"
    )]
    End {
        /// Which block.
        block: usize,
        /// The end that was noted.
        expected: Lsn,
        /// Its crc.
        expected_crc: u32,
        /// The end found.
        found: Lsn,
        /// Its crc.
        found_crc: u32,
    },
    /// Read back, it is not what was written.
    #[error("read back, it differs from what went into it")]
    Differs,
}

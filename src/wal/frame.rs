//! One group commit as bytes: a header of 64 bytes, the payload, zeros up to the next block.
//!
//! A frame is valid by itself when magic, lengths, reserved bytes, padding and checksum are right;
//! whether it also *fits* (lsn, chain, epoch) depends on what came before and is judged where the
//! log is walked.
#![forbid(unsafe_code)]

use super::bytes::Reader;
use super::bytes::all_zero;
use super::constants::BLOCK_SIZE;
use super::constants::FRAME_HEADER_SIZE;
use super::constants::FRAME_MAGIC;
use super::constants::frame_size;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;

/// What a frame's header says, lengths and checksum apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The lsn of its first record.
    pub first: Lsn,
    /// How many records it has, at least 1.
    pub count: u32,
    /// The highest lsn that was durable before it was written: the last one before it.
    pub durable: Lsn,
    /// The epoch of the open that wrote it.
    pub epoch: u64,
    /// Wall time in ms; never less than in the frame before.
    pub wall: WallMs,
    /// Boot-clock time in ms, of its history's boot.
    pub boot: BootMs,
    /// The crc of the frame before it.
    pub previous: u32,
}

impl FrameHeader {
    /// The lsn of its last record.
    #[must_use]
    pub const fn last(&self) -> Lsn {
        Lsn(self.first.0 + self.count as u64 - 1)
    }
}

/// A frame that is valid by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// Its crc.
    pub crc: u32,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// What it takes in the segment, padding included, in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        frame_size(self.payload.len())
    }
}

/// Why bytes are not the frame that should be there. What follows from it depends on where they
/// are: see `verdict`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The segment is full.
    #[error("the segment ends here")]
    SegmentEnd,
    /// Only zeros.
    #[error("there are only zeros")]
    Zeros,
    /// Not a frame's first four bytes.
    #[error("no frame starts here (found {found:#010x})")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// A payload of no byte, or one larger than a frame or the segment can have.
    #[error("the frame says it has {size} bytes of payload, at most {size_max} are possible")]
    Length {
        /// What the length field says.
        size: u32,
        /// What can be.
        size_max: usize,
    },
    /// Zero records, or a number that must be zero is not, or an lsn beyond all numbers.
    #[error("the frame's header is impossible")]
    Header,
    /// A bad checksum.
    #[error("the frame's crc is {found:#010x}, its bytes give {expected:#010x}")]
    Crc {
        /// What the bytes give.
        expected: u32,
        /// What the header says.
        found: u32,
    },
    /// Padding that is not zero, under a good checksum.
    #[error("the frame's padding is not zero")]
    Padding,
    /// A good frame with another lsn.
    #[error("a good frame has lsn {found}, expected {expected}")]
    Lsn {
        /// What comes next.
        expected: Lsn,
        /// What it has.
        found: Lsn,
    },
    /// A good frame of another chain.
    #[error("a good frame continues crc {found:#010x}, expected {expected:#010x}")]
    Chain {
        /// The crc of the frame before.
        expected: u32,
        /// What it continues.
        found: u32,
    },
    /// A good frame of another epoch.
    #[error("a good frame has epoch {found}, expected {expected}")]
    Epoch {
        /// The epoch of the history its lsn belongs to.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A good frame with another durable lsn.
    #[error("a good frame says that lsn {found} was durable, expected {expected}")]
    Durable {
        /// The last lsn before it.
        expected: Lsn,
        /// What it has.
        found: Lsn,
    },
}

impl FrameFault {
    /// Whether the bytes are a frame that somebody wrote whole, in the wrong place: no crash does
    /// that.
    #[must_use]
    pub const fn is_good_frame(&self) -> bool {
        matches!(self, Self::Lsn { .. } | Self::Chain { .. } | Self::Epoch { .. } | Self::Durable { .. })
    }
}

/// Writes a frame at the end of `bytes` and returns its crc.
pub fn encode(header: &FrameHeader, payload: &[u8], salt: u32, bytes: &mut Vec<u8>) -> u32 {
    let start = bytes.len();
    let size = u32::try_from(payload.len()).expect("a payload is bounded");
    bytes.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&header.count.to_le_bytes());
    bytes.extend_from_slice(&header.first.0.to_le_bytes());
    bytes.extend_from_slice(&header.durable.0.to_le_bytes());
    bytes.extend_from_slice(&header.epoch.to_le_bytes());
    bytes.extend_from_slice(&header.wall.0.to_le_bytes());
    bytes.extend_from_slice(&header.boot.0.to_le_bytes());
    bytes.extend_from_slice(&header.previous.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    assert_eq!(bytes.len() - start, FRAME_HEADER_SIZE, "the header is {FRAME_HEADER_SIZE} bytes");
    bytes.extend_from_slice(payload);
    let padded = usize::try_from(frame_size(payload.len())).expect("a frame fits the memory");
    bytes.resize(start + padded, 0);
    let crc = checksum(&bytes[start..], salt);
    bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// How many bytes the frame takes that starts like this (one block is enough), after checking the
/// length field against what can be and against the bytes left in the segment.
///
/// # Errors
/// [`FrameFault::Magic`] or [`FrameFault::Length`].
pub fn size_of(start: &[u8], left: u64, payload_size_max: usize) -> Result<u64, FrameFault> {
    let mut reader = Reader::new(start);
    let (Some(magic), Some(_crc), Some(size)) = (reader.u32(), reader.u32(), reader.u32()) else {
        return Err(FrameFault::SegmentEnd);
    };
    if magic != FRAME_MAGIC {
        return Err(FrameFault::Magic { found: magic });
    }
    let fits = size > 0 && size as usize <= payload_size_max && frame_size(size as usize) <= left;
    if fits { Ok(frame_size(size as usize)) } else { Err(FrameFault::Length { size, size_max: payload_size_max }) }
}

/// Whether a block has a frame's magic.
pub(crate) fn starts_like_one(block: &[u8]) -> bool {
    block.starts_with(&FRAME_MAGIC.to_le_bytes())
}

/// Reads a frame from exactly the bytes that [`size_of`] named.
///
/// # Errors
/// [`FrameFault`]: which part is not valid.
pub fn decode(bytes: &[u8], salt: u32) -> Result<Frame<'_>, FrameFault> {
    let size = size_of(bytes, bytes.len() as u64, super::constants::PAYLOAD_SIZE_MAX)?;
    let bytes = bytes.get(..size as usize).ok_or(FrameFault::SegmentEnd)?;
    let mut reader = Reader::new(bytes);
    let frame = decode_fields(&mut reader).ok_or(FrameFault::Header)?;
    let expected = checksum(bytes, salt);
    if expected != frame.crc {
        return Err(FrameFault::Crc { expected, found: frame.crc });
    }
    let padding = reader.bytes(reader.left()).unwrap_or_default();
    if all_zero(padding) { Ok(frame) } else { Err(FrameFault::Padding) }
}

fn decode_fields<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    let _magic = reader.u32()?;
    let crc = reader.u32()?;
    let size = reader.u32()?;
    let count = reader.u32()?;
    let header = FrameHeader {
        count,
        first: Lsn(reader.u64()?),
        durable: Lsn(reader.u64()?),
        epoch: reader.u64()?,
        wall: WallMs(reader.u64()?),
        boot: BootMs(reader.u64()?),
        previous: reader.u32()?,
    };
    let reserved = reader.u32()?;
    let payload = reader.bytes(size as usize)?;
    let possible = count > 0 && reserved == 0 && header.first.0.checked_add(u64::from(count)).is_some();
    possible.then_some(Frame { header, crc, payload })
}

/// CRC-32 continued from the salt, over the whole frame but the crc itself.
fn checksum(bytes: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(&bytes[..4]);
    hasher.update(&bytes[8..]);
    hasher.finalize()
}

const _: () = assert!(BLOCK_SIZE as usize >= FRAME_HEADER_SIZE);

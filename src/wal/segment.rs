//! One log file: its name, its header block, and how a block is checked.
#![forbid(unsafe_code)]

use super::bytes::Reader;
use super::bytes::Writer;
use super::bytes::all_zero;
use super::constants::BLOCK_SIZE;
use super::constants::FORMAT;
use super::constants::LOG_DIR;
use super::constants::RESERVE;
use super::constants::SEGMENT_MAGIC;
use super::constants::SPARE;
use crate::ident::HistoryId;
use crate::ident::StoreUuid;
use std::path::Path;
use std::path::PathBuf;

/// What a segment's header block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store.
    pub uuid: StoreUuid,
    /// The segment's number; used once.
    pub number: u64,
    /// The size of the file when it was made, in bytes.
    pub size: u64,
    /// Seeds the crc of every frame in it.
    pub salt: u32,
}

/// Why a block is not the header of the segment that should be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// Too few bytes.
    #[error("it is cut short")]
    Short,
    /// Not a segment.
    #[error("it does not start as a segment does")]
    Magic,
    /// A bad checksum.
    #[error("its crc is {found:#010x}, its bytes give {expected:#010x}")]
    Crc {
        /// What the bytes give.
        expected: u32,
        /// What it says.
        found: u32,
    },
    /// Another format.
    #[error("it has format {found}")]
    Format {
        /// Which.
        found: u32,
    },
    /// Bytes that must be zero are not.
    #[error("its padding is not zero")]
    Padding,
    /// Of another store, another segment or another size.
    #[error("it belongs to another store or another segment")]
    Other,
}

impl SegmentHeader {
    /// The block: 4 KiB.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&SEGMENT_MAGIC);
        writer.u32(FORMAT);
        writer.u32(0);
        writer.u128(self.uuid.0);
        writer.u64(self.number);
        writer.u64(self.size);
        writer.u32(self.salt);
        let mut block = writer.0;
        block.resize(BLOCK_SIZE as usize, 0);
        let crc = checksum(&block);
        block[12..16].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Reads a block.
    ///
    /// # Errors
    /// [`HeaderFault`]: which part is not valid.
    pub fn decode(block: &[u8]) -> Result<Self, HeaderFault> {
        if block.len() != BLOCK_SIZE as usize {
            return Err(HeaderFault::Short);
        }
        let mut reader = Reader::new(block);
        if reader.array() != Some(SEGMENT_MAGIC) {
            return Err(HeaderFault::Magic);
        }
        let format = reader.u32().ok_or(HeaderFault::Short)?;
        let found = reader.u32().ok_or(HeaderFault::Short)?;
        let expected = checksum(block);
        if found != expected {
            return Err(HeaderFault::Crc { expected, found });
        }
        if format != FORMAT {
            return Err(HeaderFault::Format { found: format });
        }
        let header = Self::decode_fields(&mut reader).ok_or(HeaderFault::Short)?;
        let padding = reader.bytes(reader.left()).unwrap_or_default();
        if all_zero(padding) { Ok(header) } else { Err(HeaderFault::Padding) }
    }

    fn decode_fields(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { uuid: StoreUuid(reader.u128()?), number: reader.u64()?, size: reader.u64()?, salt: reader.u32()? })
    }
}

/// CRC-32 over the whole block but the crc itself.
fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..12]);
    hasher.update(&block[16..]);
    hasher.finalize()
}

/// The salt of a segment: as random as the receipt key and the history id that it comes from, and
/// known to nobody who does not have the key.
pub(crate) fn salt(receipt_key: &[u8; 32], uuid: StoreUuid, number: u64, history: HistoryId) -> u32 {
    let mut hasher = blake3::Hasher::new_keyed(receipt_key);
    hasher.update(b"portplex segment salt");
    hasher.update(&uuid.0.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(&history.0.to_le_bytes());
    let digest = hasher.finalize();
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Where segment `number` of a store is.
#[must_use]
pub fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(LOG_DIR).join(format!("{number:012}.seg"))
}

/// Where the spare segment of a store is.
#[must_use]
pub fn spare_path(dir: &Path) -> PathBuf {
    dir.join(LOG_DIR).join(SPARE)
}

/// Where the reserve of a store is.
#[must_use]
pub fn reserve_path(dir: &Path) -> PathBuf {
    dir.join(LOG_DIR).join(RESERVE)
}

/// The number in a segment's file name; `None` if it is no segment's name.
#[must_use]
pub fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if plain { digits.parse().ok()? } else { return None };
    (format!("{number:012}.seg") == name).then_some(number)
}

//! The numbers of the storage format, in one place. `storage-format.md` has the same ones; a test
//! holds the two together.
#![forbid(unsafe_code)]

/// The format that this code writes; older ones are read, newer ones refused.
pub const FORMAT: u32 = 1;

/// Frames, header blocks and watermark slots start at multiples of this, in bytes.
pub const BLOCK_SIZE: u64 = 4_096;

/// Size of a frame's header in bytes.
pub const FRAME_HEADER_SIZE: usize = 64;

/// Most bytes of payload that one frame may have.
pub const PAYLOAD_SIZE_MAX: usize = 512 * 1_024;

/// First four bytes of a frame: `PPFR`.
pub const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"PPFR");

/// First eight bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"PORTPSEG";

/// First eight bytes of MANIFEST and of MANIFEST.bak.
pub const MANIFEST_MAGIC: [u8; 8] = *b"PORTPMAN";

/// First eight bytes of a pack, and its last eight.
pub const PACK_MAGIC: [u8; 8] = *b"PORTPACK";

/// Size of a pack's header in bytes.
pub const PACK_HEADER_SIZE: usize = 88;

/// Size of what a pack ends with, in bytes.
pub const PACK_TRAILER_SIZE: usize = 48;

/// A block of a pack takes frames until it has so many bytes, unpacked.
pub const PACK_BLOCK_SIZE: usize = 1_024 * 1_024;

/// Most bytes that a part of a pack has, unpacked: a block and one more frame.
pub const PACK_PART_SIZE_MAX: usize = PACK_BLOCK_SIZE + PAYLOAD_SIZE_MAX + 128;

/// Payloads of at most so many bytes stand in a block by their places, in bytes.
pub const PACK_SHORT_PAYLOAD_MAX: usize = 64;

/// Most bytes that the index of a pack has.
pub const PACK_INDEX_SIZE_MAX: u64 = 64 * 1_024 * 1_024;

/// A pack of so many bytes is never put together with others.
pub const PACK_SIZE_FULL: u64 = 64 * 1_024 * 1_024;

/// So many packs in a row are put together, at least.
pub const PACK_MERGE_COUNT: usize = 8;

/// Most packs that MANIFEST lists once retention has been applied.
pub const PACK_COUNT_MAX: usize = 8_192;

/// First eight bytes of a watermark slot.
pub const WATERMARK_MAGIC: [u8; 8] = *b"PORTPWMK";

/// The smallest segment, in bytes.
pub const SEGMENT_SIZE_MIN: u64 = 16 * 1_024;

/// The largest segment, in bytes.
pub const SEGMENT_SIZE_MAX: u64 = 1_024 * 1_024 * 1_024;

/// The size of a segment unless `init` was told another one, in bytes.
pub const SEGMENT_SIZE_DEFAULT: u64 = 16 * 1_024 * 1_024;

/// Most bytes that MANIFEST may have.
pub const MANIFEST_SIZE_MAX: u64 = 64 * 1_024 * 1_024;

/// The two files of MANIFEST and the two that are exchanged with them have sizes that are multiples
/// of this, in bytes, so that a change needs no room.
pub const MANIFEST_STEP: u64 = 16 * 1_024;

/// How many bytes are left free in them at least when they are made larger.
pub const MANIFEST_HEADROOM: u64 = 8 * 1_024;

/// How many bytes must be free in them before anything is appended: what the next open, and a
/// rotation before it, may add.
pub const MANIFEST_HEADROOM_MIN: u64 = 1_024;

/// How many checkpoints MANIFEST may list.
pub const CHECKPOINT_COUNT_MAX: usize = 2;

/// Longest relative path of a checkpoint's file, in bytes.
pub const FILE_PATH_LENGTH_MAX: usize = 1_024;

/// How much of the spare segment is filled and synced in one step, in bytes.
pub const SPARE_SLICE_SIZE: usize = 256 * 1_024;

/// Sealed segments below the base are checked in full at an open up to this many bytes, the newest
/// first; of older ones only name, size and header. `verify` reads all.
pub const BELOW_BASE_CHECKED_SIZE_MAX: u64 = 32 * 1_024 * 1_024;

/// Most segments that MANIFEST lists once retention has been applied: at 56 bytes each it stays small
/// enough to be written at every rotation, however small the segments are. Packing makes few of many.
pub const SEGMENT_COUNT_MAX: usize = 8_192;

/// The lock.
pub const LOCK: &str = "LOCK";
/// The commit point.
pub const MANIFEST: &str = "MANIFEST";
/// Its copy.
pub const MANIFEST_COPY: &str = "MANIFEST.bak";
/// Appended to the name of a file that is being made, or is kept to be exchanged with it.
pub const TEMPORARY: &str = ".tmp";
/// Appended to the name of a MANIFEST that is made where there is none yet.
pub const FRESH: &str = ".new";
/// The hint how far the log is durable.
pub const WATERMARK: &str = "WATERMARK";
/// The directory of the segments.
pub const LOG_DIR: &str = "wal";
/// The segment that is filled ahead of need, inside [`LOG_DIR`].
pub const SPARE: &str = "spare";
/// A small segment in the making for a recovery that finds the disk full, inside [`LOG_DIR`].
pub const RESERVE: &str = "reserve";
/// The directory of the checkpoints.
pub const CHECKPOINT_DIR: &str = "ckpt";

/// The most bytes of payload in one frame of a store with this segment size.
#[must_use]
pub const fn payload_size_max(segment_size: u64) -> usize {
    let room = segment_size - BLOCK_SIZE - FRAME_HEADER_SIZE as u64;
    if room < PAYLOAD_SIZE_MAX as u64 { room as usize } else { PAYLOAD_SIZE_MAX }
}

/// The largest frame, padding included, of a store with this segment size, in bytes.
#[must_use]
pub const fn frame_size_max(segment_size: u64) -> u64 {
    frame_size(payload_size_max(segment_size))
}

/// What a frame with this much payload takes, padding included, in bytes.
#[must_use]
pub const fn frame_size(payload_size: usize) -> u64 {
    ((FRAME_HEADER_SIZE + payload_size) as u64).next_multiple_of(BLOCK_SIZE)
}

/// The size of the reserve of a store with this segment size, in bytes: a header block and one
/// largest frame.
#[must_use]
pub const fn reserve_size(segment_size: u64) -> u64 {
    BLOCK_SIZE + frame_size_max(segment_size)
}

/// The size that a file of MANIFEST gets when it must be made larger for so many bytes.
#[must_use]
pub const fn manifest_file_size(content_size: u64) -> u64 {
    (content_size + MANIFEST_HEADROOM).next_multiple_of(MANIFEST_STEP)
}

/// Whether a segment may have this size.
#[must_use]
pub const fn segment_size_is_valid(size: u64) -> bool {
    size >= SEGMENT_SIZE_MIN && size <= SEGMENT_SIZE_MAX && size.is_multiple_of(BLOCK_SIZE)
}

const _: () = assert!(FRAME_HEADER_SIZE <= 128);
const _: () = assert!(FRAME_MAGIC != 0);
const _: () = assert!(segment_size_is_valid(SEGMENT_SIZE_DEFAULT));
const _: () = assert!(frame_size_max(SEGMENT_SIZE_MIN) <= SEGMENT_SIZE_MIN - BLOCK_SIZE);
const _: () = assert!(frame_size_max(SEGMENT_SIZE_DEFAULT) <= SEGMENT_SIZE_DEFAULT - BLOCK_SIZE);
const _: () = assert!(segment_size_is_valid(reserve_size(SEGMENT_SIZE_MIN)));
const _: () = assert!(segment_size_is_valid(reserve_size(SEGMENT_SIZE_DEFAULT)));
const _: () = assert!(reserve_size(SEGMENT_SIZE_MIN) <= SEGMENT_SIZE_MIN);
const _: () = assert!(payload_size_max(reserve_size(SEGMENT_SIZE_DEFAULT)) == PAYLOAD_SIZE_MAX);
const _: () = assert!(MANIFEST_HEADROOM_MIN < MANIFEST_HEADROOM);

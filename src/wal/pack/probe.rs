//! Reads arbitrary bytes as a pack, for fuzzing (feature `sim`): past the digests, which would keep
//! nearly everything out.
#![forbid(unsafe_code)]

use super::KeyReader;
use super::block::Frames;
use super::fault::PackFault;
use super::index::PackHeader;
use super::index::PackIndex;
use super::index::Part;
use super::index::Side;
use super::index::Trailer;
use super::read::unpack;
use crate::wal::constants::PACK_HEADER_SIZE;
use crate::wal::constants::PACK_TRAILER_SIZE;

/// Reads `file` as a pack whose digests are right whatever they say, and checks that what can be read
/// is written the same way again. Returns how many frames it has.
///
/// # Errors
/// [`PackFault`]: the first thing that cannot be.
///
/// # Panics
/// If something that was accepted has two forms: a bug.
pub fn probe(file: &[u8]) -> Result<u64, PackFault> {
    let (content, trailer) = file.split_last_chunk::<PACK_TRAILER_SIZE>().ok_or(PackFault::Magic)?;
    let trailer = Trailer::decode(trailer, file.len() as u64)?;
    let (data, index_bytes) = content.split_at_checked(trailer.index as usize).ok_or(PackFault::Magic)?;
    let header_bytes = data.get(..PACK_HEADER_SIZE).ok_or(PackFault::Magic)?;
    let header = PackHeader::decode(header_bytes)?;
    assert_eq!(header.encode(), header_bytes, "a header has one form");
    let index = PackIndex::decode(header, index_bytes, trailer.index)?;
    assert_eq!(index.encode(), index_bytes, "an index has one form");
    let mut frames_count = 0;
    for (number, block) in index.blocks.iter().enumerate() {
        let bytes = unpacked(data, &block.part)?;
        let before = index.before(number).lsn;
        let frames = Frames::decode(&bytes, block.frames as usize, before)
            .map_err(|what| PackFault::Block { block: number, what })?;
        assert_eq!(frames.encode(before), bytes, "a block has one form");
        frames_count += frames.frames.len() as u64;
    }
    let mut keys = KeyReader::default();
    for (side, part) in &index.sides {
        let bytes = unpacked(data, part)?;
        if *side == Side::Keys {
            let mut sink = |keys: &[u64]| assert!(keys.is_sorted(), "keys are sorted");
            keys.take(&bytes, &mut sink).ok_or(PackFault::Field { field: "keys" })?;
        }
    }
    Ok(frames_count)
}

fn unpacked(data: &[u8], part: &Part) -> Result<Vec<u8>, PackFault> {
    let size = part.unpacked as usize;
    let range = part.offset as usize..part.offset as usize + part.size as usize;
    let found = data.get(range).and_then(|bytes| unpack(bytes, size));
    found.ok_or_else(|| PackFault::Unpack { part: format!("the part at {}", part.offset), size })
}

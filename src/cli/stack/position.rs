//! How far a stack had seen, kept for its next life: so that a store which lost data since is told by
//! it. Losing the note is safe; a damaged one counts as none.
#![forbid(unsafe_code)]

use crate::disk::Access;
use crate::disk::Disk;
use crate::disk::RealDisk;
use crate::facility::Position;
use std::io;
use std::path::Path;

/// More than a note has.
const BYTES_MAX: usize = 1_024;

/// What was noted, if anything was.
pub(super) fn read(path: &Path) -> Option<Position> {
    let mut bytes = vec![0; BYTES_MAX];
    let length = RealDisk.open(path, Access::Read).ok()?.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(&bytes[..length]).ok()
}

/// Notes a position in place of the one before.
pub(super) fn write(path: &Path, position: &Position) {
    // Without a note the next life starts as a new one does.
    let _ = replace(path, position);
}

fn replace(path: &Path, position: &Position) -> io::Result<()> {
    let bytes = serde_json::to_vec(position)?;
    let new = path.with_extension("position-new");
    // One that a process left that was killed.
    let _ = RealDisk.remove_file(&new);
    let file = RealDisk.create(&new)?;
    file.write_at(&bytes, 0)?;
    RealDisk.rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility::Receipt;
    use crate::ident::HistoryId;
    use crate::ident::Lsn;
    use crate::ident::StoreUuid;

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("EZBEPORT-SYS1.TCPIP.position");
        assert_eq!(read(&path), None);
        let receipt = Receipt([0xab; 16]);
        for lsn in [u64::MAX, 7] {
            let store = StoreUuid(u128::MAX);
            let position = Position { store, history: HistoryId(u64::MAX), lsn: Lsn(lsn), receipt };
            write(&path, &position);
            assert_eq!(read(&path), Some(position));
        }
        let file = RealDisk.open(&path, Access::ReadWrite).unwrap();
        file.write_at(b"x", 0).unwrap();
        assert_eq!(read(&path), None);
    }
}

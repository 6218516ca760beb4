//! Writes a checkpoint and proves it before anybody may believe it.
#![forbid(unsafe_code)]

use super::files::{self, io_error};
use super::row::{RowReader, RowWriter};
use super::{CheckpointError, CheckpointStore, Proof};
use crate::disk::Disk;
use crate::ident::Lsn;
use crate::record::HistoryRow;
use crate::structure::Item;
use std::path::Path;

/// Writes `items` (canonical order, [`Item::Head`] first, its lsn `lsn`) and `histories` into
/// `ckpt_dir/<generation>`, and proves it: every file and directory synced, dropped from the page
/// cache, read back from the disk and hashed; a copy opened and compared; the directory renamed
/// into place, its parent synced. Only then is there a [`Proof`].
///
/// The caller promises that MANIFEST does not list `generation`: leftovers of it are removed. After
/// an error nothing of it is left that counts; [`super::sweep`] removes what may be there.
///
/// # Errors
/// [`CheckpointError`]. The log is untouched; try again later.
pub fn write(
    disk: &dyn Disk,
    store: &dyn CheckpointStore,
    ckpt_dir: &Path,
    generation: u64,
    items: &mut dyn Iterator<Item = Item>,
    histories: &[HistoryRow],
    lsn: Lsn,
) -> Result<Proof, CheckpointError> {
    files::remove(disk, ckpt_dir, generation)?;
    let temporary = files::temporary(ckpt_dir, generation);
    disk.create_dir(&temporary).map_err(io_error("create", &temporary))?;
    let mut rows = RowWriter::new(generation, items, histories, lsn);
    store.write(disk, &temporary, &mut rows)?;
    let content = rows.content();

    let tree = files::walk(disk, &temporary)?;
    files::sync(disk, &temporary, &tree)?;
    let mut copy = store.copy()?;
    let mut proofs = Vec::with_capacity(tree.files.len());
    for file in &tree.files {
        proofs.push(files::hash(disk, &temporary, file, &mut *copy)?);
    }
    let proof = Proof { generation, lsn, count: content.count, digest: content.hash, files: proofs };
    let mut reader = RowReader::new(false);
    copy.read(&mut |key, value| reader.row(key, value))?;
    reader.finish(&proof)?;

    let dir = files::directory(ckpt_dir, generation);
    disk.rename(&temporary, &dir).map_err(io_error("rename", &temporary))?;
    disk.sync_dir(ckpt_dir).map_err(io_error("sync", ckpt_dir))?;
    Ok(proof)
}

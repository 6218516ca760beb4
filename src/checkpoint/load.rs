//! Reads a checkpoint back, if it is exactly what was proven.
#![forbid(unsafe_code)]

use super::files;
use super::row::{Content, RowReader};
use super::{CheckpointError, CheckpointStore, Proof};
use crate::disk::Disk;
use crate::record::HistoryRow;
use crate::record::rows;
use crate::structure::Item;
use std::collections::BTreeMap;
use std::iter;
use std::path::Path;

/// A checkpoint's content, verified. Items stay encoded (about 20 bytes a grant) until asked for.
#[derive(Debug)]
pub struct Loaded {
    runs: Vec<Vec<u8>>,
    histories: Vec<HistoryRow>,
}

impl Loaded {
    /// Every item, in canonical order.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.runs.iter().flat_map(|run| {
            let mut offset = 0;
            iter::from_fn(move || {
                let rest = run.get(offset..).filter(|rest| !rest.is_empty())?;
                let (item, size) = rows::decode(rest, 0, offset).expect("a loaded run decodes: it did before");
                offset += size;
                Some(item)
            })
        })
    }

    /// The history entries that moved into the checkpoint, oldest first.
    #[must_use]
    pub fn histories(&self) -> &[HistoryRow] {
        &self.histories
    }
}

/// Loads the checkpoint that `proof` proves. Nothing in `ckpt_dir` is changed: names and sizes of
/// all files are compared first, then their digests while they are copied, and only if all agree the
/// copy is opened and count, lsn and digest of the content are compared.
///
/// # Errors
/// [`CheckpointError`]: this checkpoint is not to be believed; fall back to an older one.
pub fn load(
    disk: &dyn Disk,
    store: &dyn CheckpointStore,
    ckpt_dir: &Path,
    proof: &Proof,
) -> Result<Loaded, CheckpointError> {
    let dir = files::directory(ckpt_dir, proof.generation);
    let tree = files::walk(disk, &dir)?;
    let mut expected: BTreeMap<&str, _> = proof.files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut pairs = Vec::with_capacity(tree.files.len());
    for found in &tree.files {
        let path = || dir.join(&found.path);
        let Some(file) = expected.remove(found.path.as_str()) else {
            return Err(CheckpointError::FileUnexpected { path: path() });
        };
        if found.size != file.size {
            return Err(CheckpointError::FileSize { path: path(), expected: file.size, found: found.size });
        }
        pairs.push((found, file));
    }
    if let Some((path, _)) = expected.pop_first() {
        return Err(CheckpointError::FileMissing { path: dir.join(path) });
    }
    let mut copy = store.copy()?;
    for (found, file) in pairs {
        if files::hash(disk, &dir, found, &mut *copy)? != *file {
            return Err(CheckpointError::FileDigest { path: dir.join(&file.path) });
        }
    }
    let mut reader = RowReader::new(true);
    copy.read(&mut |key, value| reader.row(key, value))?;
    let Content { runs, histories } = reader.finish(proof)?;
    Ok(Loaded { runs, histories })
}

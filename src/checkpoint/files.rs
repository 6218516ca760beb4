//! A checkpoint's directory as files: walked, synced, hashed, removed.
#![forbid(unsafe_code)]

use super::{CheckpointError, FileProof, PrivateCopy};
use crate::disk::{Access, Disk};
use std::io;
use std::path::{Path, PathBuf};

/// sled makes three or four files and one directory of blobs; nothing of ours is nested deeper.
const DEPTH_MAX: usize = 3;
/// A directory with more files than this is no checkpoint.
const FILES_MAX: usize = 4_096;
/// How much of a file is read at once.
const PIECE_SIZE: usize = 1 << 20;
/// Behind the number of a directory that is being written or removed.
const TEMPORARY: &str = ".tmp";

/// The directory of a generation.
pub(super) fn directory(ckpt_dir: &Path, generation: u64) -> PathBuf {
    ckpt_dir.join(generation.to_string())
}

/// The directory of a generation that is being written or removed.
pub(super) fn temporary(ckpt_dir: &Path, generation: u64) -> PathBuf {
    ckpt_dir.join(format!("{generation}{TEMPORARY}"))
}

pub(super) fn io_error<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CheckpointError + 'a {
    move |source| CheckpointError::Io { operation, path: path.to_owned(), source }
}

/// One file found below a directory.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) size: u64,
}

/// Everything below a directory.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Files, sorted by path.
    pub(super) files: Vec<Found>,
    /// Directories below the top, parents before children.
    pub(super) dirs: Vec<String>,
}

pub(super) fn walk(disk: &dyn Disk, top: &Path) -> Result<Tree, CheckpointError> {
    let mut tree = Tree::default();
    walk_into(disk, top, "", 1, &mut tree)?;
    tree.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

fn walk_into(disk: &dyn Disk, dir: &Path, prefix: &str, depth: usize, tree: &mut Tree) -> Result<(), CheckpointError> {
    for entry in disk.list(dir).map_err(io_error("list", dir))? {
        let path = format!("{prefix}{}", entry.name);
        if tree.files.len() + tree.dirs.len() >= FILES_MAX || depth > DEPTH_MAX {
            return Err(CheckpointError::TooMuch { path: dir.to_owned() });
        }
        if entry.is_dir {
            tree.dirs.push(path.clone());
            walk_into(disk, &dir.join(&entry.name), &format!("{path}/"), depth + 1, tree)?;
        } else {
            tree.files.push(Found { path, size: entry.size });
        }
    }
    Ok(())
}

/// Makes every file and every directory durable, from the leaves up, and asks the page cache to
/// forget them. sled's own `flush` issues no fsync (measured): this is the only one.
pub(super) fn sync(disk: &dyn Disk, top: &Path, tree: &Tree) -> Result<(), CheckpointError> {
    for file in &tree.files {
        let path = top.join(&file.path);
        let file = disk.open(&path, Access::ReadWrite).map_err(io_error("open", &path))?;
        file.sync_all().map_err(io_error("sync", &path))?;
        file.drop_cache().map_err(io_error("drop from the cache", &path))?;
    }
    for dir in tree.dirs.iter().rev() {
        let path = top.join(dir);
        disk.sync_dir(&path).map_err(io_error("sync", &path))?;
    }
    disk.sync_dir(top).map_err(io_error("sync", top))
}

/// Reads one file to its end, hashes it, and gives its bytes to the copy.
pub(super) fn hash(
    disk: &dyn Disk,
    top: &Path,
    found: &Found,
    copy: &mut dyn PrivateCopy,
) -> Result<FileProof, CheckpointError> {
    let path = top.join(&found.path);
    let file = disk.open(&path, Access::Read).map_err(io_error("open", &path))?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_SIZE.min(usize::try_from(found.size).unwrap_or(PIECE_SIZE).max(1))];
    let mut size = 0;
    copy.append(&found.path, &[])?;
    loop {
        let read = file.read_at(&mut piece, size).map_err(io_error("read", &path))?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        copy.append(&found.path, &piece[..read])?;
        size += read as u64;
    }
    Ok(FileProof { path: found.path.clone(), size, digest: *hasher.finalize().as_bytes() })
}

/// Removes a generation that MANIFEST does not list (any more). It is renamed first, so that half a
/// checkpoint never stands under a whole one's name. Nothing happens if there is none.
///
/// # Errors
/// [`CheckpointError::Io`]; calling again goes on.
pub fn remove(disk: &dyn Disk, ckpt_dir: &Path, generation: u64) -> Result<(), CheckpointError> {
    let (dir, temporary) = (directory(ckpt_dir, generation), temporary(ckpt_dir, generation));
    let names = names(disk, ckpt_dir)?;
    let is_there = |path: &Path| names.iter().any(|name| ckpt_dir.join(name) == path);
    let (dir_is_there, temporary_is_there) = (is_there(&dir), is_there(&temporary));
    if temporary_is_there {
        remove_tree(disk, &temporary)?;
    }
    if dir_is_there {
        disk.rename(&dir, &temporary).map_err(io_error("rename", &dir))?;
        remove_tree(disk, &temporary)?;
    }
    if dir_is_there || temporary_is_there {
        disk.sync_dir(ckpt_dir).map_err(io_error("sync", ckpt_dir))?;
    }
    Ok(())
}

/// Removes everything in the checkpoints' directory except the generations to `keep`: what a crash
/// left of one that was being written or removed. Returns how many were removed.
///
/// # Errors
/// [`CheckpointError::Io`]; calling again goes on.
pub fn sweep(disk: &dyn Disk, ckpt_dir: &Path, keep: &[u64]) -> Result<usize, CheckpointError> {
    let keep: Vec<String> = keep.iter().map(u64::to_string).collect();
    let mut removed = 0;
    for entry in disk.list(ckpt_dir).map_err(io_error("list", ckpt_dir))? {
        let path = ckpt_dir.join(&entry.name);
        if keep.contains(&entry.name) {
            continue;
        }
        if entry.is_dir {
            remove_tree(disk, &path)?;
        } else {
            disk.remove_file(&path).map_err(io_error("remove", &path))?;
        }
        removed += 1;
    }
    if removed > 0 {
        disk.sync_dir(ckpt_dir).map_err(io_error("sync", ckpt_dir))?;
    }
    Ok(removed)
}

fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, CheckpointError> {
    Ok(disk.list(dir).map_err(io_error("list", dir))?.into_iter().map(|entry| entry.name).collect())
}

fn remove_tree(disk: &dyn Disk, top: &Path) -> Result<(), CheckpointError> {
    let tree = walk(disk, top)?;
    for file in &tree.files {
        let path = top.join(&file.path);
        disk.remove_file(&path).map_err(io_error("remove", &path))?;
    }
    for dir in tree.dirs.iter().rev() {
        let path = top.join(dir);
        disk.remove_dir(&path).map_err(io_error("remove", &path))?;
    }
    disk.remove_dir(top).map_err(io_error("remove", top))
}

//! The losable twin: all rows in one flat file through the door to files, so that the simulated disk
//! can lose, tear and damage a checkpoint as a real disk can.
#![forbid(unsafe_code)]

use super::files::io_error;
use super::{CheckpointError, CheckpointStore, PrivateCopy, RowSink, RowSource};
use crate::disk::Disk;
use std::collections::BTreeMap;
use std::path::Path;

/// The one file.
const FILE: &str = "rows";
/// Bytes are written in pieces of at least this size.
const PIECE_SIZE: usize = 16 * 1_024;

/// Keeps rows in one file: key length, value length (u32, little-endian), key, value.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlatStore;

impl CheckpointStore for FlatStore {
    fn write(&self, disk: &dyn Disk, dir: &Path, rows: &mut RowSource<'_>) -> Result<(), CheckpointError> {
        let path = dir.join(FILE);
        let file = disk.create(&path).map_err(io_error("create", &path))?;
        let (mut piece, mut offset) = (Vec::new(), 0);
        for row in rows {
            let (key, value) = row?;
            for part in [&key, &value] {
                piece.extend_from_slice(&u32::try_from(part.len()).expect("rows are small").to_le_bytes());
            }
            piece.extend_from_slice(&key);
            piece.extend_from_slice(&value);
            if piece.len() >= PIECE_SIZE {
                file.write_at(&piece, offset).map_err(io_error("write", &path))?;
                offset += piece.len() as u64;
                piece.clear();
            }
        }
        file.write_at(&piece, offset).map_err(io_error("write", &path))
    }

    fn copy(&self) -> Result<Box<dyn PrivateCopy>, CheckpointError> {
        Ok(Box::new(FlatCopy::default()))
    }
}

/// A copy in memory.
#[derive(Debug, Default)]
struct FlatCopy {
    files: BTreeMap<String, Vec<u8>>,
}

impl PrivateCopy for FlatCopy {
    fn append(&mut self, path: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.files.entry(path.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn read(self: Box<Self>, sink: &mut RowSink<'_>) -> Result<(), CheckpointError> {
        let mut rest = self.files.get(FILE).map_or(&[][..], Vec::as_slice);
        while !rest.is_empty() {
            let (key, value, after) = split_row(rest).ok_or(CheckpointError::Unsealed)?;
            sink(key, value)?;
            rest = after;
        }
        Ok(())
    }
}

fn split_row(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_size, bytes) = bytes.split_first_chunk()?;
    let (value_size, bytes) = bytes.split_first_chunk()?;
    let (key, bytes) = bytes.split_at_checked(u32::from_le_bytes(*key_size) as usize)?;
    let (value, rest) = bytes.split_at_checked(u32::from_le_bytes(*value_size) as usize)?;
    Some((key, value, rest))
}

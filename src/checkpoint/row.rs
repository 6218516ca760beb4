//! Rows: histories, runs of items, and the seal that says what all of it must be.
//!
//! The key is one byte for the kind of row and the row's number within its kind, big-endian, so that
//! their order in a sorted store is the order in which they are written and a missing one shows.
#![forbid(unsafe_code)]

use super::{CheckpointError, Proof};
use crate::ident::Lsn;
use crate::record::rows::{self, HISTORY_SIZE, HistoryRow};
use crate::record::{ContentDigest, ContentHasher, RecordError};
use crate::structure::Item;
use bincode::{DefaultOptions, Options};
use std::iter;
use std::mem;

/// Version of the rows.
pub(super) const VERSION: u16 = 1;

const HISTORIES: u8 = 1;
const ITEMS: u8 = 2;
const SEAL: u8 = 3;
const KEY_SIZE: usize = 9;
/// The items' encodings, one after the other, are cut into rows of this size. sled keeps up to 17
/// rows in one page and puts pages above 128 KiB into files of their own: this stays far below.
const ROW_SIZE: usize = 3_000;
/// Whole history entries in a row.
const HISTORIES_PER_ROW: usize = ROW_SIZE / HISTORY_SIZE;

/// Version, generation, lsn, item rows, item count, content digest, history count, their digest.
type SealFields = (u16, u64, u64, u64, u64, [u8; 32], u64, [u8; 32]);

fn options() -> impl Options {
    DefaultOptions::new().with_fixint_encoding().with_little_endian().with_limit(256).reject_trailing_bytes()
}

fn key(kind: u8, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(KEY_SIZE);
    key.push(kind);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Turns items into rows, in the order of their keys, and hashes them on the way.
pub(super) struct RowWriter<'a> {
    generation: u64,
    items: iter::Peekable<&'a mut dyn Iterator<Item = Item>>,
    histories: &'a [HistoryRow],
    history_rows: u64,
    history_hasher: blake3::Hasher,
    history_count: u64,
    item_rows: u64,
    /// Encoded items that are in no row yet.
    buffer: Vec<u8>,
    hasher: ContentHasher,
    lsn: Lsn,
    sealed: bool,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(
        generation: u64,
        items: &'a mut dyn Iterator<Item = Item>,
        histories: &'a [HistoryRow],
        lsn: Lsn,
    ) -> Self {
        Self {
            generation,
            items: items.peekable(),
            histories,
            history_rows: 0,
            history_hasher: blake3::Hasher::new(),
            history_count: histories.len() as u64,
            item_rows: 0,
            buffer: Vec::new(),
            hasher: ContentHasher::new(),
            lsn,
            sealed: false,
        }
    }

    /// What was written, once all was.
    pub(super) fn content(&self) -> ContentDigest {
        self.hasher.finish()
    }

    fn history_row(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (now, rest) = self.histories.split_at(HISTORIES_PER_ROW.min(self.histories.len()));
        self.histories = rest;
        let mut value = Vec::with_capacity(now.len() * HISTORY_SIZE);
        now.iter().for_each(|row| rows::encode_history(row, &mut value));
        self.history_hasher.update(&value);
        self.history_rows += 1;
        (key(HISTORIES, self.history_rows - 1), value)
    }

    fn item_row(&mut self) -> Result<(Vec<u8>, Vec<u8>), CheckpointError> {
        while self.buffer.len() < ROW_SIZE {
            let Some(item) = self.items.next() else { break };
            let is_head = matches!(item, Item::Head { lsn, .. } if lsn == self.lsn);
            if is_head != (self.hasher.count() == 0) {
                return Err(CheckpointError::Content { what: "lsn" });
            }
            let start = self.buffer.len();
            rows::encode(&item, &mut self.buffer);
            self.hasher.add(&self.buffer[start..], 1);
        }
        let rest = self.buffer.split_off(ROW_SIZE.min(self.buffer.len()));
        let value = mem::replace(&mut self.buffer, rest);
        self.item_rows += 1;
        Ok((key(ITEMS, self.item_rows - 1), value))
    }

    fn seal(&self) -> (Vec<u8>, Vec<u8>) {
        let content = self.content();
        let fields: SealFields = (
            VERSION,
            self.generation,
            self.lsn.0,
            self.item_rows,
            content.count,
            content.hash,
            self.history_count,
            *self.history_hasher.finalize().as_bytes(),
        );
        (key(SEAL, 0), options().serialize(&fields).expect("a fixed-size value below the limit goes into memory"))
    }
}

impl Iterator for RowWriter<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>), CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.sealed {
            return None;
        }
        if !self.histories.is_empty() {
            return Some(Ok(self.history_row()));
        }
        if !self.buffer.is_empty() || self.items.peek().is_some() {
            return Some(self.item_row());
        }
        self.sealed = true;
        if self.item_rows == 0 { Some(Err(CheckpointError::Content { what: "lsn" })) } else { Some(Ok(self.seal())) }
    }
}

/// What was taken back.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Encoded items, each piece a run of whole ones; empty unless they were wanted.
    pub(super) runs: Vec<Vec<u8>>,
    pub(super) histories: Vec<HistoryRow>,
}

/// Takes rows back, in order, and compares them with the proof at the end.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    rows: u64,
    history_rows: u64,
    history_bytes: Vec<u8>,
    item_rows: u64,
    /// The beginning of an item that goes on in the next row.
    part: Vec<u8>,
    keep: bool,
    runs: Vec<Vec<u8>>,
    lsn: Option<Lsn>,
    hasher: ContentHasher,
    seal: Option<SealFields>,
}

impl RowReader {
    /// `keep`: whether the runs of items are wanted, or only whether they are right.
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    pub(super) fn row(&mut self, row_key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        let number = self.rows;
        self.rows += 1;
        let kind = *row_key.first().ok_or(CheckpointError::Key { number })?;
        let expected = match kind {
            HISTORIES if self.item_rows == 0 && self.seal.is_none() => self.history_rows,
            ITEMS if self.seal.is_none() => self.item_rows,
            SEAL if self.seal.is_none() => 0,
            _ => return Err(CheckpointError::Key { number }),
        };
        if row_key != key(kind, expected) {
            return Err(CheckpointError::Key { number });
        }
        match kind {
            HISTORIES => {
                self.history_rows += 1;
                self.history_bytes.extend_from_slice(value);
                Ok(())
            }
            ITEMS => self.item_row(value).map_err(|source| CheckpointError::Row { number, source }),
            _ => self.seal_row(value),
        }
    }

    fn item_row(&mut self, value: &[u8]) -> Result<(), RecordError> {
        self.item_rows += 1;
        self.part.extend_from_slice(value);
        let lsn = &mut self.lsn;
        let (count, size) = rows::decode_run(&self.part, &mut |item| {
            if let Item::Head { lsn: head, .. } = item {
                lsn.get_or_insert(head);
            }
        })?;
        let rest = self.part.split_off(size);
        let mut run = mem::replace(&mut self.part, rest);
        run.shrink_to_fit();
        self.hasher.add(&run, u64::from(count));
        if self.keep && !run.is_empty() {
            self.runs.push(run);
        }
        Ok(())
    }

    fn seal_row(&mut self, value: &[u8]) -> Result<(), CheckpointError> {
        if let Some(version) = value.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
            && version != VERSION
        {
            return Err(CheckpointError::Version { found: version, known: VERSION });
        }
        self.seal = Some(options().deserialize(value).map_err(|_| CheckpointError::Unsealed)?);
        Ok(())
    }

    /// All rows came: is it what was proven?
    pub(super) fn finish(self, proof: &Proof) -> Result<Content, CheckpointError> {
        let content = self.hasher.finish();
        let histories = rows::decode_histories(&self.history_bytes)
            .map_err(|source| CheckpointError::Row { number: self.history_rows.saturating_sub(1), source })?;
        let history_digest = *blake3::hash(&self.history_bytes).as_bytes();
        let (_, generation, lsn, item_rows, count, digest, history_count, sealed_history_digest) =
            self.seal.ok_or(CheckpointError::Unsealed)?;
        let table = [
            ("generation", generation == proof.generation),
            ("lsn", lsn == proof.lsn.0 && self.lsn == Some(proof.lsn)),
            ("row count", item_rows == self.item_rows && self.part.is_empty()),
            ("item count", content.count == proof.count && count == proof.count),
            ("content digest", content.hash == proof.digest && digest == proof.digest),
            ("history count", history_count == histories.len() as u64),
            ("history digest", sealed_history_digest == history_digest),
        ];
        match table.into_iter().find(|(_, agrees)| !agrees) {
            Some((what, _)) => Err(CheckpointError::Content { what }),
            None => Ok(Content { runs: self.runs, histories }),
        }
    }
}

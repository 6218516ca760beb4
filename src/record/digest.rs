//! One digest of a whole state, the same for checkpoint, dump and tests.
#![forbid(unsafe_code)]

use super::rows;
use crate::structure::Item;
use std::fmt;

/// How many items a state has, and BLAKE3 over their encodings one after the other, in canonical
/// order. The first item holds the lsn, so the digest covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest {
    /// Number of items.
    pub count: u64,
    /// BLAKE3, 32 bytes.
    pub hash: [u8; 32],
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The digest of `items`, which come in canonical order.
pub fn digest(items: impl IntoIterator<Item = Item>) -> ContentDigest {
    let mut hasher = ContentHasher::new();
    let mut bytes = Vec::new();
    for item in items {
        rows::encode(&item, &mut bytes);
        hasher.add(&bytes, 1);
        bytes.clear();
    }
    hasher.finish()
}

/// Computes a [`ContentDigest`] piece by piece.
#[derive(Debug, Default)]
pub struct ContentHasher {
    hasher: blake3::Hasher,
    count: u64,
}

impl ContentHasher {
    /// Of no items yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the encodings of the `count` items that follow.
    pub fn add(&mut self, encoded: &[u8], count: u64) {
        self.hasher.update(encoded);
        self.count += count;
    }

    /// How many items were added.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(&self) -> ContentDigest {
        ContentDigest { count: self.count, hash: *self.hasher.finalize().as_bytes() }
    }
}

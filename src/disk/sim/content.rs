//! The bytes of a file with a sum of each sector, so that images are compared without reading them.
#![forbid(unsafe_code)]

use super::SECTOR_SIZE;
use std::sync::Arc;

/// Bytes, shared until they are changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    bytes: Arc<Vec<u8>>,
    /// One for each sector; 0 for zeros.
    sums: Arc<Vec<u128>>,
}

impl Content {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let sums = bytes.chunks(SECTOR_SIZE).enumerate().map(|(sector, bytes)| sector_sum(sector, bytes)).collect();
        Self { bytes: Arc::new(bytes), sums: Arc::new(sums) }
    }

    pub(super) fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether both are the same memory.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// The bytes of one sector, as far as there are any.
    pub(super) fn sector(&self, sector: usize) -> &[u8] {
        let start = (sector * SECTOR_SIZE).min(self.bytes.len());
        let end = (start + SECTOR_SIZE).min(self.bytes.len());
        &self.bytes[start..end]
    }

    /// Writes inside the bytes there are.
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        Arc::make_mut(&mut self.bytes)[offset..end].copy_from_slice(bytes);
        self.sum_again(offset / SECTOR_SIZE, end.div_ceil(SECTOR_SIZE));
    }

    pub(super) fn resize(&mut self, size: usize) {
        let kept = self.bytes.len().min(size) / SECTOR_SIZE;
        Arc::make_mut(&mut self.bytes).resize(size, 0);
        let sectors = size.div_ceil(SECTOR_SIZE);
        Arc::make_mut(&mut self.sums).resize(sectors, 0);
        self.sum_again(kept, (kept + 1).min(sectors));
    }

    fn sum_again(&mut self, from: usize, to: usize) {
        let sums = Arc::make_mut(&mut self.sums);
        for (sector, sum) in sums.iter_mut().enumerate().take(to).skip(from) {
            let end = ((sector + 1) * SECTOR_SIZE).min(self.bytes.len());
            *sum = sector_sum(sector, &self.bytes[sector * SECTOR_SIZE..end]);
        }
    }

    /// The sum of one sector; 0 for one that is not there.
    pub(super) fn sum_of(&self, sector: usize) -> u128 {
        self.sums.get(sector).copied().unwrap_or(0)
    }

    /// The sum of all bytes, the size left out.
    pub(super) fn sum(&self) -> u128 {
        self.sums.iter().fold(0, |sum, one| sum.wrapping_add(*one))
    }
}

/// Two words into one.
pub(super) const fn fold(first: u64, second: u64) -> u64 {
    let product = first as u128 * second as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The sum of some bytes that have a number: 0 for zeros, else by chance different for different
/// bytes or numbers.
pub(super) fn sector_sum(number: usize, bytes: &[u8]) -> u128 {
    let (words, rest) = bytes.as_chunks::<16>();
    let mut any = rest.iter().fold(0, |any, byte| any | byte);
    any |=
        words.iter().fold(0, |any, word| any | u128::from_le_bytes(*word)).to_le_bytes().iter().fold(0, |a, b| a | b);
    if any == 0 {
        return 0;
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let (mut low, mut high) = (K[0] ^ number as u64, K[1] ^ bytes.len() as u64);
    for word in words.iter().chain([&last]) {
        let word = u128::from_le_bytes(*word);
        let (first, second) = (word as u64, (word >> 64) as u64);
        low = fold(low ^ first, second ^ K[2]).wrapping_add(high);
        high = fold(high ^ second, first ^ K[3]) ^ low.rotate_left(29);
    }
    u128::from(fold(low, high ^ K[0])) << 64 | u128::from(fold(high, low ^ K[1]))
}

/// Arbitrary odd words.
const K: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0xd6e8_feb8_6659_fd93];

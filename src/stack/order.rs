//! The order in which ports come out: keyed, so that nobody without the key can guess the next one
//! (RFC 6056), and with the key it repeats.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use std::fmt;

/// Bytes drawn at once.
const BUFFER_SIZE: usize = 256;

/// A stream of choices that depends on the key and the stack's name alone.
pub(super) struct Order {
    key: [u8; 32],
    stream: blake3::OutputReader,
    buffer: [u8; BUFFER_SIZE],
    used: usize,
}

impl Order {
    /// The stream of a key for one stack: stacks with one key have different orders.
    pub(super) fn new(key: &[u8; 32], name: &ConnectorName) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(name.as_str().as_bytes());
        Self::of(*hasher.finalize().as_bytes())
    }

    fn of(key: [u8; 32]) -> Self {
        let stream = blake3::Hasher::new_keyed(&key).finalize_xof();
        Self { key, stream, buffer: [0; BUFFER_SIZE], used: BUFFER_SIZE }
    }

    /// Another stream of the same key: one for each number.
    pub(super) fn branch(&self, number: u64) -> Self {
        Self::of(*blake3::keyed_hash(&self.key, &number.to_le_bytes()).as_bytes())
    }

    /// A number below `limit`, at most 65,536; 0 if that is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        if self.used == BUFFER_SIZE {
            self.stream.fill(&mut self.buffer);
            self.used = 0;
        }
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.buffer[self.used..self.used + 4]);
        self.used += 4;
        // 32 bits scaled to at most 16: no number is likelier than another by more than 2^-16.
        ((u64::from(u32::from_le_bytes(bytes)) * limit as u64) >> 32) as usize
    }

    /// Mixes `items`.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Order")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(mut order: Order) -> Vec<u16> {
        let mut ports: Vec<u16> = (0..64).collect();
        order.shuffle(&mut ports);
        ports
    }

    #[test]
    fn the_order_repeats_with_its_key_and_is_another_without() {
        let name = ConnectorName::new("SYS1").expect("a name");
        let draw = |key: u8, name: &ConnectorName| shuffled(Order::new(&[key; 32], name));
        let mut sorted = draw(7, &name);
        assert_eq!(sorted, draw(7, &name));
        assert_ne!(sorted, draw(8, &name));
        assert_ne!(sorted, draw(7, &ConnectorName::new("SYS2").expect("a name")));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..64).collect::<Vec<u16>>(), "it is a permutation");
        let order = Order::new(&[7; 32], &name);
        assert_eq!(shuffled(order.branch(1)), shuffled(order.branch(1)));
        assert_ne!(shuffled(order.branch(1)), shuffled(order.branch(2)));
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_all_of_it() {
        let mut order = Order::new(&[1; 32], &ConnectorName::new("SYS1").expect("a name"));
        let mut seen = [0_u32; 7];
        (0..7_000).for_each(|_| seen[order.below(7)] += 1);
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!((order.below(0), order.below(1)), (0, 0));
    }
}

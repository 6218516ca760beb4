//! The order in which ports come out: keyed, so that nobody without the key can guess the next one
//! (RFC 6056), and with the key it repeats.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use std::fmt;

/// A stream of choices that depends on the key and the stack's name alone.
pub(super) struct Order(blake3::OutputReader);

impl Order {
    /// The stream of a key for one stack: stacks with one key have different orders.
    pub(super) fn new(key: &[u8; 32], name: &ConnectorName) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(name.as_str().as_bytes());
        Self(hasher.finalize_xof())
    }

    /// A number below `limit`, or 0 if that is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        // A 64-bit number modulo at most 65,536: the bias is below 2^-48.
        usize::try_from(u64::from_le_bytes(bytes) % (limit.max(1) as u64)).unwrap_or(0)
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

    #[test]
    fn the_order_repeats_with_its_key_and_is_another_without() {
        let name = ConnectorName::new("SYS1").expect("a name");
        let draw = |key: u8, name: &ConnectorName| {
            let mut order = Order::new(&[key; 32], name);
            let mut ports: Vec<u16> = (0..64).collect();
            order.shuffle(&mut ports);
            ports
        };
        let mut sorted = draw(7, &name);
        assert_eq!(sorted, draw(7, &name));
        assert_ne!(sorted, draw(8, &name));
        assert_ne!(sorted, draw(7, &ConnectorName::new("SYS2").expect("a name")));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..64).collect::<Vec<u16>>(), "it is a permutation");
    }
}

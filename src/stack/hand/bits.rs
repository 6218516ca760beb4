//! A set of ports that is small while it has few of them: 1,000,000 destinations with one connection
//! each cost no more than 100 destinations with 10,000.
#![forbid(unsafe_code)]

use crate::ident::PortSet;

/// Ports that are listed one by one; more are bits.
const FEW_MAX: usize = 32;

const WORDS: usize = 1_024;

/// A set of ports.
#[derive(Clone, Debug)]
pub(super) enum PortBits {
    Few(Vec<u16>),
    Many { words: Box<[u64; WORDS]>, count: u32 },
}

impl Default for PortBits {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

fn place(port: u16) -> (usize, u64) {
    (usize::from(port / 64), 1 << (port % 64))
}

impl PortBits {
    /// False if it is there.
    pub(super) fn insert(&mut self, port: u16) -> bool {
        match self {
            Self::Few(ports) if ports.contains(&port) => false,
            Self::Few(ports) if ports.len() < FEW_MAX => {
                ports.push(port);
                true
            }
            Self::Few(ports) => {
                let mut words = Box::new([0; WORDS]);
                for port in ports.drain(..).chain([port]) {
                    let (at, bit) = place(port);
                    words[at] |= bit;
                }
                *self = Self::Many { words, count: FEW_MAX as u32 + 1 };
                true
            }
            Self::Many { words, count } => {
                let (at, bit) = place(port);
                let is_new = words[at] & bit == 0;
                words[at] |= bit;
                *count += u32::from(is_new);
                is_new
            }
        }
    }

    /// False if it is not there.
    pub(super) fn remove(&mut self, port: u16) -> bool {
        match self {
            Self::Few(ports) => {
                let at = ports.iter().position(|known| *known == port);
                at.map(|at| ports.swap_remove(at)).is_some()
            }
            Self::Many { words, count } => {
                let (at, bit) = place(port);
                let was = words[at] & bit != 0;
                words[at] &= !bit;
                *count -= u32::from(was);
                // Half of it, so that a set at the edge does not change its shape all the time.
                if was && *count as usize <= FEW_MAX / 2 {
                    *self = Self::Few(self.iter().collect());
                }
                was
            }
        }
    }

    /// Removes these; how many were there.
    pub(super) fn remove_all(&mut self, ports: &PortSet) -> u64 {
        let lost: Vec<u16> = self.iter().filter(|port| ports.contains(*port)).collect();
        lost.iter().filter(|port| self.remove(**port)).count() as u64
    }

    /// The 64 ports from `at` times 64 on.
    pub(super) fn word(&self, at: usize) -> u64 {
        match self {
            Self::Few(ports) => {
                let here = ports.iter().map(|port| place(*port)).filter(|(of, _)| *of == at);
                here.fold(0, |word, (_, bit)| word | bit)
            }
            Self::Many { words, .. } => words[at],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(ports) => ports.is_empty(),
            Self::Many { count, .. } => *count == 0,
        }
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u16> {
        let (few, many) = match self {
            Self::Few(ports) => (&ports[..], None),
            Self::Many { words, .. } => (&[][..], Some(words)),
        };
        let of_word = |(at, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| (at * 64 + bit) as u16)
        };
        few.iter().copied().chain(many.into_iter().flat_map(move |words| words.iter().enumerate().flat_map(of_word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_set_in_both_shapes_and_while_it_changes_them() {
        let (mut bits, mut plain) = (PortBits::default(), BTreeSet::new());
        let mut state = 7_u64;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let port = 64 + (state >> 33) as u16 % 97 * 331;
            // Tides, so that it crosses both edges many times.
            if step / 500 % 2 == 0 {
                assert_eq!(bits.insert(port), plain.insert(port));
            } else {
                assert_eq!(bits.remove(port), plain.remove(&port));
            }
            assert_eq!(bits.is_empty(), plain.is_empty());
            if step % 100 == 0 {
                assert_eq!(bits.iter().collect::<BTreeSet<u16>>(), plain);
                let count: u32 = (0..WORDS).map(|at| bits.word(at).count_ones()).sum();
                assert_eq!(count as usize, plain.len());
            }
        }
        let mut half = PortSet::empty();
        half.insert_range(0, 20_000);
        let gone = plain.iter().filter(|port| **port <= 20_000).count() as u64;
        assert_eq!(bits.remove_all(&half), gone);
        assert!(bits.iter().all(|port| port > 20_000));
    }
}

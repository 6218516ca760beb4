//! Random choices that repeat: the same seed makes the same ones in every release.

/// A source of numbers: splitmix64, after the numbers that somebody chose.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
    /// Chosen bytes that are left, the next one last.
    chosen: Vec<u8>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, chosen: Vec::new() }
    }

    /// Each byte makes one number, as long as there are some.
    pub(crate) fn chosen(bytes: &[u8]) -> Self {
        Self { state: bytes.len() as u64, chosen: bytes.iter().rev().copied().collect() }
    }

    /// Whether chosen bytes are left.
    pub(crate) fn is_chosen(&self) -> bool {
        !self.chosen.is_empty()
    }

    /// From the environment's `PORTPLEX_SEED`, else from `default`; the seed is printed.
    pub(crate) fn seeded(default: u64) -> Self {
        let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        println!("PORTPLEX_SEED={seed}");
        Self::new(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        if let Some(byte) = self.chosen.pop() {
            return u64::from(byte) * 0x0101_0101_0101_0101;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `end - 1`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A place in something of that length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }

    /// One of `choices`, which are not none.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }
}

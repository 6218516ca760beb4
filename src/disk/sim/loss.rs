//! What a power cut keeps of what was not synced.
#![forbid(unsafe_code)]

/// What is kept of the changes that were not synced, in the order in which
/// [`unsynced`](super::SimDisk::unsynced) counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is kept.
    Everything,
    /// All is kept.
    Nothing,
    /// Change `i` is kept if bit `i` is set; those beyond bit 63 are lost.
    Except(u64),
    /// Each change is kept or lost by chance.
    Random(u64),
    /// As `Random`, and some sectors come out as neither old nor new.
    Shorn(u64),
}

/// What becomes of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    Garbage(u64),
}

/// Deals out fates in order.
#[derive(Debug)]
pub(super) struct Dealer {
    loss: Loss,
    next: u32,
    random: u64,
}

impl Dealer {
    pub(super) const fn new(loss: Loss) -> Self {
        let random = match loss {
            Loss::Random(seed) | Loss::Shorn(seed) => seed,
            _ => 0,
        };
        Self { loss, next: 0, random }
    }

    pub(super) const fn deal(&mut self) -> Fate {
        let index = self.next;
        self.next = self.next.saturating_add(1);
        let is_kept = match self.loss {
            Loss::Everything => false,
            Loss::Nothing => true,
            Loss::Except(mask) => index < 64 && mask >> index & 1 == 1,
            Loss::Random(_) => self.draw() & 1 == 1,
            Loss::Shorn(_) => match self.draw() % 5 {
                0 => return Fate::Garbage(self.draw()),
                other => other & 1 == 1,
            },
        };
        if is_kept { Fate::Kept } else { Fate::Lost }
    }

    const fn draw(&mut self) -> u64 {
        splitmix(&mut self.random)
    }
}

/// One step of splitmix64: the seeded randomness of the simulated disk.
pub(super) const fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

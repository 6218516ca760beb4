//! Request windows: the same request number has at most one effect.
//!
//! Refusals are not remembered, so a refused request that comes once more is decided anew. A late
//! double of a refused acquire may be granted then, although its stack took the refusal and forgot
//! the number. That is within protocol.md: the grant is the stack's and nobody else's, an answer to a
//! number that is not outstanding is dropped (R11), and the next attach lists the grant, so that the
//! stack adopts it and gives it back (R7). Until then its ports are held for nothing. To remember
//! refusals would cost a place per refusal, and an event for something that had no effect. One gRPC
//! stream delivers nothing twice, and the client sends no call twice: only a caller that repeats a
//! number by itself can meet it.
#![forbid(unsafe_code)]

use super::request::Body;
use super::request::Member;
use crate::ident::Lsn;
use crate::ident::Target;
use std::collections::VecDeque;
use std::num::NonZeroU32;

/// Most numbers from the lowest unanswered one to the newest.
pub(super) const WINDOW_NUMBERS_MAX: u32 = 16_384;

/// Most places in all windows together: 256 MiB, with what a ring reserves ahead.
pub(super) const WINDOW_PLACES_MAX: u64 = 256 * 1_024 * 1_024 / 32;

/// A request that had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Executed {
    pub(super) hash: u64,
    /// Its first event's lsn.
    pub(super) first: Lsn,
    /// How many events it had.
    pub(super) count: NonZeroU32,
}

/// The requests of one incarnation that may still be repeated: a ring from the lowest open number.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub(super) struct Window {
    lowest: u32,
    ring: VecDeque<Option<Executed>>,
    executed: u32,
}

impl Window {
    /// The window of a new incarnation.
    pub(super) fn new() -> Self {
        Self::from_lowest(1)
    }

    pub(super) fn from_lowest(lowest: u32) -> Self {
        Self { lowest, ring: VecDeque::new(), executed: 0 }
    }

    /// The lowest number that may still be presented.
    pub(super) fn lowest(&self) -> u32 {
        self.lowest
    }

    /// Places in use.
    pub(super) fn places(&self) -> u64 {
        self.ring.len() as u64
    }

    /// Requests remembered.
    pub(super) fn executed(&self) -> u32 {
        self.executed
    }

    /// What `number` did, if anything.
    pub(super) fn get(&self, number: u32) -> Option<&Executed> {
        self.ring.get(number.checked_sub(self.lowest)? as usize)?.as_ref()
    }

    /// Places needed to remember `number` with `lowest` the lowest unanswered.
    pub(super) fn places_with(&self, number: u32, lowest: u32) -> u64 {
        let lowest = lowest.max(self.lowest);
        let newest = self.lowest + u32::try_from(self.ring.len()).expect("a window is small");
        u64::from((number + 1).max(newest).saturating_sub(lowest))
    }

    /// Forgets what is below `lowest` and remembers a request.
    pub(super) fn insert(&mut self, number: u32, lowest: u32, executed: Executed) {
        while self.lowest < lowest {
            match self.ring.pop_front() {
                Some(gone) => {
                    self.executed -= u32::from(gone.is_some());
                    self.lowest += 1;
                }
                None => self.lowest = lowest,
            }
        }
        let place = (number - self.lowest) as usize;
        if self.ring.len() <= place {
            self.ring.resize(place + 1, None);
        }
        assert!(self.ring[place].is_none(), "a number has at most one effect");
        self.ring[place] = Some(executed);
        self.executed += 1;
    }

    /// One more event of a remembered request.
    pub(super) fn extend(&mut self, number: u32) {
        let place = (number - self.lowest) as usize;
        let executed = self.ring[place].as_mut().expect("a further event follows a first one");
        executed.count = executed.count.saturating_add(1);
    }

    /// What is remembered, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Executed)> {
        self.ring.iter().zip(self.lowest..).filter_map(|(executed, number)| Some((number, executed.as_ref()?)))
    }
}

impl Body {
    /// What the log keeps of the body of a numbered request: the `hash` of
    /// [`Stamp::First`](super::Stamp::First).
    #[must_use]
    pub fn hash(&self) -> u64 {
        body_hash(self)
    }
}

/// The first 8 bytes of BLAKE3 of a body's canonical form: a tag, then its fields with fixed
/// widths, little-endian.
pub(super) fn body_hash(body: &Body) -> u64 {
    let mut bytes = Canonical { bytes: [0; 48], length: 0 };
    match body {
        Body::Join { target } => bytes.put(&[1]).target(*target),
        Body::Leave { member } => bytes.put(&[2]).member(*member),
        Body::Acquire { member, at_least, at_most } => {
            bytes.put(&[3]).member(*member).put(&at_least.to_le_bytes()).put(&at_most.to_le_bytes())
        }
        Body::Claim { member, port } => bytes.put(&[4]).member(*member).put(&port.to_le_bytes()),
        Body::Release { member, group, grant, mask } => bytes
            .put(&[5])
            .member(*member)
            .put(&group.number().to_le_bytes())
            .put(&grant.0.to_le_bytes())
            .put(&mask.0.to_le_bytes()),
        Body::SetAllowable { transport, ports } => {
            let content = content_digest(ports.words());
            bytes.put(&[6, u8::try_from(transport.index()).expect("two transports")]).put(&content)
        }
        Body::Disconnect => bytes.put(&[7]),
    };
    let digest = blake3::hash(&bytes.bytes[..bytes.length]);
    u64::from_le_bytes(*digest.as_bytes().first_chunk().expect("32 bytes"))
}

/// BLAKE3 of a port set's masks, in one piece: so the hash works on all of its eight chunks side by side.
pub(super) fn content_digest(words: &super::bits::Masks) -> [u8; 32] {
    let mut bytes = [0; size_of::<super::bits::Masks>()];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    *blake3::hash(&bytes).as_bytes()
}

struct Canonical {
    bytes: [u8; 48],
    length: usize,
}

impl Canonical {
    fn put(&mut self, some: &[u8]) -> &mut Self {
        self.bytes[self.length..][..some.len()].copy_from_slice(some);
        self.length += some.len();
        self
    }

    fn member(&mut self, member: Member) -> &mut Self {
        self.put(&member.slot.to_le_bytes()).put(&member.joined.0.to_le_bytes())
    }

    fn target(&mut self, target: Target) -> &mut Self {
        let transport = u8::try_from(target.transport().index()).expect("two transports");
        match target {
            Target::List(dvipa, _) => self.put(&[0, transport]).put(&dvipa.to_bytes()),
            Target::Pool(_) => self.put(&[1, transport]),
        }
    }
}

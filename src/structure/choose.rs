//! Which groups to grant: a rule that may change in any release, for only its result is stored.
//!
//! In this order:
//! 1. the neighbour above, then below, of the whole group that the stack got last on this list, if
//!    it is wholly free and wholly allowable: ranges stay contiguous, which Linux needs;
//! 2. a random one of the wholly free and wholly allowable groups: ports must be hard to guess
//!    (RFC 6056);
//! 3. of the groups with some free and allowable ports the fullest among those looked at from a
//!    random start;
//! 4. only if fewer than `at_least` were found: what the same stack under the same boot released
//!    and is still in quarantine.
//!
//! A pick costs a fixed number of words, however full the list is, except where allowable and free
//! ports overlap in hardly any group: then up to 1,024 masks are looked at before the answer is no.
#![forbid(unsafe_code)]

use super::bits::Bits;
use super::bits::PortsView;
use super::bits::visit;
use super::holdings::Holdings;
use super::list::List;
use super::refusal::Refusal;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PORTS_PER_GROUP;
use crate::ident::PortMask;

/// Groups in partial use looked at for the fullest one.
const PARTIAL_LOOKS: usize = 32;

/// Places of the quarantine queue looked at for the asker's own ports.
const QUARANTINE_LOOKS: usize = 256;

const GROUP_PORTS: u32 = PORTS_PER_GROUP as u32;

/// What there is to choose from.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) list: &'a List,
    pub(super) holdings: &'a Holdings,
    /// What the asker may be given.
    pub(super) allowed: PortsView<'a>,
    /// What it may not be given whatever is allowed.
    pub(super) barred: Option<PortsView<'a>>,
}

/// What is asked for, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) at_least: u16,
    pub(super) at_most: u16,
    /// The whole group it got last.
    pub(super) last_group: Option<GroupNumber>,
    /// Ports it holds in the list.
    pub(super) held: u32,
    pub(super) random: u64,
    /// Its slot and boot: whose quarantined ports it may take back.
    pub(super) connector: u32,
    pub(super) boot_since: Lsn,
}

impl Scene<'_> {
    /// The ports of a group that the asker may have if they are free.
    pub(super) fn allowable(&self, group: GroupNumber) -> u64 {
        visit(1 + usize::from(self.barred.is_some()));
        self.allowed.masks[group.index()] & !self.barred.map_or(0, |barred| barred.masks[group.index()])
    }

    fn free(&self, group: GroupNumber) -> u64 {
        self.holdings.masks(self.list, group).free() & self.allowable(group)
    }

    fn is_whole(&self, group: GroupNumber) -> bool {
        self.list.whole_free.has(group)
            && self.allowed.whole.has(group)
            && !self.barred.is_some_and(|barred| barred.some.has(group))
    }

    /// Groups wholly free and wholly allowable.
    fn whole(&self) -> Bits {
        let whole = self.list.whole_free.and(self.allowed.whole);
        self.barred.map_or(whole, |barred| whole.without(barred.some))
    }

    /// Groups that may have free and allowable ports; no other group has any.
    fn some(&self) -> Bits {
        let some = self.list.some_free.and(self.allowed.some);
        self.barred.map_or(some, |barred| some.without(barred.whole))
    }

    /// Ports of this list that the asker, and nobody else, may take out of quarantine.
    pub(super) fn own_resting(&self, wish: &Wish) -> Vec<(GroupNumber, u64)> {
        let mut own: Vec<(GroupNumber, u64)> = Vec::new();
        for resting in self.list.queue.iter().take(QUARANTINE_LOOKS) {
            visit(1);
            let mask = resting.mask & self.allowable(resting.group);
            if (resting.connector, resting.boot_since) != (wish.connector, wish.boot_since) || mask == 0 {
                continue;
            }
            match own.iter_mut().find(|(group, _)| *group == resting.group) {
                Some((_, masks)) => *masks |= mask,
                None => own.push((resting.group, mask)),
            }
        }
        own.sort_by_key(|(_, mask)| std::cmp::Reverse(mask.count_ones()));
        own
    }

    /// Why there is too little, in numbers.
    fn exhausted(&self) -> Refusal {
        let (mut free, mut excluded, mut allowable_held, mut allowable_quarantined) = (0, 0, 0, 0);
        for group in GroupNumber::all() {
            let (all, allowable) = (self.holdings.masks(self.list, group), self.allowable(group));
            free += (all.free() & allowable).count_ones();
            excluded += (all.free() & !allowable).count_ones();
            allowable_held += (all.held & allowable).count_ones();
            allowable_quarantined += (all.quarantined & allowable).count_ones();
        }
        let (held, quarantined) = (self.list.held, self.list.quarantined);
        Refusal::Exhausted { free, held, quarantined, excluded, allowable_held, allowable_quarantined }
    }
}

/// Picks `at_least` to `at_most` groups and hands each to `take`.
///
/// # Errors
/// `Exhausted`, `QuotaExceeded` or `Reserved`, with some groups already handed over: the caller
/// forgets those.
pub(super) fn choose(
    scene: &Scene<'_>,
    wish: &Wish,
    mut take: impl FnMut(GroupNumber, PortMask),
) -> Result<(), Refusal> {
    let mut choice = Choice::new(*scene, *wish);
    while choice.wants_more() && choice.room >= GROUP_PORTS {
        let Some(group) = choice.next_whole() else { break };
        take(group, choice.pick(group, u64::MAX));
        choice.last = Some(group);
    }
    while choice.wants_more() {
        let Some((group, ports)) = choice.next_partial() else { break };
        take(group, choice.pick(group, ports));
    }
    if choice.wants_more()
        && choice.room < GROUP_PORTS
        && let Some(group) = choice.next_whole()
    {
        take(group, choice.pick(group, u64::MAX));
    }
    if choice.picked < wish.at_least && choice.room > 0 {
        for (group, ports) in scene.own_resting(wish) {
            if choice.picked < wish.at_least && choice.room > 0 {
                take(group, choice.pick(group, ports));
            }
        }
    }
    if choice.picked >= wish.at_least { Ok(()) } else { Err(choice.refusal()) }
}

struct Choice<'a> {
    scene: Scene<'a>,
    wish: Wish,
    picked: u16,
    /// Ports that the quota leaves.
    room: u32,
    last: Option<GroupNumber>,
    /// Groups picked, or found to have nothing.
    gone: Bits,
    /// Whether only the reserve was left.
    blocked: bool,
    random: u64,
}

impl<'a> Choice<'a> {
    fn new(scene: Scene<'a>, wish: Wish) -> Self {
        let quota = scene.list.policy.quota;
        let room = if quota == 0 { u32::MAX } else { quota.saturating_sub(wish.held) };
        let (random, last) = (wish.random, wish.last_group);
        Self { scene, wish, picked: 0, room, last, gone: Bits::NONE, blocked: false, random }
    }

    fn wants_more(&self) -> bool {
        self.picked < self.wish.at_most && self.room > 0
    }

    /// Takes of `ports` as many as the quota leaves.
    fn pick(&mut self, group: GroupNumber, ports: u64) -> PortMask {
        let mut mask = ports;
        while mask.count_ones() > self.room {
            mask &= !(1 << (63 - mask.leading_zeros()));
        }
        self.picked += 1;
        self.room -= mask.count_ones();
        self.gone.set(group, true);
        PortMask(mask)
    }

    fn next_whole(&mut self) -> Option<GroupNumber> {
        let reserve = u32::from(self.scene.list.policy.reserve);
        if reserve > 0 && (self.wish.held > 0 || self.picked > 0) {
            let left = self.scene.whole().without(&self.gone).count();
            if left <= reserve {
                self.blocked = left > 0;
                return None;
            }
        }
        if let Some(last) = self.last {
            let above = last.number().checked_add(1).and_then(GroupNumber::new);
            let below = last.number().checked_sub(1).and_then(GroupNumber::new);
            let fit = |group: &GroupNumber| self.scene.is_whole(*group) && !self.gone.has(*group);
            if let Some(group) = above.filter(fit).or_else(|| below.filter(fit)) {
                return Some(group);
            }
        }
        let whole = self.scene.whole().without(&self.gone);
        let count = whole.count();
        whole.select(self.below(count))
    }

    /// The fullest of the groups in partial use or partly allowable.
    fn next_partial(&mut self) -> Option<(GroupNumber, u64)> {
        let mut rest = self.scene.some().without(&self.scene.whole()).without(&self.gone);
        let start = self.below(u32::from(GroupNumber::COUNT));
        let mut group = GroupNumber::new(u16::try_from(start).expect("below the count of groups"))?;
        let mut best: Option<(GroupNumber, u64)> = None;
        let mut looks = 0;
        while let Some(next) = rest.next_from(group) {
            group = next;
            rest.set(group, false);
            looks += 1;
            let ports = self.scene.free(group);
            if ports == 0 {
                self.gone.set(group, true);
            } else if best.is_none_or(|(_, most)| ports.count_ones() > most.count_ones()) {
                best = Some((group, ports));
            }
            if looks >= PARTIAL_LOOKS && best.is_some() {
                break;
            }
        }
        best
    }

    /// A random number below `count`; 0 if that is 0. Each call takes one splitmix64 step.
    fn below(&mut self, count: u32) -> u32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let scaled = (u128::from(mixed) * u128::from(count)) >> 64;
        u32::try_from(scaled).expect("below a number of 32 bits")
    }

    fn refusal(&self) -> Refusal {
        if self.room == 0 {
            return Refusal::QuotaExceeded { held: self.wish.held, quota: self.scene.list.policy.quota };
        }
        if self.blocked {
            return Refusal::Reserved { reserve: self.scene.list.policy.reserve };
        }
        self.scene.exhausted()
    }
}

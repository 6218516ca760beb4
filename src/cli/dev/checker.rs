//! Counts duplicates from what was seen from outside, with nothing of the allocator in it.
//!
//! It hears what passed between each stack and the facility, and what each stack did with sockets,
//! with times from one clock, and keeps for every (address, port) who held it from when until when:
//! from the moment a grant's answer arrived to the moment its release was about to be sent. Both
//! ends are cut short on purpose, so what it reports did happen. It promises to find
//!
//! * a port in the hands of two stacks at once (overlap), or under two tokens,
//! * a port that another stack got before the quarantine was over (early),
//! * a bind that met one of our own sockets (own),
//! * a port used by a stack that does not hold it (unheld),
//! * a port given back while a socket still used it (released in use, protocol.md R10),
//! * an acknowledged grant that the facility no longer knew after a crash (lost).
//!
//! Plain numbers only: this file names nothing of the crate. It does not see time: every call says
//! when it happened, and calls must come in that order.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;

/// Findings that are kept as text; all are counted.
const TEXTS_MAX: usize = 20;

/// A stack, by its place in the run.
pub(super) type StackIndex = usize;

/// One grant as a stack was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The grant's token.
    pub(super) token: u64,
    /// The membership it belongs to, by any number that is unique per stack and list.
    pub(super) member: u32,
    /// The DVIPA.
    pub(super) address: IpAddr,
    /// The first of its 64 ports.
    pub(super) first_port: u16,
    /// Bit `i` is port `first_port + i`.
    pub(super) mask: u64,
}

/// What was found: zero everywhere is what is promised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Ports held by two stacks, or under two tokens, at once.
    pub(super) overlaps: u64,
    /// Ports held by another stack within the quarantine.
    pub(super) early: u64,
    /// Binds that met one of our own sockets.
    pub(super) own_in_use: u64,
    /// Uses of a port by a stack that did not hold it.
    pub(super) unheld: u64,
    /// Ports given back while a socket used them.
    pub(super) released_in_use: u64,
    /// Ports of acknowledged grants that an attach no longer listed.
    pub(super) lost: u64,
    /// The first of them in words.
    pub(super) texts: Vec<String>,
}

impl Findings {
    /// One port with two users: what must never be.
    pub(super) fn duplicates(&self) -> u64 {
        self.overlaps + self.early + self.own_in_use
    }

    /// Everything that breaks a promise.
    pub(super) fn all(&self) -> u64 {
        self.duplicates() + self.unheld + self.released_in_use + self.lost
    }

    fn say(&mut self, text: String) {
        if self.texts.len() < TEXTS_MAX {
            self.texts.push(text);
        }
    }
}

/// Who held what, from when, until when.
#[derive(Debug)]
pub(super) struct Checker {
    quarantine_us: u64,
    ports: HashMap<(IpAddr, u16), Vec<Hold>>,
    grants: BTreeMap<(StackIndex, u64), Seen>,
    sockets: HashMap<(IpAddr, u16), StackIndex>,
    used: HashMap<(IpAddr, u16), u32>,
    findings: Findings,
    holds: u64,
    uses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    stack: StackIndex,
    token: u64,
    from_us: u64,
    until_us: Option<u64>,
}

impl Checker {
    /// `quarantine_us`: how far apart the holds of two stacks must be.
    pub(super) fn new(quarantine_us: u64) -> Self {
        Self {
            quarantine_us,
            ports: HashMap::new(),
            grants: BTreeMap::new(),
            sockets: HashMap::new(),
            used: HashMap::new(),
            findings: Findings::default(),
            holds: 0,
            uses: 0,
        }
    }

    /// A grant's answer arrived.
    pub(super) fn granted(&mut self, at_us: u64, stack: StackIndex, seen: Seen) {
        for port in ports(&seen) {
            self.open(at_us, stack, seen.token, (seen.address, port));
        }
        self.grants.entry((stack, seen.token)).and_modify(|known| known.mask |= seen.mask).or_insert(seen);
    }

    /// An attach was answered: `list` is all that the facility has for the stack.
    pub(super) fn attached(&mut self, at_us: u64, stack: StackIndex, list: &[Seen]) {
        let known: Vec<Seen> = self.of_stack(stack).collect();
        for grant in known {
            let listed = list.iter().filter(|seen| seen.token == grant.token).fold(0, |mask, seen| mask | seen.mask);
            let missing = Seen { mask: grant.mask & !listed, ..grant };
            for port in ports(&missing) {
                self.findings.lost += 1;
                self.findings.say(format!(
                    "lost: {}:{port} was acknowledged to stack {stack} under token {} and is gone after the attach",
                    grant.address, grant.token
                ));
            }
            self.end(at_us, stack, grant.token, missing.mask);
        }
        for seen in list {
            self.granted(at_us, stack, *seen);
        }
    }

    /// A release of `mask` is about to be sent.
    pub(super) fn release_sent(&mut self, at_us: u64, stack: StackIndex, token: u64, mask: u64) {
        let Some(grant) = self.grants.get(&(stack, token)).copied() else { return };
        let given = Seen { mask: grant.mask & mask, ..grant };
        for port in ports(&given).filter(|port| self.sockets.get(&(grant.address, *port)) == Some(&stack)) {
            self.findings.released_in_use += 1;
            self.findings
                .say(format!("released in use: stack {stack} gave {}:{port} back under a socket", grant.address));
        }
        self.end(at_us, stack, token, mask);
    }

    /// The stack is about to leave a list: everything in it is given back.
    pub(super) fn leave_sent(&mut self, at_us: u64, stack: StackIndex, member: u32) {
        let grants: Vec<Seen> = self.of_stack(stack).filter(|grant| grant.member == member).collect();
        for grant in grants {
            self.release_sent(at_us, stack, grant.token, grant.mask);
        }
    }

    /// The stack is about to disconnect: everything it has is given back.
    pub(super) fn disconnect_sent(&mut self, at_us: u64, stack: StackIndex) {
        let grants: Vec<Seen> = self.of_stack(stack).collect();
        for grant in grants {
            self.release_sent(at_us, stack, grant.token, grant.mask);
        }
    }

    /// A socket is about to be bound.
    pub(super) fn binding(&mut self, at_us: u64, stack: StackIndex, address: IpAddr, port: u16) {
        self.uses += 1;
        let holds = self.ports.get(&(address, port)).map_or(&[][..], Vec::as_slice);
        if !holds.iter().any(|hold| hold.stack == stack && hold.until_us.is_none()) {
            self.findings.unheld += 1;
            self.findings.say(format!("unheld: stack {stack} binds {address}:{port} at {at_us} us without a grant"));
        }
        if let Some(other) = self.sockets.insert((address, port), stack) {
            self.findings.own_in_use += 1;
            self.findings
                .say(format!("own: stack {stack} binds {address}:{port} while stack {other} has a socket on it"));
        }
        *self.used.entry((address, port)).or_default() += 1;
    }

    /// The socket is closed, or the bind did not come about.
    pub(super) fn closed(&mut self, stack: StackIndex, address: IpAddr, port: u16) {
        if self.sockets.get(&(address, port)) == Some(&stack) {
            self.sockets.remove(&(address, port));
        }
    }

    /// A bind met `EADDRINUSE` from a socket that was found to be ours.
    pub(super) fn met_own_socket(&mut self, stack: StackIndex, address: IpAddr, port: u16) {
        self.findings.own_in_use += 1;
        self.findings
            .say(format!("own: the kernel refused {address}:{port} to stack {stack}: a socket of ours has it"));
    }

    /// Whether a stack of this run has bound the port before the bind that is under way.
    pub(super) fn was_used_before(&self, address: IpAddr, port: u16) -> bool {
        self.used.get(&(address, port)).is_some_and(|uses| *uses > 1)
    }

    /// What was found so far.
    pub(super) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// How much was looked at: holds of a port, and binds.
    pub(super) fn looked_at(&self) -> (u64, u64) {
        (self.holds, self.uses)
    }

    fn of_stack(&self, stack: StackIndex) -> impl Iterator<Item = Seen> {
        self.grants.range((stack, 0)..=(stack, u64::MAX)).map(|(_, grant)| *grant)
    }

    fn open(&mut self, at_us: u64, stack: StackIndex, token: u64, place: (IpAddr, u16)) {
        let (address, port) = place;
        let quarantine_us = self.quarantine_us;
        let holds = self.ports.entry(place).or_default();
        if holds.iter().any(|hold| hold.stack == stack && hold.token == token && hold.until_us.is_none()) {
            return;
        }
        // What ended longer ago than the quarantine can clash with nothing any more.
        holds.retain(|hold| hold.until_us.is_none_or(|until_us| until_us.saturating_add(quarantine_us) > at_us));
        for hold in holds.iter() {
            match hold.until_us {
                None => {
                    self.findings.overlaps += 1;
                    self.findings.say(format!(
                        "overlap: {address}:{port} went to stack {stack} (token {token}) at {at_us} us, stack {} (token {}) has it since {} us",
                        hold.stack, hold.token, hold.from_us
                    ));
                }
                Some(until_us) if hold.stack != stack => {
                    self.findings.early += 1;
                    self.findings.say(format!(
                        "early: {address}:{port} went to stack {stack} at {at_us} us, stack {} gave it back at {until_us} us",
                        hold.stack
                    ));
                }
                Some(_) => {}
            }
        }
        holds.push(Hold { stack, token, from_us: at_us, until_us: None });
        self.holds += 1;
    }

    fn end(&mut self, at_us: u64, stack: StackIndex, token: u64, mask: u64) {
        let Some(grant) = self.grants.get_mut(&(stack, token)) else { return };
        let ended = Seen { mask: grant.mask & mask, ..*grant };
        grant.mask &= !mask;
        if grant.mask == 0 {
            self.grants.remove(&(stack, token));
        }
        for port in ports(&ended) {
            let holds = self.ports.entry((ended.address, port)).or_default();
            let open = |hold: &&mut Hold| hold.stack == stack && hold.token == token && hold.until_us.is_none();
            if let Some(hold) = holds.iter_mut().find(open) {
                hold.until_us = Some(at_us);
            }
        }
    }
}

fn ports(seen: &Seen) -> impl Iterator<Item = u16> + use<> {
    let Seen { first_port, mask, .. } = *seen;
    (0..64_u16).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| first_port.wrapping_add(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARANTINE_US: u64 = 3_000_000;
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 1, 1));

    fn grant(token: u64, first_port: u16, mask: u64) -> Seen {
        Seen { token, member: 1, address: ADDRESS, first_port, mask }
    }

    fn checker() -> Checker {
        Checker::new(QUARANTINE_US)
    }

    #[test]
    fn one_port_in_two_hands_is_found() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 0b0110));
        checker.granted(20, 1, grant(8, 6_400, 0b0100));
        assert_eq!(checker.findings().overlaps, 1, "{:?}", checker.findings());
        assert_eq!(checker.findings().duplicates(), 1);
        assert!(checker.findings().texts[0].contains("10.1.1.1:6402"), "{:?}", checker.findings().texts);
    }

    #[test]
    fn one_stack_under_two_tokens_is_found() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, u64::MAX));
        checker.granted(20, 0, grant(8, 6_400, 1));
        assert_eq!(checker.findings().overlaps, 1);
    }

    #[test]
    fn a_shared_group_with_disjoint_masks_is_no_duplicate() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 0xffff_ffff_0000_0000));
        checker.granted(20, 1, grant(8, 6_400, 0x0000_0000_ffff_ffff));
        assert_eq!(checker.findings(), &Findings::default());
        assert_eq!(checker.looked_at(), (64, 0));
    }

    #[test]
    fn the_quarantine_is_measured_to_the_microsecond_between_stacks_only() {
        for (gap_us, early) in [(QUARANTINE_US - 1, 64), (QUARANTINE_US, 0), (0, 64)] {
            let mut checker = checker();
            checker.granted(10, 0, grant(7, 6_400, u64::MAX));
            checker.release_sent(1_000, 0, 7, u64::MAX);
            checker.granted(1_000 + gap_us, 1, grant(8, 6_400, u64::MAX));
            assert_eq!(checker.findings().early, early, "gap {gap_us}");
        }
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, u64::MAX));
        checker.release_sent(1_000, 0, 7, u64::MAX);
        checker.granted(1_001, 0, grant(9, 6_400, u64::MAX));
        assert_eq!(checker.findings().all(), 0, "the same stack may take it back at once");
    }

    #[test]
    fn a_part_release_ends_only_its_part() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 0b11));
        checker.release_sent(20, 0, 7, 0b01);
        checker.granted(20 + QUARANTINE_US, 1, grant(8, 6_400, 0b11));
        let findings = checker.findings();
        assert_eq!((findings.overlaps, findings.early), (1, 0), "{findings:?}");
    }

    #[test]
    fn the_parts_of_a_grant_end_one_by_one() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 0b11));
        checker.release_sent(20, 0, 7, 0b01);
        checker.release_sent(30, 0, 7, 0b10);
        checker.granted(30 + QUARANTINE_US, 1, grant(8, 6_400, 0b11));
        assert_eq!(checker.findings().all(), 0, "{:?}", checker.findings());
    }

    #[test]
    fn an_attach_that_forgot_part_of_a_grant_is_found() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 0b111));
        checker.attached(20, 0, &[grant(7, 6_400, 0b110)]);
        assert_eq!(checker.findings().lost, 1);
    }

    #[test]
    fn a_port_is_bound_again_and_again() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 1));
        for at_us in [20, 30] {
            checker.binding(at_us, 0, ADDRESS, 6_400);
            checker.closed(0, ADDRESS, 6_400);
        }
        assert_eq!(checker.findings().all(), 0, "{:?}", checker.findings());
    }

    #[test]
    fn an_attach_that_forgot_a_grant_is_found() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, u64::MAX));
        checker.granted(10, 0, grant(8, 640, 0b11));
        checker.release_sent(15, 0, 8, 0b10);
        checker.attached(20, 0, &[grant(8, 640, 0b01)]);
        assert_eq!(checker.findings().lost, 64);
        assert_eq!(checker.findings().duplicates(), 0);
    }

    #[test]
    fn a_release_whose_frame_was_lost_goes_on_being_held() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 1));
        checker.release_sent(20, 0, 7, 1);
        checker.attached(30, 0, &[grant(7, 6_400, 1)]);
        checker.binding(40, 0, ADDRESS, 6_400);
        checker.closed(0, ADDRESS, 6_400);
        assert_eq!(checker.findings().all(), 0);
        checker.granted(50, 1, grant(9, 6_400, 1));
        assert_eq!(checker.findings().overlaps, 1);
    }

    #[test]
    fn a_use_without_a_grant_is_found() {
        let mut checker = checker();
        checker.binding(5, 0, ADDRESS, 6_400);
        checker.closed(0, ADDRESS, 6_400);
        checker.granted(10, 0, grant(7, 6_400, 1));
        checker.binding(15, 1, ADDRESS, 6_400);
        checker.closed(1, ADDRESS, 6_400);
        checker.binding(15, 0, ADDRESS, 6_400);
        checker.closed(0, ADDRESS, 6_400);
        checker.release_sent(20, 0, 7, 1);
        checker.binding(25, 0, ADDRESS, 6_400);
        assert_eq!(checker.findings().unheld, 3);
    }

    #[test]
    fn two_sockets_on_one_port_and_a_kernels_refusal_are_duplicates() {
        let mut checker = checker();
        checker.granted(10, 0, grant(7, 6_400, 1));
        checker.binding(20, 0, ADDRESS, 6_400);
        checker.binding(30, 0, ADDRESS, 6_400);
        checker.met_own_socket(0, ADDRESS, 6_400);
        assert_eq!(checker.findings().duplicates(), 2);
        assert!(checker.was_used_before(ADDRESS, 6_400) && !checker.was_used_before(ADDRESS, 6_401));
    }

    #[test]
    fn giving_back_under_a_socket_is_found_by_release_leave_and_disconnect() {
        for way in 0..3 {
            let mut checker = checker();
            checker.granted(10, 0, grant(7, 65_472, u64::MAX));
            checker.binding(20, 0, ADDRESS, 65_535);
            match way {
                0 => checker.release_sent(30, 0, 7, 1 << 63),
                1 => checker.leave_sent(30, 0, 1),
                _ => checker.disconnect_sent(30, 0),
            }
            assert_eq!(checker.findings().released_in_use, 1, "way {way}");
        }
    }
}

//! The grants of a hand: given up, cut, read after a restart, reported.
#![forbid(unsafe_code)]

use super::Hand;
use super::words::Place;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::structure::ReportedGrant;

/// One grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) group: GroupNumber,
    pub(super) mask: PortMask,
    /// From an earlier life; its sockets were not read yet.
    pub(super) unread: bool,
    /// Of a lost history, and granting is stopped: what is in use stays, nothing is handed out
    /// (protocol.md R19).
    pub(super) frozen: bool,
}

/// Ports of one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Part {
    pub(in crate::stack) group: GroupNumber,
    pub(in crate::stack) grant: Lsn,
    pub(in crate::stack) mask: PortMask,
}

impl Hand {
    /// Gives up whole idle grants as long as `keep` free ports stay, the oldest first. Ports that
    /// rest count as free; they go, too, and go on resting if they come back.
    pub(in crate::stack) fn give_up_idle(&mut self, keep: u32) -> Vec<Part> {
        let counts = self.counts();
        let mut left = counts.free + counts.resting;
        let idle: Vec<Lsn> =
            self.held.iter().filter(|(_, held)| !held.unread && !held.frozen).map(|(grant, _)| *grant).collect();
        let mut parts = Vec::new();
        for grant in idle {
            let Some(held) = self.held.get(&grant).copied() else { continue };
            let is_free = |port: &u16| matches!(self.ports.look(*port).0, Place::Free | Place::Resting);
            let free = held.mask.ports(held.group).filter(is_free).count();
            let after = left.saturating_sub(u32::try_from(free).unwrap_or(u32::MAX));
            if after >= keep && self.leave(grant, held, held.mask) == held.mask {
                left = after;
                self.held.remove(&grant);
                parts.push(Part { group: held.group, grant, mask: held.mask });
            }
        }
        parts
    }

    /// Gives up every port that is idle now; whoever uses the others gives them back later.
    pub(in crate::stack) fn give_up_unused(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (grant, held) in self.held.clone() {
            let idle = if held.unread || held.frozen { PortMask::NONE } else { self.leave_each(grant, held) };
            if idle.is_empty() {
                continue;
            }
            parts.push(Part { group: held.group, grant, mask: idle });
            let mask = held.mask.without(idle);
            if mask.is_empty() {
                self.held.remove(&grant);
            } else {
                self.held.insert(grant, Held { mask, ..held });
            }
        }
        parts
    }

    /// Takes idle ports of a grant out of the hand, all of them or none. Somebody may take one at the
    /// same time: then those that were out already come in again.
    fn leave(&mut self, grant: Lsn, held: Held, mask: PortMask) -> PortMask {
        let mut out: Vec<(u16, Place)> = Vec::new();
        for port in mask.ports(held.group) {
            let Some(word) = self.ports.words.get(port) else { continue };
            let place = word.look().0;
            let idle = matches!(place, Place::Free | Place::Resting | Place::Kept);
            if !idle || !word.change(grant, place, Place::Nowhere) {
                let free: Vec<u16> =
                    out.iter().filter(|(_, place)| *place == Place::Free).map(|(port, _)| *port).collect();
                for (port, place) in out {
                    self.ports.words.make(port).put(grant, place);
                }
                self.hand_out(free);
                return PortMask::NONE;
            }
            out.push((port, place));
        }
        mask
    }

    /// As [`leave`](Self::leave), port by port.
    fn leave_each(&mut self, grant: Lsn, held: Held) -> PortMask {
        let ports = held.mask.ports(held.group).map(PortMask::of_port);
        ports.fold(PortMask::NONE, |idle, port| idle.or(self.leave(grant, held, port)))
    }

    /// Gives up everything, used or not.
    pub(in crate::stack) fn give_up_all(&mut self) -> Vec<Part> {
        let held = std::mem::take(&mut self.held);
        let parts: Vec<Part> =
            held.into_iter().map(|(grant, held)| Part { group: held.group, grant, mask: held.mask }).collect();
        self.lose(&parts);
        parts
    }

    /// Ports that are this hand's no longer, whoever uses them. Returns those in use.
    fn lose(&mut self, parts: &[Part]) -> PortSet {
        let (mut lost, mut used) = ([0; GroupNumber::COUNT as usize], [0; GroupNumber::COUNT as usize]);
        for Part { group, grant, mask } in parts {
            lost[group.index()] |= mask.0;
            for port in mask.ports(*group) {
                let Some(word) = self.ports.words.get(port).filter(|word| word.look().1 == *grant) else { continue };
                if matches!(word.lose(), Place::Used | Place::Shared) {
                    used[group.index()] |= PortMask::of_port(port).0;
                }
                self.ports.unshare(port);
            }
        }
        // After the words, so that no connection of them is opened or ended meanwhile.
        if parts.iter().any(|part| !part.mask.is_empty()) {
            self.ports.tuples.forget(&PortSet::from_words(lost));
        }
        PortSet::from_words(used)
    }

    /// Reads what an earlier life left: of each unread grant the ports in `in_use` stay, in use.
    /// Returns those that stay and what is given up.
    pub(in crate::stack) fn read(&mut self, in_use: &PortSet) -> (Vec<(u16, Lsn)>, Vec<Part>) {
        let (mut stay, mut parts) = (Vec::new(), Vec::new());
        for (grant, held) in self.held.iter_mut().filter(|(_, held)| held.unread) {
            let used = held.mask.and(in_use.mask(held.group));
            let idle = held.mask.without(used);
            for port in held.mask.ports(held.group) {
                let place = if used.contains(PortMask::of_port(port)) { Place::Used } else { Place::Nowhere };
                self.ports.words.make(port).put(*grant, place);
            }
            *held = Held { mask: used, unread: false, ..*held };
            stay.extend(used.ports(held.group).map(|port| (port, *grant)));
            if !idle.is_empty() {
                parts.push(Part { group: held.group, grant: *grant, mask: idle });
            }
        }
        self.held.retain(|_, held| !held.mask.is_empty());
        (stay, parts)
    }

    /// Makes a grant what the facility says it is: `mask`, maybe nothing. Returns the ports that
    /// are in the hand no more, and which of them were in use.
    pub(in crate::stack) fn cut(&mut self, grant: Lsn, mask: PortMask) -> Option<(Part, PortMask)> {
        let held = self.held.get_mut(&grant)?;
        let lost = held.mask.without(mask);
        if lost.is_empty() {
            return None;
        }
        let part = Part { group: held.group, grant, mask: lost };
        held.mask = held.mask.and(mask);
        if held.mask.is_empty() {
            self.held.remove(&grant);
        }
        let used = self.lose(&[part]).mask(part.group);
        Some((part, used))
    }

    /// The ports of a grant; `None` if it is not held.
    pub(in crate::stack) fn mask(&self, grant: Lsn) -> Option<PortMask> {
        self.held.get(&grant).map(|held| held.mask)
    }

    /// Every port that is held.
    pub(in crate::stack) fn all(&self) -> impl Iterator<Item = (GroupNumber, PortMask)> {
        self.held.values().map(|held| (held.group, held.mask))
    }

    /// Every grant with all its ports, for the report at an attach.
    pub(in crate::stack) fn reported(&self, target: Target) -> impl Iterator<Item = ReportedGrant> {
        let reported =
            move |(lsn, held): (&Lsn, &Held)| ReportedGrant { lsn: *lsn, target, group: held.group, mask: held.mask };
        self.held.iter().map(reported)
    }

    /// Every grant's token.
    pub(in crate::stack) fn grants(&self) -> Vec<Lsn> {
        self.held.keys().copied().collect()
    }

    /// How many grants there are.
    pub(in crate::stack) fn grant_count(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }
}

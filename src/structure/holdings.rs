//! Grants, and the ports of each group: who holds them, which are in quarantine.
//!
//! Most groups are free, or have one holder and nothing else, or are wholly in quarantine: eight
//! bytes say that. Masks are kept for the others only. A grant takes 32 bytes.
#![forbid(unsafe_code)]

use super::bits::visit;
use super::list::List;
use crate::ident::GroupNumber;
use crate::ident::Lsn;

/// No grant.
const NONE: u32 = u32::MAX;

/// What a list knows of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Every port is free.
    Free,
    /// One grant, by number; its other ports are free.
    Sole(u32),
    /// Every port is in quarantine.
    Quarantined,
    /// Anything else: masks, by number.
    Mixed(u32),
}

const _: () = assert!(size_of::<Cell>() == 8);

/// One grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) lsn: Lsn,
    pub(super) mask: u64,
    pub(super) member: u32,
    pub(super) number: u32,
    /// The next grant of the same group, by lsn; of a vacant one, the next vacant one.
    next: u32,
    pub(super) group: GroupNumber,
}

const _: () = assert!(size_of::<Held>() == 32);

/// The ports of one group: masks, and its first grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) held: u64,
    pub(super) quarantined: u64,
    first: u32,
}

impl Masks {
    const FREE: Self = Self { held: 0, quarantined: 0, first: NONE };
    const QUARANTINED: Self = Self { held: 0, quarantined: u64::MAX, first: NONE };

    pub(super) fn free(self) -> u64 {
        !(self.held | self.quarantined)
    }
}

/// The grants and masks of all lists. Numbers in here are nobody else's business.
#[cfg_attr(any(test, feature = "sim"), derive(Clone))]
#[derive(Debug)]
pub(super) struct Holdings {
    grants: Vec<Held>,
    vacant: u32,
    live: u32,
    mixed: Vec<Masks>,
    mixed_vacant: Vec<u32>,
}

impl Default for Holdings {
    fn default() -> Self {
        Self { grants: Vec::new(), vacant: NONE, live: 0, mixed: Vec::new(), mixed_vacant: Vec::new() }
    }
}

impl Holdings {
    /// The ports of one group of a list.
    pub(super) fn masks(&self, list: &List, group: GroupNumber) -> Masks {
        visit(1);
        let Some(cells) = &list.cells else { return Masks::FREE };
        match cells[group.index()] {
            Cell::Free => Masks::FREE,
            Cell::Quarantined => Masks::QUARANTINED,
            Cell::Sole(first) => Masks { held: self.grants[first as usize].mask, quarantined: 0, first },
            Cell::Mixed(place) => self.mixed[place as usize],
        }
    }

    /// The grants of one group of a list, by lsn.
    pub(super) fn grants(&self, list: &List, group: GroupNumber) -> impl Iterator<Item = &Held> {
        let mut place = match list.cells.as_ref().map(|cells| cells[group.index()]) {
            None | Some(Cell::Free | Cell::Quarantined) => NONE,
            Some(Cell::Sole(first)) => first,
            Some(Cell::Mixed(mixed)) => self.mixed[mixed as usize].first,
        };
        std::iter::from_fn(move || {
            let grant = self.grants.get(place as usize)?;
            place = grant.next;
            Some(grant)
        })
    }

    /// All grants of a list, by group and lsn.
    pub(super) fn grants_of<'a>(&'a self, list: &'a List) -> impl Iterator<Item = &'a Held> {
        let groups = GroupNumber::all().filter(|_| list.grants > 0);
        groups.flat_map(|group| self.grants(list, group))
    }

    /// A grant by number, if it is still that one.
    pub(super) fn numbered(&self, place: u32, lsn: Lsn) -> Option<&Held> {
        self.grants.get(place as usize).filter(|grant| grant.lsn == lsn && grant.mask != 0)
    }

    /// Makes a grant of free ports and returns its number.
    pub(super) fn grant(&mut self, list: &mut List, group: GroupNumber, made: NewGrant) -> u32 {
        let mut masks = self.masks(list, group);
        assert!(made.mask != 0 && made.mask & !masks.free() == 0, "only free ports are granted");
        let held = Held { lsn: made.lsn, mask: made.mask, member: made.member, number: made.number, next: NONE, group };
        let place = self.store(held);
        let (before, next) = self.around(masks.first, made.lsn);
        self.grants[place as usize].next = next;
        match before {
            None => masks.first = place,
            Some(before) => self.grants[before as usize].next = place,
        }
        masks.held |= made.mask;
        list.held += made.mask.count_ones();
        list.grants += 1;
        self.write(list, group, masks);
        place
    }

    /// Moves ports of one grant from held to quarantined; the grant is gone if none is left.
    pub(super) fn end_hold(&mut self, list: &mut List, group: GroupNumber, grant: Lsn, mask: u64) {
        let mut masks = self.masks(list, group);
        let (mut before, mut place) = (NONE, masks.first);
        while self.grants[place as usize].lsn != grant {
            (before, place) = (place, self.grants[place as usize].next);
        }
        let held = &mut self.grants[place as usize];
        assert!(mask != 0 && held.mask & mask == mask, "only ports of that grant are given back");
        held.mask &= !mask;
        if held.mask == 0 {
            let next = std::mem::replace(&mut held.next, self.vacant);
            self.vacant = place;
            self.live -= 1;
            list.grants -= 1;
            match before {
                NONE => masks.first = next,
                _ => self.grants[before as usize].next = next,
            }
        }
        masks.held &= !mask;
        masks.quarantined |= mask;
        list.held -= mask.count_ones();
        list.quarantined += mask.count_ones();
        self.write(list, group, masks);
    }

    /// Frees ports that are in quarantine.
    pub(super) fn end_quarantine(&mut self, list: &mut List, group: GroupNumber, mask: u64) {
        let mut masks = self.masks(list, group);
        assert!(masks.quarantined & mask == mask, "only ports in quarantine leave it");
        masks.quarantined &= !mask;
        list.quarantined -= mask.count_ones();
        self.write(list, group, masks);
    }

    /// Puts free ports straight into quarantine: for import only.
    pub(super) fn import_quarantined(&mut self, list: &mut List, group: GroupNumber, mask: u64) {
        let mut masks = self.masks(list, group);
        assert!(masks.free() & mask == mask, "checked by the caller");
        masks.quarantined |= mask;
        list.quarantined += mask.count_ones();
        self.write(list, group, masks);
    }

    /// Grants there are, and cells that keep masks: for the audit.
    pub(super) fn live(&self) -> (u32, usize) {
        (self.live, self.mixed.len() - self.mixed_vacant.len())
    }

    fn store(&mut self, held: Held) -> u32 {
        self.live += 1;
        if self.vacant == NONE {
            self.grants.push(held);
            return u32::try_from(self.grants.len() - 1).expect("fewer than 2^32 grants");
        }
        let place = self.vacant;
        self.vacant = std::mem::replace(&mut self.grants[place as usize], held).next;
        place
    }

    /// Between which grants of a group one with this lsn stands.
    fn around(&self, first: u32, lsn: Lsn) -> (Option<u32>, u32) {
        let (mut before, mut next) = (None, first);
        while let Some(grant) = self.grants.get(next as usize).filter(|grant| grant.lsn < lsn) {
            (before, next) = (Some(next), grant.next);
        }
        (before, next)
    }

    /// Writes a group's masks in the one form that is right for them, and the list's summaries.
    fn write(&mut self, list: &mut List, group: GroupNumber, masks: Masks) {
        if list.held + list.quarantined == 0 {
            self.vacate(list.cell(group));
            list.become_free();
            return;
        }
        let old = list.cell(group);
        let sole = masks.first != NONE && masks.quarantined == 0 && self.grants[masks.first as usize].next == NONE;
        let new = match (masks, old) {
            (Masks::FREE, _) => Cell::Free,
            (Masks::QUARANTINED, _) => Cell::Quarantined,
            _ if sole => Cell::Sole(masks.first),
            (_, Cell::Mixed(place)) => {
                self.mixed[place as usize] = masks;
                old
            }
            _ => Cell::Mixed(self.store_mixed(masks)),
        };
        if new != old {
            self.vacate(old);
        }
        list.set_cell(group, new, masks.free());
    }

    fn store_mixed(&mut self, masks: Masks) -> u32 {
        if let Some(place) = self.mixed_vacant.pop() {
            self.mixed[place as usize] = masks;
            return place;
        }
        self.mixed.push(masks);
        u32::try_from(self.mixed.len() - 1).expect("fewer than 2^27 groups")
    }

    fn vacate(&mut self, cell: Cell) {
        if let Cell::Mixed(place) = cell {
            self.mixed_vacant.push(place);
        }
    }
}

/// A grant to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewGrant {
    pub(super) lsn: Lsn,
    pub(super) mask: u64,
    pub(super) member: u32,
    pub(super) number: u32,
}

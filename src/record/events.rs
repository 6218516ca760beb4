//! Events as records of the log.
//!
//! A record is one byte of kind, the stamp, the change. The low six bits of the kind name the
//! change, the top two the stamp, so that the kind alone fixes the size.
#![forbid(unsafe_code)]

use super::error::RecordError;
use super::fields::{self, IdentityField, Impossible, NameField, PolicyField, TargetField, put, take};
use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::structure::{Change, Event, Stamp};

const CONNECTED: u8 = 1;
const ATTACHED: u8 = 2;
const DISCONNECTED: u8 = 3;
const FAILED: u8 = 4;
const CLEANED_UP: u8 = 5;
const DEFINED: u8 = 6;
const DELETED: u8 = 7;
const JOINED: u8 = 8;
const LEFT: u8 = 9;
const GRANTED_WHOLE: u8 = 10;
const GRANTED_PART: u8 = 11;
const RELEASED_WHOLE: u8 = 12;
const RELEASED_PART: u8 = 13;
const READY: u8 = 14;
const SET_STORED: u8 = 15;
const ALLOWABLE_SET: u8 = 16;
const POLICY_SET: u8 = 17;
const RANGE_SET: u8 = 18;
const STOPPED: u8 = 19;
const REVOKED_WHOLE: u8 = 20;
const REVOKED_PART: u8 = 21;
const ADOPTED_WHOLE: u8 = 22;
const ADOPTED_PART: u8 = 23;
const RESUMED: u8 = 24;

/// Name of each kind of change and the size of its fields in bytes, by its number.
const CHANGES: [(&str, usize); 25] = [
    ("", 0),
    ("connected", 118),
    ("attached", 53),
    ("disconnected", 4),
    ("failed", 69),
    ("cleaned-up", 78),
    ("defined", 21),
    ("deleted", 4),
    ("joined", 29),
    ("left", 4),
    ("granted-whole", 6),
    ("granted-part", 14),
    ("released-whole", 14),
    ("released-part", 22),
    ("ready", 12),
    ("set-stored", 8_200),
    ("allowable-set", 9),
    ("policy-set", 22),
    ("range-set", 5),
    ("stopped", 21),
    ("revoked-whole", 14),
    ("revoked-part", 22),
    ("adopted-whole", 14),
    ("adopted-part", 22),
    ("resumed", 65),
];

/// Stands for "no connector" where a slot could stand.
const NO_CONNECTOR: u32 = u32::MAX;

const CHANGE_BITS: u8 = 0x3f;
const STAMP_SHIFT: u32 = 6;
/// Size of the stamp's fields in bytes, by the top two bits of the kind: none, first, next.
const STAMPS: [usize; 3] = [0, 14, 4];
const STAMP_NONE: u8 = 0;
const STAMP_FIRST: u8 = 1;
const STAMP_NEXT: u8 = 2;
/// `below` of a first stamp is at most this: the request window has 16,384 places.
const BELOW_MAX: u16 = 16_383;

/// Size of the largest record of a grant, in bytes.
pub const GRANT_SIZE_MAX: usize = 1 + STAMPS[STAMP_FIRST as usize] + CHANGES[GRANTED_PART as usize].1;
const _: () = assert!(GRANT_SIZE_MAX <= 31);
/// Size of the largest record, in bytes.
pub const RECORD_SIZE_MAX: usize = 1 + STAMPS[STAMP_FIRST as usize] + CHANGES[SET_STORED as usize].1;
/// Size of the smallest record, in bytes.
pub const RECORD_SIZE_MIN: usize = 1 + CHANGES[DELETED as usize].1;

type Connected = (u32, NameField, IdentityField, u64, bool);
type Attached = (u32, IdentityField, u64, bool);
type CleanedUp = (u32, u64, bool, NameField);
type Joined = (u32, u32, u32, TargetField);
type Stopped = (u8, u32, u64, u64);

/// The name of a record's kind byte, if it is one.
#[must_use]
pub fn kind_name(kind: u8) -> Option<&'static str> {
    size_of_kind(kind).map(|_| CHANGES[usize::from(kind & CHANGE_BITS)].0)
}

/// The size in bytes of a record with this kind byte, itself included.
fn size_of_kind(kind: u8) -> Option<usize> {
    let stamp = STAMPS.get(usize::from(kind >> STAMP_SHIFT))?;
    let (_, change) = CHANGES.get(usize::from(kind & CHANGE_BITS)).filter(|(_, size)| *size > 0)?;
    Some(1 + stamp + change)
}

/// What a record is about, as far as its kind tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skim {
    /// One group, whose number is at [`GROUP_OFFSET`] of its fields.
    Group,
    /// The end of a quarantine.
    Ready,
    /// Something else.
    Other,
}

/// Where the group's number is in the fields of a record that names one.
pub(super) const GROUP_OFFSET: usize = 4;

/// What a record with this kind byte is about, the size of its stamp and its own, in bytes.
pub(super) fn skim(kind: u8) -> Option<(Skim, usize, usize)> {
    let size = size_of_kind(kind)?;
    let what = match kind & CHANGE_BITS {
        GRANTED_WHOLE..=RELEASED_PART | REVOKED_WHOLE..=ADOPTED_PART => Skim::Group,
        READY => Skim::Ready,
        _ => Skim::Other,
    };
    Some((what, STAMPS[usize::from(kind >> STAMP_SHIFT)], size))
}

/// The size in bytes of an event's record.
#[must_use]
pub fn size_of(event: &Event) -> usize {
    size_of_kind(kind_of(event)).expect("every event has a kind")
}

fn kind_of(event: &Event) -> u8 {
    let stamp = match event.stamp {
        Stamp::None => STAMP_NONE,
        Stamp::First { .. } => STAMP_FIRST,
        Stamp::Next { .. } => STAMP_NEXT,
    };
    let change = match &event.change {
        Change::Connected { .. } => CONNECTED,
        Change::Attached { .. } => ATTACHED,
        Change::Disconnected { .. } => DISCONNECTED,
        Change::Failed { .. } => FAILED,
        Change::CleanedUp { .. } => CLEANED_UP,
        Change::Defined { .. } => DEFINED,
        Change::Deleted { .. } => DELETED,
        Change::Joined { .. } => JOINED,
        Change::Left { .. } => LEFT,
        Change::Granted { mask, .. } if *mask == PortMask::ALL => GRANTED_WHOLE,
        Change::Granted { .. } => GRANTED_PART,
        Change::Released { mask, .. } if *mask == PortMask::ALL => RELEASED_WHOLE,
        Change::Released { .. } => RELEASED_PART,
        Change::Ready { .. } => READY,
        Change::SetStored { .. } => SET_STORED,
        Change::AllowableSet { .. } => ALLOWABLE_SET,
        Change::PolicySet { .. } => POLICY_SET,
        Change::RangeSet { .. } => RANGE_SET,
        Change::Stopped { .. } => STOPPED,
        Change::Revoked { mask, .. } if *mask == PortMask::ALL => REVOKED_WHOLE,
        Change::Revoked { .. } => REVOKED_PART,
        Change::Adopted { mask, .. } if *mask == PortMask::ALL => ADOPTED_WHOLE,
        Change::Adopted { .. } => ADOPTED_PART,
        Change::Resumed { .. } => RESUMED,
    };
    stamp << STAMP_SHIFT | change
}

/// Appends an event's record to `out`: [`size_of`] bytes, the same for the same event.
///
/// # Panics
/// On an event that no decision may make: request number 0, `below` past the window or the number,
/// an empty mask, a range that is none, connector slot 4,294,967,295.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    out.push(kind_of(event));
    match event.stamp {
        Stamp::None => {}
        Stamp::First { number, below, hash } => {
            assert!(first_is_possible(number, below), "request {number} with lowest {below} below it");
            put(out, &(number, below, hash));
        }
        Stamp::Next { number } => {
            assert!(number > 0, "requests are numbered from 1");
            put(out, &number);
        }
    }
    encode_change(&event.change, out);
}

fn first_is_possible(number: u32, below: u16) -> bool {
    below <= BELOW_MAX && u32::from(below) < number
}

fn encode_change(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Connected { connector, name, identity, promise_ms, enforced } => {
            let (name, identity) = (fields::name_field(name), fields::identity_field(identity));
            let wire: Connected = (*connector, name, identity, *promise_ms, *enforced);
            put(out, &wire);
        }
        Change::Attached { connector, identity, promise_ms, enforced } => {
            let wire: Attached = (*connector, fields::identity_field(identity), *promise_ms, *enforced);
            put(out, &wire);
        }
        Change::Disconnected { connector } => put(out, connector),
        Change::Failed { connector, by } => put(out, &(*connector, fields::some_name_field(by.as_ref()))),
        Change::CleanedUp { connector, from, boot_is_dead, by } => {
            let wire: CleanedUp = (*connector, from.0, *boot_is_dead, fields::name_field(by));
            put(out, &wire);
        }
        Change::Defined { list, target } => put(out, &(*list, fields::target_field(*target))),
        Change::Deleted { list } => put(out, list),
        Change::Joined { connector, list, member, target } => {
            let wire: Joined = (*connector, *list, *member, fields::target_field(*target));
            put(out, &wire);
        }
        Change::Left { member } => put(out, member),
        Change::Granted { member, group, mask } => {
            assert!(!mask.is_empty(), "a grant has ports");
            put(out, &(*member, group.number()));
            put_part(out, *mask);
        }
        Change::Released { member, group, grant, mask }
        | Change::Revoked { member, group, grant, mask }
        | Change::Adopted { member, group, grant, mask } => {
            assert!(!mask.is_empty(), "ports are named");
            put(out, &(*member, group.number(), grant.0));
            put_part(out, *mask);
        }
        Change::Ready { list, up_to } => put(out, &(*list, up_to.0)),
        Change::SetStored { connector, set, ports } => put(out, &(*connector, *set, ports)),
        Change::AllowableSet { connector, transport, set } => {
            put(out, &(*connector, fields::transport_field(*transport), *set));
        }
        Change::PolicySet { list, policy } => put(out, &(*list, fields::policy_field(policy))),
        Change::RangeSet { transport, range } => {
            let (first, count) = range.map_or((0, 0), |range| (range.first, range.count));
            assert!(range.is_none() || fields::range(first, count).is_ok(), "a range of {count} ports from {first}");
            put(out, &(fields::transport_field(*transport), first, count));
        }
        Change::Stopped { cause, connector, history, lsn } => {
            assert!(*connector != Some(NO_CONNECTOR), "connector slots end below {NO_CONNECTOR}");
            let wire: Stopped = (fields::stop_cause_field(*cause), connector.unwrap_or(NO_CONNECTOR), history.0, lsn.0);
            put(out, &wire);
        }
        Change::Resumed { by } => put(out, &fields::some_name_field(by.as_ref())),
    }
}

/// A whole group has its own kind and no mask field.
fn put_part(out: &mut Vec<u8>, mask: PortMask) {
    if mask != PortMask::ALL {
        put(out, &mask.0);
    }
}

/// Decodes a payload of exactly `count` records.
///
/// # Errors
/// [`RecordError`]: the first thing that is wrong, with its place.
pub fn decode_all(payload: &[u8], count: u32) -> Result<Vec<Event>, RecordError> {
    Records::new(payload, count).collect()
}

/// The events of a payload, one after the other. The first error ends it, and bytes behind the last
/// record are an error: who reads to the end without one has read exactly `count` records.
#[derive(Debug)]
pub struct Records<'a> {
    payload: &'a [u8],
    count: u32,
    index: u32,
    offset: usize,
    done: bool,
    again: Vec<u8>,
}

impl<'a> Records<'a> {
    /// Of a payload that should have `count` records.
    #[must_use]
    pub const fn new(payload: &'a [u8], count: u32) -> Self {
        Self { payload, count, index: 0, offset: 0, done: false, again: Vec::new() }
    }

    fn decode_next(&mut self) -> Result<Event, RecordError> {
        let (index, offset) = (self.index, self.offset);
        let rest = &self.payload[offset..];
        let short = |needed| RecordError::Short { index, offset, needed, left: rest.len() };
        let kind = *rest.first().ok_or_else(|| short(1))?;
        let size = size_of_kind(kind).ok_or(RecordError::UnknownKind { index, offset, kind })?;
        let bytes = rest.get(..size).ok_or_else(|| short(size))?;
        let event = decode(kind, &bytes[1..]).map_err(|field| RecordError::Field { index, offset, field })?;
        self.again.clear();
        encode(&event, &mut self.again);
        if self.again != bytes {
            return Err(RecordError::NotCanonical { index, offset });
        }
        self.index += 1;
        self.offset += size;
        Ok(event)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Event, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.index < self.count {
            let event = self.decode_next();
            self.done = event.is_err();
            return Some(event);
        }
        self.done = true;
        let left = self.payload.len() - self.offset;
        (left > 0).then_some(Err(RecordError::Trailing { count: self.count, left }))
    }
}

fn decode(kind: u8, bytes: &[u8]) -> Result<Event, Impossible> {
    let (stamp, change) = bytes.split_at(STAMPS[usize::from(kind >> STAMP_SHIFT)]);
    Ok(Event { stamp: decode_stamp(kind >> STAMP_SHIFT, stamp)?, change: decode_change(kind & CHANGE_BITS, change)? })
}

fn decode_stamp(stamp: u8, bytes: &[u8]) -> Result<Stamp, Impossible> {
    match stamp {
        STAMP_FIRST => {
            let (number, below, hash) = take(bytes)?;
            if first_is_possible(number, below) {
                Ok(Stamp::First { number, below, hash })
            } else {
                Err("request number")
            }
        }
        STAMP_NEXT => match take(bytes)? {
            0 => Err("request number"),
            number => Ok(Stamp::Next { number }),
        },
        _ => Ok(Stamp::None),
    }
}

fn decode_change(change: u8, bytes: &[u8]) -> Result<Change, Impossible> {
    Ok(match change {
        CONNECTED => {
            let (connector, name, identity, promise_ms, enforced): Connected = take(bytes)?;
            let (name, identity) = (fields::name(name)?, fields::identity(identity));
            Change::Connected { connector, name, identity, promise_ms, enforced }
        }
        ATTACHED => {
            let (connector, identity, promise_ms, enforced): Attached = take(bytes)?;
            Change::Attached { connector, identity: fields::identity(identity), promise_ms, enforced }
        }
        DISCONNECTED => Change::Disconnected { connector: take(bytes)? },
        FAILED => {
            let (connector, by) = take(bytes)?;
            Change::Failed { connector, by: fields::some_name(by)? }
        }
        CLEANED_UP => {
            let (connector, from, boot_is_dead, by): CleanedUp = take(bytes)?;
            Change::CleanedUp { connector, from: BootMs(from), boot_is_dead, by: fields::name(by)? }
        }
        DEFINED => {
            let (list, target) = take(bytes)?;
            Change::Defined { list, target: fields::target(target)? }
        }
        DELETED => Change::Deleted { list: take(bytes)? },
        JOINED => {
            let (connector, list, member, target): Joined = take(bytes)?;
            Change::Joined { connector, list, member, target: fields::target(target)? }
        }
        LEFT => Change::Left { member: take(bytes)? },
        GRANTED_WHOLE => {
            let (member, group) = take(bytes)?;
            Change::Granted { member, group: fields::group(group)?, mask: PortMask::ALL }
        }
        GRANTED_PART => {
            let (member, group, mask) = take(bytes)?;
            Change::Granted { member, group: fields::group(group)?, mask: fields::part_mask(mask)? }
        }
        RELEASED_WHOLE | RELEASED_PART => {
            let (member, group, grant, mask) = decode_ports(change == RELEASED_PART, bytes)?;
            Change::Released { member, group, grant, mask }
        }
        READY => {
            let (list, up_to) = take(bytes)?;
            Change::Ready { list, up_to: Lsn(up_to) }
        }
        SET_STORED => {
            let (connector, set, ports): (u32, u32, PortSet) = take(bytes)?;
            Change::SetStored { connector, set, ports }
        }
        ALLOWABLE_SET => {
            let (connector, transport, set) = take(bytes)?;
            Change::AllowableSet { connector, transport: fields::transport(transport)?, set }
        }
        POLICY_SET => {
            let (list, policy): (u32, PolicyField) = take(bytes)?;
            Change::PolicySet { list, policy: fields::policy(policy) }
        }
        RANGE_SET => {
            let (transport, first, count) = take(bytes)?;
            let range = if (first, count) == (0, 0) { None } else { Some(fields::range(first, count)?) };
            Change::RangeSet { transport: fields::transport(transport)?, range }
        }
        STOPPED => {
            let (cause, connector, history, lsn): Stopped = take(bytes)?;
            let connector = if connector == NO_CONNECTOR { None } else { Some(connector) };
            let cause = fields::stop_cause(cause)?;
            Change::Stopped { cause, connector, history: HistoryId(history), lsn: Lsn(lsn) }
        }
        REVOKED_WHOLE | REVOKED_PART => {
            let (member, group, grant, mask) = decode_ports(change == REVOKED_PART, bytes)?;
            Change::Revoked { member, group, grant, mask }
        }
        ADOPTED_WHOLE | ADOPTED_PART => {
            let (member, group, grant, mask) = decode_ports(change == ADOPTED_PART, bytes)?;
            Change::Adopted { member, group, mask, grant }
        }
        RESUMED => Change::Resumed { by: fields::some_name(take(bytes)?)? },
        _ => return Err("kind"),
    })
}

/// Member, group, token and ports of a kind that names part of a group, or of one that names all.
fn decode_ports(is_part: bool, bytes: &[u8]) -> Result<(u32, GroupNumber, Lsn, PortMask), Impossible> {
    let (member, group, grant, mask): (u32, u16, u64, PortMask) = if is_part {
        let (member, group, grant, mask) = take(bytes)?;
        (member, group, grant, fields::part_mask(mask)?)
    } else {
        let (member, group, grant) = take(bytes)?;
        (member, group, grant, PortMask::ALL)
    };
    Ok((member, fields::group(group)?, Lsn(grant), mask))
}

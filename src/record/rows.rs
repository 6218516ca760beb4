//! Items and history entries as rows of the checkpoint.
//!
//! An item is one byte of kind and its fields, of one size per kind. Several items one after the
//! other are a run.
#![forbid(unsafe_code)]

use super::error::RecordError;
use super::fields::{self, IdentityField, Impossible, NameField, PolicyField, TargetField, put, take};
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::WallMs;
use crate::structure::{ConnectorState, Item};

const HEAD: u8 = 1;
const RANGE: u8 = 2;
const SET: u8 = 3;
const LIST: u8 = 4;
const CONNECTOR: u8 = 5;
const WINDOW: u8 = 6;
const MEMBER: u8 = 7;
const GRANT_WHOLE: u8 = 8;
const GRANT_PART: u8 = 9;
const QUARANTINE_WHOLE: u8 = 10;
const QUARANTINE_PART: u8 = 11;
const STOP: u8 = 12;

/// Size of an item's fields in bytes, by its kind.
const SIZES: [usize; 13] = [0, 10, 5, 8_196, 49, 147, 28, 22, 18, 26, 34, 42, 29];

/// Size of a history entry in bytes.
pub const HISTORY_SIZE: usize = 64;

/// Stands for "no set" where a slot could stand.
const NO_SET: u32 = u32::MAX;
/// Stands for "no group" where a group could stand.
const NO_GROUP: u16 = u16::MAX;

type Connector = (u32, NameField, u64, u8, IdentityField, u64, u64, bool, [u32; 2], u32);
type List = (u32, TargetField, u64, bool, bool, PolicyField);
type History = (u64, u64, u128, u64, u64, u64, u64);

/// One history that is known by the checkpoint instead of MANIFEST: an unbroken line of opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Its id.
    pub id: HistoryId,
    /// Its first lsn.
    pub first: Lsn,
    /// The kernel boot under which it was opened.
    pub boot: BootId,
    /// The boot clock at its open.
    pub boot_ms: BootMs,
    /// The wall clock at its open.
    pub wall_ms: WallMs,
    /// The store's epoch after its open.
    pub epoch: u64,
    /// Its last lsn; 0 if it was the youngest, or its end was not known.
    pub end: Lsn,
}

/// Appends a history entry: [`HISTORY_SIZE`] bytes.
pub fn encode_history(row: &HistoryRow, out: &mut Vec<u8>) {
    let wire: History = (row.id.0, row.first.0, row.boot.0, row.boot_ms.0, row.wall_ms.0, row.epoch, row.end.0);
    put(out, &wire);
}

/// Decodes a run of history entries.
///
/// # Errors
/// [`RecordError::Short`] if the last one is incomplete.
pub fn decode_histories(bytes: &[u8]) -> Result<Vec<HistoryRow>, RecordError> {
    let mut rows = Vec::new();
    for (index, chunk) in (0_u32..).zip(bytes.chunks(HISTORY_SIZE)) {
        let short = |_| RecordError::Short {
            index,
            offset: index as usize * HISTORY_SIZE,
            needed: HISTORY_SIZE,
            left: chunk.len(),
        };
        let (id, first, boot, boot_ms, wall_ms, epoch, end): History = take(chunk).map_err(short)?;
        rows.push(HistoryRow {
            id: HistoryId(id),
            first: Lsn(first),
            boot: BootId(boot),
            boot_ms: BootMs(boot_ms),
            wall_ms: WallMs(wall_ms),
            epoch,
            end: Lsn(end),
        });
    }
    Ok(rows)
}

/// The size in bytes of an item's encoding.
#[must_use]
pub fn size_of(item: &Item) -> usize {
    1 + SIZES[usize::from(kind_of(item))]
}

fn kind_of(item: &Item) -> u8 {
    match item {
        Item::Head { .. } => HEAD,
        Item::Stop { .. } => STOP,
        Item::Range { .. } => RANGE,
        Item::Set { .. } => SET,
        Item::List { .. } => LIST,
        Item::Connector { .. } => CONNECTOR,
        Item::Window { .. } => WINDOW,
        Item::Member { .. } => MEMBER,
        Item::Grant { mask, .. } if *mask == PortMask::ALL => GRANT_WHOLE,
        Item::Grant { .. } => GRANT_PART,
        Item::Quarantine { mask, .. } if *mask == PortMask::ALL => QUARANTINE_WHOLE,
        Item::Quarantine { .. } => QUARANTINE_PART,
    }
}

/// Appends an item's encoding to `out`: [`size_of`] bytes, the same for the same item.
///
/// # Panics
/// On an item that no structure has: an empty mask, a range that is none, a window entry without an
/// event, set slot 4,294,967,295, a zero request number in a window.
pub fn encode(item: &Item, out: &mut Vec<u8>) {
    out.push(kind_of(item));
    match item {
        Item::Head { name, lsn } => {
            put(out, &(name.vtam_group().unwrap_or(0), name.tcp_group().unwrap_or(0), lsn.0));
        }
        Item::Stop { cause, since, from, highest, adopted } => {
            put(out, &(fields::stop_cause_field(*cause), since.0, from.0, highest.0, *adopted));
        }
        Item::Range { transport, range } => {
            assert!(fields::range(range.first, range.count).is_ok(), "{} ports from {}", range.count, range.first);
            put(out, &(fields::transport_field(*transport), range.first, range.count));
        }
        Item::Set { set, ports } => put(out, &(*set, ports)),
        Item::List { list, target, created, open, defined, policy } => {
            let (target, policy) = (fields::target_field(*target), fields::policy_field(policy));
            let wire: List = (*list, target, created.0, *open, *defined, policy);
            put(out, &wire);
        }
        Item::Connector { .. } => put(out, &connector_wire(item)),
        Item::Window { connector, number, hash, first, count } => {
            assert!(*number > 0 && *count > 0, "a request in a window has a number and an event");
            put(out, &(*connector, *number, *hash, first.0, *count));
        }
        Item::Member { member, connector, list, joined, last_group } => {
            let group = last_group.map_or(NO_GROUP, |group| group.number());
            put(out, &(*member, *connector, *list, joined.0, group));
        }
        Item::Grant { lsn, member, group, mask, number } => {
            put(out, &(lsn.0, *member, group.number(), *number));
            put_part(out, *mask);
        }
        Item::Quarantine { lsn, list, group, mask, connector, boot_since, from } => {
            put(out, &(lsn.0, *list, group.number(), *connector, boot_since.0, from.0));
            put_part(out, *mask);
        }
    }
}

/// A whole group has its own kind and no mask field.
fn put_part(out: &mut Vec<u8>, mask: PortMask) {
    assert!(!mask.is_empty(), "a grant or a quarantine has ports");
    if mask != PortMask::ALL {
        put(out, &mask.0);
    }
}

fn connector_wire(item: &Item) -> Connector {
    let Item::Connector {
        connector,
        name,
        incarnation,
        state,
        identity,
        boot_since,
        promise_ms,
        enforced,
        sets,
        window_lowest,
    } = item
    else {
        unreachable!("called for connectors only");
    };
    let state = match state {
        ConnectorState::Active => 0,
        ConnectorState::FailedPersistent => 1,
        ConnectorState::Forgotten => 2,
    };
    let sets = sets.map(|set| {
        assert!(set != Some(NO_SET), "set slots end below {NO_SET}");
        set.unwrap_or(NO_SET)
    });
    let (name, identity) = (fields::name_field(name), fields::identity_field(identity));
    (*connector, name, incarnation.0, state, identity, boot_since.0, *promise_ms, *enforced, sets, *window_lowest)
}

/// Decodes the first item of a run: the item and its size in bytes. `index` and `offset` say where
/// it stands, for the error.
///
/// # Errors
/// [`RecordError`] with the place.
pub fn decode(bytes: &[u8], index: u32, offset: usize) -> Result<(Item, usize), RecordError> {
    let short = |needed| RecordError::Short { index, offset, needed, left: bytes.len() };
    let kind = *bytes.first().ok_or_else(|| short(1))?;
    let unknown = RecordError::UnknownKind { index, offset, kind };
    let size = match SIZES.get(usize::from(kind)) {
        Some(0) | None => return Err(unknown),
        Some(size) => 1 + size,
    };
    let bytes = bytes.get(..size).ok_or_else(|| short(size))?;
    let item = decode_fields(kind, &bytes[1..]).map_err(|field| RecordError::Field { index, offset, field })?;
    Ok((item, size))
}

/// Decodes the whole items at the beginning of `bytes` and gives each to `sink`: how many they were
/// and how many bytes they had. What is left is less than one item.
///
/// # Errors
/// [`RecordError`]: the first thing that is wrong, with its place. Items before it were given.
pub fn decode_run(bytes: &[u8], sink: &mut dyn FnMut(Item)) -> Result<(u32, usize), RecordError> {
    let (mut index, mut offset) = (0, 0);
    let mut again = Vec::new();
    while offset < bytes.len() {
        let (item, size) = match decode(&bytes[offset..], index, offset) {
            Err(RecordError::Short { .. }) => break,
            other => other?,
        };
        again.clear();
        encode(&item, &mut again);
        if again != bytes[offset..offset + size] {
            return Err(RecordError::NotCanonical { index, offset });
        }
        sink(item);
        index += 1;
        offset += size;
    }
    Ok((index, offset))
}

fn decode_fields(kind: u8, bytes: &[u8]) -> Result<Item, Impossible> {
    Ok(match kind {
        HEAD => {
            let (vtam, tcp, lsn): (u8, u8, u64) = take(bytes)?;
            let group = |number| if number == 0 { None } else { Some(number) };
            let name = StructureName::new(group(vtam), group(tcp)).map_err(|_| "group id")?;
            Item::Head { name, lsn: Lsn(lsn) }
        }
        STOP => {
            let (cause, since, from, highest, adopted): (u8, u64, u64, u64, u32) = take(bytes)?;
            let (cause, since, from) = (fields::stop_cause(cause)?, Lsn(since), BootMs(from));
            Item::Stop { cause, since, from, highest: Lsn(highest), adopted }
        }
        RANGE => {
            let (transport, first, count) = take(bytes)?;
            Item::Range { transport: fields::transport(transport)?, range: fields::range(first, count)? }
        }
        SET => {
            let (set, ports): (u32, PortSet) = take(bytes)?;
            Item::Set { set, ports }
        }
        LIST => {
            let (list, target, created, open, defined, policy): List = take(bytes)?;
            let (target, policy) = (fields::target(target)?, fields::policy(policy));
            Item::List { list, target, created: Lsn(created), open, defined, policy }
        }
        CONNECTOR => decode_connector(take(bytes)?)?,
        WINDOW => {
            let (connector, number, hash, first, count) = take(bytes)?;
            if number == 0 || count == 0 {
                return Err("window entry");
            }
            Item::Window { connector, number, hash, first: Lsn(first), count }
        }
        MEMBER => {
            let (member, connector, list, joined, group) = take(bytes)?;
            let last_group = if group == NO_GROUP { None } else { Some(fields::group(group)?) };
            Item::Member { member, connector, list, joined: Lsn(joined), last_group }
        }
        GRANT_WHOLE => {
            let (lsn, member, group, number) = take(bytes)?;
            Item::Grant { lsn: Lsn(lsn), member, group: fields::group(group)?, mask: PortMask::ALL, number }
        }
        GRANT_PART => {
            let (lsn, member, group, number, mask) = take(bytes)?;
            let (group, mask) = (fields::group(group)?, fields::part_mask(mask)?);
            Item::Grant { lsn: Lsn(lsn), member, group, mask, number }
        }
        QUARANTINE_WHOLE => decode_quarantine(take(bytes)?, PortMask::ALL)?,
        QUARANTINE_PART => {
            let (bytes, mask) = bytes.split_at(SIZES[usize::from(QUARANTINE_WHOLE)]);
            decode_quarantine(take(bytes)?, fields::part_mask(take(mask)?)?)?
        }
        _ => return Err("kind"),
    })
}

fn decode_connector(wire: Connector) -> Result<Item, Impossible> {
    let (connector, name, incarnation, state, identity, boot_since, promise_ms, enforced, sets, window_lowest) = wire;
    let state = match state {
        0 => ConnectorState::Active,
        1 => ConnectorState::FailedPersistent,
        2 => ConnectorState::Forgotten,
        _ => return Err("state"),
    };
    Ok(Item::Connector {
        connector,
        name: fields::name(name)?,
        incarnation: Incarnation(incarnation),
        state,
        identity: fields::identity(identity),
        boot_since: Lsn(boot_since),
        promise_ms,
        enforced,
        sets: sets.map(|set| if set == NO_SET { None } else { Some(set) }),
        window_lowest,
    })
}

type Quarantine = (u64, u32, u16, u32, u64, u64);

fn decode_quarantine(wire: Quarantine, mask: PortMask) -> Result<Item, Impossible> {
    let (lsn, list, group, connector, boot_since, from) = wire;
    Ok(Item::Quarantine {
        lsn: Lsn(lsn),
        list,
        group: fields::group(group)?,
        mask,
        connector,
        boot_since: Lsn(boot_since),
        from: BootMs(from),
    })
}

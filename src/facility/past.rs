//! What packed history tells beside its records: the names of the numbers in it, the records of stacks
//! and lists, and which ports each block is about.
//!
//! A reader who wants one port at one time reads the roster of a pack (which records gave the numbers
//! in use their names), the records beside the blocks (who attached, joined, left), and of the blocks
//! only those that name the port.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::WallMs;
use crate::record;
use crate::structure::Change;
use crate::structure::Event;
use crate::wal::FrameInfo;
use crate::wal::StoreError;
use crate::wal::pack::KeyReader;
use crate::wal::pack::PackFile;
use crate::wal::pack::Side;
use crate::wal::pack::Stood;
use crate::wal::pack::Summary;
use std::collections::BTreeMap;

/// A record that stands beside the blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its lsn.
    pub lsn: Lsn,
    /// The wall time of its frame, in ms.
    pub wall: WallMs,
    /// The boot clock of its frame, in ms.
    pub boot: BootMs,
    /// The boot clock at the first frame with that wall time, in ms.
    pub since: BootMs,
    /// What it says.
    pub event: Event,
}

/// Ports that are named so far out in one record stand for their group.
const PORTS_NAMED_MAX: u32 = 16;
/// The list of a membership that nobody knows.
const LIST_UNKNOWN: u32 = u32::MAX;

#[derive(Clone, Copy)]
enum What {
    Group(u16),
    Port(u16),
    Ready,
}

fn key(list: u32, what: What) -> u64 {
    let (kind, number) = match what {
        What::Group(group) => (0_u64, group),
        What::Port(port) => (1, port),
        What::Ready => (2, 0),
    };
    u64::from(list) << 32 | kind << 16 | u64::from(number)
}

/// The keys of a block that may be about a port of a list. Grants of a whole group or of many ports
/// stand under their group, others under each port.
#[must_use]
pub fn port_keys(list: u32, port: u16) -> [u64; 4] {
    let group = GroupNumber::of_port(port).number();
    [
        key(list, What::Group(group)),
        key(list, What::Port(port)),
        key(LIST_UNKNOWN, What::Group(group)),
        key(LIST_UNKNOWN, What::Port(port)),
    ]
}

/// The key of a block in which a quarantine of a list ends.
#[must_use]
pub fn ready_key(list: u32) -> u64 {
    key(list, What::Ready)
}

/// The records that gave the numbers in use their names: enough to know who every number of a later
/// record is.
#[derive(Clone, Debug)]
pub struct Roster {
    is_complete: bool,
    connected: BTreeMap<u32, Aside>,
    attached: BTreeMap<u32, Aside>,
    lists: BTreeMap<u32, Aside>,
    members: BTreeMap<u32, (u32, Aside)>,
}

impl Roster {
    /// Before the first record that is kept; complete if there was none before it.
    #[must_use]
    pub const fn new(is_complete: bool) -> Self {
        Self {
            is_complete,
            connected: BTreeMap::new(),
            attached: BTreeMap::new(),
            lists: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    /// As it was before the first record of a pack.
    ///
    /// # Errors
    /// [`StoreError::CorruptPack`]; I/O.
    pub fn before(pack: &PackFile) -> Result<Self, StoreError> {
        let mut roster = Self::new(false);
        roster.is_complete = read_roster(pack, &mut |aside| roster.learn(aside))?;
        Ok(roster)
    }

    /// As it was after the last record of a pack.
    ///
    /// # Errors
    /// [`StoreError::CorruptPack`]; I/O.
    pub fn after(pack: &PackFile) -> Result<Self, StoreError> {
        let mut roster = Self::before(pack)?;
        read_asides(pack, &mut |aside| roster.learn(aside))?;
        Ok(roster)
    }

    fn learn(&mut self, aside: &Aside) {
        match &aside.event.change {
            Change::Connected { connector, .. } => {
                self.connected.insert(*connector, aside.clone());
                self.attached.remove(connector);
            }
            Change::Attached { connector, .. } => drop(self.attached.insert(*connector, aside.clone())),
            Change::Defined { list, .. } => drop(self.lists.insert(*list, aside.clone())),
            Change::Joined { list, member, .. } => {
                self.lists.insert(*list, aside.clone());
                self.members.insert(*member, (*list, aside.clone()));
            }
            _ => {}
        }
    }

    fn name(&self, member: u32, group: GroupNumber, mask: PortMask, keys: &mut Vec<u64>) {
        let list = self.members.get(&member).map_or(LIST_UNKNOWN, |(list, _)| *list);
        if mask.count() > PORTS_NAMED_MAX {
            keys.push(key(list, What::Group(group.number())));
        } else {
            keys.extend(mask.ports(group).map(|port| key(list, What::Port(port))));
        }
    }
}

impl Summary for Roster {
    fn start(&mut self) -> Vec<u8> {
        let named = self.connected.values().chain(self.attached.values()).chain(self.lists.values());
        let mut asides: Vec<&Aside> = named.chain(self.members.values().map(|(_, aside)| aside)).collect();
        asides.sort_by_key(|aside| aside.lsn);
        asides.dedup_by_key(|aside| aside.lsn);
        let mut bytes = vec![u8::from(self.is_complete)];
        asides.into_iter().for_each(|aside| put(aside, &mut bytes));
        bytes
    }

    fn frame(
        &mut self,
        frame: &FrameInfo,
        stood: Stood,
        payload: &[u8],
        keys: &mut Vec<u64>,
        aside: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let mut lsn = frame.first;
        for event in record::Records::new(payload, frame.count) {
            let event = event.map_err(|error| frame.corrupt(lsn, error))?;
            match &event.change {
                Change::Granted { member, group, mask }
                | Change::Released { member, group, mask, .. }
                | Change::Revoked { member, group, mask, .. }
                | Change::Adopted { member, group, mask, .. } => self.name(*member, *group, *mask, keys),
                Change::Ready { list, .. } => keys.push(ready_key(*list)),
                change if is_aside(change) => {
                    let record = Aside { lsn, wall: frame.wall, boot: frame.boot, since: stood.since, event };
                    put(&record, aside);
                    self.learn(&record);
                }
                _ => {}
            }
            lsn = lsn.next();
        }
        Ok(())
    }
}

/// Records of stacks and lists, by which a reader knows whose a port is without every grant.
const fn is_aside(change: &Change) -> bool {
    matches!(
        change,
        Change::Connected { .. }
            | Change::Attached { .. }
            | Change::Disconnected { .. }
            | Change::Failed { .. }
            | Change::CleanedUp { .. }
            | Change::Defined { .. }
            | Change::Joined { .. }
            | Change::Left { .. }
            | Change::Stopped { .. }
    )
}

/// Hands over the records that named the numbers in use before a pack, in order. Returns whether no
/// other number was in use.
///
/// # Errors
/// [`StoreError::CorruptPack`]; I/O.
pub fn read_roster(pack: &PackFile, sink: &mut dyn FnMut(&Aside)) -> Result<bool, StoreError> {
    let (mut reader, mut is_complete) = (AsideReader::default(), None);
    pack.read_side(Side::Start, &mut |bytes| {
        let bytes = match (is_complete, bytes) {
            (None, [flag @ 0..=1, rest @ ..]) => {
                is_complete = Some(*flag == 1);
                rest
            }
            (None, _) => return Err(pack.misfit("roster")),
            (Some(_), bytes) => bytes,
        };
        reader.take(bytes, sink).ok_or_else(|| pack.misfit("roster"))
    })?;
    is_complete.filter(|_| reader.rest.is_empty()).ok_or_else(|| pack.misfit("roster"))
}

/// Hands over the records beside the blocks of a pack, in order.
///
/// # Errors
/// [`StoreError::CorruptPack`]; I/O.
pub fn read_asides(pack: &PackFile, sink: &mut dyn FnMut(&Aside)) -> Result<(), StoreError> {
    let mut reader = AsideReader::default();
    let misfit = || pack.misfit("records beside the blocks");
    pack.read_side(Side::Aside, &mut |bytes| reader.take(bytes, sink).ok_or_else(misfit))?;
    if reader.rest.is_empty() { Ok(()) } else { Err(misfit()) }
}

/// Hands over the keys of each block of a pack, in order; those of one block are sorted.
///
/// # Errors
/// [`StoreError::CorruptPack`]; I/O.
pub fn read_keys(pack: &PackFile, sink: &mut dyn FnMut(&[u64])) -> Result<(), StoreError> {
    let (mut reader, mut count) = (KeyReader::default(), 0);
    let misfit = || pack.misfit("keys");
    pack.read_side(Side::Keys, &mut |bytes| {
        let mut counted = |keys: &[u64]| {
            count += 1;
            sink(keys);
        };
        reader.take(bytes, &mut counted).ok_or_else(misfit)
    })?;
    if reader.is_done() && count == pack.index().blocks.len() { Ok(()) } else { Err(misfit()) }
}

fn put(aside: &Aside, out: &mut Vec<u8>) {
    for field in [aside.lsn.0, aside.wall.0, aside.boot.0, aside.since.0] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    let size = u32::try_from(record::size_of(&aside.event)).expect("a record is bounded");
    out.extend_from_slice(&size.to_le_bytes());
    record::encode(&aside.event, out);
}

/// Reads records beside blocks, which come in pieces.
#[derive(Default)]
struct AsideReader {
    rest: Vec<u8>,
}

impl AsideReader {
    fn take(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&Aside)) -> Option<()> {
        self.rest.extend_from_slice(bytes);
        let mut left = &self.rest[..];
        while let Some((fields, behind)) = left.split_first_chunk::<FIELDS_SIZE>() {
            let number = |place: usize| fields[place..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            let size = u32::from_le_bytes(*fields[32..].first_chunk()?) as usize;
            if size > record::RECORD_SIZE_MAX {
                return None;
            }
            let Some((record, behind)) = behind.split_at_checked(size) else { break };
            let mut records = record::Records::new(record, 1);
            let event = records.next()?.ok().filter(|_| records.next().is_none())?;
            let (lsn, wall) = (Lsn(number(0)?), WallMs(number(8)?));
            sink(&Aside { lsn, wall, boot: BootMs(number(16)?), since: BootMs(number(24)?), event });
            left = behind;
        }
        let used = self.rest.len() - left.len();
        self.rest.drain(..used);
        Some(())
    }
}

/// What stands before each record, in bytes.
const FIELDS_SIZE: usize = 36;

/// Makes a store whose history is all packs of at most `pack_frames` frames: see
/// [`forge`](crate::wal::pack::forge). For tests and measurements.
///
/// # Errors
/// As [`crate::wal::init`], and of writing packs.
#[cfg(any(test, feature = "sim"))]
pub fn forge_history(
    machine: &super::Machine,
    dir: &std::path::Path,
    pack_frames: u64,
    next: &mut crate::wal::pack::ForgedFrames<'_>,
) -> Result<(), StoreError> {
    let creation = crate::wal::Creation { structure: crate::ident::StructureName::default(), segment_size: 16 << 20 };
    let seeds = crate::wal::Seeds { uuid: crate::ident::StoreUuid(0x9157), receipt_key: [7; 32] };
    let disk = &machine.disk;
    crate::wal::pack::forge(disk, dir, &creation, &seeds, &mut Roster::new(true), pack_frames, next)
}

//! Golden bytes: what version 1 of the format wrote must be read for ever, and written again so.
//!
//! The bytes were made by hand from the tables in the storage format's document, not by this code,
//! and every one of them stands in the document as an example.

use crate::hex;
use portplex::checkpoint::{self, FlatStore};
use portplex::disk::Disk;
use portplex::disk::sim::SimDisk;
use portplex::ident::{
    BootId, BootMs, ConnectorName, GroupNumber, HistoryId, Identity, Incarnation, Lsn, MachineId, PortMask, PortSet,
    ProcessId, StructureName, Target, Transport, WallMs,
};
use portplex::record::{self, HistoryRow, rows};
use portplex::structure::{Change, ConnectorState, Event, Item, Policy, PortRange, Stamp, StopCause};
use std::path::Path;

const HASH: u64 = 0x8877_6655_4433_2211;
const ALL: u64 = u64::MAX;
const RANGE: PortRange = PortRange { first: 5_000, count: 1_024 };

fn none(change: Change) -> Event {
    Event { stamp: Stamp::None, change }
}

fn first(number: u32, below: u16, change: Change) -> Event {
    Event { stamp: Stamp::First { number, below, hash: HASH }, change }
}

fn next(number: u32, change: Change) -> Event {
    Event { stamp: Stamp::Next { number }, change }
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

fn stack() -> ConnectorName {
    name("SYS1.TCPIP")
}

fn identity() -> Identity {
    Identity {
        machine: MachineId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        boot: BootId(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf),
        process: ProcessId(0x1122_3344_5566_7788),
    }
}

fn list(address: &str, transport: Transport) -> Target {
    Target::List(address.parse().expect("an address"), transport)
}

fn group(number: u16) -> GroupNumber {
    GroupNumber::new(number).expect("a group")
}

fn granted(number: u16, mask: u64) -> Change {
    Change::Granted { member: 9, group: group(number), mask: PortMask(mask) }
}

fn released(number: u16, grant: u64, mask: u64) -> Change {
    Change::Released { member: 9, group: group(number), grant: Lsn(grant), mask: PortMask(mask) }
}

fn quarantine(lsn: u64, number: u16, mask: u64, from: u64) -> Item {
    let (group, mask, boot_since) = (group(number), PortMask(mask), Lsn(1_048_577));
    Item::Quarantine { lsn: Lsn(lsn), list: 1, group, mask, connector: 3, boot_since, from: BootMs(from) }
}

fn policy() -> Policy {
    Policy { quota: 4_096, reserve: 16, quarantine_ms: 120_000, clean_up_ms: 0 }
}

/// Ports 1,024 to 65,535 without 4,035.
fn ports() -> PortSet {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, 65_535);
    ports.remove_range(4_035, 4_035);
    ports
}

fn records() -> Vec<(&'static str, Event, &'static str)> {
    vec![
        (
            "connected",
            none(Change::Connected {
                connector: 3,
                name: stack(),
                identity: identity(),
                promise_ms: 30_000,
                enforced: false,
            }),
            "01 03000000 0a 535953312e5443504950 00*54 100f0e0d0c0b0a090807060504030201 afaeadacabaaa9a8a7a6a5a4a3a2a1a0 8877665544332211 3075000000000000 00",
        ),
        (
            "attached",
            none(Change::Attached { connector: 3, identity: identity(), promise_ms: 0, enforced: true }),
            "02 03000000 100f0e0d0c0b0a090807060504030201 afaeadacabaaa9a8a7a6a5a4a3a2a1a0 8877665544332211 0000000000000000 01",
        ),
        (
            "disconnected first",
            first(12, 0, Change::Disconnected { connector: 3 }),
            "43 0c000000 0000 1122334455667788 03000000",
        ),
        ("failed", none(Change::Failed { connector: 3, by: None }), "04 03000000 00 00*64"),
        (
            "failed by word",
            none(Change::Failed { connector: 3, by: Some(name("OPERATOR")) }),
            "04 03000000 08 4f50455241544f52 00*56",
        ),
        (
            "cleaned-up",
            none(Change::CleanedUp {
                connector: 3,
                from: BootMs(86_400_000),
                boot_is_dead: true,
                by: name("OPERATOR"),
            }),
            "05 03000000 005c260500000000 01 08 4f50455241544f52 00*56",
        ),
        (
            "defined",
            none(Change::Defined { list: 1, target: list("10.1.1.1", Transport::Tcp) }),
            "06 01000000 00 00000000000000000000ffff0a010101",
        ),
        (
            "defined pool",
            none(Change::Defined { list: 2, target: Target::Pool(Transport::Udp) }),
            "06 02000000 03 00000000000000000000000000000000",
        ),
        ("deleted", none(Change::Deleted { list: 1 }), "07 01000000"),
        (
            "joined first",
            first(
                1,
                0,
                Change::Joined { connector: 3, list: 1, member: 9, target: list("2001:db8::1", Transport::Udp) },
            ),
            "48 01000000 0000 1122334455667788 03000000 01000000 09000000 01 20010db8000000000000000000000001",
        ),
        ("left first", first(8, 2, Change::Left { member: 9 }), "49 08000000 0200 1122334455667788 09000000"),
        ("granted-whole", none(granted(700, ALL)), "0a 09000000 bc02"),
        ("granted-whole first", first(7, 2, granted(700, ALL)), "4a 07000000 0200 1122334455667788 09000000 bc02"),
        ("granted-whole next", next(7, granted(701, ALL)), "8a 07000000 09000000 bd02"),
        (
            "granted-part first",
            first(7, 2, granted(702, 0xffff_ffff_ffff_f7ff)),
            "4b 07000000 0200 1122334455667788 09000000 be02 fff7ffffffffffff",
        ),
        ("granted-part next", next(7, granted(1_023, 1)), "8b 07000000 09000000 ff03 0100000000000000"),
        (
            "released-whole first",
            first(9, 0, released(700, 1_048_580, ALL)),
            "4c 09000000 0000 1122334455667788 09000000 bc02 0400100000000000",
        ),
        (
            "released-part first",
            first(10, 1, released(702, 1_048_582, 0x8000_0000_0000_0001)),
            "4d 0a000000 0100 1122334455667788 09000000 be02 0600100000000000 0100000000000080",
        ),
        ("ready", none(Change::Ready { list: 1, up_to: Lsn(1_048_590) }), "0e 01000000 0e00100000000000"),
        (
            "set-stored first",
            first(2, 0, Change::SetStored { connector: 3, set: 0, ports: ports() }),
            "4f 02000000 0000 1122334455667788 03000000 00000000 00*128 ff*376 f7 ff*7687",
        ),
        (
            "allowable-set next",
            next(2, Change::AllowableSet { connector: 3, transport: Transport::Tcp, set: 0 }),
            "90 02000000 03000000 00 00000000",
        ),
        (
            "policy-set",
            none(Change::PolicySet { list: 1, policy: policy() }),
            "11 01000000 00100000 1000 c0d40100 0000000000000000",
        ),
        ("range-set", none(Change::RangeSet { transport: Transport::Tcp, range: Some(RANGE) }), "12 00 8813 0004"),
        ("range-set none", none(Change::RangeSet { transport: Transport::Udp, range: None }), "12 01 0000 0000"),
        (
            "stopped",
            none(Change::Stopped { cause: StopCause::PowerLoss, connector: None, history: HistoryId(0), lsn: Lsn(0) }),
            "13 00 ffffffff 0000000000000000 0000000000000000",
        ),
        (
            "stopped by proof",
            none(Change::Stopped {
                cause: StopCause::DataLost,
                connector: Some(3),
                history: HISTORY.id,
                lsn: Lsn(1_048_700),
            }),
            "13 01 03000000 efcdab8967452301 7c00100000000000",
        ),
        (
            "revoked-whole",
            none(Change::Revoked { member: 9, group: group(700), grant: Lsn(1_048_580), mask: PortMask(ALL) }),
            "14 09000000 bc02 0400100000000000",
        ),
        (
            "revoked-part",
            none(Change::Revoked { member: 9, group: group(702), grant: Lsn(1_048_582), mask: PortMask(1) }),
            "15 09000000 be02 0600100000000000 0100000000000000",
        ),
        (
            "adopted-whole",
            none(Change::Adopted { member: 9, group: group(700), mask: PortMask(ALL), grant: Lsn(1_048_690) }),
            "16 09000000 bc02 7200100000000000",
        ),
        (
            "adopted-part",
            none(Change::Adopted { member: 9, group: group(702), mask: PortMask(1), grant: Lsn(1_048_691) }),
            "17 09000000 be02 7300100000000000 0100000000000000",
        ),
        ("resumed", none(Change::Resumed { by: None }), "18 00 00*64"),
        ("resumed by word", none(Change::Resumed { by: Some(name("OPERATOR")) }), "18 08 4f50455241544f52 00*56"),
    ]
}

fn items() -> Vec<(&'static str, Item, &'static str)> {
    vec![
        (
            "head",
            Item::Head { name: StructureName::new(Some(11), None).expect("in range"), lsn: Lsn(1_048_600) },
            "01 0b 00 1800100000000000",
        ),
        (
            "stop",
            Item::Stop {
                cause: StopCause::Restored,
                since: Lsn(1_048_590),
                from: BootMs(86_400_000),
                highest: Lsn(1_048_700),
                adopted: 65,
            },
            "0c 02 0e00100000000000 005c260500000000 7c00100000000000 41000000",
        ),
        ("range", Item::Range { transport: Transport::Tcp, range: RANGE }, "02 00 8813 0004"),
        ("set", Item::Set { set: 0, ports: ports() }, "03 00000000 00*128 ff*376 f7 ff*7687"),
        (
            "list",
            Item::List {
                list: 1,
                target: list("10.1.1.1", Transport::Tcp),
                created: Lsn(1_048_576),
                open: true,
                defined: true,
                policy: policy(),
            },
            "04 01000000 00 00000000000000000000ffff0a010101 0000100000000000 01 01 00100000 1000 c0d40100 0000000000000000",
        ),
        (
            "connector",
            Item::Connector {
                connector: 3,
                name: stack(),
                incarnation: Incarnation(1_048_577),
                state: ConnectorState::FailedPersistent,
                identity: identity(),
                boot_since: Lsn(1_048_577),
                promise_ms: 30_000,
                enforced: false,
                sets: [Some(0), None],
                window_lowest: 7,
            },
            "05 03000000 0a 535953312e5443504950 00*54 0100100000000000 01 100f0e0d0c0b0a090807060504030201 afaeadacabaaa9a8a7a6a5a4a3a2a1a0 8877665544332211 0100100000000000 3075000000000000 00 00000000 ffffffff 07000000",
        ),
        (
            "window",
            Item::Window { connector: 3, number: 7, hash: HASH, first: Lsn(1_048_580), count: 3 },
            "06 03000000 07000000 1122334455667788 0400100000000000 03000000",
        ),
        (
            "member",
            Item::Member { member: 9, connector: 3, list: 1, joined: Lsn(1_048_579), last_group: Some(group(702)) },
            "07 09000000 03000000 01000000 0300100000000000 be02",
        ),
        (
            "member without a group",
            Item::Member { member: 10, connector: 3, list: 2, joined: Lsn(1_048_589), last_group: None },
            "07 0a000000 03000000 02000000 0d00100000000000 ffff",
        ),
        (
            "grant-whole",
            Item::Grant { lsn: Lsn(1_048_580), member: 9, group: group(700), mask: PortMask(ALL), number: 7 },
            "08 0400100000000000 09000000 bc02 07000000",
        ),
        (
            "grant-part",
            Item::Grant {
                lsn: Lsn(1_048_582),
                member: 9,
                group: group(702),
                mask: PortMask(0xffff_ffff_ffff_f7ff),
                number: 7,
            },
            "09 0600100000000000 09000000 be02 07000000 fff7ffffffffffff",
        ),
        (
            "quarantine-whole",
            quarantine(1_048_585, 703, ALL, 86_400_000),
            "0a 0900100000000000 01000000 bf02 03000000 0100100000000000 005c260500000000",
        ),
        (
            "quarantine-part",
            quarantine(1_048_586, 704, 0x8000_0000_0000_0001, 86_400_001),
            "0b 0a00100000000000 01000000 c002 03000000 0100100000000000 015c260500000000 0100000000000080",
        ),
    ]
}

const HISTORY: HistoryRow = HistoryRow {
    id: HistoryId(0x0123_4567_89ab_cdef),
    first: Lsn(1_048_576),
    boot: BootId(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf),
    boot_ms: BootMs(5_000),
    wall_ms: WallMs(1_790_000_000_000),
    epoch: 1,
    end: Lsn(0),
};
const HISTORY_HEX: &str = "efcdab8967452301 0000100000000000 afaeadacabaaa9a8a7a6a5a4a3a2a1a0 8813000000000000 006c50c4a0010000 0100000000000000 0000000000000000";

#[test]
fn golden_records_are_read_and_written_again_so() {
    for (what, event, text) in records() {
        let golden = hex::bytes(text);
        let mut written = Vec::new();
        record::encode(&event, &mut written);
        assert_eq!(hex::text(&written), hex::text(&golden), "{what}");
        assert_eq!(record::decode_all(&golden, 1), Ok(vec![event]), "{what}");
        let kind = record::kind_name(golden[0]).expect("a kind");
        assert!(what.starts_with(kind), "{what} is of kind {kind}");
    }
}

#[test]
fn every_kind_of_record_has_golden_bytes() {
    let mut kinds: Vec<u8> = records().iter().map(|(_, _, text)| hex::bytes(text)[0] & 0x3f).collect();
    kinds.dedup();
    let known: Vec<u8> = (0..0x40).filter(|kind| record::kind_name(*kind).is_some()).collect();
    assert_eq!(kinds, known);
}

#[test]
fn golden_items_are_read_and_written_again_so() {
    for (what, item, text) in items() {
        let golden = hex::bytes(text);
        let mut written = Vec::new();
        rows::encode(&item, &mut written);
        assert_eq!(hex::text(&written), hex::text(&golden), "{what}");
        let mut read = Vec::new();
        assert_eq!(rows::decode_run(&golden, &mut |item| read.push(item)), Ok((1, golden.len())), "{what}");
        assert_eq!(read, [item], "{what}");
    }
    let mut written = Vec::new();
    rows::encode_history(&HISTORY, &mut written);
    assert_eq!(hex::text(&written), hex::text(&hex::bytes(HISTORY_HEX)));
    assert_eq!(rows::decode_histories(&written), Ok(vec![HISTORY]));
}

#[test]
fn the_document_shows_exactly_the_golden_bytes() {
    let mut golden: Vec<(String, String)> = Vec::new();
    golden.extend(records().iter().map(|(what, _, text)| (format!("record {what}"), (*text).to_owned())));
    golden.extend(items().iter().map(|(what, _, text)| (format!("item {what}"), (*text).to_owned())));
    golden.push(("history".to_owned(), HISTORY_HEX.to_owned()));
    let shown = hex::examples(&["record", "item", "history"]);
    let names = |examples: &[(String, String)]| examples.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&shown), names(&golden));
    for ((name, shown), (_, golden)) in shown.iter().zip(&golden) {
        assert_eq!(hex::text(&hex::bytes(shown)), hex::text(&hex::bytes(golden)), "{name}");
    }
}

/// A small state, as items and as the rows that the document shows.
fn small_state() -> Vec<Item> {
    let wanted = ["head", "list", "connector", "member", "grant-whole"];
    items().into_iter().filter(|(what, _, _)| wanted.contains(what)).map(|(_, item, _)| item).collect()
}

#[test]
fn the_rows_of_a_small_checkpoint_are_those_of_the_document() {
    let shown = hex::examples(&["row"]);
    let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["row histories", "row items", "row seal"]);
    let golden: Vec<Vec<u8>> = shown.iter().map(|(_, text)| hex::bytes(text)).collect();
    let flat: Vec<u8> = golden.iter().flat_map(|row| [&[9, 0, 0, 0], &size(row)[..], row].concat()).collect();

    let (disk, dir) = (SimDisk::new(), Path::new("/ckpt"));
    disk.create_dir(dir).expect("an empty disk");
    let mut items = small_state().into_iter();
    let proof = checkpoint::write(&disk, &FlatStore, dir, 2, &mut items, &[HISTORY], Lsn(1_048_600)).expect("written");
    let written = disk.bytes(&dir.join("2/rows")).expect("written");
    assert_eq!(hex::text(&written), hex::text(&flat));

    let item_bytes = &golden[1][9..];
    assert_eq!((proof.count, proof.digest), (5, *blake3::hash(item_bytes).as_bytes()));
    assert_eq!(golden[2][9..][34..66], proof.digest);
    assert_eq!(golden[2][9..][74..], *blake3::hash(&golden[0][9..]).as_bytes());
    let loaded = checkpoint::load(&disk, &FlatStore, dir, &proof).expect("loaded");
    assert!(loaded.items().eq(small_state()));
    assert_eq!(loaded.histories(), [HISTORY]);
}

/// Size of a row's value as the losable twin's file has it.
fn size(row: &[u8]) -> [u8; 4] {
    u32::try_from(row.len() - 9).expect("rows are small").to_le_bytes()
}

//! Records and rows: what is written comes back, and what was not written is refused.

use crate::hex;
use crate::random::Random;
use portplex::ident::Lsn;
use portplex::record::{self, RecordError, rows};
use portplex::structure::{Event, Item};

fn payload(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        let before = bytes.len();
        record::encode(event, &mut bytes);
        assert_eq!(bytes.len() - before, record::size_of(event), "{event:?}");
    }
    bytes
}

#[test]
fn every_event_comes_back_from_its_record() {
    let mut random = Random::seeded(1);
    for _ in 0..2_000 {
        let events: Vec<Event> = (0..random.below(30)).map(|_| random.event()).collect();
        let bytes = payload(&events);
        assert_eq!(record::decode_all(&bytes, events.len() as u32), Ok(events));
    }
}

#[test]
fn a_grant_never_takes_more_than_31_bytes() {
    let mut random = Random::seeded(2);
    let mut largest = 0;
    for _ in 0..100_000 {
        let event = random.event();
        if matches!(event.change, portplex::structure::Change::Granted { .. }) {
            largest = largest.max(record::size_of(&event));
        }
    }
    assert_eq!(largest, record::GRANT_SIZE_MAX);
    assert!(largest <= 31);
}

#[test]
fn a_payload_cut_anywhere_is_refused() {
    let mut random = Random::seeded(3);
    for _ in 0..200 {
        let events: Vec<Event> = (0..1 + random.below(5)).map(|_| random.event()).collect();
        let bytes = payload(&events);
        for size in (0..bytes.len()).step_by(if bytes.len() > 2_000 { 61 } else { 1 }) {
            let error = record::decode_all(&bytes[..size], events.len() as u32).expect_err("cut");
            assert!(matches!(error, RecordError::Short { .. }), "{size} of {}: {error}", bytes.len());
        }
    }
}

#[test]
fn a_wrong_count_is_refused() {
    let mut random = Random::seeded(4);
    for _ in 0..200 {
        let events: Vec<Event> = (0..1 + random.below(5)).map(|_| random.event()).collect();
        let (bytes, count) = (payload(&events), events.len() as u32);
        let fewer = record::decode_all(&bytes, count - 1).expect_err("bytes are left");
        assert!(matches!(fewer, RecordError::Trailing { .. }), "{fewer}");
        for more in [count + 1, u32::MAX] {
            let error = record::decode_all(&bytes, more).expect_err("a record is missing");
            assert_eq!(error, RecordError::Short { index: count, offset: bytes.len(), needed: 1, left: 0 });
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_is_exactly_another_record() {
    let mut random = Random::seeded(5);
    for _ in 0..1_500 {
        let event = random.event();
        let good = payload(std::slice::from_ref(&event));
        let step = if good.len() > 1_000 { 1_009 } else { 1 };
        for bit in (0..good.len() * 8).step_by(step) {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = record::decode_all(&bytes, 1) {
                assert_ne!(other[0], event, "bit {bit} means nothing");
                assert_eq!(payload(&other), bytes);
            }
        }
    }
}

#[test]
fn noise_never_panics_and_what_is_accepted_is_canonical() {
    let mut random = Random::seeded(6);
    let mut accepted = 0;
    for _ in 0..300_000 {
        let bytes: Vec<u8> = (0..random.below(70)).map(|_| random.next() as u8 & 0x4f).collect();
        let count = random.below(4) as u32;
        if let Ok(events) = record::decode_all(&bytes, count) {
            assert_eq!(payload(&events), bytes);
            accepted += usize::from(count > 0);
        }
        let mut items = Vec::new();
        if let Ok((_, used)) = rows::decode_run(&bytes, &mut |item| items.push(item)) {
            assert_eq!(run(&items), bytes[..used]);
        }
    }
    assert!(accepted > 100, "only {accepted}: the noise is too wild to reach anything");
}

/// Records that no release may write, as hex, and what is wrong with them.
const FORGED: &[(&str, &str)] = &[
    ("00 00000000", "kind 0"),
    ("c7 00000000", "stamp 3"),
    ("19 00000000", "a kind behind the last"),
    ("0b 01000000 0000 ffffffffffffffff", "a whole group in the kind with a mask"),
    ("0b 01000000 0000 0000000000000000", "a grant of nothing"),
    ("0d 01000000 0000 0700000000000000 ffffffffffffffff", "a whole release in the kind with a mask"),
    ("0a 01000000 0004", "group 1,024"),
    ("4a 00000000 0000 0000000000000000 01000000 0000", "request number 0"),
    ("4a 05000000 0500 0000000000000000 01000000 0000", "lowest number 0"),
    ("4a ffff0000 0040 0000000000000000 01000000 0000", "lowest number below the window"),
    ("8a 00000000 01000000 0000", "further event of request number 0"),
    ("06 00000000 04 00000000000000000000000000000000", "port space 4"),
    ("06 00000000 02 00000000000000000000000000000001", "a pool with an address"),
    ("06 00000000 00 00000000000000000000000000000000", "a list of no address"),
    ("06 00000000 00 00000000000000000000ffffffffffff", "the broadcast address"),
    ("10 00000000 02 00000000", "transport 2"),
    ("12 00 0000 0100", "a range from port 0"),
    ("12 00 0100 0000", "a range of no port"),
    ("12 00 ffff 0200", "a range past the last port"),
    ("13 03 ffffffff 0000000000000000 0000000000000000", "cause 3"),
    ("15 01000000 0000 0700000000000000 ffffffffffffffff", "a whole group taken in the kind with a mask"),
    ("17 01000000 0000 0700000000000000 0000000000000000", "a grant of nothing adopted"),
];

#[test]
fn forged_records_are_refused() {
    for (hex, why) in FORGED {
        let bytes = hex::bytes(hex);
        assert!(record::decode_all(&bytes, 1).is_err(), "{why}: {hex}");
    }
    let possible = hex::bytes("4a 05000000 0400 0000000000000000 01000000 0000");
    record::decode_all(&possible, 1).expect("the neighbour of a forged one");
}

#[test]
fn a_name_is_stored_in_one_way_only() {
    let name = |length: u8, text: &[u8]| {
        let mut bytes = hex::bytes("05 00000000 0000000000000000 01");
        bytes.push(length);
        bytes.extend_from_slice(text);
        bytes.resize(79, 0);
        bytes
    };
    record::decode_all(&name(3, b"OPS"), 1).expect("a name");
    for (length, text) in [
        (3, &b"ops"[..]),
        (0, b""),
        (2, b"OPS"),
        (4, b"OPS"),
        (3, b"O S"),
        (3, b"O\xff\xfe"),
        (65, b"OPS"),
        (255, b"A"),
    ] {
        assert!(record::decode_all(&name(length, text), 1).is_err(), "{length} {text:?}");
    }
}

fn run(items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        let before = bytes.len();
        rows::encode(item, &mut bytes);
        assert_eq!(bytes.len() - before, rows::size_of(item), "{item:?}");
    }
    bytes
}

#[test]
fn every_item_comes_back_from_its_row() {
    let mut random = Random::seeded(7);
    for _ in 0..1_000 {
        let mut items = vec![random.head(Lsn(7))];
        items.extend((0..random.below(30)).map(|_| random.item()));
        let bytes = run(&items);
        let mut back = Vec::new();
        assert_eq!(rows::decode_run(&bytes, &mut |item| back.push(item)), Ok((items.len() as u32, bytes.len())));
        assert_eq!(back, items);
    }
}

#[test]
fn a_flipped_bit_of_an_item_is_refused_or_is_exactly_another_item() {
    let mut random = Random::seeded(8);
    for _ in 0..1_000 {
        let item = random.item();
        let good = run(std::slice::from_ref(&item));
        let step = if good.len() > 1_000 { 1_009 } else { 1 };
        for bit in (0..good.len() * 8).step_by(step) {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut other = Vec::new();
            if let Ok((_, used)) = rows::decode_run(&bytes, &mut |item| other.push(item)) {
                assert_ne!(other.first(), Some(&item), "bit {bit} means nothing");
                assert_eq!(run(&other), bytes[..used]);
            }
        }
    }
}

#[test]
fn the_digest_covers_every_item_and_their_order() {
    let mut random = Random::seeded(9);
    let items: Vec<Item> = (0..8).map(|_| random.item()).collect();
    let whole = record::digest(items.clone());
    assert_eq!(whole.count, 8);
    for at in 0..items.len() {
        let mut changed = items.clone();
        changed.remove(at);
        assert_ne!(record::digest(changed).hash, whole.hash);
        let mut changed = items.clone();
        changed.swap(at, (at + 1) % 8);
        assert_ne!(record::digest(changed).hash, whole.hash);
    }
    assert_eq!(record::digest([]).hash, *blake3::hash(b"").as_bytes());
}

#[test]
fn histories_come_back() {
    let mut random = Random::seeded(10);
    let histories: Vec<_> = (0..5).map(|_| random.history()).collect();
    let mut bytes = Vec::new();
    histories.iter().for_each(|row| rows::encode_history(row, &mut bytes));
    assert_eq!(bytes.len(), 5 * rows::HISTORY_SIZE);
    assert_eq!(rows::decode_histories(&bytes), Ok(histories));
    bytes.pop();
    assert!(matches!(rows::decode_histories(&bytes), Err(RecordError::Short { index: 4, .. })));
}

//! WATERMARK from arbitrary bytes: a slot that is valid encodes to the same bytes again, one that is not
//! is as good as none, and none can make a store open with less than it has.

use super::store::{self, DIR, Store};
use portplex::ident::{BootId, BootMs, Lsn, StoreUuid};
use portplex::wal::Watermark;
use portplex::wal::constants::{BLOCK_SIZE, WATERMARK};
use std::path::Path;
use std::sync::LazyLock;

static STORES: LazyLock<[Store; 2]> =
    LazyLock::new(|| [store::acknowledged(store::lists), store::issued(store::grants)]);
/// A slot that is made from fields takes so many bytes of the input.
const FIELDS: usize = 24;

/// The first byte says which store, and of each slot whether it is made from fields or is the bytes as
/// they are.
pub fn run(input: &[u8]) {
    let Some((how, mut bytes)) = input.split_first() else { return };
    if let Some(mark) = Watermark::decode(bytes) {
        assert_eq!(mark.encode(), bytes, "a slot has one form");
    }
    let store = &STORES[usize::from(how & 1)];
    let mut file = vec![0; 2 * BLOCK_SIZE as usize];
    for (place, slot) in file.chunks_mut(BLOCK_SIZE as usize).enumerate() {
        let is_made = how >> (1 + place) & 1 == 1;
        if is_made && let Some((fields, rest)) = bytes.split_first_chunk() {
            slot.copy_from_slice(&from_fields(store, fields, place as u64).encode());
            bytes = rest;
        } else {
            let (taken, rest) = bytes.split_at(bytes.len().min(slot.len()));
            slot[..taken.len()].copy_from_slice(taken);
            bytes = rest;
        }
    }
    if how & 64 != 0 {
        file.truncate(usize::from(*bytes.first().unwrap_or(&0)) << 6);
    }
    let slots = file.chunks(BLOCK_SIZE as usize).filter_map(Watermark::decode);
    let ours: Vec<Watermark> = slots.filter(|slot| slot.uuid == store.manifest.uuid).collect();
    let disk = store.disk.fork();
    disk.set_bytes(&Path::new(DIR).join(WATERMARK), file).expect("written");
    let is_harmless = ours.iter().all(|slot| slot.lsn <= store.end.lsn && slot.epoch <= store.manifest.epoch);
    match store::read(&disk) {
        Ok(found) => assert!(found == store.issued, "the log is whole, whatever the watermark says"),
        Err(error) => assert!(!is_harmless, "refused though no slot says more than the log has: {error}"),
    }
}

/// A valid slot: of this store or another, near its epoch and lsn or far away.
fn from_fields(store: &Store, fields: &[u8; FIELDS], place: u64) -> Watermark {
    let number = |at: usize| fields[at..at + 8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let near = |kind: u8, known: u64, far: u64| match kind & 3 {
        0 => known,
        1 => known.saturating_add(far & 15),
        2 => known.saturating_sub(far & 15),
        _ => far,
    };
    let uuid = StoreUuid(store.manifest.uuid.0 ^ u128::from(fields[0] >> 7));
    Watermark {
        uuid,
        epoch: near(fields[0], store.manifest.epoch, number(1)),
        sequence: near(fields[0] >> 2, place, number(9)),
        lsn: Lsn(near(fields[0] >> 4, store.end.lsn.0, number(16))),
        boot: BootId(u128::from(fields[15])),
        boot_ms: BootMs(number(8)),
        clean: fields[0] >> 6 & 1 == 1,
    }
}

//! Recovery from arbitrary bytes in the tail segment: a state whose audit passes, or a named error.
//! Never a panic, a hang, or memory taken on the word of a length field.
//!
//! Checksums keep nearly all bytes out, so some inputs become whole frames: their payload is arbitrary,
//! and all else of them fits the log.

use super::store::{self, Store};
use portplex::ident::{BootMs, Lsn, WallMs};
use portplex::wal::constants::{BLOCK_SIZE, frame_size, payload_size_max};
use portplex::wal::frame::{self, FrameHeader};
use std::sync::LazyLock;

static STORES: LazyLock<[Store; 2]> =
    LazyLock::new(|| [store::acknowledged(store::lists), store::acknowledged(store::grants)]);

/// The first byte says where the rest goes: over the file from its start or from a block, or into the
/// payload of one or more frames behind the last one.
pub fn run(input: &[u8]) {
    let Some((place, bytes)) = input.split_first() else { return };
    let store = &STORES[usize::from(place >> 5 == 7)];
    let disk = store.disk.fork();
    let mut file = disk.bytes(&store.tail).expect("the tail is there").to_vec();
    if place & 1 == 1 {
        append(store, &mut file, bytes);
    } else {
        let start = BLOCK_SIZE as usize * usize::from(place >> 1 & 3);
        let size = bytes.len().min(file.len() - start);
        file[start..start + size].copy_from_slice(&bytes[..size]);
    }
    disk.set_bytes(&store.tail, file).expect("written");
    if let Ok(structure) = store::read(&disk) {
        // Recovery makes its own audit: this one looks whether it still does.
        if place >> 3 & 3 == 3 {
            structure.audit().expect("what is opened is sound");
        }
    }
}

/// Frames that continue the log. Each payload is told by three bytes before it: how long, and how many
/// records it says it has.
fn append(store: &Store, file: &mut [u8], mut bytes: &[u8]) {
    let (mut offset, mut end) = (store.offset, store.end);
    let size = file.len() as u64;
    while let Some(([high, low, count], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).clamp(1, payload_size_max(size));
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        if payload.is_empty() || offset + frame_size(payload.len()) > size {
            return;
        }
        let header = FrameHeader {
            first: end.lsn.next(),
            count: u32::from(*count),
            durable: end.lsn,
            epoch: store.manifest.epoch,
            wall: WallMs(1_700_000_001_000),
            boot: BootMs(1_000),
            previous: end.crc,
        };
        let mut frame = Vec::new();
        end.crc = frame::encode(&header, payload, store.salt, &mut frame);
        end.lsn = Lsn(end.lsn.0 + u64::from(*count));
        file[offset as usize..offset as usize + frame.len()].copy_from_slice(&frame);
        offset += frame.len() as u64;
        bytes = rest;
    }
}

//! Recovery from arbitrary bytes in the tail segment: a state whose audit passes, or a named error.
//! Never a panic, a hang, or memory taken on the word of a length field.
#![no_main]

mod store;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use store::Store;

static STORE: LazyLock<Store> = LazyLock::new(store::make);

// The first byte says where the rest goes: behind the segment's header, or from the file's start.
fuzz_target!(|input: &[u8]| {
    let Some((place, bytes)) = input.split_first() else { return };
    let disk = STORE.disk.fork();
    let mut file = disk.bytes(&STORE.tail).expect("the tail is there").to_vec();
    let start = if place & 1 == 0 { 4_096 * usize::from(place >> 1 & 7) } else { 0 };
    let size = bytes.len().min(file.len() - start);
    file[start..start + size].copy_from_slice(&bytes[..size]);
    disk.set_bytes(&STORE.tail, file).expect("written");
    if let Ok(structure) = store::read(&disk) {
        structure.audit().expect("what is opened is sound");
    }
});

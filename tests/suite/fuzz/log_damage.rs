//! Recovery from a valid log with structured damage: the exact state, a state between what was
//! acknowledged and what was issued, or a named error. Never less.
//!
//! In two of the stores every frame is proven durable: there no damage may pass for a torn tail. In the
//! other two the last frame was written and nobody was answered: it is there or it is not.

use super::store::{self, Store};
use portplex::disk::sim::SimDisk;
use std::path::PathBuf;
use std::sync::LazyLock;

static STORES: LazyLock<[(Store, Vec<PathBuf>); 4]> = LazyLock::new(|| {
    let stores = [
        store::acknowledged(store::lists),
        store::issued(store::lists),
        store::acknowledged(store::grants),
        store::issued(store::grants),
    ];
    stores.map(|store| {
        let paths = store.disk.image().into_keys();
        let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
        (store, segments)
    })
});

/// The first byte says which store; then six bytes a wound: what kind and which segment, which place (3
/// bytes), which value, how long.
pub fn run(input: &[u8]) {
    let Some((which, wounds)) = input.split_first() else { return };
    let (store, segments) = &STORES[usize::from(which & 1) + if which & 7 < 6 { 0 } else { 2 }];
    let disk = store.disk.fork();
    for wound in wounds.chunks_exact(6).take(4) {
        hurt(&disk, segments, wound);
    }
    if let Ok(found) = store::read(&disk) {
        assert!(store.allows(&found), "a damaged log opened as another state");
    }
}

fn hurt(disk: &SimDisk, segments: &[PathBuf], wound: &[u8]) {
    let [kind, high, middle, low, value, length] = wound else { return };
    let path = &segments[usize::from(kind >> 4) % segments.len()];
    let mut file = disk.bytes(path).expect("listed").to_vec();
    // An earlier wound may have left nothing of it.
    if file.is_empty() && kind & 15 != 4 {
        return;
    }
    let place = (usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low)) % file.len().max(1);
    let end = (place + 1 + usize::from(*length)).min(file.len());
    match kind & 15 {
        0 => file[place] ^= 1 << (value & 7),
        1 => file[place..end].fill(*value),
        2 => file[place..end].reverse(),
        3 => file.truncate(place),
        4 => file.extend(std::iter::repeat_n(*value, usize::from(*length) + 1)),
        // A sector or a block of another place: a misdirected write.
        5 => misdirect(&mut file, place, usize::from(*value), 512),
        _ => misdirect(&mut file, place, usize::from(*value), 4_096),
    }
    disk.set_bytes(path, file).expect("written");
}

fn misdirect(file: &mut [u8], place: usize, to: usize, size: usize) {
    let (from, to) = (place / size * size, to * size % file.len());
    if from + size <= file.len() && to + size <= file.len() {
        file.copy_within(from..from + size, to);
    }
}

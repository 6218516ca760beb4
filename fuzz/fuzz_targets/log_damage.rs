//! Recovery from a valid log with structured damage: the exact state or a named error, never less.
//! Every frame of the store is proven durable, so no damage may be taken for a torn tail; damage
//! that changes nothing gives the exact state.
#![no_main]

mod store;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use store::Store;

static STORE: LazyLock<Store> = LazyLock::new(store::make);

// Six bytes a wound: what kind, which place (3 bytes), which value, how long.
fuzz_target!(|input: &[u8]| {
    let disk = STORE.disk.fork();
    for wound in input.chunks_exact(6).take(4) {
        hurt(&disk, wound);
    }
    if let Ok(structure) = store::read(&disk) {
        assert!(structure == STORE.structure, "a damaged log opened as another state");
    }
});

fn hurt(disk: &portplex::disk::sim::SimDisk, wound: &[u8]) {
    let mut paths: Vec<_> = disk.image().into_keys().filter(|path| path.ends_with_seg()).collect();
    paths.sort();
    let [kind, high, middle, low, value, length] = wound else { return };
    let path = &paths[usize::from(kind >> 4) % paths.len()];
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
        5 => {
            // A sector of another place: a misdirected write.
            let from = place / 512 * 512;
            let to = usize::from(*value) * 512 % file.len();
            if from + 512 <= file.len() && to + 512 <= file.len() {
                file.copy_within(from..from + 512, to);
            }
        }
        _ => {
            let frame = place / 4_096 * 4_096;
            let to = usize::from(*value) * 4_096 % file.len();
            if frame + 4_096 <= file.len() && to + 4_096 <= file.len() {
                file.copy_within(frame..frame + 4_096, to);
            }
        }
    }
    disk.set_bytes(path, file).expect("written");
}

trait SegmentPath {
    fn ends_with_seg(&self) -> bool;
}

impl SegmentPath for std::path::PathBuf {
    fn ends_with_seg(&self) -> bool {
        self.extension().is_some_and(|extension| extension == "seg")
    }
}

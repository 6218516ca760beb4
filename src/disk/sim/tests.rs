//! What the simulated disk keeps and loses.
#![forbid(unsafe_code)]

use super::*;

fn file(disk: &SimDisk, path: &str, bytes: &[u8]) -> Box<dyn crate::disk::DiskFile> {
    let file = disk.create(Path::new(path)).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

fn read(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.bytes(Path::new(path)).map(|bytes| bytes.as_ref().clone())
}

#[test]
fn a_synced_file_is_lost_until_its_directory_is_synced() {
    let disk = SimDisk::new();
    file(&disk, "/a", b"x").sync_all().unwrap();
    assert_eq!(read(&disk.after_power_cut(&Loss::Everything), "/a"), None);
    assert_eq!(read(&disk.after_power_cut(&Loss::Nothing), "/a"), Some(b"x".to_vec()));
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(read(&disk.after_power_cut(&Loss::Everything), "/a"), Some(b"x".to_vec()));
    assert_eq!(disk.unsynced(), 0);
}

#[test]
fn every_subset_of_unsynced_sectors_can_survive() {
    let disk = SimDisk::new();
    let file = file(&disk, "/a", &[0; 2_048]);
    file.sync_all().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(&[7; 1_024], 512).unwrap();
    assert_eq!(disk.unsynced(), 2);
    let first = read(&disk.after_power_cut(&Loss::Except(0b01)), "/a").unwrap();
    assert_eq!((first[512], first[1_024]), (7, 0));
    let second = read(&disk.after_power_cut(&Loss::Except(0b10)), "/a").unwrap();
    assert_eq!((second[512], second[1_024]), (0, 7));
    file.sync_data().unwrap();
    assert_eq!(read(&disk.after_power_cut(&Loss::Everything), "/a").unwrap()[512..1_536], [7; 1_024]);
}

#[test]
fn a_rename_survives_whole_or_not_at_all() {
    let disk = SimDisk::new();
    file(&disk, "/a", b"old").sync_all().unwrap();
    file(&disk, "/b", b"new").sync_all().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.rename(Path::new("/b"), Path::new("/a")).unwrap();
    let lost = disk.after_power_cut(&Loss::Everything);
    assert_eq!((read(&lost, "/a"), read(&lost, "/b")), (Some(b"old".to_vec()), Some(b"new".to_vec())));
    let kept = disk.after_power_cut(&Loss::Nothing);
    assert_eq!((read(&kept, "/a"), read(&kept, "/b")), (Some(b"new".to_vec()), None));
}

#[test]
fn an_exchange_changes_both_names_at_once_and_loses_each_by_itself() {
    let disk = SimDisk::new();
    file(&disk, "/a", b"A").sync_all().unwrap();
    file(&disk, "/b", b"B").sync_all().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.exchange(Path::new("/a"), Path::new("/b")).unwrap();
    let names = |disk: &SimDisk| ["/a", "/b"].map(|name| read(disk, name).map(|bytes| char::from(bytes[0])));
    assert_eq!(names(&disk), [Some('B'), Some('A')]);
    let left = |kept| names(&disk.after_power_cut(&Loss::Except(kept)));
    assert_eq!(left(0b00), [Some('A'), Some('B')]);
    assert_eq!(left(0b01), [Some('B'), Some('B')]);
    assert_eq!(left(0b10), [Some('A'), Some('A')]);
    assert_eq!(left(0b11), [Some('B'), Some('A')]);
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(names(&disk.after_power_cut(&Loss::Everything)), [Some('B'), Some('A')]);
    assert_eq!(disk.exchange(Path::new("/a"), Path::new("/c")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_a_failed_sync_marked_clean_never_becomes_durable() {
    let disk = SimDisk::new();
    let file = file(&disk, "/a", &[0; 512]);
    file.sync_all().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(&[7; 512], 0).unwrap();
    disk.fail_at(disk.calls(), Fault::SyncMarkedClean { errno: 5 });
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    assert_eq!(read(&disk, "/a").unwrap(), [7; 512]);
    file.sync_data().unwrap();
    assert_eq!(read(&disk.after_power_cut(&Loss::Nothing), "/a").unwrap(), [0; 512]);
}

#[test]
fn nothing_works_once_the_power_is_cut() {
    let disk = SimDisk::new();
    disk.cut_at(2);
    let file = file(&disk, "/a", b"x");
    assert!(file.sync_all().is_err());
    assert!(disk.list(Path::new("/")).is_err());
    assert!(disk.is_dead());
}

#[test]
fn a_size_that_was_not_synced_may_be_kept_without_its_bytes() {
    let disk = SimDisk::new();
    let file = file(&disk, "/a", &[7; 512]);
    file.sync_all().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(&[7; 512], 512).unwrap();
    assert_eq!(disk.unsynced(), 2);
    let size_only = read(&disk.after_power_cut(&Loss::Except(0b10)), "/a").unwrap();
    assert_eq!((size_only.len(), size_only[512]), (1_024, 0));
    assert_eq!(read(&disk.after_power_cut(&Loss::Except(0b01)), "/a").unwrap().len(), 512);
}

#[test]
fn one_writer_or_many_readers_hold_a_lock() {
    use crate::disk::LockMode;
    let disk = SimDisk::new();
    let _file = file(&disk, "/LOCK", b"");
    let path = Path::new("/LOCK");
    let reader = disk.try_lock(path, LockMode::Shared).unwrap().unwrap();
    assert!(disk.try_lock(path, LockMode::Shared).unwrap().is_some());
    assert!(disk.try_lock(path, LockMode::Exclusive).unwrap().is_none());
    drop(reader);
    let writer = disk.try_lock(path, LockMode::Exclusive).unwrap().unwrap();
    assert!(disk.try_lock(path, LockMode::Shared).unwrap().is_none());
    assert_eq!(writer.inode(), disk.inode(path).unwrap());
}

#[test]
fn a_full_disk_refuses_growth_only() {
    let disk = SimDisk::new();
    let file = file(&disk, "/a", &[1; 100]);
    disk.set_capacity(Some(100));
    assert_eq!(file.write_at(&[2; 1], 100).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(&[2; 100], 0).unwrap();
}

#[test]
fn a_write_that_the_disk_lost_is_seen_until_the_cache_is_dropped_or_the_power_cut() {
    for fault in [Fault::LostWrite, Fault::MisdirectedWrite { by: 512 }, Fault::ZeroedSector] {
        let disk = SimDisk::new();
        let file = file(&disk, "/a", &[1; 2_048]);
        file.sync_all().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.fail_at(disk.calls(), fault);
        file.write_at(&[7; 512], 512).unwrap();
        file.sync_all().unwrap();
        assert_eq!(read(&disk, "/a").unwrap()[512..1_024], [7; 512], "{fault:?}: the cache has it");
        let cut = read(&disk.after_power_cut(&Loss::Nothing), "/a").unwrap();
        let (old, elsewhere) = match fault {
            Fault::LostWrite => (1, 1),
            Fault::MisdirectedWrite { .. } => (1, 7),
            _ => (0, 1),
        };
        assert_eq!((cut[512], cut[1_024]), (old, elsewhere), "{fault:?}: the disk has not");
        file.drop_cache().unwrap();
        assert_eq!(read(&disk, "/a"), Some(cut), "{fault:?}: a read from the disk shows it");
        file.write_at(&[9; 512], 512).unwrap();
        file.sync_all().unwrap();
        assert_eq!(read(&disk.after_power_cut(&Loss::Everything), "/a").unwrap()[512], 9, "{fault:?}: once only");
    }
}

#[test]
fn a_stale_read_shows_what_was_there_before_the_last_sync_and_a_short_one_less() {
    let disk = SimDisk::new();
    let file = file(&disk, "/a", &[1; 512]);
    file.sync_all().unwrap();
    file.write_at(&[2; 512], 0).unwrap();
    file.sync_all().unwrap();
    file.write_at(&[3; 512], 0).unwrap();
    let mut bytes = [0; 512];
    disk.fail_at(disk.calls(), Fault::StaleRead);
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 512);
    assert_eq!(bytes, [1; 512]);
    disk.fail_at(disk.calls(), Fault::ShortRead { kept: 7 });
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 7);
    assert_eq!((bytes[6], bytes[7]), (3, 1));
    disk.fail_at(disk.calls(), Fault::ZeroedSector);
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 512);
    assert_eq!(bytes, [0; 512]);
    assert_eq!(read(&disk, "/a").unwrap(), [0; 512], "and it stays so");
}

#[test]
fn a_fault_for_ever_meets_every_later_call() {
    let disk = SimDisk::new();
    let file = file(&disk, "/a", &[1; 512]);
    disk.fail_from(disk.calls() + 1, Fault::Errno(5));
    file.sync_all().unwrap();
    for _ in 0..3 {
        assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(5));
    }
}

/// The sum of an image that has nothing unsynced.
fn sum_of(disk: &SimDisk) -> u128 {
    Cuts::new(&disk.take_moments()[0], "LOCK").sum(0)
}

/// Splitmix: the next number below `end`.
fn below(seed: &mut u64, end: u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)) % end
}

/// Names, bytes, and the inode of LOCK: what two equal images have in common.
fn shown(disk: &SimDisk) -> String {
    let lock = disk.inode(Path::new("/LOCK")).unwrap_or(0);
    format!("{:?} {:?} {lock}", disk.list(Path::new("/")), disk.image())
}

#[test]
fn equal_images_have_equal_sums_and_others_other_ones() {
    let mut seen: std::collections::HashMap<u128, String> = std::collections::HashMap::new();
    for start in 0..40_u64 {
        let (disk, mut seed) = (SimDisk::new(), start);
        disk.keep_moments();
        for _ in 0..12 {
            let names = ["/a", "/b", "/LOCK"].map(Path::new);
            let path = names[below(&mut seed, 3) as usize];
            let (size, at) = (below(&mut seed, 900) as usize, below(&mut seed, 700));
            let bytes = vec![below(&mut seed, 3) as u8; size];
            let _ = match (disk.open(path, Access::ReadWrite), below(&mut seed, 6)) {
                (Err(_), _) => disk.create(path).map(drop),
                (Ok(file), 0) => file.set_len(size as u64),
                (Ok(file), 1) => file.sync_all(),
                (Ok(_), 2) => disk.rename(path, Path::new("/b")),
                (Ok(_), 3) => disk.sync_dir(Path::new("/")),
                (Ok(file), _) => file.write_at(&bytes, at),
            };
        }
        for moment in disk.take_moments() {
            let count = moment.unsynced();
            assert!(count < 20, "seed {start}: {count} changes");
            let mut cuts = Cuts::new(&moment, "LOCK");
            for kept in (0..1_u64 << count).take(64) {
                let image = moment.cut(&Loss::Except(kept));
                let (sum, shown) = (cuts.sum(kept), shown(&image));
                assert_eq!(sum, sum_of(&image), "seed {start}: the sum is that of the image");
                let first = seen.entry(sum).or_insert_with(|| shown.clone());
                assert_eq!(*first, shown, "seed {start}: two images with one sum");
            }
        }
    }
    let images: std::collections::HashSet<&String> = seen.values().collect();
    assert!(images.len() == seen.len() && images.len() > 500, "{} sums, {} images", seen.len(), images.len());
}

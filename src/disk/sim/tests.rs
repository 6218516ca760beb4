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

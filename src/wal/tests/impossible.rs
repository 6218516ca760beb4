//! What no writer ever writes is refused by name, whole or not; and the receipt key is shown nowhere.
#![forbid(unsafe_code)]

use super::*;

fn made() -> (SimDisk, Manifest) {
    let disk = SimDisk::new();
    make(&disk).unwrap();
    let (appender, _) = open(&disk).unwrap();
    drop(appender);
    let manifest = survey(&disk, dir()).unwrap().manifest;
    (disk, manifest)
}

#[test]
fn a_manifest_that_cannot_be_is_refused_by_the_field_that_cannot_be() {
    let (_, good) = made();
    assert_eq!(Manifest::decode(&good.encode()).as_ref(), Ok(&good));
    let end = ChainEnd { lsn: Lsn::ZERO, crc: 0 };
    let tail = *good.tail();
    let sealed = |number| SegmentEntry { number, sealed: Some(Seal { end, offset: 4_096, wall: WallMs(0) }), ..tail };
    let pack = PackEntry {
        first_segment: 1,
        last_segment: 1,
        size: 1 << 20,
        first: Lsn(1),
        end,
        wall: WallMs(0),
        digest: [0; 32],
    };
    type Change<'a> = &'a dyn Fn(&mut Manifest);
    let changes: [(&str, Change<'_>); 12] = [
        ("segment size", &|manifest| manifest.segment_size += 1),
        ("segment size", &|manifest| manifest.segment_size = 0),
        ("segments", &|manifest| manifest.segments.clear()),
        ("segments", &|manifest| manifest.next_segment = tail.number),
        ("segments", &|manifest| manifest.segments = vec![tail, tail]),
        ("segments", &|manifest| manifest.segments = vec![sealed(tail.number)]),
        ("segments", &|manifest| {
            let before = Seal { end, offset: 0, wall: WallMs(0) };
            manifest.segments = vec![SegmentEntry { sealed: Some(before), ..sealed(0) }, tail];
        }),
        ("segments", &|manifest| {
            let behind = Seal { end, offset: tail.size + 4_096, wall: WallMs(0) };
            manifest.segments = vec![SegmentEntry { sealed: Some(behind), ..sealed(0) }, tail];
        }),
        ("segments", &|manifest| {
            manifest.packs = vec![PackEntry { last_segment: tail.number, ..pack }];
        }),
        ("packs", &|manifest| manifest.packs = vec![PackEntry { size: 1, ..pack }]),
        ("packs", &|manifest| manifest.packs = vec![PackEntry { last_segment: 0, ..pack }]),
        ("histories", &|manifest| manifest.epoch += 1),
    ];
    for (number, (expected, change)) in changes.iter().enumerate() {
        let mut manifest = good.clone();
        change(&mut manifest);
        match Manifest::decode(&manifest.encode()) {
            Err(Undecodable::Bad(ManifestFault::Field { field, .. })) => {
                assert_eq!(field, *expected, "change {number}")
            }
            other => panic!("change {number}: {other:?}"),
        }
    }
}

#[test]
fn the_receipt_key_is_in_no_debug_text() {
    let (_, manifest) = made();
    let seeds = Seeds { uuid: StoreUuid(7), receipt_key: [9; 32] };
    for text in [format!("{manifest:?}"), format!("{seeds:?}")] {
        assert!(text.contains("uuid"), "{text}");
        assert!(!text.contains("9, 9") && !text.contains("receipt_key"), "{text}");
    }
}

#[test]
fn a_store_of_another_structure_is_refused_and_its_own_is_not() {
    let (disk, manifest) = made();
    let found = survey(&disk, dir()).unwrap();
    assert!(found.check_structure(dir(), manifest.structure).is_ok());
    let expected = StructureName::new(Some(7), Some(9)).unwrap();
    let error = found.check_structure(dir(), expected).unwrap_err();
    let StoreError::OtherStructure { found, expected: wanted, .. } = error else { panic!("{error}") };
    assert_eq!((found, wanted), (manifest.structure, expected));
}

#[test]
fn a_directory_that_is_no_store_is_told_what_it_lacks() {
    let texts = [NotAStore::NoLock, NotAStore::InitUnfinished, NotAStore::NoManifest]
        .map(|why| StoreError::NotAStore { dir: dir().to_owned(), why }.to_string());
    for (text, part) in texts.iter().zip(["no LOCK file", "interrupted", "no MANIFEST file"]) {
        assert!(text.contains(part) && text.contains(DIR), "{text}");
    }
    // One MANIFEST too large and the other gone: the one that is there is named.
    let (disk, _) = made();
    disk.remove_file(&dir().join("MANIFEST")).unwrap();
    let copy = dir().join(crate::wal::constants::MANIFEST_COPY);
    let file = disk.open(&copy, crate::disk::Access::ReadWrite).unwrap();
    file.write_at(&[0xff; 4_096], 0).unwrap();
    let error = survey(&disk, dir()).unwrap_err();
    let StoreError::ManifestCorrupt { path, .. } = &error else { panic!("{error}") };
    assert_eq!(*path, copy);
}

//! sled: a batch, its flush, and because that syncs nothing, an fsync of every file it has.

use crate::batched::{Step, Store};
use crate::free::{Free, key};
use std::fs::File;
use std::path::{Path, PathBuf};

pub struct Sled {
    tree: sled::Db,
    dir: PathBuf,
    free: Free,
}

impl Sled {
    pub fn open(dir: &Path) -> Self {
        let dir = dir.join("ports.sled");
        let tree = sled::Config::new().path(&dir).flush_every_ms(None).open().expect("it opens");
        Self { tree, dir, free: Free::all() }
    }
}

impl Store for Sled {
    fn commit(&mut self, steps: &[Step]) -> Vec<u16> {
        let mut batch = sled::Batch::default();
        let groups = steps
            .iter()
            .map(|step| match *step {
                Step::Take { dvipa, holder } => {
                    let group = self.free.take(dvipa);
                    batch.insert(&key(dvipa, group), &holder.to_be_bytes());
                    group
                }
                Step::Give { dvipa, group, holder } => {
                    let found = self.tree.get(key(dvipa, group)).expect("read").expect("held");
                    assert_eq!(found[..], holder.to_be_bytes(), "its own group");
                    batch.remove(&key(dvipa, group));
                    self.free.give(dvipa, group);
                    group
                }
            })
            .collect();
        self.tree.apply_batch(batch).expect("applied");
        self.tree.flush().expect("flushed");
        for entry in std::fs::read_dir(&self.dir).expect("its directory") {
            let path = entry.expect("an entry").path();
            // A snapshot file may be gone already: then a newer one is there.
            if let Ok(file) = File::open(path) {
                file.sync_all().expect("synced");
            }
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).expect("synced");
        groups
    }

    fn held(&mut self) -> u64 {
        self.tree.len() as u64
    }
}

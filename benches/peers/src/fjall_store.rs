//! fjall: a batch, then everything to the disk.

use crate::batched::{Step, Store};
use crate::free::{Free, key};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

pub struct Fjall {
    database: Database,
    held: Keyspace,
    free: Free,
}

impl Fjall {
    pub fn open(dir: &Path) -> Self {
        let database = Database::builder(dir.join("ports.fjall")).open().expect("it opens");
        let held = database.keyspace("held", KeyspaceCreateOptions::default).expect("made");
        Self { database, held, free: Free::all() }
    }
}

impl Store for Fjall {
    fn commit(&mut self, steps: &[Step]) -> Vec<u16> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        let groups = steps
            .iter()
            .map(|step| match *step {
                Step::Take { dvipa, holder } => {
                    let group = self.free.take(dvipa);
                    batch.insert(&self.held, key(dvipa, group), holder.to_be_bytes());
                    group
                }
                Step::Give { dvipa, group, holder } => {
                    let found = self.held.get(key(dvipa, group)).expect("read").expect("held");
                    assert_eq!(found[..], holder.to_be_bytes(), "its own group");
                    batch.remove(&self.held, key(dvipa, group));
                    self.free.give(dvipa, group);
                    group
                }
            })
            .collect();
        batch.commit().expect("committed");
        groups
    }

    fn held(&mut self) -> u64 {
        self.held.iter().count() as u64
    }
}

//! redb: every commit with its default, immediate durability.

use crate::batched::{Step, Store};
use crate::free::{Free, key};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use std::path::Path;

const HELD: TableDefinition<'_, [u8; 4], u32> = TableDefinition::new("held");

pub struct Redb {
    database: Database,
    free: Free,
}

impl Redb {
    pub fn open(dir: &Path) -> Self {
        let database = Database::create(dir.join("ports.redb")).expect("it opens");
        let make = database.begin_write().expect("a transaction");
        drop(make.open_table(HELD).expect("made"));
        make.commit().expect("committed");
        Self { database, free: Free::all() }
    }
}

impl Store for Redb {
    fn commit(&mut self, steps: &[Step]) -> Vec<u16> {
        let change = self.database.begin_write().expect("a transaction");
        let mut held = change.open_table(HELD).expect("it is there");
        let groups = steps
            .iter()
            .map(|step| match *step {
                Step::Take { dvipa, holder } => {
                    let group = self.free.take(dvipa);
                    let before = held.insert(key(dvipa, group), holder).expect("inserted");
                    assert!(before.is_none(), "it was free");
                    group
                }
                Step::Give { dvipa, group, holder } => {
                    let before = held.remove(key(dvipa, group)).expect("removed").map(|found| found.value());
                    assert_eq!(before, Some(holder), "its own group");
                    self.free.give(dvipa, group);
                    group
                }
            })
            .collect();
        drop(held);
        change.commit().expect("committed");
        groups
    }

    fn held(&mut self) -> u64 {
        let read = self.database.begin_read().expect("a transaction");
        read.open_table(HELD).expect("it is there").len().expect("counted")
    }
}

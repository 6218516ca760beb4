//! SQLite: write-ahead log, every commit synced, an index over what is free.

use crate::batched::{Step, Store};
use crate::work::{DVIPAS, GROUP_END, GROUP_FIRST};
use rusqlite::Connection;
use std::path::Path;

pub struct Sqlite(Connection);

impl Sqlite {
    pub fn open(dir: &Path) -> Self {
        let mut connection = Connection::open(dir.join("ports.sqlite")).expect("it opens");
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).expect("a write-ahead log");
        assert_eq!(mode, "wal");
        connection.execute_batch("PRAGMA synchronous = FULL").expect("synced");
        let make = connection.transaction().expect("a transaction");
        make.execute_batch(
            "CREATE TABLE ports (dvipa INTEGER, number INTEGER, holder INTEGER, PRIMARY KEY (dvipa, number)) WITHOUT ROWID;
             CREATE INDEX free ON ports (dvipa, number) WHERE holder IS NULL;",
        )
        .expect("made");
        for dvipa in 0..DVIPAS {
            for group in GROUP_FIRST..GROUP_END {
                make.execute("INSERT INTO ports VALUES (?1, ?2, NULL)", (dvipa, group)).expect("inserted");
            }
        }
        make.commit().expect("committed");
        Self(connection)
    }
}

impl Store for Sqlite {
    fn commit(&mut self, steps: &[Step]) -> Vec<u16> {
        let change = self.0.transaction().expect("a transaction");
        let groups = steps
            .iter()
            .map(|step| match *step {
                Step::Take { dvipa, holder } => change
                    .prepare_cached(
                        "UPDATE ports SET holder = ?1 WHERE dvipa = ?2 AND number =
                         (SELECT number FROM ports WHERE dvipa = ?2 AND holder IS NULL ORDER BY number LIMIT 1)
                         RETURNING number",
                    )
                    .and_then(|mut statement| statement.query_row((holder, dvipa), |row| row.get(0)))
                    .expect("a free group"),
                Step::Give { dvipa, group, holder } => {
                    let given = change
                        .prepare_cached(
                            "UPDATE ports SET holder = NULL WHERE dvipa = ?1 AND number = ?2 AND holder = ?3",
                        )
                        .and_then(|mut statement| statement.execute((dvipa, group, holder)));
                    assert_eq!(given, Ok(1), "its own group");
                    group
                }
            })
            .collect();
        change.commit().expect("committed");
        groups
    }

    fn held(&mut self) -> u64 {
        let count: i64 = self
            .0
            .query_row("SELECT count(*) FROM ports WHERE holder IS NOT NULL", [], |row| row.get(0))
            .expect("counted");
        count.unsigned_abs()
    }
}

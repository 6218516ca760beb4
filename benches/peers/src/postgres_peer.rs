//! PostgreSQL in two ways: rows that are free or held, the next free one taken past those that others
//! have locked; and a row for each group that is held, with a constraint that no two overlap.

use crate::etcd::Random;
use crate::server::{Server, free_address, program};
use crate::work::{Caller, DVIPAS, GROUP_END, GROUP_FIRST, Peer};
use postgres::{Client, NoTls, Statement};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy)]
pub enum Way {
    SkipLocked,
    Exclude,
}

struct Postgres {
    server: Server,
    way: Way,
}

struct Stack {
    client: Client,
    take: Statement,
    give: Statement,
    number: i32,
    way: Way,
    random: Random,
}

const MAKE_ROWS: &str = "
    CREATE TABLE ports (dvipa int, number int, holder int, PRIMARY KEY (dvipa, number)) WITH (fillfactor = 50);
    CREATE INDEX free ON ports (dvipa, number) WHERE holder IS NULL;";
const TAKE_ROW: &str = "
    UPDATE ports SET holder = $1 WHERE (dvipa, number) =
    (SELECT dvipa, number FROM ports WHERE dvipa = $2 AND holder IS NULL ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING number";
const GIVE_ROW: &str = "UPDATE ports SET holder = NULL WHERE holder = $1 AND dvipa = $2 AND number = $3";

const MAKE_RANGES: &str = "
    CREATE EXTENSION btree_gist;
    CREATE TABLE ports (dvipa int, ports int4range, holder int, EXCLUDE USING gist (dvipa WITH =, ports WITH &&));";
const TAKE_RANGE: &str = "
    INSERT INTO ports VALUES ($2, int4range($3 * 64, $3 * 64 + 64), $1) ON CONFLICT DO NOTHING RETURNING $3";
const GIVE_RANGE: &str =
    "DELETE FROM ports WHERE holder = $1 AND dvipa = $2 AND ports = int4range($3 * 64, $3 * 64 + 64)";

pub fn start(dir: &Path, way: Way) -> Result<Box<dyn Peer>, String> {
    let installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    let (initdb, postgres) = (program("initdb", &installed)?, program("postgres", &installed)?);
    let (data, address) = (dir.join("postgres"), free_address());
    std::fs::create_dir(&data).map_err(|error| error.to_string())?;
    let chowned = Command::new("chown").arg("postgres").arg(&data).status();
    if !chowned.is_ok_and(|status| status.success()) {
        return Err("there is no user postgres, or this one may not become it".into());
    }
    let mut make = as_postgres(&initdb);
    make.arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"]);
    let made = make.stdout(Stdio::null()).stderr(Stdio::null()).current_dir(&data).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("initdb failed".into());
    }
    let mut command = as_postgres(&postgres);
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
    // Durable commits are its default; what else matters is room for the callers.
    command.arg("-k").arg(&data).args(["-c", "max_connections=200"]).current_dir(&data);
    let peer = Postgres { server: Server::start(&mut command, address)?, way };
    let mut client = peer.client()?;
    let make = if matches!(way, Way::SkipLocked) { MAKE_ROWS } else { MAKE_RANGES };
    client.batch_execute(make).map_err(|error| error.to_string())?;
    if matches!(way, Way::SkipLocked) {
        let fill = format!(
            "INSERT INTO ports SELECT dvipa, number, NULL FROM generate_series(0, {}) dvipa,
             generate_series({GROUP_FIRST}, {}) number; ANALYZE ports;",
            DVIPAS - 1,
            GROUP_END - 1
        );
        client.batch_execute(&fill).map_err(|error| error.to_string())?;
    }
    Ok(Box::new(peer))
}

/// It does not run as root.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Postgres {
    fn client(&self) -> Result<Client, String> {
        let wanted = format!("host=127.0.0.1 port={} user=postgres", self.server.address.port());
        let mut last = String::new();
        // It listens before it lets anybody in.
        for _ in 0..100 {
            match Client::connect(&wanted, NoTls) {
                Ok(client) => return Ok(client),
                Err(error) => last = error.to_string(),
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(last)
    }
}

impl Peer for Postgres {
    fn caller(&self, number: u32) -> Box<dyn Caller> {
        let mut client = self.client().expect("it answers");
        let (take, give) = match self.way {
            Way::SkipLocked => (TAKE_ROW, GIVE_ROW),
            Way::Exclude => (TAKE_RANGE, GIVE_RANGE),
        };
        let (take, give) = (client.prepare(take).expect("prepared"), client.prepare(give).expect("prepared"));
        let holder = i32::try_from(number).expect("few");
        Box::new(Stack { client, take, give, number: holder, way: self.way, random: Random::new(number) })
    }

    fn held(&self) -> u64 {
        let mut client = self.client().expect("it answers");
        let row = client.query_one("SELECT count(holder) FROM ports", &[]).expect("counted");
        row.get::<_, i64>(0).unsigned_abs()
    }
}

impl Caller for Stack {
    fn take(&mut self, dvipa: u16) -> u16 {
        let dvipa = i32::from(dvipa);
        loop {
            let taken = match self.way {
                Way::SkipLocked => self.client.query_opt(&self.take, &[&self.number, &dvipa]),
                Way::Exclude => {
                    let group = i32::from(self.random.group());
                    self.client.query_opt(&self.take, &[&self.number, &dvipa, &group])
                }
            };
            if let Some(row) = taken.expect("it answers") {
                return u16::try_from(row.get::<_, i32>(0)).expect("a group");
            }
        }
    }

    fn give(&mut self, dvipa: u16, group: u16) {
        let given = self.client.execute(&self.give, &[&self.number, &i32::from(dvipa), &i32::from(group)]);
        assert_eq!(given.expect("it answers"), 1, "its own group");
    }
}

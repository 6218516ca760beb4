//! `portplex log watch`: every event in order, from a place that was named, over a restart.

use super::{Served, introduction, joined, structure};
use crate::cli::portplex;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tempfile::TempDir;

#[test]
fn every_event_comes_once_and_in_order_and_a_watch_goes_on_where_it_was() {
    let dir = TempDir::new().expect("a directory");
    let socket = dir.path().join("s").display().to_string();
    let store = dir.path().join("store").display().to_string();
    let start = || Served::start(dir.path(), 1, &["--init", "--data", &store, "--uds", &socket], &[]);
    let served = start();
    let remote = served.remote(structure("EZBEPORT"));
    let (connection, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let first = connection.acquire(member, 1, 1).expect("granted").lsn.0;
    let mut watch = portplex(&["log", "watch", "--service", &format!("unix:{socket}"), "--json", "--count", "4"]);
    watch.args(["--after", &(first - 1).to_string()]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| {
        let line = line.expect("text");
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let granted = lines.next().expect("a line");
    assert_eq!((&granted["lsn"], &granted["event"]), (&first.into(), &"granted".into()));
    assert_eq!(
        (&granted["connector"], &granted["dvipa"]),
        (&"SYS1.TCPIP".into(), &"10.1.1.1".into()),
        "names are known"
    );
    let second = connection.acquire(member, 1, 1).expect("granted").lsn.0;
    assert_eq!(lines.next().expect("a line")["lsn"], second);
    drop(connection);
    served.end();

    let served = start();
    let remote = served.remote(structure("EZBEPORT"));
    let (_other, _) = joined(&remote, introduction("SYS2.TCPIP", 2, 0));
    let third = lines.next().expect("it asked again by itself");
    assert_eq!((&third["event"], &third["connector"]), (&"connected".into(), &"SYS2.TCPIP".into()));
    assert!(third["lsn"].as_u64() > Some(second));
    assert_eq!(lines.next().expect("a line")["event"], "allowable-set", "the set is known");
    assert!(lines.next().is_none(), "four were wanted");
    assert!(child.wait().expect("it ends").success());
    served.end();
}

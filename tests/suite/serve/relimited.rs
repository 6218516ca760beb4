//! SIGHUP with other limits: who comes next meets them, and nobody's connection is cut.

use super::{Served, eventually, introduction, joined, structure};
use portplex::api::{Door, RemoteFacility, RemoteOptions};
use portplex::facility::{CallError, Connection, Facility};
use portplex::ident::Target;
use portplex::ident::Transport;
use portplex::structure::Refusal;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Begins a request of HTTP/1 and does not end it.
fn half_asked(door: &Door) -> TcpStream {
    let Door::Tcp(address) = door else { panic!("a door of TCP") };
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(b"GET /v1/structures HTTP/1.1\r\nx: ").expect("sent");
    stream
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
    match stream.read(&mut [0; 512]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn a_reload_changes_every_kind_of_limit_and_cuts_no_connection() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("portplex.toml");
    let (path, store) = (file.display().to_string(), dir.path().join("store").display().to_string());
    let configure = |more: &str| {
        let head = format!(
            "init = true\nlisten = [\"http://127.0.0.1:0\"]\n{more}\n[log]\nformat = \"json\"\n[[structure]]\ndata = {store:?}\n"
        );
        fs::write(&file, head).expect("written");
    };
    configure("[limits]\nhead_max = \"1h\"\nsilence_max = \"1h\"");
    let served = Served::start(dir.path(), 1, &["--config", &path], &[]);
    let remote = served.remote(structure("EZBEPORT"));
    let (one, member) = joined(&remote, introduction("SYS1.TCPIP", 1, 0));
    let mut slow = half_asked(&served.door);

    configure(
        "lease = \"7s\"\n[limits]\nhead_max = \"200ms\"\nstreams_max = 1\nattaches_per_minute = 2\ncall_bytes_max = 5000\n\
         [store]\nqueue_length = 9000\nhistory_age = \"9d\"\ncheckpoint_interval = \"1m\"\n[policy]\nquota = 64",
    );
    served.signal("-HUP");
    let told = served.event("reloaded")["message"].as_str().expect("text").to_owned();
    for key in [
        "lease",
        "limits.streams_max",
        "limits.call_bytes_max",
        "limits.silence_max",
        "limits.head_max",
        "limits.attaches_per_minute",
        "store.queue_length",
        "store.checkpoint_interval",
        "store.history_age",
        "policy.quota",
    ] {
        assert!(told.contains(key), "{key} is in force: {told}");
    }
    assert!(!served.events().iter().any(|line| line["event"] == "needs-restart"), "nothing waits");

    // Times and numbers of connections and streams: those that stand go on, the next one meets them.
    let mut next = half_asked(&served.door);
    eventually("a slow head is cut off", || is_closed(&mut next));
    assert!(!is_closed(&mut slow), "who began before has the time of before");
    let options = RemoteOptions { patience: Duration::from_secs(2), ..RemoteOptions::default() };
    let error = RemoteFacility::connect(&served.door, structure("EZBEPORT"), options).expect_err("no room");
    assert!(error.to_string().contains("too many requests at once"), "{error}");
    // Rates and policies.
    one.acquire(member, 2, 2).expect("lists that are there keep their policy");
    let second = Target::List("10.1.1.2".parse().expect("a DVIPA"), Transport::Tcp);
    let member = one.join(second).expect("joined").value.member;
    let over = one.acquire(member, 2, 2).expect_err("a new list begins with the policy of now");
    assert!(matches!(over, CallError::Refused(Refusal::QuotaExceeded { quota: 64, .. })), "{over}");
    let connect = |over: &Arc<RemoteFacility>| {
        Connection::connect(Arc::clone(over) as Arc<dyn Facility>, introduction("SYS2.TCPIP", 2, 0))
    };
    let _two = connect(&remote).expect("the first in this minute");
    assert!(matches!(connect(&remote), Err(CallError::Refused(Refusal::ConnectorExists { .. }))));
    assert_eq!(connect(&remote).err(), Some(CallError::Refused(Refusal::Overloaded)), "too often");

    configure("[limits]\nhead_max = \"1h\"\nsilence_max = \"1h\"\nstreams_max = 2");
    served.signal("-HUP");
    // Another client: this one was told when to come again, and waits.
    let mut again = None;
    eventually("there is room for a second stream", || {
        let options = RemoteOptions { patience: Duration::from_secs(2), ..RemoteOptions::default() };
        again = RemoteFacility::connect(&served.door, structure("EZBEPORT"), options).ok();
        again.is_some()
    });
    let again = Arc::new(again.expect("there is room"));
    let exists = connect(&again);
    assert!(
        matches!(exists, Err(CallError::Refused(Refusal::ConnectorExists { .. }))),
        "the rate of before is in force"
    );
    assert!(one.acquire(member, 1, 1).is_ok() && !is_closed(&mut slow), "nobody was cut off");
    assert!(remote.is_connected());
    drop((one, _two, remote, again, slow));
    served.end();
}

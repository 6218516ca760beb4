//! Streams of events: a snapshot's lsn, then every event once and in order; what comes back finds what
//! it missed.

use super::*;

/// One thing that was said on a stream.
#[derive(Debug)]
struct Said {
    kind: String,
    id: u64,
    data: Value,
}

struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(served: &Served, query: &str, last: Option<u64>) -> Self {
        let last = last.map(|last| last.to_string());
        let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", last.as_str())).collect();
        let path = format!("/v1/structures/{}/events{query}", structure());
        let mut stream = served.send("GET", &path, &headers, "keep-alive");
        let (status, headers) = head(&mut stream);
        assert_eq!(status, 200);
        assert!(headers.contains(&("content-type".to_owned(), "text/event-stream".to_owned())), "{headers:?}");
        Self(stream)
    }

    /// The next thing that is said; `None` at the end.
    fn next(&mut self) -> Option<Said> {
        let (mut kind, mut id, mut data) = (String::new(), 0, Value::Null);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("a line in time") == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => kind = value.to_owned(),
                Some(("id", value)) => id = value.parse().expect("an lsn"),
                Some(("data", value)) => data = serde_json::from_str(value).expect("JSON"),
                // Sizes of chunks, comments, and blank lines; one of these ends what was said.
                _ if line == "\n" && !kind.is_empty() => return Some(Said { kind, id, data }),
                _ => {}
            }
        }
    }
}

#[test]
fn a_stream_tells_every_event_once_and_in_order_and_goes_on_where_it_was_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let mut stack = Stack::connect(served.facility(), "SYS1.TCPIP");
    let mut stream = Stream::open(&served, "", None);
    let snapshot = stream.next().expect("said");
    assert_eq!(snapshot.kind, "snapshot");
    assert_eq!(snapshot.data["lsn"], snapshot.id);
    let member = stack.member(list(1));
    let mut grants = Vec::new();
    for _ in 0..20 {
        grants.extend(stack.connection.acquire(member, 2, 2).expect("granted").value);
    }
    let first = stream.next().expect("said");
    assert_eq!((first.kind.as_str(), &first.data["event"]), ("event", &"joined".into()));
    assert_eq!((&first.data["connector"], &first.data["dvipa"]), (&"SYS1.TCPIP".into(), &"10.1.1.1".into()));
    assert_eq!(first.id, snapshot.id + 1);
    for (place, grant) in grants.iter().enumerate() {
        let said = stream.next().expect("said");
        assert_eq!((said.id, &said.data["event"]), (grant.lsn.0, &"granted".into()), "{place}");
        assert_eq!(said.data["group"], grant.group.number());
        assert_eq!(said.data["connector"], "SYS1.TCPIP");
    }
    drop(stream);

    // What happened meanwhile is told to a stream that comes back, and nothing else is.
    let left_at = grants[9].lsn.0;
    let mut stream = Stream::open(&served, "", Some(left_at));
    let said = stream.next().expect("said");
    assert_eq!((said.kind.as_str(), said.id), ("snapshot", left_at));
    for grant in &grants[10..] {
        assert_eq!(stream.next().expect("said").id, grant.lsn.0);
    }
    // From before what is kept, and from a future that another history had: read anew.
    for unknown in [1, left_at + 1_000_000] {
        let mut stream = Stream::open(&served, "", Some(unknown));
        assert_eq!(stream.next().expect("said").kind, "snapshot");
        let said = stream.next().expect("said");
        assert_eq!(said.kind, "lagged", "{said:?}");
        assert_eq!(said.data["resume_from"], grants.last().expect("some").lsn.0);
    }
    // A stack that ends is named: its name goes with that event.
    stack.connection.disconnect().expect("disconnected");
    drop(stack);
    let said = stream.next().expect("said");
    assert_eq!((&said.data["event"], &said.data["connector"]), (&"disconnected".into(), &"SYS1.TCPIP".into()));
    served.stop();
    assert_eq!(stream.next().expect("said").kind, "end");
    assert!(stream.next().is_none(), "a service that ends leaves no stream open");
}

#[test]
fn a_calm_stream_says_only_that_something_happened() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let mut stack = Stack::connect(served.facility(), "SYS1.TCPIP");
    let member = stack.member(list(1));
    let mut stream = Stream::open(&served, "?detail=lsn", None);
    assert_eq!(stream.next().expect("said").kind, "snapshot");
    let mut last = 0;
    for _ in 0..50 {
        last = stack.connection.acquire(member, 1, 1).expect("granted").value[0].lsn.0;
    }
    let mut words = 0;
    loop {
        let said = stream.next().expect("said");
        words += 1;
        assert_eq!(said.kind, "changed");
        if said.id == last {
            break;
        }
    }
    assert!(words < 50, "{words} words for 50 events");
    drop(stack);
    served.stop();
}

#[test]
fn streams_are_bounded_and_one_too_many_is_told_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let path = format!("/v1/structures/{}/events", structure());
    let streams: Vec<Stream> = (0..portplex::web::STREAMS_MAX).map(|_| Stream::open(&served, "", None)).collect();
    let refused = served.get(&path);
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("too-many-streams") && refused.header("retry-after").is_some());
    drop(streams);
    // The room of those that went is free again.
    let until = std::time::Instant::now() + SOON;
    loop {
        let mut stream = served.send("GET", &path, &[], "keep-alive");
        if head(&mut stream).0 == 200 {
            break;
        }
        assert!(std::time::Instant::now() < until, "the room of streams that went comes back");
        std::thread::sleep(Duration::from_millis(50));
    }
    served.stop();
}

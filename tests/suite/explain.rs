//! `portplex explain` on real stores: one test for each cause, made through the library and asked
//! of the binary.

mod agrees;
mod dvipa;
pub(crate) mod place;
mod port;
mod restored;
mod stack;

use super::cli::{bytes_of, exercise, expect, new_store};
use place::{Place, list};
use std::path::Path;

#[test]
fn what_is_nothing_is_a_mistake_and_what_is_unknown_is_refused_with_the_nearest_name() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    sys1.enter(list());
    place.close([&mut sys1]);
    let data = place.store.as_str();
    for bad in ["10.1.1", "10.1.1.1:", "10.1.1.1:65536", "[10.1.1.1]:5", "224.0.0.1", "0.0.0.0:5", "SYS1:5000", ""] {
        expect(2, &["explain", bad, "--data", data]);
    }
    for (asked, says) in [
        ("SYS2.TCPIP", "store: no stack SYS2.TCPIP; did you mean SYS1.TCPIP?"),
        ("Q", "store: no stack Q; there are: SYS1.TCPIP"),
        ("10.1.1.2", "store: no DVIPA 10.1.1.2; did you mean 10.1.1.1?"),
        ("10.1.1.2:5000", "store: no DVIPA 10.1.1.2; did you mean 10.1.1.1?"),
    ] {
        let (_, stderr) = expect(1, &["explain", asked, "--data", data]);
        assert!(stderr.trim_end().ends_with(says), "{asked}: {stderr}");
    }
    let (_, stderr) = expect(1, &["explain", "SYS2.TCPIP", "--data", data, "--json"]);
    let error: serde_json::Value = serde_json::from_str(&stderr).expect("one JSON object");
    assert_eq!(error["exit"], 1);
}

#[test]
fn without_a_store_only_profiles_explain() {
    let place = Place::new();
    let missing = format!("{}-missing", place.store);
    expect(66, &["explain", "10.1.1.1", "--data", &missing]);
    let profile = place.profile("sys1.profile", "");
    let (stdout, _) = expect(0, &["explain", "10.1.1.1", "--data", &missing, "--profile", &profile]);
    assert!(stdout.starts_with("10.1.1.1 has SYSPLEXPORTS in 1 profile."), "{stdout}");
    let (_, stderr) = expect(1, &["explain", "10.9.9.9", "--data", &missing, "--profile", &profile]);
    assert!(stderr.contains("the profiles: no DVIPA 10.9.9.9; did you mean 10.1.1.1?"), "{stderr}");
    expect(74, &["explain", "10.1.1.1", "--data", &missing, "--profile", &missing]);
}

#[test]
fn a_store_in_use_is_locked_and_a_closed_one_stays_as_it_was() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPIP", 1, 0);
    let member = sys1.enter(list());
    let port = sys1.claim(member, 5_000);
    let profile = place.profile("sys1.profile", "");
    expect(75, &["explain", "SYS1.TCPIP", "--data", &place.store]);
    expect(75, &["explain", "SYS1.TCPIP", "--data", &place.store, "--profile", &profile]);
    place.close([&mut sys1]);
    let before = bytes_of(Path::new(&place.store));
    for asked in [format!("10.1.1.1:{port}"), "SYS1.TCPIP".to_owned(), "10.1.1.1".to_owned()] {
        place.explain(&asked, &[]);
    }
    assert_eq!(bytes_of(Path::new(&place.store)), before, "explain changed the directory");
}

#[test]
fn profiles_and_data_sets_are_told_apart_by_the_names_of_their_stacks() {
    let place = Place::new();
    let mut sys1 = place.stack("SYS1.TCPA", 1, 0);
    sys1.enter(list());
    place.close([&mut sys1]);
    let [one, two] =
        [("sys1.profile", "PORT 7000 TCP A"), ("sys2.profile", "")].map(|(name, text)| place.profile(name, text));
    let obey = place.file("more.obey", "; nothing else\nPORT 7001 TCP B\n");
    let data = place.store.as_str();
    let usage = |arguments: &[&str], says: &str| {
        let (_, stderr) = expect(2, &[&["explain", "10.1.1.1:7000", "--data", data], arguments].concat());
        assert!(stderr.contains(says), "{stderr}");
    };
    usage(&["--profile", &one, &one], "two profiles are of SYS1.TCPIP");
    usage(&["--profile", &one, &two, "--obey", &obey], "say by which stack");
    usage(&["--profile", &one, "--obey", &format!("SYS9={obey}")], "no profile of SYS9 is given");

    // The only connector of its system has the profile that is named after that.
    let shown = place.explain("10.1.1.1:7000", &["--profile", &one]);
    assert!(shown.text.contains("SYS1.TCPA excludes it: PORT 7000 TCP A (sys1.profile:6)"), "{}", shown.text);
    let obeyed = format!("SYS2.TCPIP={obey}");
    let shown = place.explain("10.1.1.1:7001", &["--profile", &one, &two, "--obey", &obeyed]);
    let source = &shown.cause("port")["source"];
    assert_eq!((source["line"].as_u64(), source["statement"].as_str()), (Some(2), Some("PORT")));
    assert!(source["profile"].as_str().expect("a file").ends_with("sys2.profile"), "{source}");
    assert!(source["data_set"].as_str().expect("a file").ends_with("more.obey"), "{source}");
    assert!(shown.answer().ends_with("is free, and 1 of 2 stacks may be given it."), "{}", shown.answer());
}

#[test]
fn a_log_that_is_damaged_below_the_checkpoint_costs_the_times_and_no_more() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let store = new_store(&dir, "store");
    exercise(&store, 5, 3_000, 1);
    let (stdout, _) = expect(0, &["display", "connectors", "--data", &store, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&stdout).expect("one JSON object");
    let name = shown["connectors"][0]["connector"].as_str().expect("a name").to_owned();
    let ask = |arguments: &[&str]| expect(0, &[&["explain", &name, "--data", &store], arguments].concat());
    let (whole, stderr) = ask(&[]);
    assert!(stderr.is_empty() && whole.contains("attached 20"), "{whole}{stderr}");

    // Every segment that is sealed: the checkpoint of the close has all of it.
    let mut segments: Vec<_> = std::fs::read_dir(Path::new(&store).join("wal"))
        .expect("readable")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    segments.pop();
    assert!(!segments.is_empty(), "the log has more than its tail");
    for path in segments {
        let mut bytes = std::fs::read(&path).expect("readable");
        bytes[4_096 + 64] ^= 1;
        std::fs::write(&path, bytes).expect("written");
    }
    let (damaged, stderr) = ask(&[]);
    assert!(stderr.contains("times are not known, the log cannot be read there: "), "{stderr}");
    assert!(damaged.contains("attached at a time that is no longer in the log"), "{damaged}");
    let numbers = |text: &str| {
        text.lines().filter(|line| line.contains("Of the 65536 ports")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&damaged), numbers(&whole));
    let (stdout, _) = ask(&["--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&stdout).is_ok(), "{stdout}");
}

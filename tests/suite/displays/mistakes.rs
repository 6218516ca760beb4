//! What a report says to a mistake: file, line, what, what to do, and the exit code.

use super::{display_in, here};
use std::fs;
use tempfile::TempDir;

/// Runs with a script in a file `e` on the profiles of the suite: exit code and standard error.
fn with_script(script: &[u8]) -> (Option<i32>, String) {
    let dir = TempDir::new().expect("a directory");
    for name in ["sys1.profile", "sys2.profile", "sys3.profile"] {
        fs::copy(here().join(name), dir.path().join(name)).expect("copied");
    }
    fs::write(dir.path().join("e"), script).expect("written");
    let (code, stdout, stderr) =
        display_in(dir.path(), &["vdpt", "--profile", "sys1.profile", "sys2.profile", "sys3.profile", "--events", "e"]);
    assert!(code == Some(0) || stdout.is_empty(), "{stdout}");
    (code, stderr)
}

#[test]
fn a_bad_script_is_refused_with_file_line_and_what_to_do() {
    for (script, said) in [
        ("wait 1\nfrobnicate x", "e:2: frobnicate is no event: write listen, stop, arrive, connect,"),
        ("listen SYS1 10.1.1.1", "e:1: a port, 1 to 65535 is missing: write listen STACK DVIPA|ANY PORT [PROGRAMS]"),
        ("listen SYS9 ANY 80", "e:1: SYS9 is none of the stacks given: name one of SYS1, SYS2, SYS3"),
        (
            "\n\nlisten SYS1 10.9.9.9 80",
            "e:3: 10.9.9.9 is no DVIPA of the profiles given: name one of 10.1.1.1, 2001:db8:1::1",
        ),
        ("arrive 1.2.3.4:5 10.9.9.9 80", "e:1: 10.9.9.9 is no DVIPA"),
        ("arrive 1.2.3.4:5 10.1.1.1 80 from SYS9", "e:1: SYS9 is none of the stacks given"),
        ("connect SYS1 10.9.9.9:80 1.2.3.4:5", "e:1: 10.9.9.9 is no DVIPA"),
        ("load SYS1 wlm=1 10.9.9.9 80", "e:1: 10.9.9.9 is no DVIPA"),
        ("deactivate SYS1 10.9.9.9", "e:1: 10.9.9.9 is no DVIPA"),
        ("reactivate SYS1 10.1.1.1", "e:1: 10.1.1.1 is not deactivated on SYS1: there is nothing to reactivate"),
        ("close 1.2.3.4:5 10.1.1.1 80", "e:1: no stack has the connection 1.2.3.4:5 -> 10.1.1.1:80: close one that"),
        ("fail SYS1\nlisten SYS1 ANY 80", "e:2: SYS1 is not in the sysplex: it must join first"),
        ("fail SYS1\nfail SYS1", "e:2: SYS1 is not in the sysplex: it must join first"),
        ("join SYS1", "e:1: SYS1 is in the sysplex already: it must fail before it joins again"),
    ] {
        let (code, stderr) = with_script(script.as_bytes());
        assert_eq!(code, Some(2), "{script}: {stderr}");
        assert!(stderr.starts_with(&format!("portplex: {said}")), "{script}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let (code, stderr) = with_script(b"wait 1\nwait \xff\n");
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("portplex: e:2: the line is not UTF-8 text"), "{stderr}");
    let (code, stderr) = with_script(&vec![b'\n'; portplex::distributor::SCRIPT_LENGTH_MAX + 1]);
    assert!(code == Some(2) && stderr.contains("the script is longer than 4194304 bytes"), "{stderr}");
    assert_eq!(with_script(b""), (Some(0), String::new()), "an empty script is one");
}

#[test]
fn a_bad_name_is_refused_with_what_to_write() {
    for (arguments, said) in [
        (&["vdpt"][..], "no profile was given: --profile [NAME=]FILE, once for each stack"),
        (&["portlist"], "no profile was given"),
        (&["ports"], "neither a profile nor a store was given: --profile [NAME=]FILE, or --data DIR"),
        (&["portlist", "--profile", "a!b=sys1.profile"], "a!b=sys1.profile: "),
        (&["portlist", "--profile", "=sys1.profile"], "=sys1.profile: "),
        (
            &["portlist", "--profile", "S=sys1.profile", "S=sys2.profile"],
            "--profile: sys1.profile and sys2.profile are both of S: name them NAME=FILE",
        ),
        (
            &["portlist", "--profile", "sys1.profile", "--obey", "T=sys2.profile"],
            "--obey T=sys2.profile: no --profile T=FILE was given",
        ),
        (
            &["portlist", "--profile", "sys1.profile", "sys2.profile", "--obey", "sys3.profile"],
            "--obey sys3.profile: 2 profiles were given; say whose it is: NAME=sys3.profile",
        ),
        (&["portlist", "--profile", "S\u{e9}.profile"], "S\u{e9}.profile: its name is no stack's: "),
    ] {
        let (code, stdout, stderr) = display_in(&here(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(&format!("portplex: {said}")), "{arguments:?}: {stderr}");
        let (code, stdout, stderr) = display_in(&here(), &[arguments, &["--json"]].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let error: serde_json::Value = serde_json::from_str(&stderr).expect("one JSON object");
        assert_eq!((&error["error"], &error["exit"]), (&"usage".into(), &2.into()));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for arguments in [
        &["vdpt", "--profile", "missing"][..],
        &["vipadcfg", "--profile", "missing"],
        &["portlist", "--profile", "sys1.profile", "--obey", "missing"],
        &["vcrt", "--profile", "sys1.profile", "--events", "missing"],
    ] {
        let (code, stdout, stderr) = display_in(&here(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(74), ""), "{arguments:?}");
        assert!(stderr.contains("missing: cannot be read"), "{stderr}");
    }
    let (code, stdout, _) = display_in(&here(), &["ports", "--data", "missing"]);
    assert_eq!((code, stdout.as_str()), (Some(66), ""));
}

#[test]
fn an_error_in_a_profile_is_told_and_what_was_understood_is_shown() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("bad.profile"), "PORT 80 TPC WEB\nPORT 81 TCP WEB\n").expect("written");
    let (code, stdout, stderr) = display_in(dir.path(), &["portlist", "--profile", "bad.profile"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("bad.profile:1:9: error: TPC is not TCP or UDP"), "{stderr}");
    assert!(stdout.contains("00081  TCP   WEB"), "{stdout}");
    let (code, stdout, stderr) = display_in(dir.path(), &["portlist", "--profile", "bad.profile", "--json"]);
    assert_eq!((code, stdout.lines().count()), (Some(1), 1));
    let warning: serde_json::Value = serde_json::from_str(&stderr).expect("one JSON object");
    assert!(warning["warning"].as_str().is_some_and(|text| text.starts_with("bad.profile:1:9")), "{stderr}");
}

//! What is packaged: the unit file, the container file, the configuration.

use crate::requirements::{Requirement, has};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn packaged(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

#[test]
fn the_unit_file_starts_reloads_and_ends_the_service_as_it_wants_to_be() {
    let text = fs::read_to_string(packaged("portplex.service")).expect("a file of the project");
    let typed = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/")).expect("a command");
    let understood = portplex::cli::is_understood(typed.split_whitespace().map(std::ffi::OsString::from));
    assert_eq!(understood, Ok(()), "{typed}");
    for line in
        ["Type=notify", "ExecReload=", "WatchdogSec=", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory="]
    {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}");
    }
    if !has(Requirement::Systemd, "the_unit_file_starts_reloads_and_ends_the_service_as_it_wants_to_be") {
        return;
    }
    // The binary of the unit is not installed here: another one stands in for it.
    let dir = tempfile::tempdir().expect("a directory");
    let unit = dir.path().join("portplex.service");
    fs::write(&unit, text.replace("/usr/bin/portplex", env!("CARGO_BIN_EXE_portplex"))).expect("written");
    let output = Command::new("systemd-analyze").arg("verify").arg(&unit).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("portplex.service:"), "{told}");
}

#[test]
fn the_container_runs_the_service_without_privileges_and_knows_whether_it_is_well() {
    let text = fs::read_to_string(packaged("Containerfile")).expect("a file of the project");
    assert!(
        text.matches("\nFROM ").count() + usize::from(text.starts_with("FROM ")) >= 2,
        "it is built in one stage and run in another"
    );
    let user = text.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    assert!(!["0", "root"].contains(&user.split(':').next().expect("a name")), "{user}");
    let commands = text.lines().filter(|line| line.contains("[\"/usr/bin/portplex\""));
    let mut count = 0;
    for line in commands {
        let list = &line[line.find('[').expect("a list")..];
        let words: Vec<String> = serde_json::from_str(list).unwrap_or_else(|error| panic!("{error}: {list}"));
        let understood = portplex::cli::is_understood(words.into_iter().map(std::ffi::OsString::from));
        assert_eq!(understood, Ok(()), "{line}");
        count += 1;
    }
    assert_eq!(count, 2, "how it starts, and how it is asked for its health");
}

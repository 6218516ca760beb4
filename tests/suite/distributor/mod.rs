//! The distributor: scenarios as tables, random trouble, and the pattern it is for.

#[path = "../../../examples/explorer.rs"]
#[allow(dead_code)]
mod explorer;
mod learning;
mod operator;
mod pattern;
mod scenario;
mod sweep;

use portplex::ident::{ConnectorName, Dvipa};
use portplex::profile::{Profile, parse};

fn dvipa() -> Dvipa {
    "10.1.1.1".parse().expect("a DVIPA")
}

fn name(text: &str) -> ConnectorName {
    ConnectorName::new(text).expect("a name")
}

/// A profile that its reader has no remark about.
fn profile(text: &str) -> Profile {
    let (profile, diagnostics) = parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{text}\n{diagnostics:?}");
    profile
}

#[test]
fn every_scenario_goes_as_its_table_says() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/distributor/scenarios");
    let entries = std::fs::read_dir(dir).expect("the scenarios are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut steps = 0;
    for path in &paths {
        let text = std::fs::read_to_string(path).expect("a scenario is readable");
        steps += scenario::run(&path.file_name().expect("a file").to_string_lossy(), &text);
    }
    assert!(paths.len() >= 10 && steps > 500, "{} files, {steps} steps", paths.len());
}

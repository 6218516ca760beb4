//! docs/faults.md is whole: every row of the catalogue of faults is there once, names tests that exist,
//! or says why there is none. What docs/proof.md names exists, too.

use super::conformance::find;
use std::collections::BTreeMap;

/// The rows of each section: its letter, and the last number.
const SECTIONS: [(char, u32); 10] =
    [('A', 18), ('B', 14), ('C', 19), ('D', 12), ('E', 16), ('F', 12), ('G', 11), ('H', 14), ('S', 3), ('P', 18)];
/// Numbers that the catalogue never gave.
const NEVER_GIVEN: [&str; 2] = ["C18", "H7"];

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    std::fs::read_to_string(path).expect("the page is readable")
}

/// What is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let (mut faults, mut rows) = (Vec::new(), BTreeMap::<String, u32>::new());
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| row ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, fault, tests, result] = cells[..] else {
            faults.push(format!("not four cells: {line}"));
            continue;
        };
        *rows.entry(row.to_owned()).or_default() += 1;
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        for test in &tests {
            faults.extend(find(test).err().map(|why| format!("{row}: {test}: {why}")));
        }
        let why = result.strip_prefix("not yet: ");
        if tests.is_empty() && why.is_none_or(|why| why.len() < 10) {
            faults.push(format!("{row} names no test and no reason"));
        }
        if why.is_none() && !result.starts_with("shown") {
            faults.push(format!("{row} does not say whether it is shown"));
        }
        if fault.len() < 10 {
            faults.push(format!("{row} does not say what goes wrong"));
        }
    }
    for (letter, last) in SECTIONS {
        for number in 1..=last {
            let row = format!("{letter}{number}");
            let expected = u32::from(!NEVER_GIVEN.contains(&row.as_str()));
            let found = rows.remove(&row).unwrap_or(0);
            if found != expected {
                faults.push(format!("{row} is there {found} times"));
            }
        }
    }
    faults.extend(rows.keys().map(|row| format!("{row} is no row of the catalogue")));
    faults
}

#[test]
fn every_fault_of_the_catalogue_has_its_tests_or_a_reason() {
    let faults = faults(&page());
    assert!(faults.is_empty(), "docs/faults.md:\n{}", faults.join("\n"));
}

#[test]
fn every_test_that_holds_a_bug_on_the_page_of_proof_exists() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proof.md");
    let page = std::fs::read_to_string(path).expect("the page is readable");
    let named =
        page.split('`').skip(1).step_by(2).filter(|name| name.starts_with("suite::") || name.starts_with("lib::"));
    // What ends with `::` is a module of the suite.
    let (modules, tests): (Vec<&str>, Vec<&str>) = named.partition(|name| name.ends_with("::"));
    assert!(modules.len() > 8 && tests.len() > 10, "{modules:?} {tests:?}");
    let mut missing: Vec<String> =
        tests.iter().filter_map(|test| find(test).err().map(|why| format!("{test}: {why}"))).collect();
    let suite = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    for module in modules {
        let mut parts = module.split("::").skip(1).filter(|part| !part.is_empty());
        let dir = suite.join(parts.next().unwrap_or_default());
        if !dir.is_dir() && !dir.with_extension("rs").is_file() {
            missing.push(format!("{module}: no such module"));
        }
    }
    assert!(missing.is_empty(), "docs/proof.md:\n{}", missing.join("\n"));
}

#[test]
fn what_is_missing_or_wrong_on_the_page_is_named() {
    let page = page();
    let change = |from: &str, to: &str| {
        assert!(page.contains(from), "{from}");
        faults(&page.replacen(from, to, 1)).join("\n")
    };
    assert_eq!(change("\n| A7 |", "\n| A6 |"), "A6 is there 2 times\nA7 is there 0 times");
    assert_eq!(change("\n| A7 |", "\n| Z7 |"), "A7 is there 0 times\nZ7 is no row of the catalogue");
    assert!(change("every_crash_of_every", "every_crash_of_no").contains("no such test in that module"));
    assert!(change("not yet: there is one format", "there is one format").contains("A15 names no test and no reason"));
    assert!(change(" | shown |", " | fine |").contains("does not say whether it is shown"));
}

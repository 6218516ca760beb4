//! The named bugs fit the source and the tests as they are. Whether each is caught is shown by the
//! runner in `bugs/`, which takes its time.

mod list;

use list::Form;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const COUNT_MIN: usize = 40;
/// One that hangs takes the whole limit of the runner.
const HANGS_MAX: usize = 3;

#[test]
fn every_named_bug_is_a_change_of_the_present_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bugs = list::read(&root.join("tests/bugs")).expect("the lists of bugs");
    assert!(bugs.len() >= COUNT_MIN, "there are {} named bugs, at least {COUNT_MIN} are asked for", bugs.len());
    assert!(bugs.iter().filter(|bug| bug.hang).count() <= HANGS_MAX, "at most {HANGS_MAX} bugs may hang");
    let (mut names, mut faults) = (BTreeSet::new(), Vec::new());
    for bug in &bugs {
        let is_plain = bug.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_plain || !names.insert(&bug.name) {
            faults.push(format!("{}: the name is not plain or not unique", bug.name));
        }
        if !bug.what.ends_with('.') || bug.what.contains('\n') {
            faults.push(format!("{}: what goes wrong is not told in one sentence", bug.name));
        }
        if bug.old == bug.new || (bug.form == Form::Woven && !bug.new.contains("BUG")) {
            faults.push(format!("{}: the bug changes nothing", bug.name));
        }
        let text = fs::read_to_string(root.join(&bug.file)).unwrap_or_default();
        faults.extend(bug.place(&text).err());
    }
    faults.extend(list::weave(root, &bugs).err());
    assert!(list::switch().contains("PORTPLEX_BUG"));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_named_bug_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bugs = list::read(&root.join("tests/bugs")).expect("the lists of bugs");
    let lib = tests_below(&root.join("src"));
    let suite = tests_below(&root.join("tests/suite"));
    assert!(lib.len() > 100 && suite.len() > 100, "the tests are found");
    let mut faults = Vec::new();
    for bug in &bugs {
        let filters = bug.filters().unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        if filters.is_empty() {
            faults.push(format!("{}: nothing is said to catch it", bug.name));
        }
        for filter in filters {
            let tests = if filter.binary == "lib" { &lib } else { &suite };
            let is_meant =
                |test: &String| if filter.is_one() { *test == filter.path } else { test.starts_with(&filter.path) };
            if !tests.iter().any(is_meant) {
                faults.push(format!("{}: no test or module is called `{}`", bug.name, filter.path));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The paths of all tests in the files below `top`, as the test binary names them.
fn tests_below(top: &Path) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut todo: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("a source directory is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is readable");
                tests_of(&module_of(top, &path), &text, &mut tests);
            }
        }
    }
    tests
}

/// `src/wal/tests/mod.rs` is `wal::tests`.
fn module_of(top: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(top).expect("below the top").with_extension("");
    let mut words: Vec<&str> = inside.iter().filter_map(|word| word.to_str()).collect();
    words.pop_if(|last| matches!(*last, "mod" | "main" | "lib"));
    words.join("::")
}

fn tests_of(module: &str, text: &str, tests: &mut BTreeSet<String>) {
    let (mut inner, mut is_test) = (None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inner = Some(name);
        }
        let code = line.trim_start();
        if code == "#[test]" {
            is_test = true;
        } else if let Some(rest) = code.strip_prefix("fn ").filter(|_| is_test) {
            let name = rest.split('(').next().expect("a name");
            let words = [module, inner.unwrap_or_default(), name];
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            tests.insert(words.join("::"));
            is_test = false;
        }
    }
}

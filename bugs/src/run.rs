//! Building the copy, and running tests of it with one bug on.

use crate::list::Filter;
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SIGABRT: i32 = 6;
const LOOK: Duration = Duration::from_millis(20);

/// The two test binaries of one build.
pub struct Binaries(BTreeMap<String, PathBuf>);

/// How the tests of one filter went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// So many passed.
    Passed(usize),
    /// So many failed.
    Failed(usize),
    /// The process aborted.
    Aborted,
    /// It did not end in time.
    Hung,
    /// It ended in a way that says nothing about the tests.
    Ended(ExitStatus),
}

impl Outcome {
    /// Whether a test said no. A run that was killed or did not get so far has said nothing.
    pub fn is_caught(&self, may_hang: bool) -> bool {
        match self {
            Self::Failed(_) | Self::Aborted => true,
            Self::Hung => may_hang,
            Self::Passed(_) | Self::Ended(_) => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(count) => write!(f, "passes ({count} tests)"),
            Self::Failed(count) => write!(f, "fails ({count} tests)"),
            Self::Aborted => f.write_str("aborts"),
            Self::Ended(status) => write!(f, "ends with {status}"),
            Self::Hung => f.write_str("did not end in time"),
        }
    }
}

/// One run.
pub struct Ran {
    pub outcome: Outcome,
    /// The first test that failed.
    pub first: Option<String>,
    pub took: Duration,
    /// Where what it said is kept.
    pub said: PathBuf,
}

/// Builds the tests of the copy. An error has what the compiler said.
pub fn build(tree: &Tree) -> Result<Binaries, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--lib", "--test", "suite", "--message-format=json-render-diagnostics"]);
    cargo.current_dir(&tree.dir).env("CARGO_TARGET_DIR", &tree.target).env_remove("PORTPLEX_BUG");
    if std::env::var_os("CARGO_PROFILE_TEST_OPT_LEVEL").is_none() {
        // Each bug runs few tests: the optimiser takes longer than they do without it.
        cargo.env("CARGO_PROFILE_TEST_OPT_LEVEL", "0");
    }
    let output = cargo.stdin(Stdio::null()).output().map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("the build failed\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(told) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let (Some(path), Some(name)) = (told["executable"].as_str(), told["target"]["name"].as_str()) else { continue };
        let binary = if told["target"]["kind"][0] == "lib" { "lib" } else { name };
        if told["profile"]["test"] == true {
            found.insert(binary.to_owned(), PathBuf::from(path));
        }
    }
    match found.len() {
        2 => Ok(Binaries(found)),
        _ => Err(format!("the build made no two test binaries: {found:?}")),
    }
}

impl Binaries {
    /// Runs the tests of `filter` with the bug called `bug` on; none has an empty name.
    pub fn run(&self, tree: &Tree, bug: &str, filter: &Filter, limit: Duration) -> Result<Ran, String> {
        let said =
            tree.said.join(format!("{}-{}-{}", if bug.is_empty() { "sound" } else { bug }, filter.binary, filter.path));
        let failed = |error: std::io::Error| format!("{}: {error}", said.display());
        let out = File::create(&said).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let start = Instant::now();
        let mut child = Command::new(&self.0[&filter.binary])
            .arg(&filter.path)
            .args(filter.is_one().then_some("--exact"))
            .current_dir(&tree.dir)
            .env("PORTPLEX_BUG", bug)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Its children go with it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", filter.binary))?;
        let status = wait(&mut child, limit).map_err(failed)?;
        let text = String::from_utf8_lossy(&fs::read(&said).map_err(failed)?).into_owned();
        Ok(Ran { outcome: outcome(status, &text), first: first_failed(&text), took: start.elapsed(), said })
    }
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            None if start.elapsed() < limit => std::thread::sleep(LOOK),
            status => break status,
        }
    };
    if status.is_none_or(|status| !status.success()) {
        // A test that failed may have left children of its own.
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        child.wait()?;
    }
    Ok(status)
}

fn outcome(status: Option<ExitStatus>, text: &str) -> Outcome {
    let Some(status) = status else { return Outcome::Hung };
    if status.signal() == Some(SIGABRT) {
        return Outcome::Aborted;
    }
    let count = |what: &str| {
        let result = text.lines().rev().find(|line| line.starts_with("test result: "))?;
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == what)?;
        words.get(at.checked_sub(1)?)?.parse::<usize>().ok()
    };
    match (status.success(), count("passed"), count("failed")) {
        (true, Some(passed), _) => Outcome::Passed(passed),
        (false, _, Some(failed)) if failed > 0 => Outcome::Failed(failed),
        _ => Outcome::Ended(status),
    }
}

fn first_failed(text: &str) -> Option<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    let listed = || {
        let (_, list) = text.rsplit_once("\nfailures:\n")?;
        list.lines().find_map(|line| line.strip_prefix("    ").map(str::to_owned))
    };
    text.lines().find_map(name).or_else(listed)
}

//! Shows that every named bug is caught: builds the project once with all of them in it, switched
//! off, runs the tests that must catch them on the sound code, then with each bug switched on.
//!
//!     cargo run --manifest-path bugs/Cargo.toml -- [--only NAME]... [--keep] [--list]
//!
//! It works on a copy of the tree in `target/named-bugs` and changes nothing else. Its exit code is 0
//! only if the sound code passes and every bug is caught.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the rules of the product; this only runs its tests")]

#[path = "../../tests/suite/bugs/list.rs"]
mod list;
mod run;
mod tree;

use list::{Bug, Filter, Form};
use run::{Binaries, Outcome};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tree::Tree;

const HELP: &str = "\
Shows that the tests catch every named bug of tests/bugs.

  --only NAME   only this one (may be repeated)
  --list        names and what goes wrong, without running anything
  --keep        keep the copy of the tree and what the tests said, in target/named-bugs
  --limit S     how long the tests of one bug may take, in seconds (300)

The copy is built without optimiser unless CARGO_PROFILE_TEST_OPT_LEVEL says otherwise.";

struct Options {
    only: BTreeSet<String>,
    keep: bool,
    list: bool,
    limit: Duration,
}

fn main() -> ExitCode {
    match options().and_then(|options| work(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { only: BTreeSet::new(), keep: false, list: false, limit: Duration::from_secs(300) };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--only" => drop(options.only.insert(value()?)),
            "--limit" => {
                let seconds = value()?.parse().map_err(|_| "--limit wants a number of seconds".to_owned())?;
                options.limit = Duration::from_secs(seconds);
            }
            "--keep" => options.keep = true,
            "--list" => options.list = true,
            "--help" | "-h" => {
                println!("{HELP}");
                std::process::exit(0);
            }
            _ => return Err(format!("`{word}` is not known\n\n{HELP}")),
        }
    }
    Ok(options)
}

fn work(options: &Options) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the runner lies in the project")?;
    let all = list::read(&root.join("tests/bugs"))?;
    if let Some(stranger) = options.only.iter().find(|name| all.iter().all(|bug| bug.name != **name)) {
        return Err(format!("no bug is called `{stranger}`; --list shows all"));
    }
    let mut chosen: Vec<&Bug> =
        all.iter().filter(|bug| options.only.is_empty() || options.only.contains(&bug.name)).collect();
    // Their builds take the place of the one that serves all others.
    chosen.sort_by_key(|bug| bug.form == Form::Patch);
    if options.list {
        chosen.iter().for_each(|bug| println!("{}: {}", bug.name, bug.what));
        return Ok(true);
    }
    let start = Instant::now();
    let mut tree = Tree::make(root, &all)?;
    eprintln!("building the project with {} named bugs in it, all switched off", all.len());
    let binaries = run::build(&tree)?;
    eprintln!("built after {} s; running the tests on the sound code", start.elapsed().as_secs());
    let filters: BTreeSet<Filter> =
        chosen.iter().map(|bug| bug.filters()).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let is_sound = check_sound(&tree, &binaries, &filters)?;
    if !is_sound {
        return Ok(false);
    }
    eprintln!("the sound code passes after {} s", start.elapsed().as_secs());
    let width = chosen.iter().map(|bug| bug.name.len()).max().unwrap_or_default();
    let mut caught = 0;
    for (number, bug) in chosen.iter().enumerate() {
        let begun = Instant::now();
        let verdict = show(&mut tree, &binaries, bug, options.limit)?;
        caught += usize::from(verdict.is_ok());
        let (is_caught, by) = match verdict {
            Ok(by) => ("caught by", by),
            Err(why) => ("NOT CAUGHT:", why),
        };
        let seconds = begun.elapsed().as_secs_f32();
        println!("{:>3}/{} {:width$} {seconds:>6.1} s  {is_caught} {by}", number + 1, chosen.len(), bug.name);
    }
    tree.clear(options.keep)?;
    println!("{caught} of {} named bugs caught, in {} s", chosen.len(), start.elapsed().as_secs());
    Ok(caught == chosen.len())
}

/// Whether all tests that will be asked pass while no bug is on.
fn check_sound(tree: &Tree, binaries: &Binaries, filters: &BTreeSet<Filter>) -> Result<bool, String> {
    let mut is_sound = true;
    for filter in filters {
        let ran = binaries.run(tree, "", filter, Duration::from_secs(3_600))?;
        match ran.outcome {
            Outcome::Passed(0) => return Err(format!("{} {}: there is no such test", filter.binary, filter.path)),
            Outcome::Passed(count) => {
                let (binary, path, seconds) = (&filter.binary, &filter.path, ran.took.as_secs_f32());
                eprintln!("  {binary} {path}: {count} passed in {seconds:.1} s");
            }
            _ => {
                is_sound = false;
                println!("the sound code fails {} {}: {}", filter.binary, filter.path, ran.outcome);
                println!("  what it said: {}", ran.said.display());
            }
        }
    }
    Ok(is_sound)
}

/// Who caught it, all that were named to; otherwise who did not.
fn show(tree: &mut Tree, binaries: &Binaries, bug: &Bug, limit: Duration) -> Result<Result<String, String>, String> {
    let own;
    let binaries = if bug.form == Form::Patch {
        tree.patch(bug)?;
        own = run::build(tree).map_err(|error| format!("{}: {error}", bug.name))?;
        &own
    } else {
        binaries
    };
    let mut by = Vec::new();
    let mut missed = None;
    for filter in bug.filters()? {
        let ran = binaries.run(tree, &bug.name, &filter, limit)?;
        let told = format!("{} {}", filter.binary, ran.first.as_ref().unwrap_or(&filter.path));
        if ran.outcome.is_caught(bug.hang) {
            by.push(told);
        } else {
            missed.get_or_insert(format!("{} {} {}", filter.binary, filter.path, ran.outcome));
        }
    }
    if bug.form == Form::Patch {
        tree.unpatch(bug)?;
    }
    Ok(missed.map_or(Ok(by.join(", ")), Err))
}

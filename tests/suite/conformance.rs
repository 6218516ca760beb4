//! docs/conformance.md is whole: every sentence of the two texts is cited once, every row is held by
//! tests or says that it differs, and every test named is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many sentences each paragraph of "Distributed Dynamic VIPA" has.
const EXPLORER: [u8; 18] = [1, 1, 2, 1, 2, 3, 1, 1, 1, 4, 1, 1, 1, 4, 1, 1, 4, 1];
/// How many sentences each paragraph of "SYSPLEXPORTS" has.
const SYSPLEXPORTS: [u8; 14] = [4, 5, 1, 1, 1, 2, 9, 5, 1, 3, 1, 2, 1, 1];

const AS_ORIGIN: &str = "as the origin";
const DIFFERS: &str = "differs on purpose: ";

/// A row of one of the two tables.
#[derive(Debug)]
struct Row {
    number: usize,
    /// A sentence each, or the title of a manual.
    source: String,
    rule: String,
    tests: Vec<String>,
    verdict: String,
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/conformance.md")).expect("the page is readable")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows(page: &str) -> Vec<Row> {
    let table = |line: &&str| line.starts_with("| ") && !line.starts_with("| row ");
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, source, rule, tests, verdict] = cells[..] else { panic!("five cells: {line}") };
        Row {
            number: number.parse().unwrap_or_else(|_| panic!("a number: {line}")),
            source: source.to_owned(),
            rule: rule.to_owned(),
            tests: tests.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
            verdict: verdict.to_owned(),
        }
    };
    page.lines().filter(table).map(row).collect()
}

/// A sentence such as `S 2.1`: text, paragraph, number.
type Sentence = (char, u8, u8);

/// The sentences that a cell or a line names.
fn sentences(text: &str) -> Vec<Sentence> {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_end_matches([',', ';', '.'])).collect();
    let two = |two: &[&str]| {
        let (of, place) = (two[0], two[1]);
        let (paragraph, sentence) = place.split_once('.')?;
        ["E", "S"].contains(&of).then_some(())?;
        Some((of.chars().next()?, paragraph.parse().ok()?, sentence.parse().ok()?))
    };
    words.windows(2).filter_map(two).collect()
}

/// Every sentence there is.
fn all_sentences() -> Vec<Sentence> {
    let texts = [('E', &EXPLORER[..]), ('S', &SYSPLEXPORTS[..])];
    let of_text =
        texts.into_iter().flat_map(|(text, counts)| (1..).zip(counts).map(move |(at, count)| (text, at, *count)));
    of_text.flat_map(|(text, at, count)| (1..=count).map(move |sentence| (text, at, sentence))).collect()
}

/// What is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let (rows, mut faults) = (rows(page), Vec::new());
    let mut cited: BTreeMap<Sentence, u32> = BTreeMap::new();
    let no_rule: Vec<&str> = page.lines().filter(|line| line.starts_with("No rule: ")).collect();
    if no_rule.len() != 1 {
        faults.push("one line says which sentences state no rule".to_owned());
    }
    let in_rows = rows.iter().flat_map(|row| sentences(&row.source));
    for sentence in in_rows.chain(no_rule.iter().flat_map(|line| sentences(line))) {
        *cited.entry(sentence).or_default() += 1;
    }
    let all: BTreeSet<Sentence> = all_sentences().into_iter().collect();
    let name = |(text, paragraph, sentence): &Sentence| format!("{text} {paragraph}.{sentence}");
    faults.extend(all.iter().filter(|of| !cited.contains_key(of)).map(|of| format!("{} is not cited", name(of))));
    for (sentence, times) in &cited {
        if !all.contains(sentence) {
            faults.push(format!("{} is no sentence of the text", name(sentence)));
        } else if *times > 1 {
            faults.push(format!("{} is cited {times} times", name(sentence)));
        }
    }
    for (row, expected) in rows.iter().zip(1..) {
        let place = format!("row {}", row.number);
        if row.number != expected {
            faults.push(format!("{place} stands where row {expected} is due"));
        }
        let differs = row.verdict.strip_prefix(DIFFERS);
        if row.tests.is_empty() && differs.is_none() {
            faults.push(format!("{place} names no test"));
        }
        if !row.verdict.starts_with(AS_ORIGIN) && differs.is_none_or(|why| why.len() < 10) {
            faults.push(format!("{place} does not say whether it is as the origin, or why not"));
        }
        if row.rule.len() < 10 || row.source.is_empty() {
            faults.push(format!("{place} has no rule"));
        }
        for test in &row.tests {
            if let Err(fault) = find(test) {
                faults.push(format!("{place}: {test}: {fault}"));
            }
        }
    }
    faults
}

/// Whether a test is there.
pub(crate) fn find(test: &str) -> Result<(), String> {
    if let Some(scenario) = test.strip_prefix("scenario::") {
        let (file, title) = scenario.split_once("::").ok_or("a scenario is FILE::TITLE")?;
        let text = read(&root().join(format!("tests/suite/distributor/scenarios/{file}.txt")))?;
        let is_there = text.lines().any(|line| line.strip_prefix("= ") == Some(title));
        return is_there.then_some(()).ok_or("no scenario of that title".to_owned());
    }
    let parts: Vec<&str> = test.split("::").collect();
    let [binary, modules @ .., name] = &parts[..] else { return Err("not a test".to_owned()) };
    let dir: PathBuf = match *binary {
        "suite" => root().join("tests/suite"),
        "lib" => root().join("src"),
        _ => return Err("a test is of `suite` or `lib`".to_owned()),
    };
    let stem = dir.join(modules.join("/"));
    let of = |stem: &Path| read(&stem.with_extension("rs")).or_else(|_| read(&stem.join("mod.rs")));
    // The tests of a module of the library stand in its file, unless they have a file of their own.
    let text = match modules {
        [inner @ .., "tests"] if *binary == "lib" => of(&stem).or_else(|_| of(&dir.join(inner.join("/")))),
        _ => of(&stem),
    }?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let head = format!("fn {name}()");
    let at = lines.iter().position(|line| line.starts_with(&head)).ok_or("no such test in that module")?;
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    let is_test = above.into_iter().any(|line| *line == "#[test]");
    is_test.then_some(()).ok_or("that is no test".to_owned())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|_| format!("no file {}", path.strip_prefix(root()).unwrap_or(path).display()))
}

#[test]
fn every_rule_of_the_origin_is_cited_and_shown() {
    let faults = faults(&page());
    assert!(faults.is_empty(), "docs/conformance.md:\n{}", faults.join("\n"));
}

#[test]
fn what_is_missing_or_wrong_on_the_page_is_named() {
    let page = page();
    let change = |from: &str, to: &str| {
        assert!(page.contains(from), "{from}");
        let mut found = faults(&page.replacen(from, to, 1));
        found.retain(|fault| !faults(&page).contains(fault));
        found.join("\n")
    };
    let own = "suite::conformance::every_rule_of_the_origin_is_cited_and_shown";
    assert_eq!(find(own), Ok(()));
    assert_eq!(find("lib::ident::name::tests::a_structure_is_named_as_in_the_origin"), Ok(()));
    assert_eq!(find("suite::conformance::page"), Err("that is no test".to_owned()));
    assert!(find("suite::conformance::every_rule").is_err() && find("suite::nowhere::at_all").is_err());
    assert!(find("scenario::standby::no such title").is_err() && find("other::conformance::page").is_err());

    assert_eq!(change("| S 2.3 |", "| none |"), "S 2.3 is not cited");
    assert_eq!(change("| S 2.3 |", "| S 2.2 |"), "S 2.3 is not cited\nS 2.2 is cited 2 times");
    assert_eq!(change("| S 2.3 |", "| S 2.3, S 2.6 |"), "S 2.6 is no sentence of the text");
    assert!(change("\n| 2 | ", "\n| 3 | ").contains("row 3 stands where row 2 is due"));
    assert!(change("No rule: ", "Nothing: ").starts_with("one line says which sentences state no rule\nE 2.1 is not"));
    let (line, row) = (page.lines().find(|line| line.contains("| S 8.3 |")), rows(&page));
    let (line, row) = (line.expect("a row"), row.iter().find(|row| row.source == "S 8.3").expect("a row"));
    let bare = line.replace('`', "");
    assert_eq!(change(line, &bare), format!("row {} names no test", row.number));
    assert!(change(line, &line.replace(AS_ORIGIN, "unlike it")).contains("does not say whether"));
    assert!(change(line, &line.replace("defaults_are", "defaults_were")).contains("no such test in that module"));
}

//! `docs/operations.md` against the code: every state that an operator can meet is named there, in
//! the words that the program says, with commands that the program understands.
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Sections that are about no single state.
const GENERAL: [&str; 14] = [
    "Packed history",
    "The page and JSON",
    "Find the section",
    "Reports",
    "Warnings at an open",
    "Backups",
    "Refusals, one by one",
    "Metrics and alerts",
    "First run",
    "Sizing",
    "Configuration",
    "The log of the service",
    "Working on a running service",
    "Upgrade",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the project")
}

fn guide() -> String {
    read("docs/operations.md")
}

/// Without quotation marks of Markdown and with single blanks: as the program says it.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| line.strip_prefix("> ").unwrap_or(line));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// One variant of an error enum: its name and the text of its `#[error]`.
fn variants(source: &str, name: &str) -> Vec<(String, String)> {
    let begin = source.find(&format!("pub enum {name} {{")).expect("the enum is there");
    let body = &source[begin..][..source[begin..].find("\n}").expect("it ends")];
    let mut found = Vec::new();
    let mut text = String::new();
    let mut rest = body;
    while let Some(at) = rest.find("#[error(") {
        rest = &rest[at + "#[error(".len()..];
        let end = rest.find(")]\n").expect("the attribute ends");
        text.clear();
        text.push_str(&rest[..end]);
        let after = rest[end + 2..].lines().map(str::trim).find(|line| line.starts_with(char::is_uppercase));
        let variant: String = after.expect("a variant").chars().take_while(char::is_ascii_alphanumeric).collect();
        found.push((variant, text.clone()));
    }
    found
}

/// The longest piece of a format string that has no placeholder in it.
fn longest_piece(attribute: &str) -> String {
    let Some(begin) = attribute.find('"') else { return String::new() };
    let literal = &attribute[begin + 1..];
    let mut end = 0;
    while let Some(at) = literal[end..].find('"') {
        end += at;
        if !literal[..end].ends_with('\\') {
            break;
        }
        end += 1;
    }
    let literal = literal[..end].replace("\\\"", "\"").replace("\\\n", " ");
    let mut pieces = vec![String::new()];
    let mut depth = 0;
    for character in literal.chars() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                pieces.push(String::new());
            }
            other if depth == 0 => pieces.last_mut().expect("one at least").push(other),
            _ => {}
        }
    }
    pieces.iter().map(|piece| plain(piece)).max_by_key(String::len).unwrap_or_default()
}

#[test]
fn every_error_that_an_operator_can_meet_is_quoted() {
    let guide = plain(&guide());
    let mut missing = Vec::new();
    for (path, name) in [
        ("src/wal/error.rs", "StoreError"),
        ("src/facility/error.rs", "OpenError"),
        ("src/api/access/tls_error.rs", "TlsError"),
    ] {
        let found = variants(&read(path), name);
        assert!(found.len() >= 4, "{name} is read: {found:?}");
        for (variant, attribute) in found.iter().filter(|(_, attribute)| attribute != "transparent") {
            let piece = longest_piece(attribute);
            if !guide.contains(&format!("`{variant}`")) || !guide.contains(&piece) {
                missing.push(format!("{name}::{variant}: {piece:?}"));
            }
        }
    }
    let stack = variants(&read("src/stack/error.rs"), "StackError");
    for (variant, attribute) in stack {
        let piece = longest_piece(&attribute);
        let is_operators = ["AgentRunning", "OtherStore", "ReceiptBad", "Fenced"].contains(&variant.as_str());
        if is_operators && !guide.contains(&piece) {
            missing.push(format!("StackError::{variant}: {piece:?}"));
        }
    }
    assert!(missing.is_empty(), "docs/operations.md lacks\n{}", missing.join("\n"));
}

#[test]
fn every_refusal_is_named() {
    let source = read("src/structure/refusal.rs");
    let names: BTreeSet<&str> = source
        .lines()
        .filter(|line| line.trim_start().starts_with("Self::") && line.contains("=> \""))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(names.len() > 30, "{names:?}");
    let guide = guide();
    let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md lacks {missing:?}");
}

#[test]
fn every_exit_code_leads_to_a_section() {
    let readme = read("README.md");
    let codes: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .map(|(code, _)| code)
        .filter(|code| code.parse::<u8>().is_ok())
        .collect();
    assert_eq!(codes.len(), 11);
    let guide = guide();
    for code in codes {
        assert!(guide.contains(&format!("| exit code {code} | `")), "exit code {code}");
    }
}

#[test]
fn every_section_says_how_it_looks_what_to_do_and_what_never() {
    let guide = guide();
    let sections: Vec<(&str, &str)> = guide.split("\n## ").skip(1).filter_map(|text| text.split_once('\n')).collect();
    assert!(sections.len() > 20);
    for (title, text) in &sections {
        if GENERAL.contains(title) {
            continue;
        }
        for part in ["**How it looks.**", "**Why.**", "**What to do.**", "**Never**"] {
            assert!(text.contains(part), "{title}: no {part}");
        }
    }
    let anchors: BTreeSet<String> = sections.iter().map(|(title, _)| anchor(title)).collect();
    for link in guide.split("](#").skip(1).filter_map(|text| text.split(')').next()) {
        assert!(anchors.contains(link), "no section #{link}");
    }
}

fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_command_is_understood() {
    let mut count = 0;
    for file in ["docs/operations.md", "README.md"] {
        for line in read(file).lines() {
            let Some(typed) = line.strip_prefix("$ portplex ") else { continue };
            let words = std::iter::once("portplex").chain(typed.split_whitespace().take_while(|word| *word != "#"));
            let understood = portplex::cli::is_understood(words.map(OsString::from));
            assert_eq!(understood, Ok(()), "{file}: {line}");
            count += 1;
        }
    }
    assert!(count > 20, "{count} commands");
    let typo = ["portplex", "store", "adopt", "/srv/ports"].map(OsString::from);
    assert!(portplex::cli::is_understood(typo).is_err(), "it must say how");
}

#[test]
fn a_message_is_taken_apart_at_its_placeholders() {
    assert_eq!(longest_piece(r#""{} is a {name} store (a \"b\" c)", dir.display()"#), "store (a \"b\" c)");
    let source = "pub enum E {\n    /// A.\n    #[error(\"one {x}\")]\n    A {\n        x: u8,\n    },\n    #[error(\"two\")]\n    B,\n}";
    let found = variants(source, "E");
    assert_eq!(found, [("A".to_owned(), "\"one {x}\"".to_owned()), ("B".to_owned(), "\"two\"".to_owned())]);
}

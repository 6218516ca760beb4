//! Bytes as text, as the storage format's document writes them: pairs of hex digits, spaces and line
//! ends anywhere, `00*54` for 54 bytes of zero.
#![allow(clippy::disallowed_methods, reason = "reads the document")]

use std::fmt::Write;
use std::path::Path;

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let (digits, times) = word.split_once('*').map_or((word, 1), |(digits, times)| {
            assert_eq!(digits.len(), 2, "one byte is repeated, not {word}");
            (digits, times.parse().expect("how often"))
        });
        let once: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|_| panic!("{word} is not hex")))
            .collect();
        bytes.extend(once.repeat(times));
    }
    bytes
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text grows");
        text
    })
}

/// The examples in the document whose name starts with one of `kinds`, in order: blocks that begin
/// with "```hex NAME" and end with "```".
pub(crate) fn examples(kinds: &[&str]) -> Vec<(String, String)> {
    let mut examples = Vec::new();
    let document = document();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.trim().strip_prefix("```hex ") else { continue };
        let block: Vec<&str> = lines.by_ref().map(str::trim).take_while(|line| *line != "```").collect();
        if kinds.contains(&name.split_whitespace().next().unwrap_or_default()) {
            examples.push((name.to_owned(), block.join(" ")));
        }
    }
    examples
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("storage-format.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

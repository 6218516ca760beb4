//! The guide's section on reports: its example files and reports are those of the program, byte for
//! byte.

use super::display_in;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The section, from its heading to the next one.
fn section() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let guide = fs::read_to_string(path).expect("the guide");
    let begin = guide.find("\n## Reports\n").expect("the section") + 1;
    let end = guide[begin + 1..].find("\n## ").map_or(guide.len(), |end| begin + 1 + end);
    guide[begin..end].to_owned()
}

/// The text of the block between fences that begins behind `from`.
fn block(text: &str, from: usize) -> &str {
    let begin = text[from..].find("```").expect("a block") + from;
    let begin = begin + text[begin..].find('\n').expect("its first line") + 1;
    &text[begin..begin + text[begin..].find("\n```").expect("its end") + 1]
}

#[test]
fn every_example_is_what_the_program_says() {
    let section = section();
    let dir = TempDir::new().expect("a directory");
    for file in ["sys1.profile", "sys2.profile", "day.events"] {
        let at = section.find(&format!("\n`{file}`:\n")).unwrap_or_else(|| panic!("{file} is in the guide"));
        fs::write(dir.path().join(file), block(&section, at)).expect("written");
    }
    let mut shown = Vec::new();
    let mut from = 0;
    while let Some(at) = section[from..].find("```console\n") {
        let block = block(&section, from + at);
        from += at + "```console\n".len() + block.len();
        for example in block.split("$ portplex display ").skip(1) {
            let (typed, expected) = example.split_once('\n').expect("a command on a line");
            let arguments: Vec<&str> = typed.split_whitespace().collect();
            let (code, stdout, stderr) = display_in(dir.path(), &arguments);
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{typed}");
            assert_eq!(stdout, expected.trim_start_matches('\n'), "{typed}");
            shown.push((arguments[0].to_owned(), typed.contains("--json")));
        }
    }
    for report in ["ports", "vipadyn", "vipadcfg", "portlist", "vdpt", "vcrt", "conn"] {
        for is_json in [false, true] {
            assert!(shown.contains(&(report.to_owned(), is_json)), "{report}, JSON {is_json}: no example");
        }
    }
}

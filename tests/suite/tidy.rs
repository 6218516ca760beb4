//! The shape of the code: layers, file length, headers, the closed list of unsafe files.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 500;

/// Who may name whom: a module may use itself and the modules listed with it, nothing else. `cli`
/// may name everything.
const LAYERS: &[(&str, &[&str])] = &[
    ("ident", &[]),
    ("threads", &[]),
    ("disk", &["threads"]),
    ("structure", &["ident"]),
    ("record", &["ident", "structure"]),
    ("wal", &["disk", "ident", "threads"]),
    ("checkpoint", &["disk", "ident", "record", "structure"]),
    ("profile", &["ident", "structure"]),
    ("distributor", &["ident", "profile"]),
    ("facility", &["checkpoint", "disk", "ident", "record", "structure", "threads", "wal"]),
    ("stack", &["disk", "facility", "ident", "profile", "structure", "threads"]),
    ("shapes", &["ident", "structure"]),
    ("web", &["facility", "ident", "shapes", "structure"]),
    ("api", &["facility", "ident", "profile", "stack", "structure"]),
];

/// What the pure layers may never name: I/O, clocks, threads, randomness, hash-map order.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::time",
    "std::thread",
    "std::process",
    "HashMap",
    "HashSet",
    "getrandom",
    "rustix",
    "parking_lot",
];
const PURE_LAYERS: &[&str] = &["ident", "structure", "record", "profile", "distributor"];

/// Files that may contain unsafe code, with a reason in each.
const UNSAFE_FILES: &[&str] = &[];

#[test]
fn source_is_tidy() {
    let mut faults = Vec::new();
    for path in rust_files(&[Path::new("src"), Path::new("tests"), Path::new("benches"), Path::new("examples")]) {
        let text = fs::read_to_string(&path).expect("a source file is readable");
        let mut fault = |line: usize, what: &str| faults.push(format!("{}:{line}: {what}", path.display()));
        if text.lines().count() > LINES_MAX {
            fault(LINES_MAX, "over 500 lines: two jobs in one file?");
        }
        if !text.starts_with("//! ") {
            fault(1, "does not start by saying what it is for");
        }
        let Some(layer) = layer_of(&path) else { continue };
        let is_unsafe_listed = UNSAFE_FILES.iter().any(|file| path.ends_with(file));
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else { continue };
        if !is_unsafe_listed && !text.contains("#![forbid(unsafe_code)]") {
            fault(1, "does not forbid unsafe code");
        }
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for used in line.split("crate::").skip(1).map(first_word) {
                if used != layer && !allowed.contains(&used.as_str()) {
                    fault(number + 1, &format!("{layer} may not use `{used}`"));
                }
            }
            if PURE_LAYERS.contains(&layer.as_str()) {
                for banned in IMPURE.iter().filter(|banned| line.contains(**banned)) {
                    fault(number + 1, &format!("{layer} is pure: no `{banned}`"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_to_do() {
    // Spelled apart, so that this file does not find itself.
    let banned =
        [["to", "do!("].concat(), ["unimpl", "emented!("].concat(), ["FIX", "ME"].concat(), ["#[ig", "nore"].concat()];
    let mut faults = Vec::new();
    for path in rust_files(&[Path::new("src"), Path::new("tests"), Path::new("benches"), Path::new("examples")]) {
        let text = fs::read_to_string(&path).expect("a source file is readable");
        for word in &banned {
            if text.contains(word.as_str()) {
                faults.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_library_alone_pulls_in_no_runtime_and_no_web_stack() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--no-default-features", "--edges", "normal", "--prefix", "none", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("text");
    assert!(tree.lines().any(|line| line.starts_with("sled ")), "the tree is read");
    for banned in ["tokio", "async-std", "smol", "hyper", "tonic", "axum", "clap", "serde_json", "indicatif"] {
        let found = tree.lines().find(|line| line.split(' ').next() == Some(banned));
        assert_eq!(found, None, "linking the library must not pull in {banned}");
    }
}

fn rust_files(roots: &[&Path]) -> Vec<PathBuf> {
    let (mut files, mut todo) = (Vec::new(), Vec::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    todo.extend(roots.iter().map(|path| root.join(path)).filter(|path| path.is_dir()));
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("a source directory is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 20, "the source is found");
    files
}

/// `src/wal/frame.rs` and `src/wal.rs` are of layer `wal`.
fn layer_of(path: &Path) -> Option<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).ok()?.components().next()?;
    Some(first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned())
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

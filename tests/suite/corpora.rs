//! The fuzz targets without the fuzzer: every input of every corpus, and that there are corpora.

use crate::fuzz::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A corpus is small, so that all of them stay with the source.
const CORPUS_SIZE_MAX: u64 = 200_000;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// What the fuzzer itself keeps there is named by its digest, and not with the source.
fn is_seed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() != 40
}

#[test]
fn every_input_of_every_corpus_keeps_what_its_target_promises() {
    let mut faults = Vec::new();
    let mut inputs = 0;
    for (name, run) in TARGETS {
        for path in entries(&project("fuzz/corpus").join(name)) {
            let input = fs::read(&path).expect("an input");
            inputs += 1;
            if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
                faults.push(path.display().to_string());
            }
        }
    }
    assert!(faults.is_empty(), "of {inputs} inputs these failed: {faults:#?}");
    assert!(inputs > 10 * TARGETS.len(), "the corpora are there: {inputs} inputs");
}

#[test]
fn every_target_has_a_small_corpus_a_binary_and_a_function() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |dir: &str| -> BTreeSet<String> {
        let paths = entries(&project(dir));
        let stems =
            paths.iter().map(|path| path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned());
        stems.collect()
    };
    assert_eq!(names("fuzz/fuzz_targets"), known);
    assert_eq!(names("fuzz/corpus"), known);
    let manifest = fs::read_to_string(project("fuzz/Cargo.toml")).expect("a manifest");
    for name in &known {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "fuzz/Cargo.toml does not build {name}");
        let seeds = entries(&project("fuzz/corpus").join(name)).into_iter().filter(|path| is_seed(path));
        let sizes: Vec<u64> = seeds.map(|path| fs::metadata(path).expect("a seed").len()).collect();
        let size: u64 = sizes.iter().sum();
        assert!(!sizes.is_empty() && size < CORPUS_SIZE_MAX, "{name}: {} seeds, {size} bytes", sizes.len());
    }
}

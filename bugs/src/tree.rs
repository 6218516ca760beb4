//! The copy of the project that has the bugs in it.
//!
//! Files whose content is the same are left alone, so that a second build does only what is new.

use crate::list::{self, Bug};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a build of the tests reads.
const NEEDED: &[&str] =
    &["Cargo.toml", "Cargo.lock", "src", "tests", "benches", "examples", "docs", "README.md", "storage-format.md"];
const NEEDED_TOO: &[&str] = &["fuzz", ".ci", "CHANGELOG.md", ".clippy.toml", "rustfmt.toml", "deny.toml", "packaging"];

pub struct Tree {
    /// The copy.
    pub dir: PathBuf,
    /// Where cargo builds it.
    pub target: PathBuf,
    /// Where what the tests say is kept.
    pub said: PathBuf,
    root: PathBuf,
    woven: BTreeMap<String, String>,
}

impl Tree {
    /// Copies the project that lies in `root` and weaves the bugs into it.
    pub fn make(root: &Path, bugs: &[Bug]) -> Result<Self, String> {
        let mut woven = list::weave(root, bugs)?;
        let lib = "src/lib.rs";
        let text = fs::read_to_string(root.join(lib)).map_err(|error| format!("{lib}: {error}"))?;
        let text = woven.remove(lib).unwrap_or(text);
        woven.insert(lib.to_owned(), text + &list::switch());
        let top = root.join("target/named-bugs");
        let (dir, target, said) = (top.join("tree"), top.join("target"), top.join("said"));
        let tree = Self { dir, target, said, root: root.to_owned(), woven };
        if tree.said.exists() {
            fs::remove_dir_all(&tree.said).map_err(|error| failed(&tree.said, &error))?;
        }
        make_dir(&tree.said)?;
        make_dir(&tree.dir)?;
        for name in NEEDED {
            tree.copy(name)?;
        }
        for name in NEEDED_TOO.iter().filter(|name| root.join(name).exists()) {
            tree.copy(name)?;
        }
        Ok(tree)
    }

    fn copy(&self, name: &str) -> Result<(), String> {
        let (from, to) = (self.root.join(name), self.dir.join(name));
        if !from.is_dir() {
            let bytes = match self.woven.get(name) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(&from).map_err(|error| failed(&from, &error))?,
            };
            return put(&to, &bytes);
        }
        make_dir(&to)?;
        let names = |dir: &Path| -> Result<Vec<String>, String> {
            let entries = fs::read_dir(dir).map_err(|error| failed(dir, &error))?;
            Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
        };
        let wanted = names(&from)?;
        for gone in names(&to)?.iter().filter(|name| !wanted.contains(name)) {
            let path = to.join(gone);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| failed(&path, &error))?;
        }
        // What other builds made is not part of the source.
        for name_in in wanted.iter().filter(|name| *name != "target") {
            self.copy(&format!("{name}/{name_in}"))?;
        }
        Ok(())
    }

    /// Puts a bug of the form `patch` in.
    pub fn patch(&self, bug: &Bug) -> Result<(), String> {
        put(&self.dir.join(&bug.file), self.present(bug)?.replacen(&bug.old, &bug.new, 1).as_bytes())
    }

    /// Takes it out again.
    pub fn unpatch(&self, bug: &Bug) -> Result<(), String> {
        put(&self.dir.join(&bug.file), self.present(bug)?.as_bytes())
    }

    fn present(&self, bug: &Bug) -> Result<String, String> {
        match self.woven.get(&bug.file) {
            Some(text) => Ok(text.clone()),
            None => fs::read_to_string(self.root.join(&bug.file)).map_err(|error| format!("{}: {error}", bug.file)),
        }
    }

    /// Removes what nobody wants to see; what was built stays for the next time.
    pub fn clear(&self, keep: bool) -> Result<(), String> {
        if keep {
            eprintln!("kept: {} and {}", self.dir.display(), self.said.display());
            return Ok(());
        }
        for dir in [&self.dir, &self.said] {
            fs::remove_dir_all(dir).map_err(|error| failed(dir, &error))?;
        }
        Ok(())
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| failed(path, &error))
}

fn make_dir(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

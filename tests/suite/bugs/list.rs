//! The named bugs as a list: read from `tests/bugs/*.toml`, found in the source, woven into it.
//!
//! A bug is one small change of one source file. In a woven file every bug is there and switched off:
//! the environment variable `PORTPLEX_BUG` names the one that is on, so that one build serves all.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The function that a woven library has: whether the named bug is on.
const SWITCH: &str = "portplex_bug";
/// What stands for the switch in the text of a bug of the form `woven`.
const HOLE: &str = "BUG";

/// One named bug.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// Lower-case words with dashes; unique.
    pub name: String,
    /// What goes wrong, in one sentence.
    pub what: String,
    /// The source file, from the root of the project.
    pub file: String,
    /// The sound text: occurs exactly once in the file.
    pub old: String,
    /// The wrong text instead of it.
    pub new: String,
    /// How the two are joined.
    #[serde(default)]
    pub form: Form,
    /// What must fail: `lib` or `suite`, and the full name of a test, or that of a module with `::`
    /// behind it.
    pub caught_by: Vec<String>,
    /// Whether a test that does not end counts as one that failed.
    #[serde(default)]
    pub hang: bool,
}

/// How the wrong text stands beside the sound one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Both are expressions of one type.
    #[default]
    Expression,
    /// Both are statements.
    Statement,
    /// The new text has the sound one in it, and `BUG` where the switch belongs.
    Woven,
    /// Nothing of this fits: the new text replaces the old one, in a build of its own.
    Patch,
}

/// A test, or a module of tests, of one of the two test binaries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    /// `lib` or `suite`.
    pub binary: String,
    /// Its path in that binary; a module's ends with `::`.
    pub path: String,
}

impl Filter {
    /// Whether it means one test, and not all of a module.
    pub fn is_one(&self) -> bool {
        !self.path.ends_with("::")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bug: Vec<Bug>,
}

impl Bug {
    /// What must fail when the bug is on.
    pub fn filters(&self) -> Result<Vec<Filter>, String> {
        let filter = |text: &String| match text.split_once(' ') {
            Some((binary @ ("lib" | "suite"), path)) => Ok(Filter { binary: binary.into(), path: path.into() }),
            _ => Err(format!("{}: `{text}` is not `lib PATH` or `suite PATH`", self.name)),
        };
        self.caught_by.iter().map(filter).collect()
    }

    /// Where the sound text is in the file.
    pub fn place(&self, text: &str) -> Result<usize, String> {
        let mut found = text.match_indices(&self.old).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at),
            (None, _) => Err(format!("{}: {} has not the text {:?}", self.name, self.file, self.old)),
            (Some(_), Some(_)) => {
                Err(format!("{}: {} has more than once the text {:?}", self.name, self.file, self.old))
            }
        }
    }

    /// The text with the switch in it.
    fn woven(&self) -> String {
        let Self { name, old, new, .. } = self;
        let switch = format!("crate::{SWITCH}({name:?})");
        match self.form {
            Form::Expression => format!("(if {switch} {{ {new} }} else {{ {old} }})"),
            Form::Statement => format!("if {switch} {{ {new} }} else {{ {old} }}"),
            Form::Woven => new.replace(HOLE, &switch),
            Form::Patch => old.clone(),
        }
    }
}

/// All bugs, in the order of the files' names.
pub fn read(dir: &Path) -> Result<Vec<Bug>, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let entries = fs::read_dir(dir).map_err(|error| failed(dir, &error))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut bugs = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        let file: File = toml::from_str(&text).map_err(|error| failed(&path, &error))?;
        bugs.extend(file.bug);
    }
    Ok(bugs)
}

/// The sources with all switches in them, by file. A patch leaves its file as it is.
pub fn weave(root: &Path, bugs: &[Bug]) -> Result<BTreeMap<String, String>, String> {
    let mut files: BTreeMap<&str, Vec<&Bug>> = BTreeMap::new();
    for bug in bugs {
        files.entry(&bug.file).or_default().push(bug);
    }
    let mut woven = BTreeMap::new();
    for (name, bugs) in files {
        let text = fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let mut places = Vec::new();
        for bug in bugs {
            places.push((bug.place(&text)?, bug));
        }
        places.sort_by_key(|(at, _)| *at);
        let (mut out, mut done) = (String::new(), 0);
        for (at, bug) in places {
            let before = text.get(done..at).ok_or(format!("{}: its text overlaps another bug's", bug.name))?;
            out.push_str(before);
            out.push_str(&bug.woven());
            done = at + bug.old.len();
        }
        out.push_str(&text[done..]);
        woven.insert(name.to_owned(), out);
    }
    Ok(woven)
}

/// What a woven library ends with.
pub fn switch() -> String {
    format!(
        "\n/// Whether the named bug is on: `PORTPLEX_BUG`, read once.\n#[doc(hidden)]\n#[must_use]\n\
         pub fn {SWITCH}(name: &str) -> bool {{\n    \
         static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();\n    \
         ON.get_or_init(|| std::env::var(\"PORTPLEX_BUG\").ok()).as_deref() == Some(name)\n}}\n"
    )
}

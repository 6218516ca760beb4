//! The profiles that a report is about: `--profile [NAME=]FILE`, `--obey [NAME=]FILE`.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::profile::input;
use crate::cli::profile::input::Text;
use crate::cli::profile::snippet;
use crate::ident::ConnectorName;
use crate::profile::Profile;
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;

/// Which profiles.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GivenArgs {
    /// Profile of a stack named NAME, such as SYS1.TCPIP [default name: the file's, in upper case,
    /// without its extension]
    #[arg(long, value_name = "[NAME=]FILE", num_args = 1..)]
    profile: Vec<PathBuf>,
    /// Data set that the stack NAME obeys after its profile, in order; with a single profile no NAME
    /// is needed
    #[arg(long, value_name = "[NAME=]FILE", num_args = 1..)]
    obey: Vec<PathBuf>,
    /// One JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Profiles that were read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    /// In the order given.
    pub(crate) stacks: Vec<(ConnectorName, Profile)>,
    has_errors: bool,
}

/// A file, and the name before its `=`.
struct Named<'a> {
    name: Option<ConnectorName>,
    file: &'a Path,
}

impl GivenArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.profile.is_empty()
    }

    /// Reads them all; what is to be said of them goes to standard error.
    pub(crate) fn read(&self) -> Result<Given, Failure> {
        let mut stacks: Vec<(ConnectorName, &Path, Vec<PathBuf>)> = Vec::new();
        for path in &self.profile {
            let Named { name, file } = named(path)?;
            let name = name.map_or_else(|| name_of(file), Ok)?;
            if let Some((_, other, _)) = stacks.iter().find(|(given, ..)| *given == name) {
                let (file, other) = (file.display(), other.display());
                let message = format!("--profile: {other} and {file} are both of {name}: name them NAME=FILE");
                return Err(Failure::told(Exit::Usage, message));
            }
            stacks.push((name, file, Vec::new()));
        }
        for path in &self.obey {
            let Named { name, file } = named(path)?;
            let count = stacks.len();
            let stack = match &name {
                Some(name) => stacks.iter_mut().find(|(given, ..)| given == name),
                None => stacks.first_mut().filter(|_| count == 1),
            };
            let Some((_, _, obeyed)) = stack else {
                let file = file.display();
                let message = match name {
                    Some(name) => format!("--obey {name}={file}: no --profile {name}=FILE was given"),
                    None => format!("--obey {file}: {count} profiles were given; say whose it is: NAME={file}"),
                };
                return Err(Failure::told(Exit::Usage, message));
            };
            obeyed.push(file.to_owned());
        }
        let mut given = Given { stacks: Vec::new(), has_errors: false };
        for (name, file, obeyed) in stacks {
            let (profile, texts) = input::read(file, &obeyed)?;
            tell(&texts, self.json);
            given.has_errors |= input::has_errors(&texts);
            given.stacks.push((name, profile));
        }
        Ok(given)
    }

    /// As [`read`](Self::read); one profile is needed.
    pub(crate) fn read_some(&self) -> Result<Given, Failure> {
        if self.is_empty() {
            let message = "no profile was given: --profile [NAME=]FILE, once for each stack";
            return Err(Failure::told(Exit::Usage, message));
        }
        self.read()
    }
}

impl Given {
    /// Profiles without an error that were read already.
    #[cfg(feature = "service")]
    pub(crate) const fn read_before(stacks: Vec<(ConnectorName, Profile)>) -> Self {
        Self { stacks, has_errors: false }
    }

    /// Stacks with their profiles' texts.
    #[cfg(test)]
    pub(crate) fn of(texts: &[(&str, &[u8])]) -> Self {
        let stack =
            |(name, text): &(&str, &[u8])| (ConnectorName::new(name).expect("a name"), crate::profile::parse(text).0);
        Self { stacks: texts.iter().map(stack).collect(), has_errors: false }
    }

    /// 1 if there is an error in a profile: the report is on what was understood.
    pub(crate) const fn exit(&self) -> Exit {
        if self.has_errors { Exit::Refused } else { Exit::Done }
    }

    /// Prints a report one way or the other.
    pub(crate) fn print(
        &self,
        is_json: bool,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<Exit, Failure> {
        if is_json {
            output::print_json(&json())?;
        } else {
            output::print(&text())?;
        }
        Ok(self.exit())
    }
}

/// `NAME=FILE` taken apart. A slash before the `=` makes it part of the file's name.
fn named(path: &Path) -> Result<Named<'_>, Failure> {
    let parts = path.to_str().and_then(|text| text.split_once('=')).filter(|(name, _)| !name.contains('/'));
    let Some((name, file)) = parts else { return Ok(Named { name: None, file: path }) };
    let of_stack = ConnectorName::new(&name.to_ascii_uppercase())
        .map_err(|error| Failure::told(Exit::Usage, format!("{name}={file}: {error}; write SYS1.TCPIP={file}")))?;
    Ok(Named { name: Some(of_stack), file: Path::new(file) })
}

/// The stack whose profile a file is, by its name.
pub(crate) fn name_of(file: &Path) -> Result<ConnectorName, Failure> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_ascii_uppercase()).unwrap_or_default();
    ConnectorName::new(&stem).map_err(|error| {
        let file = file.display();
        Failure::told(Exit::Usage, format!("{file}: its name is no stack's: {error}; write NAME={file}"))
    })
}

fn tell(texts: &[Text], json: bool) {
    for text in texts {
        for found in &text.diagnostics {
            let line = snippet::line(&text.name, found);
            if json { output::tell_warning(&line, true) } else { output::say(&line) }
        }
    }
}

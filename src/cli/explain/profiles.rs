//! The profiles that were given, each with the stack that it is of.
#![forbid(unsafe_code)]

use super::explanation::Source;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::profile::input;
use crate::cli::profile::input::Text;
use crate::cli::profile::snippet;
use crate::ident::ConnectorName;
use crate::profile::Mention;
use crate::profile::Profile;
use std::path::Path;
use std::path::PathBuf;

/// `FILE` or `NAME=FILE`, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) name: Option<ConnectorName>,
    pub(crate) file: PathBuf,
}

/// One stack's profile, with what was obeyed after it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(super) name: ConnectorName,
    /// Whether the name was typed, or is only that of the file.
    is_typed: bool,
    pub(crate) profile: Profile,
    /// The profile, then the data sets, as typed.
    files: Vec<String>,
}

/// A profile that was read, with its texts.
pub(crate) struct ReadNamed {
    pub(crate) named: Named,
    pub(crate) texts: Vec<Text>,
}

/// Reads `FILE` or `NAME=FILE`. What stands before `=` is a name if it can be one.
pub(crate) fn parse_typed(text: &str) -> Result<Typed, String> {
    let named = text.split_once('=').and_then(|(name, file)| Some((ConnectorName::new(name).ok()?, file)));
    let (name, file) = match named {
        Some((name, file)) => (Some(name), file),
        None => (None, text),
    };
    if file.is_empty() { Err("no file is named".to_owned()) } else { Ok(Typed { name, file: file.into() }) }
}

/// Says on standard error what is wrong in them.
pub(super) fn tell(read: &[ReadNamed]) {
    for text in read.iter().flat_map(|read| &read.texts) {
        text.diagnostics.iter().for_each(|found| output::say(&snippet::line(&text.name, found)));
    }
}

/// Reads the profiles, each with its data sets.
pub(crate) fn read(profiles: &[Typed], obey: &[Typed]) -> Result<Vec<ReadNamed>, Failure> {
    let usage = |message: String| Failure::told(Exit::Usage, message);
    let mut read: Vec<ReadNamed> = Vec::new();
    for typed in profiles {
        let name = name_of(typed).ok_or_else(|| {
            let file = typed.file.display();
            usage(format!("{file}: no stack's name can be made of the file's: write --profile NAME={file}"))
        })?;
        if read.iter().any(|other| other.named.name == name) {
            return Err(usage(format!("two profiles are of {name}: name the stacks, --profile NAME=FILE")));
        }
        let of_this = |typed: &&Typed| match &typed.name {
            Some(of) => *of == name,
            None => profiles.len() == 1,
        };
        let data_sets: Vec<PathBuf> = obey.iter().filter(of_this).map(|typed| typed.file.clone()).collect();
        let (profile, texts) = input::read(&typed.file, &data_sets)?;
        let files = texts.iter().map(|text| text.name.clone()).collect();
        read.push(ReadNamed { named: Named { name, is_typed: typed.name.is_some(), profile, files }, texts });
    }
    for typed in obey {
        let file = typed.file.display();
        match &typed.name {
            Some(of) if !read.iter().any(|read| read.named.name == *of) => {
                return Err(usage(format!("--obey {of}={file}: no profile of {of} is given")));
            }
            None if profiles.len() != 1 => {
                return Err(usage(format!("--obey {file}: say by which stack, --obey NAME={file}")));
            }
            _ => {}
        }
    }
    Ok(read)
}

fn name_of(typed: &Typed) -> Option<ConnectorName> {
    match &typed.name {
        Some(name) => Some(name.clone()),
        None => ConnectorName::new(&input::stack_named(Path::new(&typed.file))?).ok(),
    }
}

impl Named {
    /// Gives a profile that was named by its file only to the one connector of its system, where no
    /// connector has exactly its name.
    pub(super) fn settle(&mut self, connectors: &[ConnectorName]) {
        if self.is_typed || connectors.contains(&self.name) {
            return;
        }
        let system = |name: &ConnectorName| name.as_str().split('.').next().unwrap_or_default().to_owned();
        let mut of_system = connectors.iter().filter(|name| system(name) == system(&self.name));
        if let (Some(only), None) = (of_system.next(), of_system.next()) {
            self.name = only.clone();
        }
    }

    /// A statement of this profile.
    pub(super) fn source(&self, statement: &'static str, data_set: u16, line: u32) -> Source {
        self.source_at(statement, Some(Mention { data_set, line }))
    }

    /// A statement of this profile; `None`: a default, for which nothing was written.
    pub(super) fn source_at(&self, statement: &'static str, at: Option<Mention>) -> Source {
        let profile = self.files[0].clone();
        let file = at.and_then(|at| self.files.get(usize::from(at.data_set)));
        Source { data_set: file.unwrap_or(&profile).clone(), profile, line: at.map(|at| at.line), statement }
    }

    /// The profile's file.
    pub(super) fn file(&self) -> &str {
        &self.files[0]
    }
}

#[cfg(test)]
pub(super) fn of_text(name: &str, text: &str) -> Named {
    let (profile, diagnostics) = crate::profile::parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let name = ConnectorName::new(name).expect("valid");
    Named { files: vec![format!("{name}.profile")], name, is_typed: true, profile }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_before_the_file_is_told_from_a_file_with_that_letter() {
        let read = |text| parse_typed(text).map(|typed| (typed.name.map(|name| name.to_string()), typed.file));
        assert_eq!(read("sys1=a/b.profile"), Ok((Some("SYS1".to_owned()), "a/b.profile".into())));
        assert_eq!(read("a/b.profile"), Ok((None, "a/b.profile".into())));
        assert_eq!(read("./a=b"), Ok((None, "./a=b".into())));
        assert!(read("SYS1=").is_err() && read("").is_err());
    }

    #[test]
    fn a_profile_goes_to_the_only_connector_of_its_system() {
        let names =
            |texts: &[&str]| texts.iter().map(|text| ConnectorName::new(text).expect("valid")).collect::<Vec<_>>();
        let settled = |is_typed, known: &[&str]| {
            let mut named = Named { is_typed, ..of_text("SYS1.TCPIP", "") };
            named.settle(&names(known));
            named.name.to_string()
        };
        assert_eq!(settled(false, &["SYS1.TCPA", "SYS2.TCPA"]), "SYS1.TCPA");
        assert_eq!(settled(false, &["SYS1"]), "SYS1");
        assert_eq!(settled(false, &["SYS1.TCPA", "SYS1.TCPB"]), "SYS1.TCPIP");
        assert_eq!(settled(false, &["SYS1.TCPA", "SYS1.TCPIP"]), "SYS1.TCPIP");
        assert_eq!(settled(true, &["SYS1.TCPA"]), "SYS1.TCPIP");
    }
}

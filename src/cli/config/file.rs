//! A configuration file: TOML, read with the line of every key.
#![forbid(unsafe_code)]

use super::Said;
use super::value::Value;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// Most bytes of a configuration file.
const LENGTH_MAX: u64 = 1 << 20;
/// Most structures of one service.
const STRUCTURES_MAX: usize = 64;

/// What a file says.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    pub(super) said: Vec<Said>,
    /// One for each `[[structure]]`.
    pub(super) structures: Vec<Vec<Said>>,
}

/// The text of a file.
#[allow(clippy::disallowed_methods, reason = "a configuration is read from wherever the user has it")]
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LENGTH_MAX + 1).read_to_string(&mut text));
    read.map_err(|error| Failure::told(Exit::StorageFailed, format!("{}: cannot be read: {error}", path.display())))?;
    if text.len() as u64 > LENGTH_MAX {
        return Err(Failure::told(Exit::Usage, format!("{}: more than 1 MiB is no configuration", path.display())));
    }
    Ok(text)
}

/// Every key of it. `name` is for messages.
pub(super) fn parse(name: &str, text: &str) -> Result<Parsed, String> {
    let source = Source { name, text };
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        format!("{}: {}", source.place(start), error.message())
    })?;
    let mut parsed = Parsed::default();
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("structure", DeValue::Array(tables)) => {
                if tables.len() > STRUCTURES_MAX {
                    return Err(format!("{}: more than {STRUCTURES_MAX} structures", source.place(key.span().start)));
                }
                for table in tables.iter() {
                    let DeValue::Table(keys) = table.get_ref() else {
                        return Err(format!(
                            "{}: write [[structure]] above its keys",
                            source.place(table.span().start)
                        ));
                    };
                    parsed.structures.push(source.keys("", keys)?);
                }
            }
            ("structure", _) => {
                let place = source.place(key.span().start);
                return Err(format!("{place}: a structure is a table of its own: write [[structure]] above its keys"));
            }
            (section, DeValue::Table(keys)) => parsed.said.extend(source.keys(section, keys)?),
            (_, _) => parsed.said.push(source.said("", key, value)?),
        }
    }
    Ok(parsed)
}

struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, start: usize) -> String {
        let before = self.text.as_bytes().iter().take(start);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.name)
    }

    fn keys(&self, section: &str, keys: &DeTable<'_>) -> Result<Vec<Said>, String> {
        keys.iter().map(|(key, value)| self.said(section, key, value)).collect()
    }

    fn said(
        &self,
        section: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Said, String> {
        let name = key.get_ref();
        let key = if section.is_empty() { name.to_string() } else { format!("{section}.{name}") };
        let place = self.place(value.span().start);
        let value = Value::of_toml(value.get_ref()).map_err(|error| format!("{place}: {key}: {error}"))?;
        Ok(Said { key, value, place })
    }
}

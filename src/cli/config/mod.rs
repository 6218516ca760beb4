//! The configuration of `serve`: defaults, then a TOML file, then the environment, then flags.
//!
//! One table of keys (`keys`) says what there is: the file, `--set`, the environment, `--print-config`
//! and the reload all go by it, so that a new setting is one line. A key that is not there is a mistake
//! that names file, line and the nearest key.
#![forbid(unsafe_code)]

mod changes;
mod file;
mod keys;
mod print;
mod settings;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use changes::take_over;
pub(crate) use print::print;
pub(crate) use settings::{Config, Format, Level, StructureConfig};

use super::exit::Exit;
use super::exit::Failure;
use super::explain::nearest::nearest;
use std::collections::BTreeMap;
use std::path::Path;
use value::Value;

/// What every variable of the environment that is a key begins with.
pub(crate) const ENVIRONMENT: &str = "PORTPLEX_SERVE_";

/// One thing that is set, and where it is set.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Such as `limits.connections_max`.
    key: String,
    value: Value,
    /// Such as `portplex.toml:12`.
    place: String,
}

impl Said {
    /// What a flag says.
    pub(crate) fn by_flag(flag: &str, key: &str, word: &str) -> Self {
        Self { key: key.to_owned(), value: Value::of_word(word), place: flag.to_owned() }
    }

    /// Several values by flags, taken as they are.
    pub(crate) fn list_by_flag(flag: &str, key: &str, words: Vec<String>) -> Self {
        Self { key: key.to_owned(), value: Value::List(words), place: flag.to_owned() }
    }

    /// What `--set KEY=VALUE` says.
    pub(crate) fn by_set(text: &str) -> Result<Self, String> {
        let (key, word) = text.split_once('=').ok_or("write KEY=VALUE, such as limits.connections_max=1000")?;
        Ok(Self::by_flag("--set", key.trim(), word.trim()))
    }
}

/// Puts it all together: `flags` are what was typed, in order.
pub(crate) fn load(file: Option<&Path>, flags: &[Said]) -> Result<Config, Failure> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, word)| Some((name.to_str()?.to_owned(), word.to_string_lossy().into_owned())))
        .collect();
    let text = file.map(|path| file::read(path).map(|text| (path.display().to_string(), text))).transpose()?;
    let text = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    assemble(text, &environment, flags).map_err(|message| Failure::told(Exit::Usage, message))
}

/// The same, with everything handed in.
fn assemble(
    file: Option<(&str, &str)>,
    environment: &BTreeMap<String, String>,
    flags: &[Said],
) -> Result<Config, String> {
    let mut config = Config::default();
    let parsed = file.map(|(name, text)| file::parse(name, text)).transpose()?.unwrap_or_default();
    let typed = flags.iter().find(|said| said.key.starts_with("structure."));
    if let Some(said) = typed.filter(|_| !parsed.structures.is_empty()) {
        return Err(at(said, "the configuration lists its structures: say it there"));
    }
    let said = parsed.said.into_iter().chain(of_environment(environment)?).chain(flags.iter().cloned());
    for said in said {
        keys::set(&mut config, &said.key, &said.value).map_err(|error| at(&said, &error))?;
    }
    // A structure begins with what holds for all, whoever said that, and its own table has the last word.
    config.structures = match parsed.structures.as_slice() {
        [] => vec![StructureConfig::of(&config)],
        tables => tables.iter().map(|table| structure(&config, table)).collect::<Result<_, _>>()?,
    };
    keys::check(&config)?;
    Ok(config)
}

fn structure(config: &Config, table: &[Said]) -> Result<StructureConfig, String> {
    let mut structure = StructureConfig::of(config);
    for said in table {
        keys::set_structure(&mut structure, &said.key, &said.value).map_err(|error| at(said, &error))?;
    }
    Ok(structure)
}

/// The variables that are keys; one that begins like them and is none is a mistake.
fn of_environment(environment: &BTreeMap<String, String>) -> Result<Vec<Said>, String> {
    let mut found = Vec::new();
    for (name, word) in environment.iter().filter(|(name, _)| name.starts_with(ENVIRONMENT)) {
        let key = keys::all().find(|key| variable(key) == *name).ok_or_else(|| {
            let near = nearest(name, keys::all().map(|key| variable(&key)));
            format!("environment: {name} is no variable of serve{}", did_you_mean(&near))
        })?;
        found.push(Said { key, value: Value::of_word(word), place: format!("environment: {name}") });
    }
    Ok(found)
}

/// `limits.connections_max` as a variable of the environment.
pub(crate) fn variable(key: &str) -> String {
    format!("{ENVIRONMENT}{}", key.replace('.', "_").to_uppercase())
}

fn at(said: &Said, error: &str) -> String {
    format!("{}: {error}", said.place)
}

fn did_you_mean(near: &[String]) -> String {
    near.first().map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

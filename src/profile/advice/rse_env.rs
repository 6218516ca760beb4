//! `rse.env`: the environment file of an RSE daemon, key=value lines of a shell.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// One system's `rse.env`, as far as it can be read without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RseEnv {
    /// What advice calls it: its file.
    pub name: String,
    /// Variables with their last value, `_RSE_JAVAOPTS` apart.
    pub variables: BTreeMap<String, String>,
    /// Java properties: `-Dkey=value` of `_RSE_JAVAOPTS`, in order, and lines that name one directly.
    pub properties: BTreeMap<String, String>,
}

impl RseEnv {
    /// Reads a file. Comments (`#`), lines without `=` and what only a shell understands are passed
    /// over; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn parse(name: &str, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut found = Self { name: name.to_owned(), variables: BTreeMap::new(), properties: BTreeMap::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let line = line.strip_prefix("export ").map_or(line, str::trim_start);
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = unquoted(value);
            if key == JAVA_OPTIONS {
                found.take_properties(value);
            } else if key.contains('.') {
                found.properties.insert(key.to_owned(), value.to_owned());
            } else if !key.is_empty() && !key.contains(char::is_whitespace) {
                found.variables.insert(key.to_owned(), value.to_owned());
            }
        }
        found
    }

    fn take_properties(&mut self, options: &str) {
        for property in options.split_whitespace().filter_map(|word| word.strip_prefix("-D")) {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            self.properties.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Whether a property is `true`.
    #[must_use]
    pub fn is_on(&self, property: &str) -> bool {
        self.properties.get(property).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A variable or property.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.variables.get(key).or_else(|| self.properties.get(key)).map(String::as_str)
    }

    /// The daemon's port, `_RSE_RSED_PORT`.
    #[must_use]
    pub fn daemon_port(&self) -> Option<u16> {
        self.variables.get("_RSE_RSED_PORT")?.parse().ok()
    }

    /// `_RSE_PORTRANGE` as first and last port, inclusive; the file's upper end is exclusive. `None`
    /// if it is not set, `Some(None)` if it cannot be read.
    #[must_use]
    pub fn port_range(&self) -> Option<Option<(u16, u16)>> {
        let text = self.variables.get("_RSE_PORTRANGE").filter(|text| !text.is_empty())?;
        Some(text.split_once(['-', '\u{2013}']).and_then(|(first, end)| {
            let (first, end): (u16, u32) = (first.trim().parse().ok()?, end.trim().parse().ok()?);
            let last = u16::try_from(end.checked_sub(1)?).ok()?;
            (first > 0 && first <= last).then_some((first, last))
        }))
    }
}

/// A value without its quotes; unquoted, it ends at a blank.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or(rest);
        }
    }
    value.split_whitespace().next().unwrap_or("")
}

const JAVA_OPTIONS: &str = "_RSE_JAVAOPTS";

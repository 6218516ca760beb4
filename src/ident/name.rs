//! Names of connectors and of structures.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Name of a connector: one stack's name in a structure, such as `SYS1.TCPIP`. 1 to 64 characters
/// of `A-Z 0-9 $ @ # . _ -`; lower case is folded, as the profile does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectorName(Arc<str>);

impl From<ConnectorName> for String {
    fn from(name: ConnectorName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for ConnectorName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

/// Why a text is no connector name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty or longer than 64 characters.
    #[error("a connector name has 1 to 64 characters, this one has {length}")]
    Length {
        /// Characters given.
        length: usize,
    },
    /// A character that no name may have.
    #[error("{character:?} cannot stand in a connector name; allowed are A-Z 0-9 $ @ # . _ -")]
    Character {
        /// The first one found.
        character: char,
    },
}

impl ConnectorName {
    /// Most characters a name may have.
    pub const LENGTH_MAX: usize = 64;

    /// Parses a name, folding lower case.
    ///
    /// # Errors
    /// [`NameError`] with the length or the first character that does not fit.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length == 0 || length > Self::LENGTH_MAX {
            return Err(NameError::Length { length });
        }
        let bad = |c: &char| !c.is_ascii_alphanumeric() && !"$@#._-".contains(*c);
        match text.chars().find(bad) {
            Some(character) => Err(NameError::Character { character }),
            None => Ok(Self(text.to_ascii_uppercase().into())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConnectorName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for ConnectorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Name of a structure: `EZBEPORT`, `EZBEPORTvv`, `EZBEPORT01tt` or `EZBEPORTvvtt`, from the VTAM
/// group id `vv` (start option XCFGRPID) and the TCP group id `tt` (GLOBALCONFIG XCFGRPID).
/// Source: z/OS Communications Server IP Configuration Guide, "SYSPLEXPORTS".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StructureName {
    vtam: Option<u8>,
    tcp: Option<u8>,
}

/// Why a text or a pair of group ids names no structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StructureNameError {
    /// A group id outside 2 to 31.
    #[error("group id {group} is outside 2 to 31")]
    GroupId {
        /// The id given.
        group: u8,
    },
    /// Not of the form `EZBEPORT[vv[tt]]`.
    #[error("{text:?} is not EZBEPORT, EZBEPORTvv, EZBEPORT01tt or EZBEPORTvvtt with vv and tt 02 to 31")]
    Form {
        /// What was given.
        text: String,
    },
}

impl StructureName {
    const STEM: &'static str = "EZBEPORT";

    /// The structure of a subplex. `None` means that the group id is not specified.
    ///
    /// # Errors
    /// [`StructureNameError::GroupId`] outside 2 to 31.
    pub fn new(vtam_group: Option<u8>, tcp_group: Option<u8>) -> Result<Self, StructureNameError> {
        for group in [vtam_group, tcp_group].into_iter().flatten() {
            if !(2..=31).contains(&group) {
                return Err(StructureNameError::GroupId { group });
            }
        }
        Ok(Self { vtam: vtam_group, tcp: tcp_group })
    }

    /// The VTAM group id, if one was specified.
    #[must_use]
    pub const fn vtam_group(self) -> Option<u8> {
        self.vtam
    }

    /// The TCP group id, if one was specified.
    #[must_use]
    pub const fn tcp_group(self) -> Option<u8> {
        self.tcp
    }
}

impl From<StructureName> for String {
    fn from(name: StructureName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for StructureName {
    type Error = StructureNameError;

    fn try_from(text: String) -> Result<Self, StructureNameError> {
        text.parse()
    }
}

impl FromStr for StructureName {
    type Err = StructureNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || StructureNameError::Form { text: text.to_owned() };
        let suffix = text.strip_prefix(Self::STEM).ok_or_else(form)?;
        if !suffix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let group = |digits: &str| digits.parse::<u8>().map_err(|_| form());
        let (vtam, tcp) = match suffix.len() {
            0 => (None, None),
            2 => (Some(group(suffix)?), None),
            4 if suffix.starts_with("01") => (None, Some(group(&suffix[2..])?)),
            4 => (Some(group(&suffix[..2])?), Some(group(&suffix[2..])?)),
            _ => return Err(form()),
        };
        Self::new(vtam, tcp)
    }
}

impl fmt::Display for StructureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.vtam, self.tcp) {
            (None, None) => Self::STEM.to_owned(),
            (Some(vv), None) => format!("{}{vv:02}", Self::STEM),
            (None, Some(tt)) => format!("{}01{tt:02}", Self::STEM),
            (Some(vv), Some(tt)) => format!("{}{vv:02}{tt:02}", Self::STEM),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_is_named_as_in_the_origin() {
        let table = [
            (None, None, "EZBEPORT"),
            (Some(11), None, "EZBEPORT11"),
            (None, Some(7), "EZBEPORT0107"),
            (Some(2), Some(31), "EZBEPORT0231"),
        ];
        for (vtam, tcp, text) in table {
            let name = StructureName::new(vtam, tcp).expect("in range");
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        for bad in [
            "EZBEPORT1",
            "EZBEPORT01",
            "EZBEPORT0101",
            "EZBEPORT32",
            "EZBEPORT-2",
            "EZBDVIPA",
            "",
            "EZBEPORT112",
            "EZBEPORT+2+3",
        ] {
            assert!(bad.parse::<StructureName>().is_err(), "{bad}");
        }
        assert_eq!(StructureName::new(Some(1), None), Err(StructureNameError::GroupId { group: 1 }));
    }

    #[test]
    fn a_connector_name_is_folded_and_bounded() {
        assert_eq!(ConnectorName::new("sys1.tcpip").expect("valid").as_str(), "SYS1.TCPIP");
        assert_eq!(ConnectorName::new(""), Err(NameError::Length { length: 0 }));
        assert_eq!(ConnectorName::new(&"A".repeat(65)), Err(NameError::Length { length: 65 }));
        assert_eq!(ConnectorName::new("../A"), Err(NameError::Character { character: '/' }));
    }
}

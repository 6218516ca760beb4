//! What travels and what is meant: protobuf into the nouns and back.
//!
//! Everything is checked here, on both sides: a missing field, a number out of its range, a name that
//! is none, and an enum value of a newer release are a [`Malformed`] that names the field, and nothing
//! of that message is acted on. Behind this door nothing is checked for form again.
#![forbid(unsafe_code)]

mod answer;
mod event;
mod item;
mod nouns;
mod operation;
mod read;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use read::fitting;
pub(crate) use request::internal_request;

use super::v1;
use crate::ident::ConnectorName;
use crate::ident::DvipaError;
use crate::ident::GroupNumber;
use crate::ident::NameError;
use crate::ident::StructureNameError;

/// Why a message was not understood. Nothing of it was acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Malformed {
    /// The field, such as `acquire.at_most`.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: Misform,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misform {
    /// It must be there.
    #[error("is missing, or of a kind that this release does not know")]
    Missing,
    /// An enum value that this release does not know, or 0.
    #[error("value {value} is not known to this release: is the other side newer?")]
    Unknown {
        /// The number.
        value: i32,
    },
    /// A number outside its range.
    #[error("{value} is not within {least} to {most}")]
    OutOfRange {
        /// The number.
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// Another number of bytes.
    #[error("{found} bytes, not {expected}")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that there must be.
        expected: usize,
    },
    /// More elements than there may be.
    #[error("{found} elements, at most {most}")]
    TooMany {
        /// Elements that there are.
        found: usize,
        /// Elements that there may be.
        most: usize,
    },
    /// No connector name.
    #[error(transparent)]
    Name(NameError),
    /// No structure name.
    #[error(transparent)]
    Structure(StructureNameError),
    /// No address of a DVIPA.
    #[error(transparent)]
    Dvipa(DvipaError),
    /// A path that depends on where the service was started.
    #[error("is not an absolute path")]
    NotAbsolute,
    /// Ranges of a port set that touch, overlap or go down.
    #[error("range from {first} is not above the one before it")]
    Order {
        /// Where the range begins.
        first: u32,
    },
}

impl Malformed {
    pub(crate) const fn missing(field: &'static str) -> Self {
        Self { field, reason: Misform::Missing }
    }

    const fn unknown(field: &'static str, value: i32) -> Self {
        Self { field, reason: Misform::Unknown { value } }
    }
}

/// Reads a message that must be there.
fn read<W, T: TryFrom<W, Error = Malformed>>(field: &'static str, sent: Option<W>) -> Result<T, Malformed> {
    sent.ok_or(Malformed::missing(field)).and_then(T::try_from)
}

/// Reads a list of messages.
fn read_all<W, T: TryFrom<W, Error = Malformed>>(sent: Vec<W>) -> Result<Vec<T>, Malformed> {
    sent.into_iter().map(T::try_from).collect()
}

fn within(field: &'static str, value: u32, least: u16, most: u16) -> Result<u16, Malformed> {
    match u16::try_from(value) {
        Ok(small) if (least..=most).contains(&small) => Ok(small),
        _ => {
            let reason = Misform::OutOfRange { value: value.into(), least: least.into(), most: most.into() };
            Err(Malformed { field, reason })
        }
    }
}

fn group(field: &'static str, value: u32) -> Result<GroupNumber, Malformed> {
    let number = within(field, value, 0, GroupNumber::COUNT - 1)?;
    GroupNumber::new(number).ok_or(Malformed::missing(field))
}

fn sixteen(field: &'static str, bytes: &[u8]) -> Result<[u8; 16], Malformed> {
    let reason = Misform::Length { found: bytes.len(), expected: 16 };
    bytes.try_into().map_err(|_| Malformed { field, reason })
}

/// Reads a connector's name.
pub(crate) fn name(field: &'static str, text: &str) -> Result<ConnectorName, Malformed> {
    ConnectorName::new(text).map_err(|error| Malformed { field, reason: Misform::Name(error) })
}

const fn nothing() -> v1::Nothing {
    v1::Nothing {}
}

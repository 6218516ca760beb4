//! Why bytes are not a record or a row.
#![forbid(unsafe_code)]

/// Why bytes are not the records or rows that they should be. The place is given as the number of
/// the record, from 0, and its offset within the payload or row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A kind that this release does not know. It is never skipped.
    #[error("record {index} at byte {offset} is of unknown kind {kind:#04x}: written by a newer release, or damaged")]
    UnknownKind {
        /// Which record, from 0.
        index: u32,
        /// Where it starts.
        offset: usize,
        /// Its first byte.
        kind: u8,
    },
    /// The bytes end within a record.
    #[error("record {index} at byte {offset} needs {needed} bytes, {left} are left")]
    Short {
        /// Which record, from 0.
        index: u32,
        /// Where it starts.
        offset: usize,
        /// How many bytes it needs; 1 if not even its kind is there.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// Bytes are left behind the last record.
    #[error("{left} bytes are left behind the last of {count} records")]
    Trailing {
        /// How many records were announced.
        count: u32,
        /// How many bytes are left.
        left: usize,
    },
    /// A field has a value that its type cannot have.
    #[error("record {index} at byte {offset} has an impossible {field}")]
    Field {
        /// Which record, from 0.
        index: u32,
        /// Where it starts.
        offset: usize,
        /// The field.
        field: &'static str,
    },
    /// The bytes mean something, but are not how it is written.
    #[error("record {index} at byte {offset} is not in canonical form")]
    NotCanonical {
        /// Which record, from 0.
        index: u32,
        /// Where it starts.
        offset: usize,
    },
}

//! What a profile's reader should know: where, how bad, what, and what to do about it.
#![forbid(unsafe_code)]

use super::token::Place;
use std::fmt;

/// One remark about a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is: programs compare this.
    pub code: Code,
    /// What is wrong, lower case, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The message that z/OS Communications Server tells this by, where one is known.
    pub ibm: Option<&'static str>,
}

impl Diagnostic {
    /// The message with IBM's number behind it, where one is known.
    #[must_use]
    pub fn text(&self) -> String {
        match self.ibm {
            Some(number) => format!("{} ({number})", self.message),
            None => self.message.clone(),
        }
    }
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, perhaps not as meant.
    Warning,
    /// Something that was written does not count.
    Error,
}

/// What kind of diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The text is longer than 16 MiB: nothing of it was read.
    TooLong,
    /// The text starts with a byte order mark.
    ByteOrderMark,
    /// Lines end in CR LF or CR.
    CarriageReturn,
    /// A NUL, read as a blank.
    Nul,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A sequence number in columns 73 to 80.
    SequenceNumber,
    /// A comment that starts right behind a word.
    MissingBlank,
    /// A statement nobody knows, skipped.
    UnknownStatement,
    /// INCLUDE, which is not followed.
    Include,
    /// A parameter nobody knows, skipped.
    UnknownParameter,
    /// Something that cannot stand here.
    UnexpectedToken,
    /// Something is missing.
    Missing,
    /// A value of the wrong form.
    BadValue,
    /// A value outside its range.
    OutOfRange,
    /// A block without its END statement.
    Unclosed,
    /// The address is defined already.
    Duplicate,
    /// The DVIPA is not one of this stack.
    UnknownDvipa,
    /// VIPADISTRIBUTE DELETE of what is not distributed.
    UnknownDistribution,
    /// DELETE PORT or DELETE PORTRANGE of what is not reserved.
    UnknownReservation,
    /// SYSPLEXPORTS after the first VIPADISTRIBUTE of a DVIPA.
    LateSysplexPorts,
    /// Two things that exclude each other.
    Conflict,
    /// More of something than a stack may have.
    TooMany,
    /// Options in another order than z/OS wants.
    OutOfOrder,
    /// What cannot be changed while the stack runs.
    NotWhileRunning,
    /// So many diagnostics that the rest was left out.
    More,
}

/// The diagnostics of one text, so many and no more.
#[derive(Debug, Default)]
pub(super) struct Remarks(Vec<Diagnostic>);

/// Most diagnostics of one text.
pub const DIAGNOSTICS_MAX: usize = 1_000;

impl Remarks {
    pub(super) fn add(
        &mut self,
        place: Place,
        severity: Severity,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let Place { line, column } = place;
        let (message, hint) = (message.into(), hint.into());
        match self.0.len() {
            0..DIAGNOSTICS_LAST => self.0.push(Diagnostic { line, column, severity, code, message, hint, ibm: None }),
            DIAGNOSTICS_LAST => self.0.push(Diagnostic {
                line,
                column,
                severity: Severity::Error,
                code: Code::More,
                message: format!("more than {DIAGNOSTICS_LAST} diagnostics, further ones are left out"),
                hint: "is this a TCP/IP profile?".to_owned(),
                ibm: None,
            }),
            _ => {}
        }
    }

    /// Gives the diagnostic added last the number that IBM's message has.
    pub(super) fn cite(&mut self, number: &'static str) {
        if let Some(last) = self.0.last_mut().filter(|last| last.code != Code::More) {
            last.ibm = Some(number);
        }
    }

    /// In the order of the text.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.0.sort_by_key(|remark| (remark.line, remark.column));
        self.0
    }
}

const DIAGNOSTICS_LAST: usize = DIAGNOSTICS_MAX - 1;

impl Severity {
    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Code {
    /// Name in kebab case, as programs see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::ByteOrderMark => "byte-order-mark",
            Self::CarriageReturn => "carriage-return",
            Self::Nul => "nul",
            Self::NotUtf8 => "not-utf-8",
            Self::SequenceNumber => "sequence-number",
            Self::MissingBlank => "missing-blank",
            Self::UnknownStatement => "unknown-statement",
            Self::Include => "include",
            Self::UnknownParameter => "unknown-parameter",
            Self::UnexpectedToken => "unexpected-token",
            Self::Missing => "missing",
            Self::BadValue => "bad-value",
            Self::OutOfRange => "out-of-range",
            Self::Unclosed => "unclosed",
            Self::Duplicate => "duplicate",
            Self::UnknownDvipa => "unknown-dvipa",
            Self::UnknownDistribution => "unknown-distribution",
            Self::UnknownReservation => "unknown-reservation",
            Self::LateSysplexPorts => "late-sysplexports",
            Self::Conflict => "conflict",
            Self::TooMany => "too-many",
            Self::OutOfOrder => "out-of-order",
            Self::NotWhileRunning => "not-while-running",
            Self::More => "more",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, severity, code, hint, .. } = self;
        write!(f, "{line}:{column}: {severity}: {} [{code}]", self.text())?;
        if hint.is_empty() { Ok(()) } else { write!(f, "; {hint}") }
    }
}

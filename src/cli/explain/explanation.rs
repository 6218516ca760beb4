//! An explanation: the answer, why it is so, and what would change it; as text and as JSON.
#![forbid(unsafe_code)]

use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// The whole of it. The keys are a contract with programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Explanation {
    /// What was asked about.
    pub(super) what: String,
    /// `port`, `stack` or `dvipa`.
    pub(super) kind: &'static str,
    /// One sentence.
    pub(super) answer: String,
    pub(super) causes: Vec<Cause>,
    pub(super) remedies: Vec<Remedy>,
    pub(super) numbers: Value,
    /// What is wrong with the store as a whole, as `display` has it.
    pub(super) notices: Value,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cause {
    /// For programs.
    pub(super) code: &'static str,
    pub(super) text: String,
    /// The statement that it is from, if it is from one.
    pub(super) source: Option<Source>,
}

/// A statement of a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Source {
    /// The profile's file, as it was typed.
    pub(super) profile: String,
    /// The file that the statement is in: the profile, or a data set that was obeyed after it.
    pub(super) data_set: String,
    /// None where a default holds, for which nothing was written.
    pub(super) line: Option<u32>,
    pub(super) statement: &'static str,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Remedy {
    pub(super) text: String,
    pub(super) command: Option<String>,
}

impl Cause {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), source: None }
    }

    pub(super) fn from(self, source: Source) -> Self {
        Self { source: Some(source), ..self }
    }
}

impl Remedy {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None }
    }

    pub(super) fn by(text: impl Into<String>, command: impl Into<String>) -> Self {
        Self { text: text.into(), command: Some(command.into()) }
    }
}

impl Source {
    /// `sys1.profile:12`; without a line where the default holds.
    pub(super) fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.data_set),
            None => format!("{}, by default", self.profile),
        }
    }
}

impl Explanation {
    /// As people read it.
    pub(super) fn text(&self) -> String {
        let bold = anstyle::Style::new().bold();
        let mut text = format!("{bold}{}{bold:#}\n", self.answer);
        if !self.causes.is_empty() {
            text.push_str("\nWhy\n");
        }
        for Cause { text: cause, .. } in &self.causes {
            let _ = writeln!(text, "  {cause}");
        }
        if !self.remedies.is_empty() {
            text.push_str("\nWhat would change it\n");
        }
        for Remedy { text: remedy, command } in &self.remedies {
            let _ = writeln!(text, "  {remedy}");
            if let Some(command) = command {
                let _ = writeln!(text, "    {command}");
            }
        }
        text
    }
}

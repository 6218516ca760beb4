//! Who listens: a port and the job of the program, and what an operator can quiesce of them.
#![forbid(unsafe_code)]

use std::fmt;

/// Longest job name, characters.
const JOB_LEN_MAX: usize = 8;

/// Name of a job: 1 to 8 letters, digits and `$@#`, the first no digit; in upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobName(String);

/// A text that is no job name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no job name: 1 to {JOB_LEN_MAX} letters, digits and $@#, the first no digit")]
pub struct JobNameError {
    /// The text, as far as a name goes.
    pub text: String,
}

impl JobName {
    /// A job name; lower case is folded.
    ///
    /// # Errors
    /// [`JobNameError`] with the text.
    pub fn new(text: &str) -> Result<Self, JobNameError> {
        let is_national = |byte: u8| b"$@#".contains(&byte);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || is_national(byte);
        let starts = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !starts || text.len() > JOB_LEN_MAX || !text.bytes().all(fits) {
            return Err(JobNameError { text: text.chars().take(JOB_LEN_MAX + 1).collect() });
        }
        Ok(Self(text.to_ascii_uppercase()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The programs of one job that listen on one port. A port alone stands for programs whose job is
/// not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// The port, 1 to 65,535.
    pub port: u16,
    /// Their job, where it is known: only so can the operator name it.
    pub job: Option<JobName>,
}

impl From<u16> for Server {
    fn from(port: u16) -> Self {
        Self { port, job: None }
    }
}

impl From<(u16, JobName)> for Server {
    fn from((port, job): (u16, JobName)) -> Self {
        Self { port, job: Some(job) }
    }
}

/// What `VARY TCPIP,,SYSPLEX,QUIESCE` and `RESUME` name on one stack. Each is taken back by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// TARGET: the whole stack.
    Target,
    /// PORT: whoever listens on it.
    Port(u16),
    /// PORT with JOBNAME: one job on one port.
    PortOfJob(u16, JobName),
    /// JOBNAME: one job on every port.
    Job(JobName),
}

impl Scope {
    /// Whether the server is meant.
    #[must_use]
    pub fn covers(&self, server: &Server) -> bool {
        match self {
            Self::Target => true,
            Self::Port(port) => *port == server.port,
            Self::PortOfJob(port, job) => *port == server.port && Some(job) == server.job.as_ref(),
            Self::Job(job) => Some(job) == server.job.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_name_has_eight_characters_at_most_and_starts_with_no_digit() {
        assert_eq!(JobName::new("rsed8").map(|job| job.to_string()), Ok("RSED8".to_owned()));
        for good in ["A", "$JOB", "@1", "#ABCDEF8", "ABCDEFGH"] {
            assert!(JobName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1A", "ABCDEFGHI", "A.B", "A*", "É", "A B"] {
            assert!(JobName::new(bad).is_err(), "{bad}");
        }
        assert_eq!(JobName::new(&"x".repeat(1 << 16)).unwrap_err().text.len(), 9);
    }
}

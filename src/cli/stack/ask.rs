//! What programs ask on the local socket, and what they are answered: one JSON object on one line each.
#![forbid(unsafe_code)]

use crate::ident::Dvipa;
use crate::stack::Local;
use crate::stack::StackError;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// Longest time for which a port is kept without a connection, s.
pub(super) const KEEP_S_MAX: u64 = 86_400;

/// Longest name of a job.
const JOB_BYTES_MAX: usize = 64;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A source port, any (0) or a named one. `keep_s`: for so long it belongs to no connection.
    Bind {
        local: Local,
        port: u16,
        job: String,
        keep_s: Option<u64>,
    },
    /// A port to listen on.
    Listen {
        dvipa: Dvipa,
        port: u16,
        job: String,
        keep_s: Option<u64>,
    },
    /// A connection's four numbers. Without `local` the profile chooses the source; with `port` it is
    /// made from a port that the program has.
    Connect {
        local: Option<Local>,
        port: u16,
        destination: SocketAddr,
        job: String,
        keep_s: Option<u64>,
    },
    /// A port, or a connection, goes back.
    Release {
        local: Local,
        port: u16,
        destination: Option<SocketAddr>,
    },
    Status,
    /// So many bytes of a data set follow the line.
    Obeyfile {
        length: usize,
    },
}

/// Why something that was asked cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum AskError {
    /// The line is no request.
    #[error("{reason}; a request is one JSON object on one line, such as {{\"verb\":\"bind\",\"dvipa\":\"10.1.1.1\"}}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// The line is longer than any request.
    #[error("the line is longer than {limit} bytes: no request is; the connection ends here")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// The program has no such port.
    #[error("{local} port {port}{}: this connection has no such {}", to(*destination), thing(*destination))]
    NotHeld {
        /// The local address.
        local: Local,
        /// The port.
        port: u16,
        /// The far end, where a connection was meant.
        destination: Option<SocketAddr>,
    },
    /// As many connections of programs as there may be.
    #[error("{limit} programs are connected, that is the limit: end one, or try again")]
    TooManyPrograms {
        /// The limit.
        limit: usize,
    },
    /// As many ports and connections as one agent keeps in mind.
    #[error("programs have {limit} ports and connections here, that is the limit: give some back")]
    TooMuchHeld {
        /// The limit.
        limit: usize,
    },
    /// The stack has not attached for the first time.
    #[error("the stack has not attached yet, the facility is not reached: {reason}")]
    Starting {
        /// What the last try met.
        reason: String,
    },
    /// The stack itself says no.
    #[error(transparent)]
    Stack(#[from] StackError),
}

fn to(destination: Option<SocketAddr>) -> String {
    destination.map(|far| format!(" to {far}")).unwrap_or_default()
}

fn thing(destination: Option<SocketAddr>) -> &'static str {
    if destination.is_some() { "connection" } else { "port" }
}

impl AskError {
    /// One word for programs.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "bad-request",
            Self::LineTooLong { .. } => "line-too-long",
            Self::NotHeld { .. } => "not-held",
            Self::TooManyPrograms { .. } | Self::TooMuchHeld { .. } => "too-many",
            Self::Starting { .. } => "unreachable",
            Self::Stack(error) => error.cause().name(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    verb: String,
    #[serde(default)]
    id: Value,
    dvipa: Option<String>,
    port: Option<u16>,
    destination: Option<String>,
    job: Option<String>,
    keep_s: Option<u64>,
    length: Option<usize>,
}

/// Reads one line; what comes back in its answer as `id`, and what it asks.
pub(super) fn read(line: &[u8], obey_max: usize) -> (Value, Result<Asked, AskError>) {
    match serde_json::from_slice::<Line>(line) {
        Ok(mut line) => (line.id.take(), line.asked(obey_max)),
        Err(error) => (Value::Null, bad(error.to_string())),
    }
}

fn bad<T>(reason: impl Into<String>) -> Result<T, AskError> {
    Err(AskError::BadRequest { reason: reason.into() })
}

impl Line {
    fn asked(&self, obey_max: usize) -> Result<Asked, AskError> {
        let (given, port) = (self.given(), self.port.unwrap_or(0));
        let allowed: &[&str] = match self.verb.as_str() {
            "bind" | "listen" => &["dvipa", "port", "job", "keep_s"],
            "connect" => &["dvipa", "port", "destination", "job", "keep_s"],
            "release" => &["dvipa", "port", "destination"],
            "status" => &[],
            "obeyfile" => &["length"],
            other => return bad(format!("{other:?} is none of bind, connect, listen, release, status, obeyfile")),
        };
        if let Some(field) = given.iter().find(|field| !allowed.contains(field)) {
            return bad(format!("{} takes no {field:?}", self.verb));
        }
        let keep_s = self.keep_s.filter(|seconds| *seconds > 0);
        if keep_s.is_some_and(|seconds| seconds > KEEP_S_MAX) {
            return bad(format!("keep_s is at most {KEEP_S_MAX}"));
        }
        let job = self.job.clone().unwrap_or_default();
        if job.len() > JOB_BYTES_MAX {
            return bad(format!("a job's name has at most {JOB_BYTES_MAX} bytes"));
        }
        match self.verb.as_str() {
            "bind" => match self.local()? {
                Local::Any if port > 0 => bad("a port of ANY is claimed by nobody: bind port 0, or name the dvipa"),
                local => Ok(Asked::Bind { local, port, job, keep_s }),
            },
            "listen" => match self.local()? {
                Local::Address(dvipa) if port > 0 => Ok(Asked::Listen { dvipa, port, job, keep_s }),
                _ => bad("listen names a dvipa and a port above 0"),
            },
            "connect" => {
                let Some(destination) = self.destination()? else { return bad("connect names its destination") };
                let local = self.dvipa.is_some().then(|| self.local()).transpose()?;
                if port > 0 && local.is_none() {
                    return bad("connect from a port names its dvipa too");
                }
                Ok(Asked::Connect { local, port, destination, job, keep_s })
            }
            "release" if port > 0 => {
                Ok(Asked::Release { local: self.local()?, port, destination: self.destination()? })
            }
            "release" => bad("release names its port"),
            "obeyfile" => match self.length {
                Some(length) if length <= obey_max => Ok(Asked::Obeyfile { length }),
                _ => bad(format!("obeyfile says the length of the data set that follows, at most {obey_max} bytes")),
            },
            _ => Ok(Asked::Status),
        }
    }

    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("dvipa", self.dvipa.is_some()),
            ("port", self.port.is_some()),
            ("destination", self.destination.is_some()),
            ("job", self.job.is_some()),
            ("keep_s", self.keep_s.is_some()),
            ("length", self.length.is_some()),
        ];
        all.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
    }

    fn local(&self) -> Result<Local, AskError> {
        match self.dvipa.as_deref() {
            None => bad(format!("{} names a dvipa, or ANY", self.verb)),
            Some("ANY") => Ok(Local::Any),
            Some(text) => match text.parse() {
                Ok(dvipa) => Ok(Local::Address(dvipa)),
                Err(error) => bad(format!("dvipa: {error}")),
            },
        }
    }

    fn destination(&self) -> Result<Option<SocketAddr>, AskError> {
        let Some(text) = &self.destination else { return Ok(None) };
        match text.parse() {
            Ok(destination) => Ok(Some(destination)),
            Err(_) => bad(format!("destination: {text:?} is no ADDRESS:PORT")),
        }
    }
}

/// An answer on one line; `id` is what the request had.
pub(super) fn line(id: Value, answer: Result<Value, AskError>) -> Vec<u8> {
    let mut fields = Map::new();
    if !id.is_null() {
        fields.insert("id".to_owned(), id);
    }
    match answer {
        Ok(Value::Object(more)) => {
            fields.insert("ok".to_owned(), Value::Bool(true));
            fields.extend(more);
        }
        Ok(_) => {
            fields.insert("ok".to_owned(), Value::Bool(true));
        }
        Err(error) => {
            fields.insert("ok".to_owned(), Value::Bool(false));
            fields.insert("cause".to_owned(), json!(error.cause()));
            fields.insert("message".to_owned(), json!(error.to_string()));
        }
    }
    let mut line = Value::Object(fields).to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, AskError> {
        read(line.as_bytes(), 100).1
    }

    #[test]
    fn every_verb_is_read_with_all_its_fields() {
        let dvipa: Dvipa = "10.1.1.1".parse().unwrap();
        let local = Local::Address(dvipa);
        let (job, keep_s, far) = (String::new(), None, "192.0.2.1:443".parse().unwrap());
        assert_eq!(
            asked(r#"{"verb":"bind","dvipa":"10.1.1.1"}"#),
            Ok(Asked::Bind { local, port: 0, job: job.clone(), keep_s })
        );
        assert_eq!(
            asked(r#"{"verb":"bind","dvipa":"ANY","keep_s":60}"#),
            Ok(Asked::Bind { local: Local::Any, port: 0, job: job.clone(), keep_s: Some(60) })
        );
        assert_eq!(
            asked(r#"{"verb":"listen","dvipa":"10.1.1.1","port":4035,"job":"RSED"}"#),
            Ok(Asked::Listen { dvipa, port: 4_035, job: "RSED".to_owned(), keep_s })
        );
        assert_eq!(
            asked(r#"{"verb":"connect","destination":"192.0.2.1:443"}"#),
            Ok(Asked::Connect { local: None, port: 0, destination: far, job, keep_s })
        );
        assert_eq!(
            asked(r#"{"verb":"release","dvipa":"10.1.1.1","port":5000,"destination":"192.0.2.1:443"}"#),
            Ok(Asked::Release { local, port: 5_000, destination: Some(far) })
        );
        assert_eq!(asked(r#"{"verb":"status"}"#), Ok(Asked::Status));
        assert_eq!(asked(r#"{"verb":"obeyfile","length":100}"#), Ok(Asked::Obeyfile { length: 100 }));
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_reason() {
        for (line, reason) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"verb":"take"}"#, "none of bind"),
            (r#"{"verb":"bind"}"#, "names a dvipa"),
            (r#"{"verb":"bind","dvipa":"10.1.1"}"#, "not an IPv4"),
            (r#"{"verb":"bind","dvipa":"ANY","port":5}"#, "bind port 0"),
            (r#"{"verb":"bind","dvipa":"10.1.1.1","port":65536}"#, "65536"),
            (r#"{"verb":"bind","dvipa":"10.1.1.1","prot":1}"#, "unknown field"),
            (r#"{"verb":"bind","dvipa":"10.1.1.1","keep_s":86401}"#, "at most 86400"),
            (r#"{"verb":"listen","dvipa":"10.1.1.1"}"#, "above 0"),
            (r#"{"verb":"connect","destination":"example.org:80"}"#, "no ADDRESS:PORT"),
            (r#"{"verb":"connect","port":5,"destination":"192.0.2.1:80"}"#, "names its dvipa"),
            (r#"{"verb":"release","dvipa":"10.1.1.1"}"#, "names its port"),
            (r#"{"verb":"status","port":1}"#, "takes no \"port\""),
            (r#"{"verb":"obeyfile","length":101}"#, "at most 100 bytes"),
        ] {
            let error = asked(line).expect_err(line);
            assert_eq!(error.cause(), "bad-request");
            assert!(error.to_string().contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn an_answer_is_one_line_and_names_the_request() {
        let (id, _) = read(br#"{"verb":"status","id":"a\n7"}"#, 0);
        assert_eq!(line(id, Ok(json!({"port": 7}))), b"{\"id\":\"a\\n7\",\"ok\":true,\"port\":7}\n");
        let error = AskError::Stack(StackError::Fenced);
        let text = String::from_utf8(line(Value::Null, Err(error))).unwrap();
        assert!(
            text.starts_with(r#"{"cause":"fenced","message":"fenced: "#) && text.ends_with("\"ok\":false}\n"),
            "{text}"
        );
    }
}

//! The verbs that ask a running agent: one line there, one line back.
#![forbid(unsafe_code)]

use super::ask::KEEP_S_MAX;
use super::run::SOCKET_NAME;
use super::told;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::profile::input;
use crate::stack::AgentLock;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Where the socket is looked for if no flag says it.
const SOCKET_VARIABLE: &str = "PORTPLEX_STACK";

/// More than any answer has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which agent, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct At {
    /// The agent's socket [default: stack.sock in /run/portplex]
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE)]
    socket: Option<PathBuf>,
    /// The answer as one JSON object on one line
    #[arg(long)]
    pub(super) json: bool,
}

/// For how long the port is taken.
#[derive(Clone, Debug, clap::Args)]
struct For {
    /// Job that takes it: a port that PORT or PORTRANGE reserves for the job needs no claim
    #[arg(long, value_name = "NAME", default_value = "")]
    job: String,
    /// How long it is kept without a socket on it, s; after that it goes back once no socket is on it
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=KEEP_S_MAX))]
    keep: u64,
}

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  portplex stack status
  portplex stack status --socket /run/portplex/stack.sock --json | jq .lease.left_ms";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) at: At,
}

pub(super) const BIND_EXAMPLES: &str = "\
Examples:
  port=$(portplex stack bind 10.1.1.1)      # any; it is this stack's alone in the sysplex
  portplex stack bind 10.1.1.1 --port 5000  # this one
  portplex stack bind ANY                   # of the explicit-bind pool, or the stack's own";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct BindArgs {
    /// The DVIPA, or ANY for the unspecified address
    #[arg(value_name = "DVIPA")]
    dvipa: String,
    /// The port; 0 = any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    time: For,
    #[command(flatten)]
    pub(super) at: At,
}

pub(super) const CONNECT_EXAMPLES: &str = "\
Examples:
  portplex stack connect 10.1.1.1 203.0.113.7:443   # prints address and port to connect from
  portplex stack connect ANY 203.0.113.7:443        # SRCIP, then TCPSTACKSOURCEVIPA, choose the address

Few free ports are shared by connections to different destinations: set SO_REUSEADDR before the bind.";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConnectArgs {
    /// The DVIPA to connect from, or ANY: the profile chooses
    #[arg(value_name = "DVIPA")]
    dvipa: String,
    /// Where to
    #[arg(value_name = "ADDR:PORT")]
    destination: SocketAddr,
    #[command(flatten)]
    time: For,
    #[command(flatten)]
    pub(super) at: At,
}

pub(super) const LISTEN_EXAMPLES: &str = "\
Examples:
  portplex stack listen 10.1.1.1 4035              # a distributed port: on every target at once
  portplex stack listen 10.1.1.1 8080 --job WEBSRV # one that PORT reserves for the job";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ListenArgs {
    /// The DVIPA
    #[arg(value_name = "DVIPA")]
    dvipa: String,
    /// The port
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    time: For,
    #[command(flatten)]
    pub(super) at: At,
}

pub(super) const RELEASE_EXAMPLES: &str = "\
Examples:
  portplex stack release 10.1.1.1 44801
  portplex stack release 10.1.1.1 44801 203.0.113.7:443   # a connection from it";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ReleaseArgs {
    /// The DVIPA, or ANY
    #[arg(value_name = "DVIPA")]
    dvipa: String,
    /// The port
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The far end, where a connection is meant
    #[arg(value_name = "ADDR:PORT")]
    destination: Option<SocketAddr>,
    #[command(flatten)]
    pub(super) at: At,
}

pub(super) const OBEYFILE_EXAMPLES: &str = "\
Examples:
  portplex stack obeyfile more.obey
  portplex stack obeyfile more.obey --json | jq '.diagnostics[]'

Exit code 1: a statement has an error and does not count; the others do.";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ObeyfileArgs {
    /// The data set
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(super) at: At,
}

impl StatusArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        self.at.show(&self.at.ask(&json!({"verb": "status"}), &[])?, status)
    }
}

impl BindArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let Self { dvipa, port, time, at } = self;
        let mut asked = json!({"verb": "bind", "dvipa": dvipa, "keep_s": time.keep, "job": time.job});
        if *port > 0 {
            asked["port"] = json!(port);
        }
        at.show(&at.ask(&asked, &[])?, |answer| answer["port"].to_string())
    }
}

impl ListenArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let Self { dvipa, port, time, at } = self;
        let asked = json!({"verb": "listen", "dvipa": dvipa, "port": port, "keep_s": time.keep, "job": time.job});
        at.show(&at.ask(&asked, &[])?, |answer| answer["port"].to_string())
    }
}

impl ConnectArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let Self { dvipa, destination, time, at } = self;
        let destination = destination.to_string();
        let asked = json!({"verb": "connect", "dvipa": dvipa, "destination": destination, "keep_s": time.keep, "job": time.job});
        at.show(&at.ask(&asked, &[])?, |answer| match answer["source"].as_str() {
            Some(source) => format!("{source} {}", answer["port"]),
            None => "the profile says nothing: the kernel chooses address and port".to_owned(),
        })
    }
}

impl ReleaseArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let Self { dvipa, port, destination, at } = self;
        let mut asked = json!({"verb": "release", "dvipa": dvipa, "port": port});
        if let Some(destination) = destination {
            asked["destination"] = json!(destination.to_string());
        }
        at.show(&at.ask(&asked, &[])?, |answer| match answer["waits_for_socket"].as_bool() {
            Some(true) => format!("{port} goes back when the socket on it is gone"),
            _ => format!("{port} is back"),
        })
    }
}

impl ObeyfileArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let text = input::bytes_of(&self.file)?;
        let answer = self.at.ask(&json!({"verb": "obeyfile", "length": text.len()}), &text)?;
        let source = self.file.display().to_string();
        self.at.show(&answer, |answer| told::obeyed_text(&source, answer))?;
        let found = answer["diagnostics"].as_array().into_iter().flatten();
        Ok(if found.into_iter().any(|found| found["severity"] == "error") { Exit::Refused } else { Exit::Done })
    }
}

impl At {
    fn path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| Path::new(AgentLock::DIR).join(SOCKET_NAME))
    }

    /// Asks, and hears the answer; a refusal is a failure.
    fn ask(&self, asked: &Value, more: &[u8]) -> Result<Value, Failure> {
        let path = self.path();
        let failed = |what: &str| Failure::told(Exit::StorageFailed, format!("{}: {what}", path.display()));
        let mut stream = UnixStream::connect(&path).map_err(|error| {
            failed(&format!("no agent answers there: {error}; start one with `portplex stack run`, or see --socket"))
        })?;
        let mut line = asked.to_string().into_bytes();
        line.push(b'\n');
        // A refusal may come while the rest is written: what counts is the answer.
        let _ = stream.write_all(&line).and_then(|()| stream.write_all(more));
        let mut answer = Vec::new();
        let read = BufReader::new(stream).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer);
        read.map_err(|error| failed(&format!("the agent's answer cannot be read: {error}")))?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|_| failed("the agent ended without an answer: do both sides run the same release?"))?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        let word = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        Err(Failure::told(Exit::Refused, format!("{} ({})", word("message"), word("cause"))))
    }

    fn show(&self, answer: &Value, text: impl FnOnce(&Value) -> String) -> Result<Exit, Failure> {
        if self.json {
            output::print_json(answer)?;
        } else {
            output::print(&text(answer))?;
        }
        Ok(Exit::Done)
    }
}

/// The status for people.
fn status(answer: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text =
        format!("stack {} of {}: {}", word(&answer["stack"]), word(&answer["structure"]), word(&answer["state"]));
    if let Some(cause) = answer["stopped"].as_str() {
        let _ = write!(text, " ({cause})");
    }
    if answer["incarnation"].is_u64() {
        let _ = write!(text, ", incarnation {}", answer["incarnation"]);
    }
    let facility = &answer["facility"];
    let reachable = if facility["reachable"] == true { "reached" } else { "NOT REACHED" };
    let _ = write!(text, "\n  facility  {}, {reachable}", word(&facility["url"]));
    if let Some(error) = facility["last_error"].as_str() {
        let _ = write!(text, "; last error: {error}");
    }
    if let Some(left_ms) = answer["lease"]["left_ms"].as_u64() {
        let _ = write!(text, "\n  lease     {}.{} s left", left_ms / 1_000, left_ms % 1_000 / 100);
    }
    let _ = write!(
        text,
        "\n  programs  {}, with {} ports and connections; {} of these wait for their sockets or their time to end",
        answer["programs"], answer["held"], answer["waiting"]
    );
    for list in answer["lists"].as_array().into_iter().flatten() {
        let _ = write!(
            text,
            "\n  {:<15}  {} groups, {} ports: {} in use, {} free, {} resting",
            word(&list["dvipa"]),
            list["grants"],
            list["ports"],
            list["in_use"],
            list["free"],
            list["resting"]
        );
        if list["unadopted"].as_u64() > Some(0) {
            let _ = write!(text, ", {} of an earlier life", list["unadopted"]);
        }
        if list["is_left"] == true {
            text.push_str("; being left");
        }
    }
    for lost in answer["lost"].as_array().into_iter().flatten() {
        let _ = write!(text, "\n  LOST      {} port {}: close its sockets", word(&lost["dvipa"]), lost["port"]);
    }
    text
}

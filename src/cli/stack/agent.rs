//! The agent of one stack: what programs may ask of it, and what it says of itself.
#![forbid(unsafe_code)]

use super::ask::{AskError, Asked};
use super::book::{Book, Given, HELD_MAX, Key};
use super::probe;
use crate::facility::Clock;
use crate::facility::SystemClock;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::StructureName;
use crate::ident::Target;
use crate::profile::Diagnostic;
use crate::stack::Local;
use crate::stack::Obeyed;
use crate::stack::Stack;
use crate::stack::StackError;
use crate::stack::State;
use crate::stack::Usage;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::OnceLock;

/// Ports named that were taken from programs.
const LOST_NAMED_MAX: usize = 256;

/// One agent.
pub(super) struct Agent {
    pub(super) name: ConnectorName,
    pub(super) structure: StructureName,
    /// Where the facility is.
    pub(super) facility: String,
    pub(super) book: Book,
    pub(super) clock: SystemClock,
    /// Once it has attached for the first time.
    stack: OnceLock<Arc<Stack>>,
    fault: Mutex<Fault>,
    programs: Mutex<BTreeMap<u64, UnixStream>>,
    /// One sweep at a time: after it nothing that was due before it is undecided.
    sweeping: Mutex<()>,
}

/// How the facility is, as far as this end knows.
#[derive(Debug, Default)]
struct Fault {
    reachable: bool,
    last: Option<String>,
    lost: VecDeque<(Local, u16)>,
}

impl Agent {
    pub(super) fn new(name: ConnectorName, structure: StructureName, facility: String) -> Self {
        Self {
            name,
            structure,
            facility,
            book: Book::default(),
            clock: SystemClock::new(),
            stack: OnceLock::new(),
            fault: Mutex::default(),
            programs: Mutex::default(),
            sweeping: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> BootMs {
        self.clock.boot_ms()
    }

    /// The stack attached for the first time.
    pub(super) fn began(&self, stack: Arc<Stack>) {
        // Nobody else sets it.
        let _ = self.stack.set(stack);
    }

    /// The stack, once it has attached.
    pub(super) fn stack(&self) -> Option<&Arc<Stack>> {
        self.stack.get()
    }

    fn ready(&self) -> Result<&Arc<Stack>, AskError> {
        let reason = || self.fault.lock().last.clone().unwrap_or_else(|| "it is being tried".to_owned());
        self.stack.get().ok_or_else(|| AskError::Starting { reason: reason() })
    }

    /// Notes whether the facility can be reached; true if that, or the reason, is new.
    pub(super) fn note(&self, reachable: bool, reason: Option<String>) -> bool {
        let mut fault = self.fault.lock();
        let is_new = fault.reachable != reachable || (reason.is_some() && fault.last != reason);
        fault.reachable = reachable;
        if reason.is_some() {
            fault.last = reason;
        }
        is_new
    }

    /// A program connected: its stream is ended when a port is taken from it.
    pub(super) fn enter(&self, program: u64, stream: UnixStream) {
        self.programs.lock().insert(program, stream);
    }

    /// A program's connection ended: what it had goes back when its sockets are gone.
    pub(super) fn leave(&self, program: u64, keys: impl IntoIterator<Item = Key>) {
        self.programs.lock().remove(&program);
        self.book.let_go(keys, self.now());
    }

    /// Ends every program's connection.
    pub(super) fn end_programs(&self) {
        for stream in self.programs.lock().values() {
            // It has ended already, then.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many programs are connected.
    pub(super) fn program_count(&self) -> usize {
        self.programs.lock().len()
    }

    /// Ports are this stack's no longer: whoever has them hears it by the end of the connection.
    pub(super) fn lose(&self, stopped: &[(Local, u16)]) {
        let owners = self.book.forget(stopped);
        let programs = self.programs.lock();
        for stream in owners.iter().filter_map(|owner| programs.get(owner)) {
            // It has ended already, then.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(programs);
        let mut fault = self.fault.lock();
        fault.lost.extend(stopped.iter().copied());
        let surplus = fault.lost.len().saturating_sub(LOST_NAMED_MAX);
        fault.lost.drain(..surplus);
    }

    /// Gives back what nobody's socket is on any more.
    pub(super) fn sweep(&self) {
        let Some(stack) = self.stack.get() else { return };
        let _one = self.sweeping.lock();
        for given in self.book.sweep(self.now(), probe::is_free) {
            give(stack, given);
        }
    }

    /// Applies a data set to the running stack.
    pub(super) fn obey(&self, text: &[u8]) -> Result<Obeyed, AskError> {
        Ok(self.ready()?.obey(text))
    }

    /// Answers what a program asked; what it took is noted in `keys`.
    pub(super) fn answer(&self, program: u64, keys: &mut Vec<Key>, asked: Asked) -> Result<Value, AskError> {
        match asked {
            Asked::Bind { local, port, job, keep_s } => {
                let stack = self.ready()?;
                let bound = match local {
                    Local::Address(dvipa) => stack.bind_as(&job, dvipa, port),
                    Local::Any => stack.bind_unspecified(),
                };
                self.take(program, keys, Given::Bound(bound?), keep_s)
            }
            Asked::Listen { dvipa, port, job, keep_s } => {
                let bound = self.ready()?.bind_as(&job, dvipa, port)?;
                self.take(program, keys, Given::Bound(bound), keep_s)
            }
            Asked::Connect { local, port, destination, job, keep_s } => {
                let stack = self.ready()?;
                let opened = match local {
                    None => stack.connect_any(&job, destination)?,
                    Some(local) if port > 0 => self.connect_from(program, stack, (local, port), &job, destination)?,
                    Some(Local::Address(dvipa)) => Some(stack.connect(dvipa, destination)?),
                    Some(Local::Any) => stack.connect_any(&job, destination)?,
                };
                match opened {
                    Some(tuple) => self.take(program, keys, Given::Open(tuple), keep_s),
                    // The kernel chooses address and port as for any other socket.
                    None => Ok(json!({"dvipa": null, "port": null, "destination": destination.to_string()})),
                }
            }
            Asked::Release { local, port, destination } => {
                let found = self.book.find(program, local, port, destination);
                let key = found.ok_or(AskError::NotHeld { local, port, destination })?;
                self.book.let_go([key], self.now());
                keys.retain(|other| *other != key);
                self.sweep();
                let waits = self.book.find(program, local, port, destination) == Some(key);
                Ok(json!({"dvipa": local.to_string(), "port": port, "waits_for_socket": waits}))
            }
            Asked::Status => Ok(self.status()),
            Asked::Obeyfile { .. } => Ok(Value::Null),
        }
    }

    fn connect_from(
        &self,
        program: u64,
        stack: &Stack,
        (local, port): (Local, u16),
        job: &str,
        destination: SocketAddr,
    ) -> Result<Option<crate::stack::Tuple>, AskError> {
        let not_held = AskError::NotHeld { local, port, destination: None };
        let Some(key) = self.book.find(program, local, port, None) else { return Err(not_held) };
        let opened = self.book.with_bound(key, |bound| stack.connect_from(bound, job, destination));
        Ok(opened.ok_or(not_held)??)
    }

    fn take(&self, program: u64, keys: &mut Vec<Key>, given: Given, keep_s: Option<u64>) -> Result<Value, AskError> {
        let shown = match &given {
            Given::Bound(bound) => json!({
                "dvipa": bound.local.to_string(),
                "port": bound.port,
                "grant": bound.grant.map(|grant| grant.0),
            }),
            Given::Open(tuple) => json!({
                "dvipa": tuple.local.to_string(),
                "source": tuple.source_address.to_string(),
                "port": tuple.port,
                "destination": tuple.destination.to_string(),
                "grant": tuple.grant.map(|grant| grant.0),
            }),
        };
        let taken = match keep_s {
            Some(seconds) => self.book.keep(given, self.now().plus(seconds * 1_000)),
            None => self.book.take(program, given).inspect(|key| keys.push(*key)),
        };
        match taken {
            Ok(_) => Ok(shown),
            Err(super::book::Full(given)) => {
                if let Some(stack) = self.stack.get() {
                    // Nobody has used it.
                    give(stack, given);
                }
                Err(AskError::TooMuchHeld { limit: HELD_MAX })
            }
        }
    }

    /// Everything that there is to say of it.
    pub(super) fn status(&self) -> Value {
        let (held, waiting) = self.book.counts();
        let mut status = json!({
            "stack": self.name.as_str(),
            "structure": self.structure.to_string(),
            "state": self.stack.get().map_or("starting", |stack| state_name(stack.state())),
            "programs": self.program_count(),
            "held": held,
            "waiting": waiting,
        });
        {
            let fault = self.fault.lock();
            let lost: Vec<Value> =
                fault.lost.iter().map(|(local, port)| json!({"dvipa": local.to_string(), "port": port})).collect();
            status["facility"] = json!({"url": self.facility, "reachable": fault.reachable, "last_error": fault.last});
            status["lost"] = Value::Array(lost);
        }
        if let Some(stack) = self.stack.get() {
            let now = self.now();
            let left = stack.lease_until().map(|until| until.0.saturating_sub(now.0));
            let position = stack.position();
            let open = stack.connection_count();
            status["incarnation"] = json!(stack.incarnation().0);
            status["stopped"] = json!(match stack.state() {
                State::Stopped(cause) => Some(cause.name()),
                _ => None,
            });
            status["lease"] = json!({"promise_ms": stack.promise_ms(), "left_ms": left});
            status["store"] = json!(position.store.to_string());
            status["lsn"] = json!(position.lsn.0);
            status["connections"] = json!(open);
            status["releases_outstanding"] = json!(stack.releases_outstanding());
            status["lists"] = lists(stack);
        }
        status
    }
}

/// The lists with their groups, lowest first.
fn lists(stack: &Stack) -> Value {
    let mut grants = stack.grants();
    grants.sort_unstable_by_key(|grant| (grant.target, grant.group, grant.lsn));
    let usage = stack.usage();
    let list = |usage: &Usage| {
        let of_list = grants.iter().filter(|grant| grant.target == usage.target);
        let groups: Vec<Value> = of_list
            .map(|grant| {
                json!({
                    "group": grant.group.number(),
                    "first": grant.group.port_first(),
                    "mask": grant.mask.to_string(),
                    "ports": grant.mask.count(),
                    "lsn": grant.lsn.0,
                })
            })
            .collect();
        json!({
            "dvipa": usage.target.dvipa_text(),
            "transport": usage.target.transport().name(),
            "grants": usage.grants,
            "ports": usage.ports,
            "in_use": usage.in_use,
            "free": usage.free,
            "resting": usage.resting,
            "unadopted": usage.unadopted,
            "is_left": usage.is_left,
            "groups": groups,
        })
    };
    usage.iter().map(list).collect()
}

/// Hands back what the stack gave out.
pub(super) fn give(stack: &Stack, given: Given) {
    match given {
        Given::Bound(bound) => stack.release(bound),
        Given::Open(tuple) => stack.close(tuple),
    }
}

pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Stopped(_) => "stopped",
        State::Unreachable => "unreachable",
        State::Expired => "expired",
        State::Fenced => "fenced",
    }
}

/// The local address of a list or pool.
pub(super) fn local_of(target: Target) -> Local {
    match target {
        Target::List(dvipa, _) => Local::Address(dvipa),
        Target::Pool(_) => Local::Any,
    }
}

/// What came of a data set.
pub(super) fn obeyed_json(obeyed: &Obeyed) -> Value {
    let locals = |locals: &[Local]| locals.iter().map(Local::to_string).collect::<Vec<String>>();
    let diagnostic = |found: &Diagnostic| {
        json!({
            "line": found.line,
            "column": found.column,
            "severity": found.severity.name(),
            "code": found.code.name(),
            "message": found.text(),
            "hint": found.hint,
        })
    };
    json!({
        "joined": locals(&obeyed.joined),
        "left": locals(&obeyed.left),
        "waiting": obeyed.waiting.as_ref().map(StackError::to_string),
        "diagnostics": obeyed.diagnostics.iter().map(diagnostic).collect::<Vec<Value>>(),
    })
}

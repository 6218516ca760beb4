//! The local socket: a thread for each program, one request at a time, answers in order.
//!
//! Bounded are the programs, the length of a line, the data sets read at once, and how long a program
//! may take to read its answers. Requests in flight are as many as programs: the next line of one is
//! read when its last is answered.
#![forbid(unsafe_code)]

use super::agent::Agent;
use super::agent::obeyed_json;
use super::ask::{self, AskError, Asked};
use super::told::Told;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::profile::LENGTH_MAX;
use parking_lot::Mutex;
use rustix::fs::Mode;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Most programs at a time.
pub(super) const PROGRAMS_MAX: usize = 1_024;

/// Longest line of a request, the line feed included.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// How long a program may take to read an answer, or to send the data set that it announced.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long accepting rests after it failed: out of file descriptors, mostly.
const REST: Duration = Duration::from_millis(50);

/// One data set in memory at a time.
static OBEYING: Mutex<()> = Mutex::new(());

/// A socket that programs can connect to.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Listens at `path`. What a process that was killed left there is removed; it is for this user's
    /// processes only, unless `mode` says otherwise.
    ///
    /// # Errors
    /// [`Failure`] if somebody listens there, or nothing can be made there.
    pub(super) fn open(path: &Path, mode: u32) -> Result<Self, Failure> {
        let shown = path.display();
        let failed = |error: io::Error| {
            Failure::told(Exit::StorageFailed, format!("{shown}: no socket can be made there: {error}; see --socket"))
        };
        match UnixStream::connect(path) {
            Ok(_) => {
                let text = format!("{shown}: another process listens on this socket: end it first, or see --socket");
                return Err(Failure::told(Exit::Refused, text));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => remove(path),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let door = Self { listener, path: path.to_owned() };
        rustix::fs::chmod(path, Mode::from_raw_mode(mode)).map_err(|errno| failed(errno.into()))?;
        Ok(door)
    }

    /// Nobody finds it any more.
    pub(super) fn close(&self) {
        remove(&self.path);
    }

    /// Serves programs until the process ends.
    pub(super) fn serve(&self, agent: &Arc<Agent>, told: Told) {
        let mut program = 0;
        loop {
            let Ok((stream, _)) = self.listener.accept() else {
                thread::sleep(REST);
                continue;
            };
            if agent.program_count() >= PROGRAMS_MAX {
                refuse(stream, AskError::TooManyPrograms { limit: PROGRAMS_MAX });
                continue;
            }
            program += 1;
            let Ok(shared) = stream.try_clone() else { continue };
            agent.enter(program, shared);
            let of_thread = Arc::clone(agent);
            let name = "portplex-program".to_owned();
            let started = thread::Builder::new().name(name).spawn(move || converse(&of_thread, program, &stream, told));
            if started.is_err() {
                agent.leave(program, []);
            }
        }
    }
}

/// Removes a socket, and nothing that is not one.
fn remove(path: &Path) {
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
        // One that stays is in the way of the next start, which says so.
        let _ = rustix::fs::unlink(path);
    }
}

fn refuse(mut stream: UnixStream, error: AskError) {
    let _ = stream.set_write_timeout(Some(REST));
    let _ = stream.write_all(&ask::line(Value::Null, Err(error)));
}

/// Answers one program until its connection ends, then lets go of what it had.
fn converse(agent: &Agent, program: u64, stream: &UnixStream, told: Told) {
    let mut keys = Vec::new();
    // However it ends, it has ended.
    let _ = answer_all(agent, program, stream, &mut keys, told);
    let _ = stream.shutdown(std::net::Shutdown::Both);
    agent.leave(program, keys);
}

fn answer_all(
    agent: &Agent,
    program: u64,
    mut stream: &UnixStream,
    keys: &mut Vec<super::book::Key>,
    told: Told,
) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut from = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut from).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => {}
            // The end, with or without half a request before it.
            _ if line.len() < LINE_BYTES_MAX => return Ok(()),
            _ => {
                let error = AskError::LineTooLong { limit: LINE_BYTES_MAX };
                return stream.write_all(&ask::line(Value::Null, Err(error)));
            }
        }
        let (id, asked) = ask::read(&line, LENGTH_MAX);
        let answer = match asked {
            Ok(Asked::Obeyfile { length }) => obey(agent, stream, &mut from, length, told)?,
            Ok(asked) => agent.answer(program, keys, asked),
            Err(error) => Err(error),
        };
        stream.write_all(&ask::line(id, answer))?;
    }
}

/// Reads the data set that follows, and applies it.
fn obey(
    agent: &Agent,
    stream: &UnixStream,
    from: &mut impl BufRead,
    length: usize,
    told: Told,
) -> io::Result<Result<Value, AskError>> {
    let _one_at_a_time = OBEYING.lock();
    let until = agent.now().plus(u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX));
    let mut text = Vec::new();
    while text.len() < length {
        // In all, not for each piece: others wait.
        let left_ms = until.0.saturating_sub(agent.now().0);
        if left_ms == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(Duration::from_millis(left_ms)))?;
        let bytes = from.fill_buf()?;
        let count = bytes.len().min(length - text.len());
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&bytes[..count]);
        from.consume(count);
    }
    stream.set_read_timeout(None)?;
    let obeyed = agent.obey(&text);
    if let Ok(obeyed) = &obeyed {
        told.obeyed("a program's data set", obeyed);
    }
    Ok(obeyed.map(|obeyed| obeyed_json(&obeyed)))
}

//! Standard output and standard error: results go to the one, everything else to the other.
//!
//! A line leaves in one write, so that a killed process never leaves half of one behind another,
//! and several threads never mix theirs. Styles are written always and taken out here when the
//! stream is no terminal or `NO_COLOR` is set.
#![forbid(unsafe_code)]

use super::exit::Failure;
use parking_lot::Mutex;
use serde::Serialize;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Most bytes that wait before a bulk write.
const BULK_BUFFER_SIZE: usize = 64 << 10;

/// Lines that are flushed one by one, from any thread: for programs that read along.
pub(crate) struct Lines(Mutex<Box<dyn Write + Send>>);

impl Lines {
    pub(crate) fn stdout() -> Self {
        Self::to(Box::new(io::stdout()))
    }

    /// Lines to anything else.
    pub(crate) fn to(stream: Box<dyn Write + Send>) -> Self {
        Self(Mutex::new(stream))
    }

    /// Writes one value as one line.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let line = json_line(value)?;
        let mut stream = self.0.lock();
        stream.write_all(&line).and_then(|()| stream.flush()).map_err(Failure::Output)
    }
}

/// Much output in few writes: for dumps.
pub(crate) struct Bulk(BufWriter<StdoutLock<'static>>);

impl Bulk {
    pub(crate) fn stdout() -> Self {
        Self(BufWriter::with_capacity(BULK_BUFFER_SIZE, io::stdout().lock()))
    }

    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = json_line(value)?;
        self.0.write_all(&line).map_err(Failure::Output)
    }

    pub(crate) fn text(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::Output)
    }

    /// Must be called: an error of the last write counts too.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::Output)
    }
}

/// Prints text, styles and all, ending it with one line feed.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stream = anstream::stdout().lock();
    writeln!(stream, "{}", text.trim_end_matches('\n')).and_then(|()| stream.flush()).map_err(Failure::Output)
}

/// Prints one JSON value as one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let line = json_line(value)?;
    let mut stream = io::stdout().lock();
    stream.write_all(&line).and_then(|()| stream.flush()).map_err(Failure::Output)
}

/// Tells what went wrong, on standard error. `json`: as one JSON object.
pub(crate) fn tell_failure(failure: &Failure, json: bool) {
    if failure.is_closed_pipe() {
        return;
    }
    if json {
        let exit = failure.exit();
        let mut body = serde_json::json!({"error": exit.name(), "exit": exit.code(), "message": failure.to_string()});
        if let Some(refusal) = failure.refusal() {
            body["refusal"] = refusal.into();
        }
        say(&body.to_string());
    } else {
        let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        say(&format!("{style}portplex:{style:#} {failure}"));
    }
}

/// Tells what an operator should read, on standard error.
pub(crate) fn tell_warning(warning: &str, json: bool) {
    if json {
        say(&serde_json::json!({"warning": warning}).to_string());
    } else {
        let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
        say(&format!("{style}warning:{style:#} {warning}"));
    }
}

/// Writes one line to standard error. If that is gone there is nobody left to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

fn json_line(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(value).map_err(|error| Failure::Output(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_leaves_in_one_write() {
        let writes = Writes::default();
        let lines = Lines::to(Box::new(writes.clone()));
        lines.json(&serde_json::json!({"ask": "x".repeat(10_000)})).expect("written");
        lines.json(&1).expect("written");
        let writes = writes.0.lock();
        assert_eq!(writes.len(), 2);
        assert!(writes.iter().all(|line| line.ends_with(b"\n") && !line[..line.len() - 1].contains(&b'\n')));
    }
}

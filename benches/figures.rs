//! Tables of figures: as text for people, and as JSON and markdown for what comes after.
//!
//! With `PORTPLEX_FIGURES=DIR` each table is also written to `DIR/NAME.json` and `DIR/NAME.md`.

#![allow(dead_code, reason = "each of those that share it uses a part")]

use std::path::Path;
use std::time::{Duration, Instant};

/// One table.
pub(crate) struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self { name, columns, rows: Vec::new() }
    }

    /// Adds a row, and says on standard error that it is there: a run takes minutes.
    pub(crate) fn row(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.columns.len());
        eprintln!("{}: {}", self.name, row.join("  "));
        self.rows.push(row);
    }

    /// Prints it, and writes it where it is wanted.
    pub(crate) fn finish(self) {
        println!("\n{}", self.text());
        if let Some(dir) = std::env::var_os("PORTPLEX_FIGURES") {
            let dir = Path::new(&dir);
            put(&dir.join(format!("{}.json", self.name)), &self.json());
            put(&dir.join(format!("{}.md", self.name)), &self.markdown());
        }
    }

    fn widths(&self) -> Vec<usize> {
        let width = |at: usize| self.rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        self.columns.iter().enumerate().map(|(at, name)| width(at).max(name.chars().count())).collect()
    }

    fn lines(&self, between: &str) -> Vec<String> {
        let widths = self.widths();
        let head: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join(between)
        };
        std::iter::once(&head).chain(&self.rows).map(line).collect()
    }

    fn text(&self) -> String {
        self.lines("  ").join("\n")
    }

    fn markdown(&self) -> String {
        let lines: Vec<String> = self.lines(" | ").into_iter().map(|line| format!("| {line} |")).collect();
        let rule: Vec<&str> = (0..self.columns.len()).map(|at| if at == 0 { "---" } else { "---:" }).collect();
        format!("{}\n|{}|\n{}\n", lines[0], rule.join("|"), lines[1..].join("\n"))
    }

    fn json(&self) -> String {
        let quoted = |text: &str| format!("{:?}", text);
        let row = |row: &Vec<String>| {
            let cells = self.columns.iter().zip(row).map(|(name, cell)| {
                let number = cell.replace(',', "");
                let value = if number.parse::<f64>().is_ok() { number } else { quoted(cell) };
                format!("{}: {value}", quoted(name))
            });
            format!("  {{{}}}", cells.collect::<Vec<_>>().join(", "))
        };
        format!("[\n{}\n]\n", self.rows.iter().map(row).collect::<Vec<_>>().join(",\n"))
    }
}

#[allow(clippy::disallowed_methods, reason = "no file of a store")]
fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Whether only the answers are looked at, with small counts.
pub(crate) fn is_smoke() -> bool {
    std::env::args().any(|arg| arg == "--test") || !std::env::args().any(|arg| arg == "--bench")
}

/// A whole number with commas.
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How often a second.
pub(crate) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// The time below which that many of a thousand are, µs with one digit; the times are in ns.
pub(crate) fn quantile(times: &mut [u64], of_thousand: usize) -> String {
    times.sort_unstable();
    let at = (times.len() * of_thousand / 1_000).min(times.len().saturating_sub(1));
    format!("{:.1}", times.get(at).copied().unwrap_or(0) as f64 / 1_000.0)
}

/// The time, for a measurement.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// ns since `from`.
pub(crate) fn since(from: Instant) -> u64 {
    u64::try_from(from.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

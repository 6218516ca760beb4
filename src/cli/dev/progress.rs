//! What a person sees while the run goes on: one line on standard error, on a terminal only.
#![forbid(unsafe_code)]

use super::shared::Shared;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::Ordering;

/// The line, or nothing at all.
pub(super) struct Progress {
    bar: ProgressBar,
    connections: u64,
}

impl Progress {
    /// `json`: nobody watches.
    pub(super) fn new(connections: u64, json: bool) -> Self {
        let watched = !json && std::io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr_with_hz(15) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(connections.max(1)), target);
        let template = "  {spinner:.green} {bar:28.green/dim} {human_pos:>9} connections  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        Self { bar, connections }
    }

    /// Shows where the run is.
    pub(super) fn show(&self, shared: &Shared) {
        if self.bar.is_hidden() {
            return;
        }
        let mut text = String::new();
        for (place, gauge) in shared.gauges.iter().enumerate().take(8) {
            let letter = letter(place);
            let (open, groups) = (gauge.open.load(Ordering::Relaxed), gauge.groups.load(Ordering::Relaxed));
            text.push_str(&format!(" {letter} {open:>3} open on {groups:>2} groups "));
        }
        if shared.down.load(Ordering::Relaxed) {
            text.push_str(" FACILITY DOWN");
        }
        let opened = shared.opened();
        self.bar.set_length(self.connections.max(opened));
        self.bar.set_position(opened);
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Says something that stays above the line.
    pub(super) fn say(&self, text: &str) {
        self.bar.println(text);
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The letter of a stack, as on the map.
pub(super) fn letter(place: usize) -> char {
    u8::try_from(place).ok().filter(|place| *place < 26).map_or('#', |place| char::from(b'A' + place))
}

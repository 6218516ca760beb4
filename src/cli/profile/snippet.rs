//! Diagnostics for people: the source line, a marker, the hint; and plain lines for pipes.
#![forbid(unsafe_code)]

use super::input::Text;
use crate::profile::Advice;
use crate::profile::Diagnostic;
use crate::profile::Severity;
use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;
use std::ops::Range;

/// Longest part of a source line that is shown.
const LINE_SHOWN_MAX: usize = 160;

/// Every diagnostic of a text with its source line.
pub(crate) fn render(text: &Text, renderer: &Renderer) -> String {
    let decoded = String::from_utf8_lossy(&text.bytes);
    let lines = line_starts(&decoded);
    let mut shown = String::new();
    for found in &text.diagnostics {
        let title = level(found.severity).primary_title(found.text()).id(found.code.name());
        let line = lines.get(found.line as usize - 1).map_or("", |range| &decoded[range.clone()]);
        let (start, span) = marked(line, found.column);
        let end = line[start..].char_indices().nth(LINE_SHOWN_MAX).map_or(line.len(), |(at, _)| start + at);
        let snippet = Snippet::source(&line[..end.max(span.end.min(line.len()))])
            .line_start(found.line as usize)
            .path(text.name.as_str())
            .annotation(AnnotationKind::Primary.span(span));
        let mut group: Group<'_> = title.element(snippet);
        if !found.hint.is_empty() {
            group = group.element(Level::HELP.message(found.hint.as_str()));
        }
        shown.push_str(&renderer.render(&[group]));
        shown.push_str("\n\n");
    }
    shown
}

/// One piece of advice.
pub(crate) fn render_advice(advice: &Advice, renderer: &Renderer) -> String {
    let title = level(advice.severity).primary_title(advice.why.as_str()).id(advice.rule.name());
    let profiles = format!("in {}", advice.profiles.join(", "));
    let group = Group::with_title(title)
        .element(Level::NOTE.message(profiles))
        .element(Level::NOTE.message(format!("see {}", advice.source)));
    format!("{}\n\n", renderer.render(&[group]))
}

/// A diagnostic as one line.
pub(crate) fn line(name: &str, found: &Diagnostic) -> String {
    format!("{name}:{found}")
}

/// A piece of advice as one line.
pub(crate) fn advice_line(advice: &Advice) -> String {
    let Advice { rule, severity, profiles, why, source } = advice;
    format!("{}: {severity}: {why} [{}]; see {source}", profiles.join(", "), rule.name())
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
}

/// Where each line is, as the parser counts lines: after LF, CR, CR LF and NEL.
fn line_starts(text: &str) -> Vec<Range<usize>> {
    let text_start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (mut lines, mut start) = (Vec::new(), text_start);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if at < text_start || !matches!(character, '\n' | '\r' | '\u{85}') {
            continue;
        }
        let mut next = at + character.len_utf8();
        if character == '\r'
            && let Some((after, _)) = characters.next_if(|(_, following)| *following == '\n')
        {
            next = after + 1;
        }
        lines.push(start..at);
        start = next;
    }
    lines.push(start..text.len());
    lines
}

/// The word that starts at a column, from 1: the start of what is shown of its line, and its bytes.
fn marked(line: &str, column: u32) -> (usize, Range<usize>) {
    let at = line.char_indices().nth(column as usize - 1).map_or(line.len(), |(at, _)| at);
    let rest = &line[at..];
    let length = rest.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(rest.len());
    let length = length.max(rest.chars().next().map_or(0, char::len_utf8));
    (at, at..at + length)
}

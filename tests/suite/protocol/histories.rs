//! What a stack's position proves: a small model of `facility/histories.rs`.

use super::world::Span;

/// How a position stands to what the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Kept,
    /// The store lost something; lsns up to this one mean the same to both.
    Lost {
        common: u64,
    },
}

/// Judges a position. `durable` is the last lsn of the history being written, `since` where a
/// stopped store's own histories begin to be in doubt.
pub(super) fn judge(spans: &[Span], history: u8, lsn: u64, durable: u64, since: Option<u64>) -> Seen {
    if let Some(place) = spans.iter().position(|span| span.id == history) {
        let end = end_of(spans, place, durable);
        return if lsn <= end { Seen::Kept } else { Seen::Lost { common: end } };
    }
    let youngest = spans.last().map_or(0, |span| span.first);
    let branched = since.map_or(youngest, |since| since.min(youngest));
    let was_written = |span: &Span| {
        let next = spans.iter().find(|other| other.first > span.first);
        span.first <= branched && next.is_none_or(|next| branched < next.first)
    };
    let before = spans.iter().rposition(|span| span.first < branched && !was_written(span));
    Seen::Lost { common: before.map_or(0, |place| end_of(spans, place, durable)) }
}

/// Whether an lsn was given out by this store and kept.
pub(super) fn has(spans: &[Span], lsn: u64, durable: u64) -> bool {
    let place = spans.iter().rposition(|span| span.first <= lsn);
    place.is_some_and(|place| lsn <= end_of(spans, place, durable))
}

fn end_of(spans: &[Span], place: usize, durable: u64) -> u64 {
    if place + 1 == spans.len() { durable } else { spans[place].end }
}

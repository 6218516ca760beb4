//! The histories of a store, and what of a stack's claim they can have given.
//!
//! A position in a history that this store does not know, or beyond the last lsn that it kept of
//! one, proves that data was lost.
#![forbid(unsafe_code)]

use super::admission::Position;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::record::HistoryRow;
use crate::wal::Manifest;

/// All histories that are known, the oldest first; the last one is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Histories(Vec<Span>);

#[derive(Clone, Copy, Debug)]
struct Span {
    id: HistoryId,
    first: Lsn,
    /// The last lsn kept when the next one began. Where nobody noted it: as high as can be, so that
    /// nothing is proven by it.
    end: Lsn,
}

/// How a position stands to what the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The store has everything up to there.
    Kept,
    /// The store lost something. Lsns up to this one mean the same to both.
    Lost {
        /// The last lsn in common, as far as can be told.
        common: Lsn,
    },
}

impl Histories {
    /// Those that a checkpoint remembers, then those that MANIFEST lists.
    pub(super) fn new(remembered: &[HistoryRow], manifest: &Manifest) -> Self {
        let first_listed = manifest.histories.first().map_or(Lsn(u64::MAX), |history| history.first);
        let older = remembered.iter().filter(|row| row.first < first_listed);
        let older = older.map(|row| Span { id: row.id, first: row.first, end: row.end });
        let listed = manifest.histories.iter();
        let listed = listed.map(|entry| Span { id: entry.id, first: entry.first, end: entry.end });
        let mut spans: Vec<Span> = older.chain(listed).collect();
        for index in 1..spans.len() {
            if spans[index - 1].end == Lsn::ZERO {
                spans[index - 1].end = Lsn(spans[index].first.0.saturating_sub(1));
            }
        }
        Self(spans)
    }

    /// Judges a position whose receipt is good. `durable` is how far the history being written is
    /// kept, `suspect_since` the lsn from which on a stopped store's own histories are in doubt.
    pub(super) fn judge(&self, position: &Position, durable: Lsn, suspect_since: Option<Lsn>) -> Seen {
        match self.0.iter().position(|span| span.id == position.history) {
            Some(index) => {
                let end = self.end_of(index, durable);
                if position.lsn <= end { Seen::Kept } else { Seen::Lost { common: end } }
            }
            None => {
                // It branched off before the present history began, and before any that is in doubt.
                let youngest = self.0.last().map_or(Lsn::ZERO, |span| span.first);
                let branched = suspect_since.map_or(youngest, |since| since.min(youngest));
                let before = self.0.iter().rposition(|span| span.first < branched && !self.holds(span, branched));
                Seen::Lost { common: before.map_or(Lsn::ZERO, |index| self.end_of(index, durable)) }
            }
        }
    }

    /// Whether an lsn was given out by this store and kept, as far as can be told without a position.
    pub(super) fn has(&self, lsn: Lsn, durable: Lsn) -> bool {
        let index = self.0.iter().rposition(|span| span.first <= lsn);
        index.is_some_and(|index| lsn <= self.end_of(index, durable))
    }

    /// Whether that history was the one being written when `lsn` was.
    fn holds(&self, span: &Span, lsn: Lsn) -> bool {
        let next = self.0.iter().find(|other| other.first > span.first);
        span.first <= lsn && next.is_none_or(|next| lsn < next.first)
    }

    fn end_of(&self, index: usize, durable: Lsn) -> Lsn {
        if index + 1 == self.0.len() { durable } else { self.0[index].end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility::Receipt;
    use crate::ident::StoreUuid;

    fn histories() -> Histories {
        let span = |id, first, end| Span { id: HistoryId(id), first: Lsn(first), end: Lsn(end) };
        Histories(vec![span(1, 100, 150), span(2, 200, 250), span(3, 300, 0)])
    }

    fn position(history: u64, lsn: u64) -> Position {
        Position { store: StoreUuid(1), history: HistoryId(history), lsn: Lsn(lsn), receipt: Receipt::default() }
    }

    #[test]
    fn a_position_is_kept_up_to_the_end_of_its_history_and_proves_a_loss_beyond() {
        let judge = |history, lsn| histories().judge(&position(history, lsn), Lsn(310), None);
        assert_eq!(judge(1, 150), Seen::Kept);
        assert_eq!(judge(1, 151), Seen::Lost { common: Lsn(150) });
        assert_eq!(judge(3, 310), Seen::Kept);
        assert_eq!(judge(3, 311), Seen::Lost { common: Lsn(310) });
    }

    #[test]
    fn an_unknown_history_branched_off_before_the_present_one_and_before_all_in_doubt() {
        let judge = |since| histories().judge(&position(9, 120), Lsn(310), since);
        assert_eq!(judge(None), Seen::Lost { common: Lsn(250) });
        assert_eq!(judge(Some(Lsn(300))), Seen::Lost { common: Lsn(250) });
        assert_eq!(judge(Some(Lsn(205))), Seen::Lost { common: Lsn(150) });
        assert_eq!(judge(Some(Lsn(120))), Seen::Lost { common: Lsn(0) });
    }

    #[test]
    fn what_lies_between_two_histories_was_never_given_out() {
        let has = |lsn| histories().has(Lsn(lsn), Lsn(310));
        assert!(has(100) && has(150) && has(200) && has(310));
        assert!(!has(99) && !has(151) && !has(299) && !has(311));
    }
}

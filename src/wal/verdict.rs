//! The decision table: what a misfit in the log means depends on where it is, on what was proven
//! durable, and on what lies behind it. `storage-format.md` has the same table.
#![forbid(unsafe_code)]

use crate::ident::Lsn;

/// Where a misfit was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a sealed segment that no recovery from the base needs.
    SealedBelowBase,
    /// In a sealed segment that holds records above the base, before its sealed end.
    SealedAboveBase,
    /// In the last segment.
    Tail,
}

/// What the tail has from the misfit on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Only zeros, or nothing.
    Zeros,
    /// Bytes that are not zero, all within one largest frame.
    WithinOneFrame,
    /// Bytes that are not zero, further out too.
    FurtherOut,
    /// A whole good frame that does not continue the log: no crash leaves one.
    GoodFrame,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Name it, and open.
    Warn,
    /// Durable data is damaged: refuse.
    Corrupt,
    /// The log ends here.
    CleanEnd,
    /// A frame that was never acknowledged: leave it out.
    Torn,
    /// Bytes that no crash can have left: refuse.
    Unexpected,
}

/// Judges a misfit where lsn `next` should be, when everything up to `proven` is known durable.
pub(crate) fn judge(place: Place, next: Lsn, proven: Lsn, rest: Rest) -> Verdict {
    match (place, rest) {
        (Place::SealedBelowBase, _) => Verdict::Warn,
        (Place::SealedAboveBase, _) => Verdict::Corrupt,
        (Place::Tail, _) if next <= proven => Verdict::Corrupt,
        (Place::Tail, Rest::Zeros) => Verdict::CleanEnd,
        (Place::Tail, Rest::WithinOneFrame) => Verdict::Torn,
        (Place::Tail, Rest::GoodFrame) => Verdict::Corrupt,
        (Place::Tail, Rest::FurtherOut) => Verdict::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_has_its_verdict() {
        let rests = [Rest::Zeros, Rest::WithinOneFrame, Rest::FurtherOut, Rest::GoodFrame];
        for rest in rests {
            for (next, proven) in [(10, 9), (10, 10), (10, 11)] {
                assert_eq!(judge(Place::SealedBelowBase, Lsn(next), Lsn(proven), rest), Verdict::Warn);
                assert_eq!(judge(Place::SealedAboveBase, Lsn(next), Lsn(proven), rest), Verdict::Corrupt);
            }
            assert_eq!(judge(Place::Tail, Lsn(10), Lsn(10), rest), Verdict::Corrupt);
            assert_eq!(judge(Place::Tail, Lsn(10), Lsn(11), rest), Verdict::Corrupt);
        }
        let verdicts = [Verdict::CleanEnd, Verdict::Torn, Verdict::Unexpected, Verdict::Corrupt];
        for (rest, verdict) in rests.into_iter().zip(verdicts) {
            assert_eq!(judge(Place::Tail, Lsn(10), Lsn(9), rest), verdict);
        }
    }
}

//! A time as a person types it: RFC 3339, a date and a time of day in UTC, or ms since 1970.
#![forbid(unsafe_code)]

use crate::ident::WallMs;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads a time. What has no offset is UTC; what has a fraction below a ms is cut to the ms.
pub(super) fn parse(text: &str) -> Result<WallMs, String> {
    let nothing = || {
        format!(
            "{text:?} is no time: write 2026-11-22T14:05:00Z, 2026-11-22T15:05:00+01:00, '2026-11-22 14:05' (UTC) or \
             milliseconds since 1970"
        )
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(WallMs).map_err(|_| nothing());
    }
    // A date alone is not taken for its midnight, nor an hour for its first minute.
    if !text.is_ascii() || !text.contains(':') {
        return Err(nothing());
    }
    let time: Timestamp = match text.parse() {
        Ok(time) => time,
        Err(_) => {
            let civil: DateTime = text.parse().map_err(|_| nothing())?;
            civil.to_zoned(TimeZone::UTC).map_err(|_| nothing())?.timestamp()
        }
    };
    u64::try_from(time.as_millisecond()).map(WallMs).map_err(|_| format!("{text:?} is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::log::rfc3339;

    #[test]
    fn every_form_of_one_time_is_that_time() {
        for text in [
            "2026-11-22T14:05:00Z",
            "2026-11-22t14:05:00.000z",
            "2026-11-22 14:05:00Z",
            "2026-11-22T15:05:00+01:00",
            "2026-11-22 08:35:00-05:30",
            "2026-11-22 14:05",
            "2026-11-22 14:05:00",
            "2026-11-22T14:05",
            "1795356300000",
        ] {
            assert_eq!(parse(text), Ok(WallMs(1_795_356_300_000)), "{text}");
        }
        assert_eq!(parse("2026-11-22T14:05:00.1239Z"), Ok(WallMs(1_795_356_300_123)));
        assert_eq!(parse("0"), Ok(WallMs(0)));
        let shown = rfc3339(WallMs(1_795_356_300_123));
        assert_eq!(parse(&shown), Ok(WallMs(1_795_356_300_123)), "what is shown can be typed");
    }

    #[test]
    fn what_is_no_time_is_a_mistake() {
        for text in [
            "",
            "now",
            "yesterday",
            "14:05",
            "2026-11-22",
            "2026-11-22T14",
            "2026-11-22 14:65",
            "2026-02-30 14:05",
            "2026-11-22T14:05:00Z[Europe/Berlin]x",
            "1969-12-31T23:59:59Z",
            "99999999999999999999",
            "-5",
            "2026-11-22 14:05 ünlü",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}

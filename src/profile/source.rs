//! Bytes into text: what a profile may look like before its first word is read.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Remarks, Severity};
use super::token::Place;
use std::borrow::Cow;

/// Longest profile that is read: 16 MiB.
pub const LENGTH_MAX: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a profile. What is not UTF-8 becomes U+FFFD; what is too long becomes nothing,
/// because half a profile would lack reservations.
pub(super) fn decode<'a>(bytes: &'a [u8], remarks: &mut Remarks) -> Cow<'a, str> {
    if bytes.len() > LENGTH_MAX {
        let message = format!("the profile has {} bytes, at most {LENGTH_MAX} are read", bytes.len());
        let hint = "nothing of it was read; check that this file is a TCP/IP profile";
        remarks.add(Place::START, Severity::Error, Code::TooLong, message, hint);
        return Cow::Borrowed("");
    }
    let bytes = match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => {
            let message = "the text starts with a byte order mark, which was skipped";
            remarks.add(Place::START, Severity::Note, Code::ByteOrderMark, message, "");
            rest
        }
        None => bytes,
    };
    if let Err(fault) = std::str::from_utf8(bytes) {
        let place = place_of(&bytes[..fault.valid_up_to()]);
        let message = format!("byte {:#04x} is not UTF-8", bytes[fault.valid_up_to()]);
        let hint = "convert the text first, an EBCDIC one with `iconv -f IBM-1047 -t UTF-8`";
        remarks.add(place, Severity::Warning, Code::NotUtf8, message, hint);
    }
    String::from_utf8_lossy(bytes)
}

/// Where the text after `before` starts.
fn place_of(before: &[u8]) -> Place {
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let columns = String::from_utf8_lossy(&before[line_start..]).chars().count();
    Place { line: count(lines), column: count(columns) }
}

fn count(before: usize) -> u32 {
    u32::try_from(before).map_or(u32::MAX, |n| n.saturating_add(1))
}

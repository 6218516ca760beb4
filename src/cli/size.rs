//! Sizes and counts, as people type and read them.
#![forbid(unsafe_code)]

/// Reads a size: a number and `K`, `KiB`, `M`, `MiB`, `G`, `GiB` or nothing for bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("{unit:?} is no unit: use KiB, MiB or GiB (also K, M, G), or nothing for bytes")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no size: write it like 16MiB"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

/// Reads the size of a segment.
pub(crate) fn parse_segment_size(text: &str) -> Result<u64, String> {
    let size = parse_size(text)?;
    if !(SEGMENT_SIZE_MIN..=SEGMENT_SIZE_MAX).contains(&size) {
        return Err("a segment has 16 KiB to 1 GiB".to_owned());
    }
    if !size.is_multiple_of(SEGMENT_SIZE_STEP) {
        return Err("a segment is a multiple of 4 KiB".to_owned());
    }
    Ok(size)
}

/// A size as people read it: exact where it is whole.
pub(crate) fn show_size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

/// `1 segment`, `2 segments`.
pub(crate) fn counted(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

const SEGMENT_SIZE_MIN: u64 = 16 << 10;
const SEGMENT_SIZE_MAX: u64 = 1 << 30;
const SEGMENT_SIZE_STEP: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_what_was_typed_or_an_error_that_helps() {
        for (text, size) in
            [("16384", 16_384), ("16K", 16_384), ("16kib", 16_384), ("16 MiB", 16 << 20), ("1G", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "K", "1.5M", "-1", "16KB", "99999999999999999999", "18446744073709551615K"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_segment_size("16MiB").is_ok());
        for text in ["15K", "2G", "16385", "0"] {
            assert!(parse_segment_size(text).is_err(), "{text}");
        }
        assert_eq!(show_size(16 << 20), "16 MiB");
        assert_eq!(show_size(16_385), "16385 bytes");
    }
}

//! Numbers in as few bytes as they need: seven bits a byte, the low ones first, the top bit says that
//! more follow. There is one way to write each number; any other one is refused.
#![forbid(unsafe_code)]

/// Appends a number: 1 to 10 bytes.
pub(super) fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes a number takes.
pub(super) const fn size(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// Takes a number off the front; `None` if it is cut short, too large, or longer than it need be.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    // Nearly all have one or two bytes.
    match **bytes {
        [only, ref rest @ ..] if only < 0x80 => {
            *bytes = rest;
            Some(u64::from(only))
        }
        [low, high @ 1..=0x7f, ref rest @ ..] => {
            *bytes = rest;
            Some(u64::from(low & 0x7f) | u64::from(high) << 7)
        }
        _ => take_any(bytes),
    }
}

fn take_any(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if place == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return (place == 0 || bits != 0).then_some(value);
        }
    }
    None
}

/// A difference as a number that is small when the difference is, whatever its sign.
pub(super) const fn fold(difference: u64) -> u64 {
    (difference << 1) ^ (0_u64.wrapping_sub(difference >> 63))
}

/// The difference that [`fold`] made a number of.
pub(super) const fn unfold(number: u64) -> u64 {
    (number >> 1) ^ (0_u64.wrapping_sub(number & 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [u64; 10] = [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 42, u64::MAX - 1, u64::MAX];

    #[test]
    fn every_number_is_read_back_and_written_one_way_only() {
        for value in SAMPLES {
            let mut bytes = Vec::new();
            put(value, &mut bytes);
            assert_eq!(bytes.len(), size(value));
            assert_eq!(take(&mut &bytes[..]), Some(value));
            assert_eq!(take(&mut &bytes[..bytes.len() - 1]), None, "{value} cut short");
            let last = bytes.len() - 1;
            bytes[last] |= 0x80;
            bytes.push(0);
            assert_eq!(take(&mut &bytes[..]), None, "{value} with a byte too many");
            assert_eq!(unfold(fold(value)), value);
        }
        assert_eq!(take(&mut &[0xff; 9][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), None);
    }

    #[test]
    fn small_differences_are_small_numbers() {
        assert_eq!([fold(0), fold(1), fold(u64::MAX), fold(2)], [0, 2, 1, 4]);
    }
}

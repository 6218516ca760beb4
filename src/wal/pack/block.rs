//! A block unpacked: some thousand frames as bytes that lie well beside each other.
//!
//! What a frame's header says is taken apart by field, each written as the difference to the frame
//! before; what follows from the log itself (durable lsn, the chain) is left out. Payloads of the
//! same few bytes stand by their places: all first bytes, all second bytes. Both make the same
//! content pack to about half.
#![forbid(unsafe_code)]

use super::varint;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::ident::WallMs;
use crate::wal::constants::PACK_PART_SIZE_MAX;
use crate::wal::constants::PACK_SHORT_PAYLOAD_MAX;
use crate::wal::constants::PAYLOAD_SIZE_MAX;
use crate::wal::frame::FrameHeader;
use std::ops::Range;

/// A frame in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Its header, the chain apart (`previous` is 0).
    pub(crate) header: FrameHeader,
    /// How many segments began since the frame before it.
    pub(crate) steps: u32,
    /// Where its payload is in [`Frames::payloads`].
    pub(crate) payload: Range<usize>,
}

/// The frames of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) frames: Vec<Packed>,
    pub(crate) payloads: Vec<u8>,
    /// Bytes that the fields of the frames take, unpacked.
    fields_size: usize,
}

impl Frames {
    /// Takes one more frame.
    pub(crate) fn push(&mut self, header: &FrameHeader, steps: u32, payload: &[u8]) {
        let start = self.payloads.len();
        self.payloads.extend_from_slice(payload);
        let header = FrameHeader { previous: 0, ..*header };
        self.frames.push(Packed { header, steps, payload: start..self.payloads.len() });
        self.fields_size += self.last_fields_size();
    }

    /// How many bytes it has, unpacked.
    pub(crate) fn size(&self) -> usize {
        self.payloads.len() + self.fields_size
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.payloads.clear();
        self.fields_size = 0;
    }

    fn last_fields_size(&self) -> usize {
        let Some((last, others)) = self.frames.split_last() else { return 0 };
        let header = last.header;
        let before = others.last().map(|frame| frame.header);
        let (epoch, wall, behind_before) =
            before.map_or((0, 0, 0), |header| (header.epoch, header.wall.0, behind(&header)));
        let differences = [(header.epoch, epoch), (header.wall.0, wall), (behind(&header), behind_before)];
        let gap = header.first.0.wrapping_sub(header.durable.0);
        let plain = [u64::from(header.count), last.payload.len() as u64, u64::from(last.steps), gap];
        let folded = differences.map(|(value, before)| varint::fold(value.wrapping_sub(before)));
        plain.into_iter().chain(folded).map(varint::size).sum()
    }

    /// The bytes. `before` = the last lsn before the block.
    pub(crate) fn encode(&self, before: Lsn) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        for frame in &self.frames {
            varint::put(u64::from(frame.header.count), &mut out);
        }
        for frame in &self.frames {
            varint::put(frame.payload.len() as u64, &mut out);
        }
        for frame in &self.frames {
            varint::put(u64::from(frame.steps), &mut out);
        }
        let mut last = before;
        for frame in &self.frames {
            varint::put(frame.header.first.0.wrapping_sub(last.0), &mut out);
            last = frame.header.last();
        }
        self.put_differences(|header| header.epoch, &mut out);
        self.put_differences(|header| header.wall.0, &mut out);
        self.put_differences(behind, &mut out);
        let ranges: Vec<Range<usize>> = self.frames.iter().map(|frame| frame.payload.clone()).collect();
        each_place(&ranges, |from| out.push(self.payloads[from]));
        out
    }

    fn put_differences(&self, field: impl Fn(&FrameHeader) -> u64, out: &mut Vec<u8>) {
        let mut last = 0;
        for frame in &self.frames {
            let value = field(&frame.header);
            varint::put(varint::fold(value.wrapping_sub(last)), out);
            last = value;
        }
    }

    /// Reads a block of `count` frames back, which must be all of `bytes`; what is wrong, if it is not.
    pub(crate) fn decode(mut bytes: &[u8], count: usize, before: Lsn) -> Result<Self, &'static str> {
        // A frame has a payload and seven fields: the count cannot reserve more than the bytes are worth.
        if bytes.len() > PACK_PART_SIZE_MAX || count > bytes.len() / 8 {
            return Err("its number of frames");
        }
        let all = bytes.len();
        let bytes = &mut bytes;
        let counts = column(bytes, count).ok_or("its record counts")?;
        let sizes = column(bytes, count).ok_or("its payload sizes")?;
        let steps = column(bytes, count).ok_or("its segments")?;
        let lsns = column(bytes, count).ok_or("its lsns")?;
        let epochs = differences(bytes, count).ok_or("its epochs")?;
        let walls = differences(bytes, count).ok_or("its wall times")?;
        let boots = differences(bytes, count).ok_or("its boot clocks")?;
        let fields_size = all - bytes.len();
        let (mut frames, mut start, mut last) = (Vec::with_capacity(count), 0, before);
        for index in 0..count {
            let size = usize::try_from(sizes[index]).ok().filter(|size| (1..=PAYLOAD_SIZE_MAX).contains(size));
            let size = size.filter(|size| start + size <= bytes.len()).ok_or("its payload sizes")?;
            let count = u32::try_from(counts[index]).ok().filter(|count| *count > 0).ok_or("its record counts")?;
            let first = last.0.checked_add(lsns[index]).filter(|first| *first > last.0).ok_or("its lsns")?;
            first.checked_add(u64::from(count)).ok_or("its lsns")?;
            let wall = walls[index];
            let header = FrameHeader {
                first: Lsn(first),
                count,
                durable: last,
                epoch: epochs[index],
                wall: WallMs(wall),
                boot: BootMs(boots[index].wrapping_add(wall)),
                previous: 0,
            };
            last = header.last();
            let steps = u32::try_from(steps[index]).map_err(|_| "its segments")?;
            frames.push(Packed { header, steps, payload: start..start + size });
            start += size;
        }
        if start != bytes.len() {
            return Err("its length");
        }
        let payloads = gather(&frames, bytes);
        Ok(Self { frames, payloads, fields_size })
    }

    /// The payload of a frame.
    pub(crate) fn payload(&self, frame: &Packed) -> &[u8] {
        &self.payloads[frame.payload.clone()]
    }
}

/// Goes over the bytes of payloads in the order in which they are written: short ones by size, and of
/// one size by place; then the long ones as they are.
fn each_place(ranges: &[Range<usize>], mut visit: impl FnMut(usize)) {
    let mut by_size: Vec<Vec<usize>> = vec![Vec::new(); PACK_SHORT_PAYLOAD_MAX + 1];
    for range in ranges.iter().filter(|range| range.len() <= PACK_SHORT_PAYLOAD_MAX) {
        by_size[range.len()].push(range.start);
    }
    for (size, starts) in by_size.iter().enumerate() {
        for place in 0..size {
            starts.iter().for_each(|start| visit(start + place));
        }
    }
    for range in ranges.iter().filter(|range| range.len() > PACK_SHORT_PAYLOAD_MAX) {
        range.clone().for_each(&mut visit);
    }
}

/// The payloads one behind the other, from all their bytes as [`each_place`] orders them. Each is put
/// together by itself: it is written in one go, and read from as many places as it has bytes.
fn gather(frames: &[Packed], bytes: &[u8]) -> Vec<u8> {
    let mut counts = [0; PACK_SHORT_PAYLOAD_MAX + 1];
    let short = |frame: &Packed| Some(frame.payload.len()).filter(|size| *size <= PACK_SHORT_PAYLOAD_MAX);
    frames.iter().filter_map(short).for_each(|size| counts[size] += 1);
    let (mut next, mut next_long) = ([0; PACK_SHORT_PAYLOAD_MAX + 1], 0);
    for (size, count) in counts.iter().enumerate() {
        next[size] = next_long;
        next_long += size * count;
    }
    let mut payloads = vec![0; bytes.len()];
    for frame in frames {
        let payload = &mut payloads[frame.payload.clone()];
        if let Some(size) = short(frame) {
            let from = bytes[next[size]..].iter().step_by(counts[size]);
            payload.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            next[size] += 1;
        } else {
            payload.copy_from_slice(&bytes[next_long..next_long + payload.len()]);
            next_long += payload.len();
        }
    }
    payloads
}

fn column(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    (0..count).map(|_| varint::take(bytes)).collect()
}

fn differences(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let mut last = 0_u64;
    let next = |_| {
        last = last.wrapping_add(varint::unfold(varint::take(bytes)?));
        Some(last)
    };
    (0..count).map(next).collect()
}

/// How far a frame's boot clock is from its wall time.
const fn behind(header: &FrameHeader) -> u64 {
    header.boot.0.wrapping_sub(header.wall.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Frames {
        let mut frames = Frames::default();
        let mut last = Lsn(7);
        for number in 0..40_u64 {
            let header = FrameHeader {
                first: Lsn(last.0 + 1 + u64::from(number == 20) * 1_000),
                count: 1 + (number % 3) as u32,
                durable: last,
                epoch: 3 + u64::from(number >= 20),
                wall: WallMs(1_700_000_000_000 + number * 50),
                boot: BootMs(if number < 20 { 90_000 + number * 50 } else { number }),
                previous: 0,
            };
            let size = [6, 14, 14, 65, 300][number as usize % 5];
            let payload: Vec<u8> = (0..size).map(|place: u64| (place * 31 + number) as u8).collect();
            frames.push(&header, u32::from(number % 7 == 0), &payload);
            last = header.last();
        }
        frames
    }

    #[test]
    fn a_block_is_read_back_and_has_one_form() {
        let frames = frames();
        let bytes = frames.encode(Lsn(7));
        assert_eq!(bytes.len(), frames.size());
        assert_eq!(Frames::decode(&bytes, 40, Lsn(7)), Ok(frames));
        let empty = Frames::default();
        assert_eq!(Frames::decode(&empty.encode(Lsn(7)), 0, Lsn(7)), Ok(empty));
    }

    #[test]
    fn what_is_no_block_is_named_and_never_a_panic() {
        let bytes = frames().encode(Lsn(7));
        for cut in 0..bytes.len() {
            assert!(Frames::decode(&bytes[..cut], 40, Lsn(7)).is_err(), "cut at {cut}");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x81;
            if let Ok(frames) = Frames::decode(&changed, 40, Lsn(7)) {
                assert_eq!(frames.encode(Lsn(7)), changed, "byte {place}: two forms of one block");
            }
        }
        assert!(Frames::decode(&bytes, 39, Lsn(7)).is_err());
        assert!(Frames::decode(&bytes, usize::MAX, Lsn(7)).is_err());
        assert!(Frames::decode(&bytes, 40, Lsn(u64::MAX - 5)).is_err());
    }
}

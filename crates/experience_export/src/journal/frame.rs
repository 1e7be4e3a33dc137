//! Frame format of a segment: preamble, checksums, and a scanner that skips damage.

use super::{
    record::{MAX_BATCH, Record},
    substring_sums::SubstringSums,
};

/// Bytes of a segment's preamble.
pub(super) const PREAMBLE: usize = 16;
/// Bytes of a frame before its batch.
pub(super) const HEADER: usize = 8;
/// Bytes of a batch before its records.
pub(super) const NUMBER: usize = 8;

/// Bytes that are left of the last segment that was released: its preamble without the byte order. No write ends there.
pub(super) const MARK: usize = 12;

pub(super) const MAGIC: [u8; 8] = *b"bevyjrnl";
pub(super) const VERSION: u32 = 1;
const BYTE_ORDER: u32 = 0x0102_0304;

/// The preamble of a segment.
pub(super) fn preamble() -> [u8; PREAMBLE] {
    let mut bytes = [0; PREAMBLE];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..].copy_from_slice(&BYTE_ORDER.to_ne_bytes());
    bytes
}

/// Whether `bytes` are all that is left of a segment that was released.
pub(super) fn is_mark(bytes: &[u8]) -> bool {
    *bytes == preamble()[..MARK]
}

/// Whether `bytes`, the end of a segment, are the beginning of a longer frame, as far as its length can be trusted.
pub(super) fn is_truncated(bytes: &[u8]) -> bool {
    match bytes.split_first_chunk::<4>() {
        Some((length, _)) => bytes.len() < HEADER.saturating_add(u32::from_le_bytes(*length) as usize),
        None => true,
    }
}

/// Why a file cannot be read as a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It ends before its first frame.
    Cut,
    /// It is no segment.
    Other,
    /// It has another format version.
    Version(u32),
    /// A machine with the other byte order wrote it.
    ByteOrder,
}

/// Checks the preamble of a segment.
pub(super) fn check_preamble(bytes: &[u8]) -> Result<(), Foreign> {
    let Some(start) = bytes.first_chunk::<PREAMBLE>() else {
        let is_cut = preamble().starts_with(bytes);
        return Err(if is_cut { Foreign::Cut } else { Foreign::Other });
    };
    let number = |at: usize| [start[at], start[at + 1], start[at + 2], start[at + 3]];
    if start[..8] != MAGIC {
        return Err(Foreign::Other);
    }
    let version = u32::from_le_bytes(number(8));
    if version != VERSION {
        return Err(Foreign::Version(version));
    }
    match u32::from_ne_bytes(number(12)) {
        BYTE_ORDER => Ok(()),
        order if order == BYTE_ORDER.swap_bytes() => Err(Foreign::ByteOrder),
        _ => Err(Foreign::Other),
    }
}

/// Begins a frame: `frame` then holds its number and no records.
pub(super) fn begin(frame: &mut Vec<u8>, number: u64) {
    frame.clear();
    frame.extend_from_slice(&[0; HEADER]);
    frame.extend_from_slice(&number.to_le_bytes());
}

/// Writes length and checksum. False when the batch is longer than [`MAX_BATCH`].
pub(super) fn seal(frame: &mut [u8]) -> bool {
    let length = frame.len() - HEADER;
    if length > MAX_BATCH {
        return false;
    }
    let length = (length as u32).to_le_bytes();
    let sum = checksum(length, &frame[HEADER..]);
    frame[..4].copy_from_slice(&length);
    frame[4..HEADER].copy_from_slice(&sum.to_le_bytes());
    true
}

fn checksum(length: [u8; 4], batch: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), batch)
}

/// A frame whose length, checksum and number are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) number: u64,
    records: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn len(self) -> usize {
        HEADER + NUMBER + self.records.len()
    }

    /// Its records, up to the first that cannot be decoded. A frame from a [`Scanner`] has none such.
    pub(super) fn records(self) -> impl Iterator<Item = Record<'a>> {
        let mut rest = self.records;
        core::iter::from_fn(move || {
            let (record, bytes) = Record::decode(rest)?;
            rest = &rest[bytes..];
            Some(record)
        })
    }

    fn is_decodable(self) -> bool {
        let mut rest = self.records;
        while !rest.is_empty() {
            match Record::decode(rest) {
                Some((_, bytes)) => rest = &rest[bytes..],
                None => return false,
            }
        }
        true
    }
}

/// Part of a segment, as a [`Scanner`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Frame(Frame<'a>),
    /// Bytes that are no frame, before a frame.
    Damaged(usize),
    /// Bytes that are no frame, at the end of the segment.
    Tail(usize),
}

/// Iterator over the frames of a segment.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Number of the last frame, in this segment or the one before.
    last: Option<u64>,
    /// Checksums of any part of the segment, once a part of it is damaged. With them a search that tries every offset takes time
    /// in proportion to the segment, whatever its bytes are.
    sums: Option<SubstringSums<'a>>,
    /// Bytes of batches that may still turn out to have a right checksum and no records. No journal has such a batch, and a
    /// hostile file could have many that overlap.
    budget: usize,
}

/// At most this many times the bytes of a segment are decoded in vain.
const DECODE_FACTOR: usize = 8;
/// Most frames that can be missing between two. A larger difference means that a number is damaged.
const MOST_MISSING: u64 = 1 << 32;

impl<'a> Scanner<'a> {
    /// Begins after the preamble.
    pub(super) fn new(bytes: &'a [u8], last: Option<u64>) -> Self {
        Self {
            bytes,
            at: PREAMBLE,
            last,
            sums: None,
            budget: bytes.len().saturating_mul(DECODE_FACTOR),
        }
    }

    /// Begins at the first byte of a segment whose preamble is damaged.
    pub(super) fn without_preamble(bytes: &'a [u8], last: Option<u64>) -> Self {
        Self {
            at: 0,
            ..Self::new(bytes, last)
        }
    }

    /// Offset of the next part.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Number of the last frame.
    pub(super) fn last(&self) -> Option<u64> {
        self.last
    }

    /// The next part. `None` at the end.
    pub(super) fn next(&mut self) -> Option<Found<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        if let Some(frame) = self.frame_at(self.at) {
            self.at += frame.len();
            self.last = Some(frame.number);
            return Some(Found::Frame(frame));
        }
        let from = self.at;
        let end = self.bytes.len();
        self.sums.get_or_insert_with(|| SubstringSums::new(self.bytes));
        let next = (from + 1..end.saturating_sub(HEADER + NUMBER - 1)).find(|&at| self.frame_at(at).is_some());
        self.at = next.unwrap_or(end);
        let bytes = self.at - from;
        Some(next.map_or(Found::Tail(bytes), |_| Found::Damaged(bytes)))
    }

    fn frame_at(&mut self, at: usize) -> Option<Frame<'a>> {
        let (header, rest) = self.bytes[at..].split_first_chunk::<HEADER>()?;
        let [a, b, c, d, sum @ ..] = *header;
        let length = [a, b, c, d];
        let batch = rest.get(..u32::from_le_bytes(length) as usize)?;
        let (number, records) = batch.split_first_chunk::<NUMBER>()?;
        let number = u64::from_le_bytes(*number);
        let next = self.last.map_or(0, |last| last.saturating_add(1));
        if number < next || number - next > MOST_MISSING {
            return None;
        }
        // The first record of every batch has a tag. This excludes most offsets without a checksum.
        let (tag, _) = records.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*tag) > Record::LAST_TAG {
            return None;
        }
        let found = match &self.sums {
            Some(sums) => sums.after(crc32c::crc32c(&length), at + HEADER, batch.len()),
            None => checksum(length, batch),
        };
        if found != u32::from_le_bytes(sum) || batch.len() > self.budget {
            return None;
        }
        let frame = Frame { number, records };
        if !frame.is_decodable() {
            self.budget -= batch.len();
            return None;
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment of frames with one record each.
    fn segment(frames: u64) -> Vec<u8> {
        let mut bytes = preamble().to_vec();
        for number in 0..frames {
            let mut frame = Vec::new();
            begin(&mut frame, number);
            let rows = vec![number as u8; 20 + number as usize];
            let record = Record::Rows {
                episode_id: number as i64,
                rows: &rows,
            };
            record.encode(&mut frame);
            assert!(seal(&mut frame));
            bytes.extend(frame);
        }
        bytes
    }

    /// The numbers of all frames, and how many bytes are damaged in the middle and at the end.
    fn scan(bytes: &[u8]) -> (Vec<u64>, usize, usize) {
        let mut scanner = Scanner::new(bytes, None);
        let (mut numbers, mut damaged, mut tail) = (Vec::new(), 0, 0);
        while let Some(found) = scanner.next() {
            match found {
                Found::Frame(frame) => {
                    assert_eq!(frame.records().count(), 1);
                    numbers.push(frame.number);
                }
                Found::Damaged(bytes) => damaged += bytes,
                Found::Tail(bytes) => tail += bytes,
            }
        }
        (numbers, damaged, tail)
    }

    #[test]
    fn the_preamble_is_that_of_the_documentation() {
        let bytes = segment(0);
        assert_eq!(&bytes[..12], b"bevyjrnl\x01\0\0\0");
        assert_eq!(check_preamble(&bytes), Ok(()));
        for end in 0..PREAMBLE {
            assert_eq!(check_preamble(&bytes[..end]), Err(Foreign::Cut));
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            check_preamble(&bytes)
        };
        assert_eq!(with(0, b'x'), Err(Foreign::Other));
        assert_eq!(with(8, 2), Err(Foreign::Version(2)));
        assert_eq!(with(13, 9), Err(Foreign::Other));
        let mut other = bytes.clone();
        other[12..].reverse();
        assert_eq!(check_preamble(&other), Err(Foreign::ByteOrder));
    }

    #[test]
    fn a_segment_that_is_cut_at_any_byte_has_the_frames_before() {
        let whole = segment(6);
        let ends: Vec<_> = {
            let mut scanner = Scanner::new(&whole, None);
            core::iter::from_fn(|| scanner.next().map(|_| scanner.at())).collect()
        };
        for end in PREAMBLE..=whole.len() {
            let (numbers, damaged, tail) = scan(&whole[..end]);
            let expected = ends.iter().filter(|&&frame| frame <= end).count();
            assert_eq!(numbers, (0..expected as u64).collect::<Vec<_>>(), "cut at {end}");
            let last = ends[..expected].last().copied().unwrap_or(PREAMBLE);
            assert_eq!((damaged, tail), (0, end - last), "cut at {end}");
        }
    }

    #[test]
    fn any_bit_that_is_flipped_costs_one_frame() {
        let whole = segment(5);
        for at in PREAMBLE..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let (numbers, damaged, tail) = scan(&bytes);
                assert_eq!(numbers.len(), 4, "bit {bit} of byte {at}: {numbers:?}");
                assert!(damaged + tail > 0);
            }
        }
    }

    #[test]
    fn hostile_lengths_and_zeros_are_no_frames() {
        for length in [0, 1, 8, 100, u32::MAX / 2, u32::MAX] {
            let mut bytes = segment(1);
            bytes.extend(length.to_le_bytes());
            bytes.extend([0; 64]);
            let (numbers, _, tail) = scan(&bytes);
            assert_eq!((numbers, tail), (vec![0], 68), "{length}");
        }
    }

    #[test]
    fn a_file_of_endless_false_frames_is_given_up() {
        // Everywhere a frame that is as long as the rest, with a wrong checksum.
        let mut bytes = segment(1);
        for _ in 0..1 << 16 {
            bytes.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        }
        let begun = std::time::Instant::now();
        let (numbers, damaged, tail) = scan(&bytes);
        assert_eq!((numbers, damaged), (vec![0], 0));
        assert_eq!(tail, 8 << 16);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_frame_behind_any_number_of_false_ones_is_found() {
        // A damaged frame of zeros and small numbers, as rows are: false frames of up to a mebibyte begin everywhere in it.
        let mut bytes = segment(1);
        for word in 0..1_u32 << 17 {
            bytes.extend([word << 12 & 0xf_ffff, 0].map(u32::to_le_bytes).concat());
        }
        let whole = segment(3);
        let begins: Vec<_> = {
            let mut scanner = Scanner::new(&whole, None);
            core::iter::from_fn(|| scanner.next().map(|_| scanner.at())).collect()
        };
        bytes.extend(&whole[begins[0]..]);
        let begun = std::time::Instant::now();
        let (numbers, damaged, tail) = scan(&bytes);
        assert_eq!((numbers, damaged, tail), (vec![0, 1, 2], 1 << 20, 0));
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn false_frames_between_true_ones_take_no_longer() {
        // Before each true frame, the header of one that is as long as the rest.
        let whole = segment(2_000);
        let mut scanner = Scanner::new(&whole, None);
        let mut bytes = preamble().to_vec();
        let mut at = PREAMBLE;
        while scanner.next().is_some() {
            let mut header = [0; HEADER + NUMBER + 4];
            header[..4].copy_from_slice(&100_000_u32.to_le_bytes());
            header[HEADER..HEADER + NUMBER].copy_from_slice(&u64::from(u32::MAX).to_le_bytes());
            bytes.extend(header);
            bytes.extend(&whole[at..scanner.at()]);
            at = scanner.at();
        }
        let begun = std::time::Instant::now();
        assert_eq!(scan(&bytes).0, (0..2_000).collect::<Vec<_>>());
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn frames_that_came_before_are_passed_over() {
        let mut bytes = segment(2);
        let again = bytes[PREAMBLE..].to_vec();
        bytes.extend(again);
        assert_eq!(scan(&bytes).0, [0, 1]);
    }
}

//! Frame format of a segment: preamble, checksums, and a scanner that skips damage.

use super::record::{MAX_BATCH, Record};

/// Bytes of a segment's preamble.
pub(super) const PREAMBLE: usize = 16;
/// Bytes of a frame before its batch.
pub(super) const HEADER: usize = 8;
/// Bytes of a batch before its records.
pub(super) const NUMBER: usize = 8;

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
    /// Bytes that may still be checksummed in the search for a frame. It bounds the time that a hostile file takes in which
    /// many frames seem to begin.
    budget: usize,
}

/// The search for frames checksums at most this many times the bytes of the segment.
const SEARCH_FACTOR: usize = 8;
/// Most frames that can be missing between two. A larger difference means that a number is damaged.
const MOST_MISSING: u64 = 1 << 32;

impl<'a> Scanner<'a> {
    /// Begins after the preamble.
    pub(super) fn new(bytes: &'a [u8], last: Option<u64>) -> Self {
        Self {
            bytes,
            at: PREAMBLE,
            last,
            budget: bytes.len().saturating_mul(SEARCH_FACTOR),
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
        self.budget = self.budget.checked_sub(batch.len())?;
        if checksum(length, batch) != u32::from_le_bytes(sum) {
            return None;
        }
        let frame = Frame { number, records };
        frame.is_decodable().then_some(frame)
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
    fn frames_that_came_before_are_passed_over() {
        let mut bytes = segment(2);
        let again = bytes[PREAMBLE..].to_vec();
        bytes.extend(again);
        assert_eq!(scan(&bytes).0, [0, 1]);
    }
}

//! Reader of a journal that a process left behind.

use super::{
    Extent, Record,
    extent::{number, path},
    frame::{self, Foreign, Found, Scanner},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Longest segment that is read. This crate writes none that is longer.
const MAX_SEGMENT: u64 = 3 << 30;

/// Why a journal cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system refused.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// It has another format version.
    #[error("`{}` has format {found}, and this version of the crate reads {known}: recover it with the version that wrote it", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The format version that this crate reads.
        known: u32,
    },
    /// A machine with the other byte order wrote its rows.
    #[error("`{}` has rows of the other byte order: recover it on a machine of that byte order", path.display())]
    ByteOrder {
        /// The segment.
        path: PathBuf,
    },
}

/// Part of a segment that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The segment's number.
    pub segment: u32,
    /// The segment.
    pub path: PathBuf,
    /// Offset of its first byte.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Why it could not be read.
    pub kind: Unread,
}

/// Why a part of a segment is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unread {
    /// The last frame is truncated: the process died while it was written, or the disk was full.
    Torn,
    /// It is damaged: frames follow it, or a frame of that length was written.
    Damaged,
    /// The file is no segment.
    NoSegment,
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (path, offset, bytes) = (self.path.display(), self.offset, self.bytes);
        match self.kind {
            Unread::Torn => write!(f, "`{path}` ends with {bytes} bytes that are no whole frame"),
            Unread::Damaged => write!(
                f,
                "`{path}` is damaged: {bytes} bytes from byte {offset} on were passed over"
            ),
            Unread::NoSegment => write!(f, "`{path}` is no segment of a journal, and was passed over"),
        }
    }
}

/// Location of a record.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    segment: u32,
    bytes: &'a [u8],
}

impl Place<'_> {
    /// The segment's number.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// Location of `rows`, which are a part of this record.
    ///
    /// # Panics
    /// When `rows` are no part of the segment.
    #[must_use]
    pub fn extent(&self, rows: &[u8]) -> Extent {
        let offset = rows.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        assert!(
            offset <= self.bytes.len() && rows.len() <= self.bytes.len() - offset,
            "rows of another segment"
        );
        Extent {
            segment: self.segment,
            bytes: rows.len() as u32,
            offset: offset as u64,
            sum: crc32c::crc32c(rows),
        }
    }
}

/// Reader of the segments in a folder. Memory holds one segment at a time.
#[derive(Debug, Default)]
pub struct JournalReader {
    /// Number of readable frames.
    pub frames: u64,
    /// Number of frames that are missing between those.
    pub missing: u64,
    /// Those of the missing frames in whose place nothing is, not even a damaged part.
    pub absent: u64,
    /// Number of segments that are missing before the first one, although no release has deleted them. 0 for a journal whose
    /// releases leave no mark.
    pub absent_segments: u32,
    /// A damaged part was found since the last frame.
    is_after_damage: bool,
    /// Parts that could not be read.
    pub damage: Vec<Damage>,
}

impl JournalReader {
    /// Calls `each` with every record of the journal in `folder` that no release has deleted, in order. A missing folder is an empty
    /// journal.
    ///
    /// # Errors
    /// When the file system refuses, or the journal has another format version or byte order. Damage is no error.
    pub fn read(folder: &Path, mut each: impl FnMut(Place<'_>, Record<'_>)) -> Result<Self, JournalError> {
        let mut reader = Self::default();
        let (mut last, mut marks_releases) = (None, false);
        let mut segments = segments(folder)?;
        // The mark is written before the segments before it are deleted. What they hold and is still needed is restated after it,
        // and a `Discard` of one of their episodes may have been in the segment that became the mark.
        let mark = last_mark(folder, &segments)?;
        if let Some(mark) = mark {
            segments.retain(|segment| *segment > mark);
        }
        // The first segment that must be there, and the first that is.
        let (first, mut found) = (mark.map_or(0, |mark| mark.saturating_add(1)), None);
        for segment in segments {
            let path = path(folder, segment);
            let bytes = content(&path)?;
            found = found.or(Some(segment));
            last = reader.scan(&path, segment, &bytes, last, &mut |place, record| {
                marks_releases |= record == Record::MarksReleases;
                each(place, record);
            })?;
        }
        if marks_releases {
            reader.absent_segments = found.map_or(0, |found| found.saturating_sub(first));
        }
        Ok(reader)
    }

    /// Calls `is_enough` with the records of the journal in `folder`, in order, until it has returned true for one of a segment.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_until(folder: &Path, mut is_enough: impl FnMut(Record<'_>) -> bool) -> Result<(), JournalError> {
        let mut reader = Self::default();
        for segment in segments(folder)? {
            let path = path(folder, segment);
            let bytes = content(&path)?;
            let mut is_done = false;
            reader.scan(&path, segment, &bytes, None, &mut |_, record| {
                is_done |= is_enough(record);
            })?;
            if is_done {
                break;
            }
        }
        Ok(())
    }

    /// Calls `each` with every record of the segment whose content is `bytes`.
    ///
    /// # Errors
    /// When it has another format version or byte order. Damage is no error.
    pub fn read_segment(bytes: &[u8], mut each: impl FnMut(Place<'_>, Record<'_>)) -> Result<Self, JournalError> {
        let mut reader = Self::default();
        reader.scan(Path::new("00000.journal"), 0, bytes, None, &mut each)?;
        Ok(reader)
    }

    fn scan(
        &mut self,
        path: &Path,
        segment: u32,
        bytes: &[u8],
        last: Option<u64>,
        each: &mut dyn FnMut(Place<'_>, Record<'_>),
    ) -> Result<Option<u64>, JournalError> {
        let is_after_damage = core::cell::Cell::new(self.is_after_damage);
        let mut damage = |offset: usize, length: usize, kind| {
            is_after_damage.set(true);
            self.damage.push(Damage {
                segment,
                path: path.to_owned(),
                offset: offset as u64,
                bytes: length as u64,
                kind,
            });
        };
        let mut scanner = match frame::check_preamble(bytes) {
            Ok(()) => Scanner::new(bytes, last),
            Err(Foreign::Cut) => {
                damage(0, bytes.len(), Unread::Torn);
                self.is_after_damage = true;
                return Ok(last);
            }
            // The frames may be intact.
            Err(Foreign::Other) => Scanner::without_preamble(bytes, last),
            // Frames of another version have other checksums, so the number of the version is damaged.
            Err(Foreign::Version(_)) if matches!(Scanner::new(bytes, last).next(), Some(Found::Frame(_))) => {
                Scanner::without_preamble(bytes, last)
            }
            Err(Foreign::Version(found)) => {
                return Err(JournalError::Version {
                    path: path.to_owned(),
                    found,
                    known: frame::VERSION,
                });
            }
            Err(Foreign::ByteOrder) => return Err(JournalError::ByteOrder { path: path.to_owned() }),
        };
        loop {
            let (at, before) = (scanner.at(), scanner.last());
            match scanner.next() {
                Some(Found::Frame(frame)) => {
                    self.frames += 1;
                    let missing = before.map_or(0, |before| frame.number - before - 1);
                    self.missing += missing;
                    if !is_after_damage.take() {
                        self.absent += missing;
                    }
                    for record in frame.records() {
                        each(Place { segment, bytes }, record);
                    }
                }
                Some(Found::Damaged(length)) => damage(at, length, Unread::Damaged),
                Some(Found::Tail(length)) if at == 0 => damage(at, length, Unread::NoSegment),
                // A frame that is whole by its length was damaged later.
                Some(Found::Tail(length)) => {
                    let is_torn = frame::is_truncated(&bytes[at..]);
                    damage(at, length, if is_torn { Unread::Torn } else { Unread::Damaged });
                }
                None => {
                    self.is_after_damage = is_after_damage.get();
                    return Ok(scanner.last());
                }
            }
        }
    }
}

/// Numbers of the segments in a folder, in order.
fn segments(folder: &Path) -> Result<Vec<u32>, JournalError> {
    let failed = |source| JournalError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(failed)?.file_name();
                found.extend(name.to_str().and_then(number));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    found.sort_unstable();
    Ok(found)
}

/// Number of the last of the `segments` that is the mark of a release.
fn last_mark(folder: &Path, segments: &[u32]) -> Result<Option<u32>, JournalError> {
    for segment in segments.iter().rev() {
        let path = path(folder, *segment);
        let file = fs::metadata(&path).map_err(|source| JournalError::Io {
            path: path.clone(),
            source,
        })?;
        if file.len() == frame::MARK as u64 && frame::is_mark(&content(&path)?) {
            return Ok(Some(*segment));
        }
    }
    Ok(None)
}

/// Content of a segment, unless it is longer than [`MAX_SEGMENT`].
fn content(path: &Path) -> Result<Vec<u8>, JournalError> {
    let failed = |source| JournalError::Io {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_SEGMENT {
        let source = io::Error::other(format!("it is longer than {MAX_SEGMENT} bytes"));
        return Err(failed(source));
    }
    fs::read(path).map_err(failed)
}

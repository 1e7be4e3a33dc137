//! Location of rows in a journal, and the reader of rows by location.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Location of consecutive rows of one episode in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The segment's number.
    pub segment: u32,
    /// Bytes of the rows.
    pub bytes: u32,
    /// Offset of the first row in the segment's file.
    pub offset: u64,
    /// Their CRC-32C.
    pub sum: u32,
}

/// Reader of rows in the segments of a journal.
///
/// It keeps one file open, the one that was read last.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    open: Option<(u32, File)>,
}

impl Segments {
    /// A reader of the journal in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            open: None,
        }
    }

    /// The folder of the journal.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends the rows of an extent to `rows`.
    ///
    /// # Errors
    /// When they cannot be read, or their checksum is wrong. `rows` is unchanged then.
    pub fn read(&mut self, extent: &Extent, rows: &mut Vec<u64>) -> io::Result<()> {
        let before = rows.len();
        let was_open = self
            .open
            .as_ref()
            .is_some_and(|(segment, _)| *segment == extent.segment);
        let mut read = self.try_read(extent, rows);
        if read.is_err() {
            rows.truncate(before);
            self.open = None;
            if was_open {
                // The journal may have written the segment to a new file since.
                read = self.try_read(extent, rows);
            }
        }
        if read.is_err() {
            rows.truncate(before);
            self.open = None;
        }
        read
    }

    fn try_read(&mut self, extent: &Extent, rows: &mut Vec<u64>) -> io::Result<()> {
        let file = match &mut self.open {
            Some((segment, file)) if *segment == extent.segment => file,
            open => {
                let file = File::open(path(&self.folder, extent.segment))?;
                &mut open.insert((extent.segment, file)).1
            }
        };
        let before = rows.len();
        rows.resize(before + extent.bytes as usize / size_of::<u64>(), 0);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut rows[before..]);
        file.seek(SeekFrom::Start(extent.offset))?;
        file.read_exact(bytes)?;
        if crc32c::crc32c(bytes) != extent.sum {
            return Err(io::Error::other("the checksum of rows in the journal is wrong"));
        }
        Ok(())
    }
}

/// Suffix of the names of segments.
const SUFFIX: &str = ".journal";

/// Path of a segment in its folder.
pub(super) fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:05}{SUFFIX}"))
}

/// Number of the segment with this file name.
pub(super) fn number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (path(Path::new(""), number).to_str() == Some(name)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_and_nothing_else() {
        for segment in [0, 7, 99_999, 100_000, u32::MAX] {
            assert_eq!(number(path(Path::new(""), segment).to_str().unwrap()), Some(segment));
        }
        for name in [
            "",
            ".journal",
            "0.journal",
            "000001.journal",
            "+0001.journal",
            "4294967296.journal",
            "00000.tmp",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}

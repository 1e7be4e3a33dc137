//! Length and CRC-32C of a shard's file.

use crate::store::source;
use experience_export::disk::atomic::AtomicFile;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read},
    path::Path,
};

/// The length and the CRC-32C of a file.
///
/// That of a shard is computed while the shard is written, so it differs from the file if the disk has changed a bit since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChecksum {
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-32C (Castagnoli) of all bytes.
    pub crc32c: u32,
}

impl FileChecksum {
    /// That of a file that is being written, as it is so far.
    pub(crate) fn of(file: &AtomicFile) -> Self {
        Self {
            bytes: file.bytes(),
            crc32c: file.crc32c(),
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut file = source::open(path)?;
        let mut checksum = Self::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(checksum),
                Ok(read) => checksum.add(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_written_file_has_the_checksum_of_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = AtomicFile::create(&path).unwrap();
        for part in [&b"some"[..], b"", b" bytes"] {
            file.write_all(part).unwrap();
        }
        let checksum = FileChecksum::of(&file);
        file.commit().unwrap();
        assert_eq!(checksum.bytes, 10);
        assert_eq!(checksum.crc32c, crc32c::crc32c(b"some bytes"));
        assert_eq!(FileChecksum::read(&path).unwrap(), checksum);
    }
}

//! Length and CRC-32C of a shard's file.

use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read, Write},
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
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
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

/// A writer that computes the checksum of what was written through it.
#[derive(Debug)]
pub(crate) struct ChecksumWriter<W> {
    pub(crate) inner: W,
    pub(crate) checksum: FileChecksum,
}

impl<W> ChecksumWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            checksum: FileChecksum::default(),
        }
    }
}

impl<W: Write> Write for ChecksumWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.checksum.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_has_the_checksum_of_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut writer = ChecksumWriter::new(File::create(&path).unwrap());
        for part in [&b"some"[..], b"", b" bytes"] {
            writer.write_all(part).unwrap();
        }
        let checksum = writer.checksum;
        assert_eq!(checksum.bytes, 10);
        assert_eq!(checksum.crc32c, crc32c::crc32c(b"some bytes"));
        assert_eq!(FileChecksum::read(&path).unwrap(), checksum);
    }
}

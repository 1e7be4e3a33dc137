//! The bytes of a shard on their way to the disk.

use experience_export::disk::DiskFile;
use std::{
    io::{self, Write},
    path::Path,
};

/// A file that takes every write, and brings it to the disk when asked to.
///
/// A Parquet writer that meets a full disk is broken for good, with every row that it has taken. This one stands between:
/// the writer never sees an error, and bytes that do not fit stay in memory until the disk takes them.
#[derive(Debug)]
pub(super) struct Spool {
    file: DiskFile,
    waiting: Vec<u8>,
}

impl Spool {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: DiskFile::create_new(path)?,
            waiting: Vec::new(),
        })
    }

    /// Writes what waits. What could not be written still waits afterwards.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let mut written = 0;
        let outcome = loop {
            if written == self.waiting.len() {
                break Ok(());
            }
            match self.file.write(&self.waiting[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.waiting.drain(..written);
        outcome
    }

    /// Writes what waits, and makes all of it last through a loss of power.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.drain()?;
        self.file.sync()
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_export::disk::faults::{Fault, Faults};

    #[test]
    fn what_a_full_disk_refuses_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        // Making the file and the first write work.
        let faults = Faults::plan(2, Fault::Full);
        let mut spool = Spool::create(&path).unwrap();
        spool.write_all(b"before ").unwrap();
        spool.drain().unwrap();
        spool.write_all(b"while ").unwrap();
        assert_eq!(spool.drain().unwrap_err().kind(), io::ErrorKind::StorageFull);
        spool.write_all(b"after").unwrap();
        assert!(spool.sync().is_err());
        faults.mend();
        spool.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"before while after");
    }
}

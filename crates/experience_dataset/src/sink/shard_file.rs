//! The output file of a shard's Parquet writer, which buffers in memory what a full disk refuses.

use super::checksum::FileChecksum;
use experience_export::disk::atomic::AtomicFile;
use std::io::{self, Write};

/// An [`AtomicFile`] whose writes never fail: bytes wait in memory until [`drain`](Self::drain) writes them.
///
/// A Parquet writer is unusable after an I/O error, and every row in it is lost. So writes to this file return no error: bytes
/// that the disk refuses stay in memory.
#[derive(Debug)]
pub(super) struct ShardFile {
    file: AtomicFile,
    waiting: Vec<u8>,
}

impl ShardFile {
    pub(super) fn new(file: AtomicFile) -> Self {
        Self {
            file,
            waiting: Vec::new(),
        }
    }

    /// Writes the waiting bytes. Those that could not be written keep waiting.
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

    /// The checksum of the bytes that do not wait.
    pub(super) fn checksum(&self) -> FileChecksum {
        FileChecksum::of(&self.file)
    }

    /// Writes the waiting bytes and commits the file. May be called again after an error.
    ///
    /// A file of which a write or a sync has failed is first copied to a new one, which alone is committed.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) when what was written cannot be read back: it is lost.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        self.drain()?;
        if self.file.has_failed() {
            self.file.rewrite()?;
        }
        self.file.commit()
    }
}

impl Write for ShardFile {
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
    use experience_export::disk::{
        Operation,
        faults::{Fault, Faults},
    };
    use std::path::{Path, PathBuf};

    #[test]
    fn bytes_that_a_full_disk_refuses_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        // The creation of the file and the first write succeed.
        let faults = Faults::plan(2, Fault::Full);
        let mut file = ShardFile::new(AtomicFile::create_as(&path, folder.path().join("shard.tmp")).unwrap());
        file.write_all(b"before ").unwrap();
        file.drain().unwrap();
        file.write_all(b"while ").unwrap();
        assert_eq!(file.drain().unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.write_all(b"after").unwrap();
        assert!(file.commit().is_err());
        assert!(!path.exists());
        faults.free_space();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"before while after");
    }

    /// Commits a file of two writes, with repetitions. Returns the path if it was committed.
    fn commit(folder: &Path, faults: &Faults) -> io::Result<PathBuf> {
        let path = folder.join("shard");
        let mut file = ShardFile::new(AtomicFile::create_as(&path, folder.join("shard.tmp"))?);
        for content in ["before ", "after"] {
            file.write_all(content.as_bytes())?;
            let _ = file.drain();
        }
        let mut committed = file.commit();
        for _ in 0..2 {
            if committed.is_err() {
                faults.free_space();
                committed = file.commit();
            }
        }
        committed.map(|()| path)
    }

    #[test]
    fn a_file_that_failed_is_committed_with_all_of_its_content_or_never() {
        let counted = tempfile::tempdir().unwrap();
        let operations = Faults::count(|| drop(commit(counted.path(), &Faults::idle()).unwrap()));
        for (at, (operation, _)) in operations.iter().enumerate() {
            for fault in [Fault::Refused, Fault::Full, Fault::Lost] {
                let when = format!("{fault:?} at {operation:?}, {at} of {}", operations.len());
                let folder = tempfile::tempdir().unwrap();
                let faults = Faults::plan(at, fault);
                let committed = commit(folder.path(), &faults);
                assert!(faults.struck(), "{when}");
                drop(faults);
                match committed {
                    Ok(path) => assert_eq!(std::fs::read(path).unwrap(), b"before after", "{when}"),
                    // What a failed sync has lost is not in the file.
                    Err(error) => {
                        let is_lost = error.kind() == io::ErrorKind::InvalidData;
                        assert!(is_lost || *operation == Operation::CreateFile, "{when}: {error}");
                    }
                }
                let names = std::fs::read_dir(folder.path())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name());
                assert!(names.into_iter().all(|name| name == "shard"), "{when}");
            }
        }
    }
}

//! Files and folders that are written under a temporary name and renamed to their final one when they are complete.
//!
//! A reader of the final path finds the previous content or all of the new content, even after a loss of power.

use super::{
    DiskFile, Operation, check, create_folder, is_own, link, parent, remove_folder, remove_unfinished, rename,
    sync_folder, temporary, try_sync_folder,
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// A file that appears at its final path when it is committed. Dropped before that, it is removed.
///
/// Writes are not buffered. A file of which a write or a sync has failed is never committed, because the system reports a lost
/// write only once; [`rewrite`](Self::rewrite) copies it to a new one.
#[derive(Debug)]
pub struct AtomicFile {
    /// `None` once the file is synced and closed.
    file: Option<DiskFile>,
    /// `None` once the file is at its final path.
    temporary: Option<PathBuf>,
    path: PathBuf,
    /// The file is at its final path, whose folder is not synced.
    is_name_unsynced: bool,
    /// Number of bytes that were written, and their CRC-32C.
    written: u64,
    sum: u32,
}

impl AtomicFile {
    /// Begins the file that will be at `path`, under a temporary name in the same folder.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::create_in(path, parent(path))
    }

    /// Begins the file that will be at `path`, under a temporary name in `folder`, which is on the same file system.
    pub fn create_in(path: &Path, folder: &Path) -> io::Result<Self> {
        let (file, temporary) = DiskFile::create_temporary(folder)?;
        Ok(Self::new(path, file, temporary))
    }

    /// Begins the file that will be at `path`, at the path `temporary` on the same file system.
    pub fn create_as(path: &Path, temporary: PathBuf) -> io::Result<Self> {
        Ok(Self::new(path, DiskFile::create_new(&temporary)?, temporary))
    }

    fn new(path: &Path, file: DiskFile, temporary: PathBuf) -> Self {
        Self {
            file: Some(file),
            temporary: Some(temporary),
            path: path.to_owned(),
            is_name_unsynced: false,
            written: 0,
            sum: 0,
        }
    }

    /// Number of bytes that were written.
    pub fn bytes(&self) -> u64 {
        self.written
    }

    /// CRC-32C (Castagnoli) of the bytes that were written.
    pub fn crc32c(&self) -> u32 {
        self.sum
    }

    /// Whether a write or a sync has failed. The file is then never committed.
    pub fn has_failed(&self) -> bool {
        self.file.as_ref().is_some_and(DiskFile::has_failed)
    }

    /// Replaces a file that [has failed](Self::has_failed) by a copy under a new temporary name in the same folder. May be
    /// called again after an error.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) when the bytes that were written cannot be read back from the file: they are
    /// lost. Another kind when the file system refuses the copy.
    pub fn rewrite(&mut self) -> io::Result<()> {
        const CHUNK: u64 = 1 << 20;
        let Some(old) = &self.temporary else { return Ok(()) };
        let lost = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
        let mut from = File::open(old)?;
        let mut copy = Self::create_in(&self.path, parent(old))?;
        let mut chunk = Vec::new();
        while copy.written < self.written {
            chunk.clear();
            let read = (&mut from)
                .take(CHUNK.min(self.written - copy.written))
                .read_to_end(&mut chunk);
            if !matches!(read, Ok(1..)) {
                return Err(lost("a part of the file cannot be read back"));
            }
            copy.write_all(&chunk)?;
        }
        if copy.sum != self.sum {
            return Err(lost("the file has other content than was written to it"));
        }
        // The old file is removed with the value that held it.
        core::mem::swap(self, &mut copy);
        Ok(())
    }

    /// Syncs and closes the file, which is still at its temporary path. Further writes fail.
    ///
    /// A process may have more files than it can have open. [`disk::sweep`](super::sweep) removes a closed one.
    pub fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.sync()?;
        }
        // Windows renames no open file. Elsewhere the file is locked until it has its final name.
        if cfg!(windows) {
            self.file = None;
        }
        Ok(())
    }

    /// Syncs the file, renames it to its final path and syncs the folder. May be called again after an error, if the file has
    /// not [failed](Self::has_failed).
    pub fn commit(&mut self) -> io::Result<()> {
        self.sync()?;
        if self.is_name_unsynced {
            // The folder may have lost the name, and would be synced now without it.
            let again = temporary(parent(&self.path));
            rename(&self.path, &again)?;
            self.temporary = Some(again);
            self.is_name_unsynced = false;
        }
        if let Some(temporary) = &self.temporary {
            rename(temporary, &self.path)?;
            self.temporary = None;
            self.file = None;
            self.is_name_unsynced = true;
            try_sync_folder(parent(&self.path))?;
            self.is_name_unsynced = false;
        }
        Ok(())
    }

    /// Commits the file if its final path is free, and discards it otherwise. Returns whether it was free.
    pub fn commit_new(mut self) -> io::Result<bool> {
        self.sync()?;
        let Some(temporary) = &self.temporary else {
            return Ok(false);
        };
        let is_new = match link(temporary, &self.path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            // The file system has no hard links, or the folder was removed; the rename fails in the second case.
            Err(_) if self.path.exists() => false,
            Err(_) => rename(temporary, &self.path).map(|()| true)?,
        };
        remove_unfinished(temporary);
        self.temporary = None;
        sync_folder(parent(&self.path));
        Ok(is_new)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => {
                let written = file.write(bytes)?;
                self.written += written as u64;
                self.sum = crc32c::crc32c_append(self.sum, &bytes[..written]);
                Ok(written)
            }
            None => Err(io::Error::other("the file is closed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        self.file = None;
        if let Some(temporary) = &self.temporary {
            remove_unfinished(temporary);
        }
    }
}

/// A folder that appears at its final path when it is committed. Dropped before that, it is removed with its content.
#[derive(Debug)]
pub struct AtomicFolder {
    /// `None` once the folder is at its final path.
    temporary: Option<PathBuf>,
    path: PathBuf,
    /// Locked, so that [`disk::sweep`](super::sweep) does not remove the folder. `None` on systems without support.
    _lock: Option<File>,
}

impl AtomicFolder {
    /// Begins the folder that will be at `path`, under a temporary name in the same parent.
    pub fn create(path: &Path) -> io::Result<Self> {
        loop {
            let temporary = temporary(parent(path));
            create_folder(&temporary)?;
            // Windows opens no folder, and so sweeps none.
            let lock = File::open(&temporary).ok();
            if lock.as_ref().is_none_or(|lock| is_own(lock, &temporary)) {
                return Ok(Self {
                    temporary: Some(temporary),
                    path: path.to_owned(),
                    _lock: lock,
                });
            }
        }
    }

    /// The path at which the folder is filled.
    pub fn temporary_path(&self) -> &Path {
        self.temporary.as_deref().unwrap_or(&self.path)
    }

    /// The path at which the folder will be.
    pub fn final_path(&self) -> &Path {
        &self.path
    }

    /// Renames the folder to its final path, at which there may be an empty folder, and syncs the parent.
    pub fn commit(mut self) -> io::Result<()> {
        sync_folder(self.temporary_path());
        // Windows does not rename over an empty folder. A folder that another process has filled since is not removed.
        match check(Operation::Remove, &self.path).and_then(|()| fs::remove_dir(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        rename(self.temporary_path(), &self.path)?;
        self.temporary = None;
        sync_folder(parent(&self.path));
        Ok(())
    }
}

impl Drop for AtomicFolder {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // A folder that cannot be removed has a name that no reader opens.
            let _ = remove_folder(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faults::{Fault, Faults};

    /// Replaces a file and creates a folder.
    fn write(folder: &Path) -> io::Result<()> {
        let mut file = AtomicFile::create(&folder.join("file"))?;
        file.write_all(b"new content")?;
        file.commit()?;
        let new = AtomicFolder::create(&folder.join("new"))?;
        let mut file = AtomicFile::create(&new.temporary_path().join("file"))?;
        file.write_all(b"new content")?;
        file.commit()?;
        new.commit()
    }

    fn prepare() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"old").unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn content_is_old_or_new_after_any_fault() {
        let counted = prepare();
        let operations = Faults::count(|| write(counted.path()).unwrap());
        assert_eq!(names(counted.path()), ["file", "new"]);
        for (at, operation) in operations.iter().enumerate() {
            for fault in Fault::ALL {
                let when = format!("{fault:?} at {operation:?}");
                let folder = prepare();
                let plan = Faults::plan(at, fault);
                let written = write(folder.path());
                assert!(plan.struck(), "{when}");
                drop(plan);
                let content = fs::read(folder.path().join("file")).unwrap();
                assert!(content == b"old" || content == b"new content", "{when}");
                if folder.path().join("new").exists() {
                    let content = fs::read(folder.path().join("new/file")).unwrap();
                    assert_eq!(content, b"new content", "{when}");
                }
                if fault == Fault::Refused && written.is_err() {
                    let left = names(folder.path());
                    assert!(
                        left.iter().all(|name| name == "file" || name == "new"),
                        "{when}: {left:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_commit_that_was_refused_can_be_repeated() {
        let counted = prepare();
        let commit = |folder: &Path| {
            let mut file = AtomicFile::create(&folder.join("file")).unwrap();
            file.write_all(b"new content").unwrap();
            (file.commit(), file)
        };
        let operations = Faults::count(|| drop(commit(counted.path())));
        // The file and its content are there before the commit.
        for (at, (operation, _)) in operations.iter().enumerate().skip(2) {
            let folder = prepare();
            let plan = Faults::plan(at, Fault::Full);
            let (committed, mut file) = commit(folder.path());
            if let Err(error) = committed {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"old");
                plan.free_space();
                let is_lost = *operation == Operation::Sync;
                assert_eq!(file.has_failed(), is_lost);
                if is_lost {
                    // The disk would sync the file now, without the content that it has lost.
                    assert!(file.commit().is_err());
                    assert_eq!(file.rewrite().unwrap_err().kind(), io::ErrorKind::InvalidData);
                    assert!(file.commit().is_err());
                    drop(file);
                    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"old");
                    assert_eq!(names(folder.path()), ["file"]);
                    continue;
                }
                file.commit().unwrap();
            }
            assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"new content");
            drop(file);
            assert_eq!(names(folder.path()), ["file"]);
        }
    }

    #[test]
    fn a_file_gets_its_name_again_after_its_folder_could_not_be_synced() {
        let folder = prepare();
        let mut file = AtomicFile::create(&folder.path().join("file")).unwrap();
        file.write_all(b"new content").unwrap();
        // The file is synced and renamed.
        let plan = Faults::plan(2, Fault::Lost);
        assert!(file.commit().is_err());
        assert!(plan.struck());
        drop(plan);
        let again = Faults::count(|| file.commit().unwrap());
        let operations: Vec<_> = again.iter().map(|(operation, _)| *operation).collect();
        assert_eq!(
            operations,
            [Operation::Rename, Operation::Rename, Operation::SyncFolder]
        );
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"new content");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_sweep_removes_what_no_process_is_writing() {
        let folder = prepare();
        for name in ["a", "b"] {
            fs::write(temporary(folder.path()), name).unwrap();
            fs::create_dir_all(temporary(folder.path()).join(name)).unwrap();
        }
        let mut file = AtomicFile::create(&folder.path().join("new file")).unwrap();
        let new = AtomicFolder::create(&folder.path().join("new folder")).unwrap();
        super::super::sweep(folder.path());
        assert_eq!(names(folder.path()).len(), 3, "{:?}", names(folder.path()));
        file.commit().unwrap();
        new.commit().unwrap();
        assert_eq!(names(folder.path()), ["file", "new file", "new folder"]);
    }

    #[test]
    fn a_new_file_replaces_none() {
        let folder = prepare();
        let path = folder.path().join("file");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new content").unwrap();
        assert!(!file.commit_new().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_file(&path).unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new content").unwrap();
        assert!(file.commit_new().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"new content");
        assert_eq!(names(folder.path()), ["file"]);
    }
}

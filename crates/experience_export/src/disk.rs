//! File system operations that change a dataset or a journal: atomic files and folders, syncs and removals.
//!
//! An internal module of the `bevy_experience` crates, for the journal and the dataset writer: its API may change in any
//! release. All changes of files go through it, so that tests can inject a fault at any operation: a refused operation, a full
//! disk, a killed process or a loss of power. The feature `fault_injection` adds the module `faults` for that.
//!
//! # Errors
//! Functions return the [`io::Error`] of the file system unchanged. The caller adds the path.

pub mod atomic;
#[cfg(any(test, feature = "fault_injection"))]
pub mod faults;

use atomic::AtomicFile;
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

#[cfg(any(test, feature = "fault_injection"))]
use faults::check;

/// Maximum size of a document, in bytes. A larger one is damaged: no recording writes one.
const MAX_DOCUMENT: u64 = 256 << 20;

const TEMPORARY: &str = ".experience-";

/// A file system operation that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Create a file.
    CreateFile,
    /// Create a folder.
    CreateFolder,
    /// Write to a file, or truncate it.
    Write,
    /// Sync the content of a file.
    Sync,
    /// Sync the names in a folder.
    SyncFolder,
    /// Rename a file or a folder.
    Rename,
    /// Create a hard link.
    Link,
    /// Remove a file or a folder.
    Remove,
}

#[cfg(not(any(test, feature = "fault_injection")))]
#[inline(always)]
fn check(_: Operation, _: &Path) -> io::Result<()> {
    Ok(())
}

/// An open file whose operations can be made to fail by tests.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Creates the file `path`, which must not exist.
    pub(crate) fn create_new(path: &Path) -> io::Result<Self> {
        check(Operation::CreateFile, path)?;
        Self::open(path, OpenOptions::new().write(true).create_new(true))
    }

    fn open(path: &Path, options: &OpenOptions) -> io::Result<Self> {
        let file = options.open(path)?;
        #[cfg(any(test, feature = "fault_injection"))]
        faults::opened(path, &file);
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Syncs content and metadata to the disk, so that both survive a loss of power.
    pub(crate) fn sync(&self) -> io::Result<()> {
        check(Operation::Sync, &self.path)?;
        self.file.sync_all()?;
        #[cfg(any(test, feature = "fault_injection"))]
        faults::synced(&self.path);
        Ok(())
    }

    /// Truncates the file to `len` bytes and moves the cursor to its end.
    pub(crate) fn truncate(&mut self, len: u64) -> io::Result<()> {
        check(Operation::Write, &self.path)?;
        self.file.set_len(len)?;
        self.file.seek(SeekFrom::Start(len))?;
        Ok(())
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(not(any(test, feature = "fault_injection")))]
        check(Operation::Write, &self.path)?;
        #[cfg(any(test, feature = "fault_injection"))]
        let bytes = &bytes[..faults::check_write(&self.path, &mut self.file, bytes)?];
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A new path in `folder` for an unfinished file or folder. The name is hidden, and no glob for data files matches it.
pub(crate) fn temporary(folder: &Path) -> PathBuf {
    folder.join(format!("{TEMPORARY}{:016x}.tmp", rand::random::<u64>()))
}

/// Whether `name` was made by [`temporary`]: the file or folder is unfinished, or is being removed.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(TEMPORARY) && name.ends_with(".tmp"))
}

/// Replaces the file at `path` atomically: a reader sees the old content or the new.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit()
}

/// Creates the file at `path` with `content` atomically. Returns `false`, and changes nothing, if the file exists.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit_new()
}

/// Checks that a file can be created in `folder`, and removes it again.
pub fn probe(folder: &Path) -> io::Result<()> {
    let path = temporary(folder);
    let probed = DiskFile::create_new(&path);
    remove_unfinished(&path);
    probed.map(|_| ())
}

/// Checks that a name can be added to `folder`, and removes it again.
///
/// It is the name of a folder, so a process that opens every file in `folder` meanwhile is not disturbed.
pub fn probe_name(folder: &Path) -> io::Result<()> {
    let path = temporary(folder);
    create_folder(&path)?;
    remove_folder(&path)
}

/// Checks that a file of `bytes` bytes can be written in `folder`, and removes it again.
pub(crate) fn probe_space(folder: &Path, bytes: usize) -> io::Result<()> {
    let path = temporary(folder);
    let mut file = DiskFile::create_new(&path)?;
    let probed = file.write_all(&vec![0; bytes]);
    drop(file);
    remove_unfinished(&path);
    probed
}

/// Renames a file or a folder. The new name survives a loss of power after [`sync_folder`].
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    check(Operation::Rename, to)?;
    #[cfg(any(test, feature = "fault_injection"))]
    faults::renaming(from, to);
    fs::rename(from, to)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    check(Operation::Link, to)?;
    fs::hard_link(from, to)?;
    #[cfg(any(test, feature = "fault_injection"))]
    faults::linked(to);
    Ok(())
}

/// Creates a folder, which must not exist, in a folder that does.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    check(Operation::CreateFolder, folder)?;
    fs::create_dir(folder)
}

/// Creates a folder and its missing parents.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    check(Operation::CreateFolder, folder)?;
    fs::create_dir_all(folder)
}

/// Syncs the names in `folder`, so that renames in it survive a loss of power. Does nothing on systems without support.
pub fn sync_folder(folder: &Path) {
    // Windows cannot open a folder, and some network file systems cannot sync one. The rename is still atomic there.
    let synced = check(Operation::SyncFolder, folder)
        .and_then(|()| File::open(folder))
        .and_then(|opened| opened.sync_all());
    #[cfg(any(test, feature = "fault_injection"))]
    if synced.is_ok() {
        faults::folder_synced(folder);
    }
    let _ = synced;
}

/// Copies a file and syncs the copy.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    check(Operation::CreateFile, to)?;
    fs::copy(from, to)?;
    DiskFile::open(to, OpenOptions::new().write(true))?.sync()
}

/// Removes a file.
pub fn remove(path: &Path) -> io::Result<()> {
    check(Operation::Remove, path)?;
    fs::remove_file(path)
}

/// Removes an unfinished file. Errors are ignored.
pub fn remove_unfinished(path: &Path) {
    // The file may never have been created. One that cannot be removed has a name that no reader opens.
    let _ = remove(path);
}

/// Removes a folder with its content.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    check(Operation::Remove, folder)?;
    fs::remove_dir_all(folder)
}

/// Reads a whole document, of at most 256 MiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::other(format!("it is longer than {MAX_DOCUMENT} bytes")));
    }
    Ok(content)
}

/// The folder that holds `path`.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

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
mod file_size_limit;

use atomic::AtomicFile;
use std::{
    ffi::OsStr,
    fs::{self, DirEntry, File, OpenOptions, TryLockError},
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
    /// Remove a file or a folder, or truncate a file, which needs no space either.
    Remove,
}

#[cfg(not(any(test, feature = "fault_injection")))]
#[inline(always)]
fn check(_: Operation, _: &Path) -> io::Result<()> {
    Ok(())
}

/// An open file that cannot be synced after one of its writes or syncs has failed.
///
/// The system reports a write that was lost on its way to the disk once, to a write or to a sync. The next sync succeeds,
/// though the bytes are not on the disk. So a file that has failed is never durable: its content must be written to a new one.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    path: PathBuf,
    has_failed: bool,
}

impl DiskFile {
    /// Creates the file `path`, which must not exist.
    pub(crate) fn create_new(path: &Path) -> io::Result<Self> {
        check(Operation::CreateFile, path)?;
        Self::open(path, OpenOptions::new().write(true).create_new(true))
    }

    /// Creates a file under a [temporary](temporary) name in `folder`, and locks it, so that [`sweep`] does not remove it.
    pub(crate) fn create_temporary(folder: &Path) -> io::Result<(Self, PathBuf)> {
        loop {
            let path = temporary(folder);
            let file = Self::create_new(&path)?;
            if is_own(&file.file, &path) {
                return Ok((file, path));
            }
        }
    }

    fn open(path: &Path, options: &OpenOptions) -> io::Result<Self> {
        file_size_limit::report_as_error();
        let file = options.open(path)?;
        #[cfg(any(test, feature = "fault_injection"))]
        faults::opened(path, &file);
        Ok(Self {
            file,
            path: path.to_owned(),
            has_failed: false,
        })
    }

    /// Syncs content and metadata to the disk, so that both survive a loss of power.
    ///
    /// # Errors
    /// When the file system refuses, and always after a write or a sync of the file has failed.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("an earlier write or sync of the file failed"));
        }
        let synced = check(Operation::Sync, &self.path).and_then(|()| self.file.sync_all());
        self.has_failed = synced.is_err();
        #[cfg(any(test, feature = "fault_injection"))]
        if synced.is_ok() {
            faults::synced(&self.path);
        }
        synced
    }

    /// Whether a write or a sync has failed, so that content may be missing.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(not(any(test, feature = "fault_injection")))]
        check(Operation::Write, &self.path)?;
        #[cfg(any(test, feature = "fault_injection"))]
        let bytes = &bytes[..faults::check_write(&self.path, &mut self.file, bytes)?];
        self.file.write(bytes)
    }

    /// Renames the file.
    pub(crate) fn rename(&mut self, to: &Path) -> io::Result<()> {
        rename(&self.path, to)?;
        to.clone_into(&mut self.path);
        Ok(())
    }

    /// Whether the file is still at its path.
    pub(crate) fn is_in_place(&self) -> bool {
        is_in_place(&self.file, &self.path)
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
        let written = self.try_write(bytes);
        self.has_failed |= matches!(&written, Err(error) if error.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `file` is the file at `path`, which another process may have removed or replaced.
pub fn is_in_place(file: &File, path: &Path) -> bool {
    let Ok(found) = fs::metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata()
            .is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        // The system has no stable identity of files.
        let _ = (file, found);
        true
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

/// Locks an unfinished file or folder. False if another process is sweeping it.
fn is_own(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => path.exists(),
        Err(TryLockError::WouldBlock) => false,
        // Without locks nothing is swept.
        Err(TryLockError::Error(_)) => true,
    }
}

/// Removes the unfinished files and folders in `folder` whose process has died: those with a temporary name that are not locked.
/// Errors are ignored.
pub fn sweep(folder: &Path) {
    sweep_those(folder, |_| true);
}

/// The same, for empty files alone: in a folder with files that are closed, and so unlocked, long before they are committed.
pub fn sweep_empty(folder: &Path) {
    sweep_those(folder, |entry| {
        entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
    });
}

fn sweep_those(folder: &Path, is_swept: impl Fn(&DirEntry) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if !is_temporary(&entry.file_name()) || !is_swept(&entry) {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let opened = OpenOptions::new().read(true).write(!is_folder).open(&path);
        // Held until the file is removed.
        let Ok(_lock) = opened.and_then(|file| Ok(file.try_lock().map(|()| file)?)) else {
            continue;
        };
        if is_folder {
            let _ = remove_folder(&path);
        } else {
            remove_unfinished(&path);
        }
    }
}

/// Replaces the file at `path` atomically: a reader sees the old content or the new.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit()
}

/// Appends `content` to the file at `path`, which is created if it is missing, and syncs it. `len` is its length after the
/// last call that succeeded: bytes beyond it, which a failed call has left, are removed first. Returns the new length.
pub fn append(path: &Path, len: u64, content: &[u8]) -> io::Result<u64> {
    let is_new = !path.exists();
    if is_new {
        check(Operation::CreateFile, path)?;
    }
    let mut file = DiskFile::open(path, OpenOptions::new().write(true).create(true).truncate(false))?;
    // Another process may have replaced the file by a shorter one.
    let len = len.min(file.file.metadata()?.len());
    file.truncate(len)?;
    file.write_all(content)?;
    file.sync()?;
    if is_new {
        sync_folder(parent(path));
    }
    Ok(len + content.len() as u64)
}

/// Creates the file at `path` with `content` atomically. Returns `false`, and changes nothing, if the file exists.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)?;
    file.commit_new()
}

/// Checks that a file can be created in `folder`, and removes it again.
pub fn probe(folder: &Path) -> io::Result<()> {
    let (_file, path) = DiskFile::create_temporary(folder)?;
    remove_unfinished(&path);
    Ok(())
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
    let (mut file, path) = DiskFile::create_temporary(folder)?;
    let probed = file.write_all(&vec![0; bytes]);
    drop(file);
    remove_unfinished(&path);
    probed
}

/// Renames a file or a folder. The new name survives a loss of power after [`sync_folder`].
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
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
///
/// # Errors
/// When the file system refuses. The call can be repeated.
pub fn try_sync_folder(folder: &Path) -> io::Result<()> {
    let synced = check(Operation::SyncFolder, folder)
        .and_then(|()| File::open(folder))
        .and_then(|opened| opened.sync_all());
    match synced {
        Ok(()) => {
            #[cfg(any(test, feature = "fault_injection"))]
            faults::folder_synced(folder);
            Ok(())
        }
        // Windows cannot open a folder, and some network file systems cannot sync one. The rename is still atomic there.
        Err(error)
            if cfg!(windows)
                || matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// [`try_sync_folder`] where nothing else depends on the new name. Errors are ignored.
pub fn sync_folder(folder: &Path) {
    let _ = try_sync_folder(folder);
}

/// Copies a file and syncs the copy.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    check(Operation::CreateFile, to)?;
    // One handle for the writes and the sync: a later one may not be told of a write that was lost.
    let mut copied = DiskFile::open(to, OpenOptions::new().write(true).create(true).truncate(true))?;
    io::copy(&mut from, &mut copied.file)?;
    copied.sync()
}

/// Removes a file.
pub fn remove(path: &Path) -> io::Result<()> {
    check(Operation::Remove, path)?;
    fs::remove_file(path)
}

/// Truncates the file at `path` to `len` bytes, and syncs it where the file system lets it.
pub(crate) fn truncate(path: &Path, len: u64) -> io::Result<()> {
    check(Operation::Remove, path)?;
    let mut file = DiskFile::open(path, OpenOptions::new().write(true))?;
    file.file.set_len(len)?;
    // The bytes are released in any case.
    let _ = file.sync();
    Ok(())
}

/// Removes an unfinished file. Errors are ignored.
pub fn remove_unfinished(path: &Path) {
    // The file may never have been created. One that cannot be removed has a name that no reader opens.
    let _ = remove(path);
}

/// Removes a folder with its content.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
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

/// The remedy for an error of the system, for the end of its message: `; ` and a sentence, or nothing where none is known.
pub fn remedy(error: &io::Error) -> &'static str {
    if is_too_many_files(error) {
        return "; the process has as many open files as it may: raise its limit with `ulimit -n`";
    }
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system is mounted read-only: mount it writable, or name a folder elsewhere"
        }
        io::ErrorKind::PermissionDenied => {
            "; the user of this process lacks the permission: change it with `chmod` or `chown`, or name a folder elsewhere"
        }
        _ => "",
    }
}

#[cfg(unix)]
fn is_too_many_files(error: &io::Error) -> bool {
    // `ENFILE` and `EMFILE`, which have these numbers on all systems, and no kind in the standard library.
    matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(not(unix))]
fn is_too_many_files(_: &io::Error) -> bool {
    false
}

/// The folder that holds `path`.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

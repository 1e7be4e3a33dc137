//! What is asked of the disk, in one place: files and folders that appear whole or not at all.
//!
//! Everything that changes a dataset or a journal goes through here, so that a test can refuse any of it, or have the
//! process die or the power fail at that very moment: see `faults`.

#[cfg(any(test, feature = "fault_injection"))]
pub mod faults;

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

#[cfg(any(test, feature = "fault_injection"))]
use faults::check;

/// Documents of more bytes than this are refused: they come from a damaged disk, not from a recording.
const MAX_DOCUMENT: u64 = 256 << 20;

const TEMPORARY: &str = ".experience-";

/// What can be asked of a disk, and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    CreateFile,
    CreateFolder,
    Write,
    Sync,
    SyncFolder,
    Rename,
    Link,
    Remove,
}

#[cfg(not(any(test, feature = "fault_injection")))]
#[inline(always)]
fn check(_: Operation, _: &Path) -> io::Result<()> {
    Ok(())
}

/// A file that is being written.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Makes the file `path`, where there is none.
    pub fn create_new(path: &Path) -> io::Result<Self> {
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

    /// Makes what was written last through a loss of power.
    pub fn sync(&self) -> io::Result<()> {
        check(Operation::Sync, &self.path)?;
        self.file.sync_all()?;
        #[cfg(any(test, feature = "fault_injection"))]
        faults::synced(&self.path);
        Ok(())
    }

    /// Cuts the file to `len` bytes, and goes on from there.
    pub(crate) fn cut(&mut self, len: u64) -> io::Result<()> {
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

/// A new path in `folder` for something unfinished. It is hidden, and no pattern for data matches it.
pub fn temporary(folder: &Path) -> PathBuf {
    folder.join(format!("{TEMPORARY}{:016x}.tmp", rand::random::<u64>()))
}

/// Whether something of this name is unfinished, or on its way out.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(TEMPORARY) && name.ends_with(".tmp"))
}

/// Replaces the file at `path`: a reader sees the old content or the new one.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = write_beside(path, content)?;
    rename(&beside, path).inspect_err(|_| remove_unfinished(&beside))?;
    sync_folder(parent(path));
    Ok(())
}

/// Creates the file at `path` with all its content at once; `false` where there is one already.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let beside = write_beside(path, content)?;
    let linked = match link(&beside, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links, or a folder that is gone: the rename knows which.
        Err(_) if path.exists() => Ok(false),
        Err(_) => rename(&beside, path).map(|()| true),
    };
    remove_unfinished(&beside);
    sync_folder(parent(path));
    linked
}

fn write_beside(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let beside = temporary(parent(path));
    let write = || {
        let mut file = DiskFile::create_new(&beside)?;
        file.write_all(content)?;
        file.sync()
    };
    write().inspect_err(|_| remove_unfinished(&beside))?;
    Ok(beside)
}

/// Whether files can be made in `folder`. Nothing stays behind.
pub fn probe(folder: &Path) -> io::Result<()> {
    let path = temporary(folder);
    let probed = DiskFile::create_new(&path);
    remove_unfinished(&path);
    probed.map(|_| ())
}

/// Whether `bytes` more find room in `folder`. Nothing stays behind.
pub(crate) fn probe_room(folder: &Path, bytes: usize) -> io::Result<()> {
    let path = temporary(folder);
    let mut file = DiskFile::create_new(&path)?;
    let probed = file.write_all(&vec![0; bytes]);
    drop(file);
    remove_unfinished(&path);
    probed
}

/// Renames a file or a folder. Whoever wants it to last through a loss of power syncs the folder.
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

/// Makes a folder, where there is none, in one that there is.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    check(Operation::CreateFolder, folder)?;
    fs::create_dir(folder)
}

/// Makes a folder and those that it is in, where there are none.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    check(Operation::CreateFolder, folder)?;
    fs::create_dir_all(folder)
}

/// Makes a rename in `folder` last through a loss of power, where the system can.
pub fn sync_folder(folder: &Path) {
    // Windows cannot open a folder, and some network file systems cannot sync one. The rename stands all the same.
    let synced = check(Operation::SyncFolder, folder)
        .and_then(|()| File::open(folder))
        .and_then(|opened| opened.sync_all());
    #[cfg(any(test, feature = "fault_injection"))]
    if synced.is_ok() {
        faults::folder_synced(folder);
    }
    let _ = synced;
}

/// Copies a file as it is, and makes the copy last through a loss of power.
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

/// Removes something unfinished that is of no more use.
pub fn remove_unfinished(path: &Path) {
    // It may never have come to be; and if it stays, nobody reads it.
    let _ = remove(path);
}

/// Removes a folder that is of no more use, with all that is in it.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    check(Operation::Remove, folder)?;
    fs::remove_dir_all(folder)
}

/// The whole of a document of sane size.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::other(format!("it holds more than {MAX_DOCUMENT} bytes")));
    }
    Ok(content)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

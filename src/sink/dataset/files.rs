//! Files that appear whole or not at all.

use crate::sink::SinkError;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Documents of more bytes than this are refused: they come from a damaged disk, not from a recording.
const MAX_DOCUMENT: u64 = 256 << 20;

const TEMPORARY: &str = ".experience-";

/// Turns what the system said about `path` into an error that names it.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A new path in `folder` for something unfinished. It is hidden, and no pattern for data matches it.
pub(crate) fn temporary(folder: &Path) -> PathBuf {
    folder.join(format!("{TEMPORARY}{:016x}.tmp", rand::random::<u64>()))
}

/// Replaces the file at `path`: a reader sees the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), SinkError> {
    let beside = write_beside(path, content)?;
    fs::rename(&beside, path).map_err(|error| {
        remove(&beside);
        failed("replace", path)(error)
    })?;
    sync_folder(parent(path));
    Ok(())
}

/// Creates the file at `path` with all its content at once; `false` where there is one already.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<bool, SinkError> {
    let beside = write_beside(path, content)?;
    let linked = match fs::hard_link(&beside, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links, or a folder that is gone: the rename knows which.
        Err(_) if path.exists() => Ok(false),
        Err(_) => fs::rename(&beside, path).map(|()| true),
    };
    remove(&beside);
    sync_folder(parent(path));
    linked.map_err(failed("create", path))
}

fn write_beside(path: &Path, content: &[u8]) -> Result<PathBuf, SinkError> {
    let beside = temporary(parent(path));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| {
        remove(&beside);
        failed("write", path)(error)
    })?;
    Ok(beside)
}

/// Whether files can be made in `folder`. Nothing stays behind.
pub(crate) fn probe(folder: &Path) -> Result<(), SinkError> {
    let path = temporary(folder);
    let probed = OpenOptions::new().write(true).create_new(true).open(&path);
    remove(&path);
    probed.map(|_| ()).map_err(failed("write to the folder", folder))
}

/// Makes a rename in `folder` last through a loss of power, where the system can.
pub(crate) fn sync_folder(folder: &Path) {
    // Windows cannot open a folder, and some network file systems cannot sync one. The rename stands all the same.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes something unfinished that is of no more use.
pub(crate) fn remove(path: &Path) {
    // It may never have come to be; and if it stays, nobody reads it.
    let _ = fs::remove_file(path);
}

/// The whole of a document of sane size.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
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

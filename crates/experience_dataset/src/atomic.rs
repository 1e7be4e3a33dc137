//! Files and folders that are written beside their places and brought there whole.

use super::DatasetError;
use experience_export::disk::{self, DiskFile};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file that is being written beside its place. Dropped before it has landed, it is gone.
pub(super) struct Beside {
    file: Option<BufWriter<DiskFile>>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Beside {
    /// Begins the file that will stand at `path`. The folder is made where it is missing.
    pub(super) fn create(path: &Path) -> Result<Self, DatasetError> {
        let folder = folder_of(path);
        disk::create_folders(folder).map_err(DatasetError::io("create", folder))?;
        let unfinished = disk::temporary(folder);
        let file = DiskFile::create_new(&unfinished).map_err(DatasetError::io("create", &unfinished))?;
        Ok(Self {
            file: Some(BufWriter::new(file)),
            unfinished,
            path: path.to_owned(),
        })
    }

    /// Writes with what `write` does to the file.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<DiskFile>) -> io::Result<()>,
    ) -> Result<(), DatasetError> {
        let Some(file) = &mut self.file else {
            return Err(DatasetError::write(&self.path, "it is sealed"));
        };
        write(file).map_err(DatasetError::io("write to", &self.path))
    }

    /// Makes what was written last, still beside its place. Nothing more can be written.
    pub(super) fn seal(&mut self) -> Result<(), DatasetError> {
        if self.file.is_none() {
            return Ok(());
        }
        self.write(|file| {
            file.flush()?;
            file.get_ref().sync()
        })?;
        // Windows renames no file that is open, and a system has only so many of them.
        self.file = None;
        Ok(())
    }

    /// Brings the file to its place: a reader sees what stood there before, or all of it.
    pub(super) fn land(mut self) -> Result<(), DatasetError> {
        self.seal()?;
        disk::rename(&self.unfinished, &self.path).map_err(DatasetError::io("replace", &self.path))?;
        disk::sync_folder(folder_of(&self.path));
        Ok(())
    }
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.file = None;
        // After landing there is nothing of this name.
        disk::remove_unfinished(&self.unfinished);
    }
}

/// A folder that is being filled beside its place. Dropped before it has landed, it is gone.
pub(super) struct NewFolder {
    path: PathBuf,
    to: PathBuf,
}

impl NewFolder {
    /// Begins a folder that will stand at `to`, where nothing is yet, or an empty folder.
    pub(super) fn begin(to: &Path) -> Result<Self, DatasetError> {
        match fs::read_dir(to) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(DatasetError::write(
                        to,
                        "there is something in it; name a new or an empty folder",
                    ));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(DatasetError::write(to, "it is a file; name a new or an empty folder"));
            }
            Err(error) => return Err(DatasetError::io("open", to)(error)),
        }
        let parent = folder_of(to);
        disk::create_folders(parent).map_err(DatasetError::io("create", parent))?;
        let path = disk::temporary(parent);
        disk::create_folder(&path).map_err(DatasetError::io("create", &path))?;
        Ok(Self {
            path,
            to: to.to_owned(),
        })
    }

    /// Where it is filled.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will stand.
    pub(super) fn to(&self) -> &Path {
        &self.to
    }

    /// Brings the folder to its place.
    pub(super) fn land(self) -> Result<(), DatasetError> {
        disk::sync_folder(&self.path);
        // An empty folder may be there; one that has been filled meanwhile is not removed.
        match fs::remove_dir(&self.to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DatasetError::io("replace", &self.to)(error));
            }
            _ => {}
        }
        disk::rename(&self.path, &self.to).map_err(DatasetError::io("create", &self.to))?;
        disk::sync_folder(folder_of(&self.to));
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After the rename there is nothing of this name; and what is there nobody reads.
        let _ = disk::remove_folder(&self.path);
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

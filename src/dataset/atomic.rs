//! Files that are written beside their places and brought there whole.

use super::DatasetError;
use crate::sink::dataset::files;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file that is being written beside its place. Dropped before it has landed, it is gone.
pub(super) struct Beside {
    file: Option<BufWriter<File>>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Beside {
    /// Begins the file that will stand at `path`. The folder is made where it is missing.
    pub(super) fn create(path: &Path) -> Result<Self, DatasetError> {
        let folder = folder_of(path);
        fs::create_dir_all(folder).map_err(DatasetError::io("create", folder))?;
        let unfinished = files::temporary(folder);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&unfinished)
            .map_err(DatasetError::io("create", &unfinished))?;
        Ok(Self {
            file: Some(BufWriter::new(file)),
            unfinished,
            path: path.to_owned(),
        })
    }

    /// Writes with what `write` does to the file.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
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
            file.get_ref().sync_all()
        })?;
        // Windows renames no file that is open, and a system has only so many of them.
        self.file = None;
        Ok(())
    }

    /// Brings the file to its place: a reader sees what stood there before, or all of it.
    pub(super) fn land(mut self) -> Result<(), DatasetError> {
        self.seal()?;
        fs::rename(&self.unfinished, &self.path).map_err(DatasetError::io("replace", &self.path))?;
        files::sync_folder(folder_of(&self.path));
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
        files::remove(&self.unfinished);
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

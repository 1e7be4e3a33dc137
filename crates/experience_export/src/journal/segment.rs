//! The segment file that a journal appends frames to, and its replacement after a failed write or sync.

use super::{extent::path, frame};
use crate::disk::{self, DiskFile};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

/// The segment that frames are appended to.
#[derive(Debug)]
pub(super) struct Segment {
    index: u32,
    file: DiskFile,
    /// Bytes of complete frames.
    len: u64,
    /// The last of these bytes, since the last sync that succeeded. `None` in a journal that is never synced.
    unsynced: Option<Vec<u8>>,
    /// A partial frame follows the complete ones.
    is_torn: bool,
    /// The process may not write a longer file.
    is_at_limit: bool,
    /// The folder was synced since the file got its name.
    is_name_synced: bool,
}

impl Segment {
    /// Creates the segment `index` in `folder` with `frame`, its first frames.
    pub(super) fn create(folder: &Path, index: u32, frame: &[u8], keep_unsynced: bool) -> io::Result<Self> {
        let path = path(folder, index);
        let mut segment = Self {
            index,
            file: DiskFile::create_new(&path)?,
            len: 0,
            unsynced: keep_unsynced.then(Vec::new),
            is_torn: false,
            is_at_limit: false,
            is_name_synced: false,
        };
        let written = segment.append(&frame::preamble()).and_then(|()| segment.append(frame));
        if let Err(error) = written {
            // The segment holds no complete frame.
            disk::remove_unfinished(&path);
            return Err(error);
        }
        Ok(segment)
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Whether its file still has its name: no other process has removed or replaced it.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }

    /// Bytes of complete frames.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the process may not write a longer file.
    pub(super) fn is_at_limit(&self) -> bool {
        self.is_at_limit
    }

    /// Bytes that are in memory too, because no sync has followed them.
    pub(super) fn unsynced_bytes(&self) -> usize {
        self.unsynced.as_ref().map_or(0, Vec::len)
    }

    /// Appends a whole frame. After an error the segment needs a [repair](Self::repair).
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(frame) {
            self.is_torn = true;
            self.is_at_limit = error.kind() == io::ErrorKind::FileTooLarge;
            return Err(error);
        }
        self.len += frame.len() as u64;
        if let Some(unsynced) = &mut self.unsynced {
            unsynced.extend_from_slice(frame);
        }
        Ok(())
    }

    /// Makes the complete frames durable, in a new file where the old one fails.
    pub(super) fn sync(&mut self, folder: &Path) -> io::Result<()> {
        if let Err(error) = self.file.sync() {
            self.replace_file(folder)?;
            let (path, reason) = (path(folder, self.index), error);
            tracing::warn!("`{}` was written to a new file: {reason}", path.display());
        }
        if !self.is_name_synced {
            disk::try_sync_folder(folder)?;
            self.is_name_synced = true;
        }
        if let Some(unsynced) = &mut self.unsynced {
            *unsynced = Vec::new();
        }
        Ok(())
    }

    /// Prepares the segment for the next frame: removes a partial frame, and replaces a file that has failed.
    pub(super) fn repair(&mut self, folder: &Path) -> io::Result<()> {
        if self.must_replace_file() {
            return self.sync(folder);
        }
        if self.is_torn {
            self.file.truncate(self.len)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Whether no frame can be appended before a [repair](Self::repair).
    pub(super) fn needs_repair(&self) -> bool {
        self.is_torn || self.must_replace_file()
    }

    fn must_replace_file(&self) -> bool {
        self.file.has_failed() && self.unsynced.is_some()
    }

    /// Writes the complete frames to a new file and syncs it. It replaces the old file under the same name, so that the
    /// locations of rows stay valid.
    fn replace_file(&mut self, folder: &Path) -> io::Result<()> {
        let Some(unsynced) = &self.unsynced else {
            return Err(io::Error::other("the journal is never synced"));
        };
        let path = path(folder, self.index);
        let synced = self.len - unsynced.len() as u64;
        let temporary = disk::temporary(folder);
        let copied = copy(&path, synced, unsynced, &temporary).and_then(|mut file| {
            file.rename(&path)?;
            Ok(file)
        });
        self.file = copied.inspect_err(|_| disk::remove_unfinished(&temporary))?;
        (self.is_torn, self.is_name_synced) = (false, false);
        Ok(())
    }
}

/// Writes the first `synced` bytes of the file `from`, and then `unsynced`, to the new file `to`, and syncs it.
fn copy(from: &Path, synced: u64, unsynced: &[u8], to: &Path) -> io::Result<DiskFile> {
    let mut from = File::open(from)?.take(synced);
    let mut file = DiskFile::create_new(to)?;
    if io::copy(&mut from, &mut file)? != synced {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.write_all(unsynced)?;
    file.sync()?;
    Ok(file)
}

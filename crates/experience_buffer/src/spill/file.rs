//! The file that rows go to: blocks of one size, handed out and taken back.

use crate::{
    BufferError,
    sync::{AtomicU64, Mutex, Ordering, lock},
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering as StdOrdering},
    },
};

/// A file without a name, in blocks, for all buffers of a recording.
///
/// It is made when the first block is written, grows with the blocks that are in use at once, and goes when the last of
/// them was read, or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct SpillFile {
    folder: PathBuf,
    block_bytes: u64,
    blocks: u64,
    space: Mutex<Space>,
    /// How many blocks can be had, for those who look before they lock.
    free: AtomicU64,
    /// Whether it was said already that the disk fails.
    failed: AtomicBool,
}

/// Which blocks are in use.
#[derive(Debug, Default)]
struct Space {
    file: Option<Arc<File>>,
    /// Blocks from this one on were never written.
    fresh: u64,
    /// Blocks before it that are free.
    returned: Vec<u64>,
}

/// Blocks that a file may have and is kept for, though none of them is in use: making one costs more than a block.
pub(super) const KEPT: u64 = 64;

/// A block that is in use, to be given to [`SpillFile::free`].
#[derive(Debug)]
#[must_use]
pub(super) struct Place {
    file: Arc<File>,
    block: u64,
}

impl SpillFile {
    /// At most so many blocks of so many bytes, in this folder.
    ///
    /// # Errors
    /// When no file can be made there.
    pub(super) fn new(folder: &Path, block_bytes: u64, blocks: u64) -> Result<Self, BufferError> {
        // Tried now, when somebody can still do something about it.
        tempfile::tempfile_in(folder).map_err(|error| BufferError::SpillFolder {
            folder: folder.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            block_bytes,
            blocks,
            space: Mutex::new(Space::default()),
            free: AtomicU64::new(blocks),
            failed: AtomicBool::new(false),
        })
    }

    /// Blocks that nobody uses, just now.
    pub(super) fn free_blocks(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Writes a block.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&self, place: &Place, block: &[u8]) -> io::Result<()> {
        debug_assert_eq!(block.len() as u64, self.block_bytes);
        write_at(&place.file, block, place.block * self.block_bytes)
    }

    /// Reads a block back.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn read(&self, place: &Place, block: &mut [u8]) -> io::Result<()> {
        debug_assert_eq!(block.len() as u64, self.block_bytes);
        read_at(&place.file, block, place.block * self.block_bytes)
    }

    /// Hands out a block. `None` when there is none.
    ///
    /// # Errors
    /// When there is no file yet, and none can be made.
    pub(super) fn claim(&self) -> io::Result<Option<Place>> {
        let mut space = lock(&self.space);
        let block = match space.returned.last() {
            Some(&block) => block,
            None if space.fresh < self.blocks => space.fresh,
            None => return Ok(None),
        };
        let file = match &space.file {
            Some(file) => file.clone(),
            None => space
                .file
                .insert(Arc::new(tempfile::tempfile_in(&self.folder)?))
                .clone(),
        };
        if space.returned.pop().is_none() {
            space.fresh += 1;
        }
        self.free.fetch_sub(1, Ordering::Relaxed);
        Ok(Some(Place { file, block }))
    }

    /// Takes a block back.
    pub(super) fn free(&self, place: Place) {
        let mut space = lock(&self.space);
        space.returned.push(place.block);
        self.free.fetch_add(1, Ordering::Relaxed);
        if space.returned.len() as u64 == space.fresh && space.fresh > KEPT {
            space.returned.clear();
            space.fresh = 0;
            space.file = None;
        }
        drop(space);
        // Here, where nobody waits, the last of them gives the disk's room back.
        drop(place.file);
    }

    /// Says, once, that the disk fails.
    pub(super) fn report(&self, action: &str, error: &io::Error) {
        if !self.failed.swap(true, StdOrdering::Relaxed) {
            tracing::error!(
                "could not {action} the spill file in `{}`: {error}; rows that cannot be kept there are counted as dropped",
                self.folder.display()
            );
        }
    }

    /// The file as it is, for tests that look at it or make it fail.
    #[cfg(test)]
    pub(super) fn file(&self) -> Option<Arc<File>> {
        lock(&self.space).file.clone()
    }

    #[cfg(test)]
    pub(super) fn replace_file(&self, file: File) {
        lock(&self.space).file = Some(Arc::new(file));
    }
}

#[cfg(unix)]
fn write_at(file: &File, block: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, block, offset)
}

#[cfg(unix)]
fn read_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, block, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut block: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !block.is_empty() {
        match file.seek_write(block, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                block = &block[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, mut block: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !block.is_empty() {
        match file.seek_read(block, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                block = &mut block[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn write_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

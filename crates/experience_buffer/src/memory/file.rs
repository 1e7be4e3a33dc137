//! Creates, maps, opens and removes the files of rings. Their layout is described in [`memory`](super).

use super::{
    Label, PREAMBLE, mapped, no_file,
    preamble::{Preamble, file_len},
};
use crate::{BufferError, error::OpenError, shape::Shape, sync::AtomicU64};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64 as Counter, Ordering},
};
use memmap2::MmapRaw;
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Result as IoResult, Write},
    path::{Path, PathBuf},
};

/// Rust allows relaxed loads from read-only memory only up to the width of a pointer, and the words are 64 bits wide.
const SUPPORTED: bool = cfg!(target_pointer_width = "64");

/// A ring's file, mapped.
pub(crate) struct RingFile {
    // Dropped in this order: some systems do not remove a file that is mapped.
    map: MmapRaw,
    path: OwnedPath,
}

/// The path of a file, which may be removed with this.
struct OwnedPath {
    path: PathBuf,
    /// Whether this process created the file.
    is_creator: bool,
    remove_on_drop: bool,
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        if self.remove_on_drop {
            // A file that remains is recovered like that of a killed process, and has no rows left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl RingFile {
    /// Creates and maps a file in `folder` for a ring of this shape, with all blocks allocated and zero.
    ///
    /// # Errors
    /// When a system call fails.
    pub(crate) fn create(folder: &Path, shape: Shape, label: Label) -> Result<Self, BufferError> {
        let len = file_len(shape)?;
        let bytes = Preamble { shape, label }.encode()?;
        let file_error = |error: std::io::Error| no_file(folder, error);
        if !SUPPORTED {
            return Err(no_file(folder, "rings in files are for systems with 64-bit pointers"));
        }
        let (mut file, builder, path) = create_unique(folder, label).map_err(file_error)?;
        // The file has a temporary name until it is complete.
        let mut owned = OwnedPath {
            path: builder,
            is_creator: true,
            remove_on_drop: true,
        };
        reserve(&mut file, len).map_err(file_error)?;
        write_first(&mut file, &bytes).map_err(file_error)?;
        let map = MmapRaw::map_raw(&file).map_err(file_error)?;
        if map.len() != len {
            return Err(no_file(folder, "the file was truncated while it was created"));
        }
        fs::rename(&owned.path, &path).map_err(file_error)?;
        owned.path = path;
        owned.remove_on_drop = false;
        Ok(Self { map, path: owned })
    }

    /// Opens a file for reading, and maps it.
    ///
    /// # Errors
    /// When it cannot be read, or is not a complete file of a ring.
    pub(crate) fn open(path: &Path) -> Result<(Self, Preamble), OpenError> {
        let unreadable = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        if !SUPPORTED {
            return Err(unreadable(ErrorKind::Unsupported.into()));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(OpenError::NotARing { path: path.to_owned() });
        }
        let mut bytes = Vec::with_capacity(PREAMBLE);
        Read::by_ref(&mut file)
            .take(PREAMBLE as u64)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let preamble = Preamble::decode(&bytes, path, about.len())?;
        let map = memmap2::MmapOptions::new()
            .map_raw_read_only(&file)
            .map_err(unreadable)?;
        if map.len() as u64 != about.len() {
            // It was truncated between the two system calls.
            return Err(OpenError::Size {
                path: path.to_owned(),
                found: map.len() as u64,
                expected: about.len(),
            });
        }
        let path = OwnedPath {
            path: path.to_owned(),
            is_creator: false,
            remove_on_drop: false,
        };
        Ok((Self { map, path }, preamble))
    }

    /// All words behind the preamble.
    pub(super) fn words(&self) -> NonNull<[AtomicU64]> {
        mapped::words(&self.map, PREAMBLE, (self.map.len() - PREAMBLE) / size_of::<u64>())
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Removes the file after it is unmapped, if this process created it.
    pub(super) fn remove_when_dropped(&mut self) {
        self.path.remove_on_drop = self.path.is_creator;
    }
}

/// Creates a file for a ring with this label under a unique name. Returns the file, its temporary path and its final path.
fn create_unique(folder: &Path, label: Label) -> IoResult<(File, PathBuf, PathBuf)> {
    /// Files that this process has created.
    static CREATED: Counter = Counter::new(0);
    loop {
        let counter = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{counter:x}-{:x}", label.run, label.agent_id);
        let (builder, path) = (
            folder.join(format!("{name}.builder")),
            folder.join(format!("{name}.ring")),
        );
        match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&builder)
        {
            // A file gets its final name only after its temporary one.
            Ok(_) if path.try_exists()? => fs::remove_file(&builder)?,
            Ok(file) => return Ok((file, builder, path)),
            // Another run has the same id.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Extends the file to `len` zeros, with all blocks allocated.
fn reserve(file: &mut File, len: usize) -> IoResult<()> {
    #[cfg(target_os = "linux")]
    if reserve_blocks(file, len)? {
        return Ok(());
    }
    let zeros = [0; 1 << 16];
    let mut left = len;
    while left > 0 {
        let part = left.min(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= part;
    }
    Ok(())
}

/// Lets the file system allocate the blocks. False if it does not support that.
#[cfg(target_os = "linux")]
fn reserve_blocks(file: &File, len: usize) -> IoResult<bool> {
    #![expect(unsafe_code, reason = "`fallocate` is a bare system call")]
    use std::os::fd::AsRawFd;

    let Ok(len) = libc::off_t::try_from(len) else {
        return Err(ErrorKind::FileTooLarge.into());
    };
    loop {
        // SAFETY: the arguments are numbers, and the descriptor is open as long as `file` is borrowed. `posix_fallocate` would
        // write to every block where the file system does not support this, without telling the caller.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } == 0 {
            return Ok(true);
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(false),
            _ => return Err(error),
        }
    }
}

fn write_first(file: &mut File, bytes: &[u8]) -> IoResult<()> {
    use std::io::Seek;
    file.rewind()?;
    file.write_all(bytes)
}

/// Creates the folder, and checks that a file can be created in it.
pub(super) fn prepare(folder: &Path) -> Result<(), BufferError> {
    let file_error = |error: std::io::Error| no_file(folder, error);
    fs::create_dir_all(folder).map_err(file_error)?;
    let label = Label::default();
    // The file is closed at once.
    let (_, builder, _) = create_unique(folder, label).map_err(file_error)?;
    fs::remove_file(builder).map_err(file_error)
}

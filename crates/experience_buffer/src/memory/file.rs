//! The files themselves: made, mapped, opened and removed. What they say is told in [`memory`](super).

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

/// Relaxed loads from memory that can only be read are allowed to be so wide where pointers are. Elsewhere there are no
/// files.
const SUPPORTED: bool = cfg!(target_pointer_width = "64");

/// A ring's file, mapped.
pub(crate) struct RingFile {
    // In this order they are dropped: some systems keep a file for as long as it is mapped.
    map: MmapRaw,
    place: Place,
}

/// Where the file is, and what becomes of it.
struct Place {
    path: PathBuf,
    is_ours: bool,
    goes: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.goes {
            // One that stays is found and opened like one of a process that was killed, and has nothing to give.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl RingFile {
    /// Makes a file in `folder` for a ring like this, all of it reserved and zero, and maps it.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn create(folder: &Path, shape: Shape, label: Label) -> Result<Self, BufferError> {
        let len = file_len(shape)?;
        let bytes = Preamble { shape, label }.encode()?;
        let refused = |error: std::io::Error| no_file(folder, error);
        if !SUPPORTED {
            return Err(no_file(folder, "rings in files are for systems with 64-bit pointers"));
        }
        let (mut file, draft, path) = claim(folder, label).map_err(refused)?;
        // Under a name that nobody opens until it is whole.
        let mut place = Place {
            path: draft,
            is_ours: true,
            goes: true,
        };
        reserve(&mut file, len).map_err(refused)?;
        write_first(&mut file, &bytes).map_err(refused)?;
        let map = MmapRaw::map_raw(&file).map_err(refused)?;
        if map.len() != len {
            return Err(no_file(folder, "it is not as long as it was made"));
        }
        fs::rename(&place.path, &path).map_err(refused)?;
        place.path = path;
        place.goes = false;
        Ok(Self { map, place })
    }

    /// Opens a file for reading, and maps it.
    ///
    /// # Errors
    /// When it cannot be read, or is not the whole file of a ring.
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
            // It was cut between the question and the mapping.
            return Err(OpenError::Size {
                path: path.to_owned(),
                found: map.len() as u64,
                expected: about.len(),
            });
        }
        let place = Place {
            path: path.to_owned(),
            is_ours: false,
            goes: false,
        };
        Ok((Self { map, place }, preamble))
    }

    /// All words behind the preamble.
    pub(super) fn words(&self) -> NonNull<[AtomicU64]> {
        mapped::words(&self.map, PREAMBLE, (self.map.len() - PREAMBLE) / size_of::<u64>())
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Removes the file once it is unmapped, if it was made here.
    pub(super) fn remove_when_dropped(&mut self) {
        self.place.goes = self.place.is_ours;
    }
}

/// Makes a file for a ring with this label under a name that no other has: the file, its name until it is whole, and
/// that from then on.
fn claim(folder: &Path, label: Label) -> IoResult<(File, PathBuf, PathBuf)> {
    /// How many rings this process has made files for.
    static MADE: Counter = Counter::new(0);
    loop {
        let counter = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{counter:x}-{:x}", label.run, label.agent_id);
        let (draft, path) = (
            folder.join(format!("{name}.draft")),
            folder.join(format!("{name}.ring")),
        );
        match OpenOptions::new().read(true).write(true).create_new(true).open(&draft) {
            // Nobody makes the other name without having made this one.
            Ok(_) if path.try_exists()? => fs::remove_file(&draft)?,
            Ok(file) => return Ok((file, draft, path)),
            // A run of the same number left it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes the file `len` zeros long, with all of its blocks.
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

/// Has the file system do it, and says whether it can.
#[cfg(target_os = "linux")]
fn reserve_blocks(file: &File, len: usize) -> IoResult<bool> {
    #![expect(unsafe_code, reason = "`fallocate` is a bare system call")]
    use std::os::fd::AsRawFd;

    let Ok(len) = libc::off_t::try_from(len) else {
        return Err(ErrorKind::FileTooLarge.into());
    };
    loop {
        // SAFETY: it takes numbers alone, and the descriptor is open as long as `file` is borrowed. Not `posix_fallocate`:
        // where the file system cannot, that reads and writes a byte of every block, and one who asks cannot tell.
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

/// Makes the folder, and tries whether a file can be made in it.
pub(super) fn prepare(folder: &Path) -> Result<(), BufferError> {
    let refused = |error: std::io::Error| no_file(folder, error);
    fs::create_dir_all(folder).map_err(refused)?;
    let label = Label::default();
    let (file, draft, _) = claim(folder, label).map_err(refused)?;
    drop(file);
    fs::remove_file(draft).map_err(refused)
}

//! Rings in files. The layout is told in [`memory`](super).

use super::{Label, PREAMBLE, mapped, no_file};
use crate::{
    buffer::{
        BufferError,
        ring::{
            OpenError,
            slots::{Links, Shape},
        },
        sync::AtomicU64,
    },
    transition::RunId,
};
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

const MAGIC: [u8; 8] = *b"bevyring";
const BYTE_ORDER: u64 = 0x0102_0304_0506_0708;
const VERSION: u64 = 1;
/// Where the checksum of all before it is.
const CHECKSUM: usize = PREAMBLE - 8;
/// Relaxed loads from memory that can only be read are allowed to be so wide where pointers are. Elsewhere there are no
/// files.
const SUPPORTED: bool = cfg!(target_pointer_width = "64");

/// What a file says of its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::buffer) struct Preamble {
    pub(in crate::buffer) shape: Shape,
    pub(in crate::buffer) label: Label,
}

impl Preamble {
    fn encode(&self) -> Result<[u8; PREAMBLE], BufferError> {
        let (shape, label) = (self.shape, self.label);
        let words = [
            u64::from_ne_bytes(MAGIC),
            BYTE_ORDER,
            VERSION,
            file_len(shape)? as u64,
            label.schema_hash,
            shape.row_words as u64,
            shape.capacity.next_power_of_two() as u64,
            shape.links.words() as u64,
            label.agent_id.cast_unsigned(),
            label.run.get().cast_unsigned(),
        ];
        let mut bytes = [0; PREAMBLE];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let checksum = u64::from(crc32c::crc32c(&bytes[..CHECKSUM]));
        bytes[CHECKSUM..].copy_from_slice(&checksum.to_ne_bytes());
        Ok(bytes)
    }

    /// Reads the preamble of the file at `path`, which is `len` bytes long.
    fn decode(bytes: &[u8], path: &Path, len: u64) -> Result<Self, OpenError> {
        let path = || path.to_owned();
        let word = |index: usize| {
            let word = bytes.get(index * 8..index * 8 + 8)?;
            Some(u64::from_ne_bytes(word.try_into().ok()?))
        };
        let cut = || OpenError::Size {
            path: path(),
            found: len,
            expected: word(3).unwrap_or(PREAMBLE as u64),
        };
        if !bytes.starts_with(&MAGIC[..bytes.len().min(8)]) {
            return Err(OpenError::NotARing { path: path() });
        }
        let order = word(1).ok_or_else(cut)?;
        if order != BYTE_ORDER {
            return Err(if order == BYTE_ORDER.swap_bytes() {
                OpenError::ByteOrder { path: path() }
            } else {
                OpenError::Damaged { path: path() }
            });
        }
        let version = word(2).ok_or_else(cut)?;
        // Up to here all versions are alike.
        if version != VERSION {
            return Err(OpenError::Version {
                path: path(),
                found: version,
                known: VERSION,
            });
        }
        if bytes.len() < PREAMBLE {
            return Err(cut());
        }
        let sum = u64::from(crc32c::crc32c(&bytes[..CHECKSUM]));
        if word(CHECKSUM / 8) != Some(sum) {
            return Err(OpenError::Damaged { path: path() });
        }
        let field = |index| word(index).ok_or_else(cut);
        let size = |index| field(index).map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let links = size(7)?;
        let preamble = Self {
            shape: Shape {
                row_words: size(5)?,
                capacity: size(6)?,
                links: Links::ALL
                    .into_iter()
                    .find(|kind| kind.words() == links)
                    .ok_or_else(|| OpenError::Damaged { path: path() })?,
            },
            label: Label {
                schema_hash: field(4)?,
                agent_id: field(8)?.cast_signed(),
                run: RunId::from_bits(field(9)? as u32),
            },
        };
        // The checksum is right, but whoever wrote it may have been wrong.
        let expected = file_len(preamble.shape).map_err(|_| OpenError::Damaged { path: path() })? as u64;
        if !preamble.shape.capacity.is_power_of_two() || field(3)? != expected {
            return Err(OpenError::Damaged { path: path() });
        }
        if len != expected {
            return Err(cut());
        }
        Ok(preamble)
    }
}

/// Bytes of the file of a ring.
fn file_len(shape: Shape) -> Result<usize, BufferError> {
    Ok(PREAMBLE + shape.words()? * size_of::<u64>())
}

/// A ring's file, mapped.
pub(in crate::buffer) struct RingFile {
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
    pub(in crate::buffer) fn create(folder: &Path, shape: Shape, label: Label) -> Result<Self, BufferError> {
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
    pub(in crate::buffer) fn open(path: &Path) -> Result<(Self, Preamble), OpenError> {
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

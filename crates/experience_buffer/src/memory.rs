//! The memory of buffers: heap, NUMA nodes, or memory-mapped files that outlive the process.
//!
//! [`Memory::Heap`] is the default. A [`Ring`](super::ring::Ring) supports all kinds, a queue also supports
//! [`Memory::Numa`], and other combinations are refused.
//!
//! # Files
//! With [`Memory::File`] every ring is a file of its own, mapped into memory. A push costs the same as on the heap, and the
//! rows survive the end of the process (`kill -9`, a crash, the out-of-memory killer), because the pages belong to the
//! operating system. They do not survive a power failure: no push waits for the disk.
//! [`MappedRing`](super::ring::MappedRing) opens such a file, from any process, also while it is being written.
//!
//! The files of a process that was killed are recovered with the journal of its recording, and removed then. A copy of the
//! dataset is recovered with the same files, which stay.
//!
//! A file is removed when its ring is closed, drained and dropped. So a file in the folder is of a process that is running,
//! or that ended with rows that were not drained. Files are named `<run>-<counter>-<agent>.ring` after the [`Label`], in
//! hexadecimal, and never replaced. All blocks are allocated when a file is created, because the first write of a page on a
//! full disk would kill the process. A copy-on-write file system (a snapshot of btrfs or ZFS) can break that guarantee, as can
//! a process that truncates the file; keep the folder on another file system, or on tmpfs.
//!
//! | byte | content (64-bit numbers in the byte order of the machine) |
//! |---|---|
//! | 0 | the letters `bevyring` |
//! | 8 | `0x0102030405060708`, as a check of the byte order |
//! | 16 | version of this layout: 2; the bytes before are the same in every version |
//! | 24 | length of the file in bytes |
//! | 32 | hash of the schema |
//! | 40 | words of a row |
//! | 48 | capacity in rows, a power of two |
//! | 56 | link words before each row: 0, 1 (rows refused so far) or 2 (a pool's chain) |
//! | 64 | agent, or the number of a pool's shard |
//! | 72 | run |
//! | 80 | zeros |
//! | 504 | CRC-32C of bytes 0 to 503 |
//! | 512 | the ring as in memory; its counters come first: |
//! | 640 | rows pushed, which is the number of the next |
//! | 648 | 1 once the ring is closed |
//! | 656 | rows refused because the ring was closed |
//! | 664 | rows refused because the ring was full |
//! | 672 | rows before this one are hidden from all but the exporter |
//! | 680 | rows begun: more than pushed while rows are being written |
//! | 768 | the accounting cursor: the first row that was not drained |
//! | 776 | rows that were overwritten before the accounting cursor reached them |
//! | 896 | the cells (at 904 where there is one link word, so that rows begin at even words): links, row, and padding to an even number of words |
//!
//! Row `r`, counted from 0, is in cell `r` modulo the capacity if `r` is less than the number of rows pushed, and not less
//! than the number of rows begun minus the capacity.

#[cfg(not(loom))]
pub(super) mod file;
#[cfg(not(loom))]
mod mapped;
#[cfg(all(target_os = "linux", not(loom)))]
mod numa;
#[cfg(not(loom))]
pub(super) mod preamble;
mod words;

pub(super) use words::Words;

use super::{BufferError, shape::Shape};
use core::{iter::Sum, ops::AddAssign};
use experience_core::transition::RunId;
use std::path::{Path, PathBuf};

/// Bytes before the ring in a file, a multiple of 128 so that the ring's counters keep their alignment.
pub(super) const PREAMBLE: usize = 512;

/// The kind of memory that a buffer takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Memory {
    /// The heap. Pages that are never written take no memory.
    #[default]
    Heap,
    /// NUMA nodes in turn, one for each buffer or shard. Linux only. On a machine with one node, or where the process may not
    /// choose, this is ordinary memory, counted by [`MemoryUse::unbound`].
    ///
    /// Each buffer is a mapping, of which Linux by default allows a process 65,530. Use a [pool](super::pool) for more players.
    Numa,
    /// Memory-mapped files in this folder, one for each ring, which outlive the process: see [the module](self). A ring takes a
    /// few system calls to create.
    File(PathBuf),
}

impl Memory {
    /// Creates the folder of [`Memory::File`], and checks that files can be created in it.
    ///
    /// # Errors
    /// When a system call fails.
    pub fn prepare(&self) -> Result<(), BufferError> {
        match self {
            Self::Heap | Self::Numa => Ok(()),
            #[cfg(not(loom))]
            Self::File(folder) => file::prepare(folder),
            #[cfg(loom)]
            Self::File(folder) => Err(no_file(folder, "a model has no files")),
        }
    }

    /// Bytes that a ring of this shape takes here.
    pub(super) fn bytes(&self, shape: Shape) -> Result<usize, BufferError> {
        let preamble = match self {
            Self::File(_) => PREAMBLE,
            _ => 0,
        };
        Ok(preamble + shape.words()? * size_of::<u64>())
    }
}

fn no_file(folder: &Path, reason: impl core::fmt::Display) -> BufferError {
    BufferError::File {
        folder: folder.to_owned(),
        reason: reason.to_string(),
    }
}

/// The origin of a buffer's rows, which is stored in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The run of the process.
    pub run: RunId,
    /// The hash of their [`Schema`](experience_core::schema::Schema).
    pub schema_hash: u64,
    /// The agent, or the number of a pool's shard.
    pub agent_id: i64,
}

impl Default for Label {
    /// All zero.
    fn default() -> Self {
        Self {
            run: RunId::from_bits(0),
            schema_hash: 0,
            agent_id: 0,
        }
    }
}

/// Bytes of buffers, by kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// On the heap.
    pub heap: usize,
    /// In files.
    pub file: usize,
    /// Bound to NUMA nodes.
    pub numa: usize,
    /// In ordinary memory although [`Memory::Numa`] was chosen: there is one node, or the process may not choose.
    pub unbound: usize,
    /// The part of all these for which the operating system agreed to use huge pages.
    pub huge_pages: usize,
}

impl MemoryUse {
    /// The sum of all kinds.
    #[must_use]
    pub fn total(&self) -> usize {
        self.heap + self.file + self.numa + self.unbound
    }
}

impl AddAssign for MemoryUse {
    fn add_assign(&mut self, other: Self) {
        self.heap += other.heap;
        self.file += other.file;
        self.numa += other.numa;
        self.unbound += other.unbound;
        self.huge_pages += other.huge_pages;
    }
}

impl Sum for MemoryUse {
    fn sum<I: Iterator<Item = Self>>(uses: I) -> Self {
        uses.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

//! Where the words of a buffer lie: on the heap, near a processor, or in a file that outlives the process.
//!
//! [`Memory::Heap`] is right for most. The others are for a [`Ring`](super::ring::Ring)'s rows, and
//! [`Memory::Numa`] for a queue's too; kinds that cannot are refused.
//!
//! # Files
//! With [`Memory::File`] every ring lies in a file of its own, mapped into memory: a push costs what it costs
//! elsewhere, and what was pushed survives the death of the process (`kill -9`, a crash, the out-of-memory killer), because
//! the pages belong to the system. It does not survive a power cut: nothing waits for the disk.
//! [`MappedRing`](super::ring::MappedRing) opens such a file, from any process, also while it is being written.
//!
//! What such a process left is recovered with the journal of its recording, and the files are removed then.
//!
//! A file is removed once its ring is closed, drained and no longer used, so those that are found belong to a process
//! that lives, or died with rows that nobody had drained. They are named `<run>-<counter>-<agent>.ring` after the
//! [`Label`], in hexadecimal, and never replaced. All blocks are reserved when the file is made: a page that is written for
//! the first time on a full disk would end the process. A file system that copies on every write (a snapshot of btrfs or
//! ZFS) can break that promise, as can whoever shortens the file; keep the folder on a plain one, or on tmpfs.
//!
//! | bytes | what (numbers are 64 bits wide, in the byte order of the machine) |
//! |---|---|
//! | 0 | the letters `bevyring` |
//! | 8 | `0x0102030405060708`, which tells the byte order |
//! | 16 | version of this layout: 2; all before it is the same in every version |
//! | 24 | length of the file in bytes |
//! | 32 | hash of the schema |
//! | 40 | words of a row |
//! | 48 | rows that the ring holds, a power of two |
//! | 56 | link words before each row: 0, 1 (rows refused so far) or 2 (a pool's chain) |
//! | 64 | agent, or the number of a pool's shard |
//! | 72 | run |
//! | 80 | zeros |
//! | 504 | CRC-32C of bytes 0 to 503 |
//! | 512 | the ring, exactly as in memory; its counters come first: |
//! | 640 | rows pushed so far, which is the number of the next |
//! | 648 | 1 once the ring is closed |
//! | 656 | rows refused because the ring was closed |
//! | 664 | rows refused because the ring was full |
//! | 672 | rows before this one are hidden from all but the exporter |
//! | 680 | rows begun so far: one more than pushed, while one is being written |
//! | 768 | the accounting cursor: the first row that was not drained |
//! | 776 | rows that the accounting cursor came too late for |
//! | 896 | or 904 where there is one link word, so that rows lie at even words: the cells, each the links and the row, and of an even number of words |
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

/// Bytes before the ring in a file. What the ring keeps 128 bytes apart stays so.
pub(super) const PREAMBLE: usize = 512;

/// Where buffers lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Memory {
    /// In ordinary memory. Pages that are never written cost nothing.
    #[default]
    Heap,
    /// Near the processors: buffers and shards go round the machine's NUMA nodes in turn. On a machine with one node, or
    /// where the process may not choose, this is ordinary memory, and [`MemoryUse::unbound`] says so. Linux only.
    ///
    /// Each buffer is a mapping, of which Linux gives a process 65,530 unless told otherwise: for more players, take a
    /// [pool](super::pool).
    Numa,
    /// In files in this folder, one for each ring, which outlive the process: see [the module](self). Making one takes some
    /// system calls, when a player joins.
    File(PathBuf),
}

impl Memory {
    /// Makes the folder, and tries whether files can be made in it. Ordinary memory is always ready.
    ///
    /// # Errors
    /// When the system refuses.
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

/// Whose rows a buffer holds: what its file says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The process's life that they are from.
    pub run: RunId,
    /// The hash of their [`Schema`](experience_core::schema::Schema).
    pub schema_hash: u64,
    /// The player, or the number of a pool's shard.
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

/// Bytes of buffers, by where they lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// In ordinary memory.
    pub heap: usize,
    /// In files.
    pub file: usize,
    /// Bound to NUMA nodes.
    pub numa: usize,
    /// In ordinary memory though [`Memory::Numa`] was asked for: there is one node, or the process may not choose.
    pub unbound: usize,
    /// Of all these, what the system agreed to put on huge pages.
    pub huge_pages: usize,
}

impl MemoryUse {
    /// All of it.
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

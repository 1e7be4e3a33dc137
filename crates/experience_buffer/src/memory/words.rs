//! Atomic words in any kind of memory.
#![expect(
    unsafe_code,
    reason = "one slice for allocations and mappings, so that a push does not branch on the kind of memory"
)]

use super::{Label, Memory, MemoryUse};
use crate::{
    BufferError,
    budget::Share,
    shape::Shape,
    sync::{AtomicU64, Ordering},
};
use core::{ops::Deref, ptr::NonNull};
use std::path::Path;

#[cfg(not(loom))]
use super::{file::RingFile, mapped::AnonymousMap};

/// Words of a cache line. Mappings are aligned to pages.
#[cfg(not(loom))]
const LINE_WORDS: usize = 8;

/// Words that all threads may access, initially zero: one allocation or one mapping.
pub(crate) struct Words {
    words: NonNull<[AtomicU64]>,
    backing: Backing,
    memory: MemoryUse,
    /// Returned to the budget when the words are freed.
    share: Option<Share>,
}

/// The memory that backs the words, freed when it is dropped.
enum Backing {
    /// The whole allocation, of which the words are a part.
    Heap(NonNull<[AtomicU64]>),
    #[cfg(not(loom))]
    Anonymous { _pages: AnonymousMap },
    #[cfg(not(loom))]
    File(RingFile),
}

// SAFETY: this owns the words as a box would, and atomics are `Send` and `Sync`. A mapping may be unmapped by any thread.
unsafe impl Send for Words {}
// SAFETY: as above: a shared reference gives access to a slice of atomics only.
unsafe impl Sync for Words {}

impl Words {
    /// Allocates `len` words in memory of this kind, which is not a file.
    ///
    /// # Errors
    /// When there is not enough memory.
    #[cfg(not(loom))]
    pub(crate) fn new(memory: &Memory, huge_pages: bool, len: usize) -> Result<Self, BufferError> {
        let bound = *memory == Memory::Numa;
        if !bound && !huge_pages {
            return Self::heap(len);
        }
        let pages = AnonymousMap::new(len * size_of::<u64>(), bound, huge_pages)?;
        Ok(Self {
            words: pages.words(len),
            memory: pages.memory(),
            backing: Backing::Anonymous { _pages: pages },
            share: None,
        })
    }

    #[cfg(loom)]
    pub(crate) fn new(_: &Memory, _: bool, len: usize) -> Result<Self, BufferError> {
        Self::heap(len)
    }

    fn heap(len: usize) -> Result<Self, BufferError> {
        #[cfg(loom)]
        let (first, words): (_, Box<[AtomicU64]>) = (0, (0..len).map(|_| AtomicU64::new(0)).collect());
        // Pages of a zeroed allocation take no memory until they are written. Allocators do not guarantee that for an aligned
        // allocation, so this one has some words more, and begins with the first aligned one.
        #[cfg(not(loom))]
        let (first, words) = {
            let no_memory = || BufferError::OutOfMemory {
                bytes: len * size_of::<u64>(),
            };
            let words = len.checked_add(LINE_WORDS - 1).ok_or_else(no_memory)?;
            let words: Box<[AtomicU64]> =
                bytemuck::allocation::try_zeroed_slice_box(words).map_err(|()| no_memory())?;
            let first = (words.as_ptr().addr() / size_of::<u64>()).wrapping_neg() % LINE_WORDS;
            (first, words)
        };
        let all = NonNull::from(Box::leak(words));
        // SAFETY: the box was just leaked, and there is no other reference to it.
        let words = unsafe { &all.as_ref()[first..first + len] };
        Ok(Self {
            words: NonNull::from(words),
            backing: Backing::Heap(all),
            share: None,
            memory: MemoryUse {
                heap: len * size_of::<u64>(),
                ..MemoryUse::default()
            },
        })
    }

    /// Creates a file in `folder` for a ring of this shape.
    ///
    /// # Errors
    /// When a system call fails.
    #[cfg(not(loom))]
    pub(crate) fn file(folder: &Path, shape: Shape, label: Label) -> Result<Self, BufferError> {
        RingFile::create(folder, shape, label).map(Self::of_file)
    }

    #[cfg(loom)]
    pub(crate) fn file(folder: &Path, _: Shape, _: Label) -> Result<Self, BufferError> {
        Err(super::no_file(folder, "a model has no files"))
    }

    /// The words of a file behind its header. Where the file is mapped for reading, only relaxed loads are sound: see
    /// [`acquire`](crate::sync::acquire).
    #[cfg(not(loom))]
    pub(crate) fn of_file(file: RingFile) -> Self {
        Self {
            words: file.words(),
            memory: MemoryUse {
                file: file.len(),
                ..MemoryUse::default()
            },
            backing: Backing::File(file),
            share: None,
        }
    }

    /// Keeps the words' share of a budget until they are freed.
    pub(crate) fn holding(mut self, share: Option<Share>) -> Self {
        self.share = share;
        self
    }

    /// Bytes, by kind of memory.
    pub(crate) fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// Maps all pages now, unless they are of a file.
    pub(crate) fn prefault(&self) {
        /// Words of the smallest page of any platform.
        const PAGE_WORDS: usize = 4096 / size_of::<u64>();
        if self.memory.file == 0 {
            for word in self.iter().step_by(PAGE_WORDS) {
                // A write access that changes nothing and is not optimized away. A word that is not 0 has a page already.
                let _ = word.compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Removes the file of the words after they are unmapped, if this process created it.
    pub(crate) fn remove_file(&mut self) {
        #[cfg(not(loom))]
        if let Backing::File(file) = &mut self.backing {
            file.remove_when_dropped();
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: for as long as `self` lives, `backing` keeps the words at their address and gives no other access to them. They
        // are an allocation of that length, or part of a mapping of at least that length, aligned, and initialized with zeros or
        // with the bytes of a file, of which every bit pattern is valid.
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        match self.backing {
            // SAFETY: it was leaked from a box in `heap`, and `self` was its last user.
            Backing::Heap(all) => drop(unsafe { Box::from_raw(all.as_ptr()) }),
            #[cfg(not(loom))]
            _ => {}
        }
    }
}

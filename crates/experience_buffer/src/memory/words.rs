//! The words themselves, wherever they lie.
#![expect(
    unsafe_code,
    reason = "one slice, whether an allocation or a mapping owns its words, so that a push asks nothing"
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
use super::{file::RingFile, mapped::Anonymous};

/// Words of a line of the processor's caches. Mappings begin with one anyway.
#[cfg(not(loom))]
const LINE: usize = 8;

/// Words that all threads may write, zero to begin with: one allocation, or one mapping.
pub(crate) struct Words {
    words: NonNull<[AtomicU64]>,
    owner: Owner,
    memory: MemoryUse,
    /// Given back when the words are gone.
    share: Option<Share>,
}

/// What frees the words. It keeps them where they are until it is dropped.
enum Owner {
    /// The whole allocation, of which the words are a part.
    Heap(NonNull<[AtomicU64]>),
    #[cfg(not(loom))]
    Anonymous { _pages: Anonymous },
    #[cfg(not(loom))]
    File(RingFile),
}

// SAFETY: the words belong to this as those of a box would, whoever frees them, and atomics may be sent and shared. A
// mapping may be unmapped by any thread.
unsafe impl Send for Words {}
// SAFETY: as above: all that is shared is a slice of atomics.
unsafe impl Sync for Words {}

impl Words {
    /// Allocates `len` words in memory of this kind, which is not a file.
    ///
    /// # Errors
    /// When there is not so much memory.
    #[cfg(not(loom))]
    pub(crate) fn new(memory: &Memory, huge_pages: bool, len: usize) -> Result<Self, BufferError> {
        let bound = *memory == Memory::Numa;
        if !bound && !huge_pages {
            return Self::heap(len);
        }
        let pages = Anonymous::new(len * size_of::<u64>(), bound, huge_pages)?;
        Ok(Self {
            words: pages.words(len),
            memory: pages.memory(),
            owner: Owner::Anonymous { _pages: pages },
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
        // Pages that were never written cost nothing: a buffer that is never filled never takes its memory. Allocators do
        // not keep that promise where they are asked for alignment, so there are some words more than are used.
        #[cfg(not(loom))]
        let (first, words) = {
            let no_memory = || BufferError::OutOfMemory {
                bytes: len * size_of::<u64>(),
            };
            let words = len.checked_add(LINE - 1).ok_or_else(no_memory)?;
            let words: Box<[AtomicU64]> =
                bytemuck::allocation::try_zeroed_slice_box(words).map_err(|()| no_memory())?;
            let first = (words.as_ptr().addr() / size_of::<u64>()).wrapping_neg() % LINE;
            (first, words)
        };
        let all = NonNull::from(Box::leak(words));
        // SAFETY: the box was leaked just now, and nobody else has it.
        let words = unsafe { &all.as_ref()[first..first + len] };
        Ok(Self {
            words: NonNull::from(words),
            owner: Owner::Heap(all),
            share: None,
            memory: MemoryUse {
                heap: len * size_of::<u64>(),
                ..MemoryUse::default()
            },
        })
    }

    /// Makes a file in `folder`, of the size of its ring's words.
    ///
    /// # Errors
    /// When the system refuses.
    #[cfg(not(loom))]
    pub(crate) fn file(folder: &Path, shape: Shape, label: Label) -> Result<Self, BufferError> {
        RingFile::create(folder, shape, label).map(Self::of_file)
    }

    #[cfg(loom)]
    pub(crate) fn file(folder: &Path, _: Shape, _: Label) -> Result<Self, BufferError> {
        Err(super::no_file(folder, "a model has no files"))
    }

    /// The words of a file, all but its preamble. Where the file is open for reading alone, they must only be loaded, and
    /// relaxed: see [`acquire`](crate::sync::acquire).
    #[cfg(not(loom))]
    pub(crate) fn of_file(file: RingFile) -> Self {
        Self {
            words: file.words(),
            memory: MemoryUse {
                file: file.len(),
                ..MemoryUse::default()
            },
            owner: Owner::File(file),
            share: None,
        }
    }

    /// The same words, as part of a budget.
    pub(crate) fn holding(mut self, share: Option<Share>) -> Self {
        self.share = share;
        self
    }

    /// Bytes, by where they lie.
    pub(crate) fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// Has the system give all pages now, unless they are a file's.
    pub(crate) fn prefault(&self) {
        /// The smallest pages that there are.
        const PAGE: usize = 4096 / size_of::<u64>();
        if self.memory.file == 0 {
            for word in self.iter().step_by(PAGE) {
                // A store, which compilers keep, and which changes nothing: where there is something, there is a page.
                let _ = word.compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Removes the file that they lie in, if they do and it is ours, once they are unmapped.
    pub(crate) fn remove_file(&mut self) {
        #[cfg(not(loom))]
        if let Owner::File(file) = &mut self.owner {
            file.remove_when_dropped();
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `owner` keeps as many initialised words at one place, and gives no other access to them, for as long as
        // `self` lives: an allocation of that length, or pages of a mapping of at least that length, aligned and zeroed or
        // filled from a file, in which every pattern of bits is a number.
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        match self.owner {
            // SAFETY: it was leaked from a box in `heap`, and nobody uses it any more.
            Owner::Heap(all) => drop(unsafe { Box::from_raw(all.as_ptr()) }),
            #[cfg(not(loom))]
            _ => {}
        }
    }
}

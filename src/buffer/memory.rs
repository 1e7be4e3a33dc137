//! Where the words of a buffer lie.

use super::{BufferError, sync::AtomicU64};
use core::ops::Deref;

/// Words that all threads may write, zero to begin with: one allocation.
pub(super) struct Words(Box<[AtomicU64]>);

impl Words {
    /// Allocates `len` words.
    ///
    /// # Errors
    /// When there is not so much memory.
    pub(super) fn heap(len: usize) -> Result<Self, BufferError> {
        #[cfg(loom)]
        let words = (0..len).map(|_| AtomicU64::new(0)).collect();
        // Pages that were never written cost nothing: a buffer that is never filled never takes its memory.
        #[cfg(not(loom))]
        let words = bytemuck::allocation::try_zeroed_slice_box(len).map_err(|()| BufferError::OutOfMemory {
            bytes: len * size_of::<u64>(),
        })?;
        Ok(Self(words))
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

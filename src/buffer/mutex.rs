//! The plain reference: a `VecDeque` behind a mutex.

use super::{BufferError, BufferStats, Closed, Drained, TransitionBuffer, checked_capacity};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Rows in a `VecDeque` behind a mutex, the oldest making room for the newest.
///
/// It is what the other buffers are tested and measured against. Rows that were drained are gone.
#[derive(Debug)]
pub struct MutexBuffer {
    row_words: usize,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    words: VecDeque<u64>,
    closed: bool,
    missed: u64,
    stats: BufferStats,
}

impl MutexBuffer {
    /// A buffer of at least `capacity` rows of `row_words` words, and its writer.
    ///
    /// # Errors
    /// When `capacity` or `row_words` is 0, or so large that the buffer cannot be addressed.
    pub fn new(row_words: usize, capacity: usize) -> Result<(Writer, Arc<Self>), BufferError> {
        let capacity = checked_capacity(row_words, capacity)?;
        let buffer = Arc::new(Self {
            row_words,
            capacity,
            state: Mutex::new(State {
                words: VecDeque::with_capacity(row_words * capacity),
                ..State::default()
            }),
        });
        Ok((Writer(buffer.clone()), buffer))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self, state: &State) -> usize {
        state.words.len() / self.row_words
    }
}

impl TransitionBuffer for MutexBuffer {
    fn row_words(&self) -> usize {
        self.row_words
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn len(&self) -> usize {
        self.rows(&self.state())
    }

    fn close(&self) {
        self.state().closed = true;
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained {
        // Taken out first: whatever `each` does, it does not do it under the lock that the writer waits for.
        let (words, missed) = {
            let mut state = self.state();
            let rows = max.min(self.rows(&state));
            state.stats.retrieved += rows as u64;
            let words: Vec<u64> = state.words.drain(..rows * self.row_words).collect();
            (words, core::mem::take(&mut state.missed))
        };
        words.chunks_exact(self.row_words).for_each(each);
        Drained {
            steps: words.len() / self.row_words,
            missed,
        }
    }

    fn peek_all(&self, each: &mut dyn FnMut(&[u64])) {
        let words: Vec<u64> = self.state().words.iter().copied().collect();
        words.chunks_exact(self.row_words).for_each(each);
    }

    fn stats(&self) -> BufferStats {
        let state = self.state();
        BufferStats {
            len: self.rows(&state),
            capacity: self.capacity,
            ..state.stats
        }
    }
}

/// The one who pushes to a [`MutexBuffer`]. Dropping it closes the buffer.
#[derive(Debug)]
pub struct Writer(Arc<MutexBuffer>);

impl Writer {
    /// Appends a row; the oldest makes room for it.
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the buffer's rows.
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        let buffer = &*self.0;
        assert_eq!(row.len(), buffer.row_words, "a row of another width");
        let mut state = buffer.state();
        if state.closed {
            state.stats.rejected += 1;
            return Err(Closed);
        }
        if buffer.rows(&state) == buffer.capacity {
            state.words.drain(..buffer.row_words);
            state.stats.dropped += 1;
            state.missed += 1;
        }
        state.words.extend(row);
        state.stats.added += 1;
        Ok(())
    }

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.capacity - self.0.len()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.close();
    }
}

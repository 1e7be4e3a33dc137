//! The reference implementation: a `VecDeque` behind a mutex.

use super::{
    BufferError, BufferKind, BufferSettings, BufferStats, Closed, Drained, MemoryUse, Overflow, TransitionBuffer,
    budget::Share,
    resources::BufferResources,
    shape::checked_capacity,
    sync::{Mutex, MutexGuard, lock},
};
use std::{collections::VecDeque, sync::Arc};

/// Rows in a `VecDeque` behind a mutex.
///
/// The other buffers are tested and measured against it. Drained rows are removed.
#[derive(Debug)]
pub struct MutexBuffer {
    row_words: usize,
    capacity: usize,
    drops_newest: bool,
    state: Mutex<State>,
    /// The row that a drain passes to its caller. Also serializes drains.
    scratch: Mutex<Vec<u64>>,
    _share: Option<Share>,
}

/// Bytes that a buffer's rows take.
pub(super) fn bytes(settings: &BufferSettings, row_words: usize) -> Result<usize, BufferError> {
    let capacity = checked_capacity(row_words, settings.capacity)?;
    let words = row_words.checked_add(1).and_then(|words| words.checked_mul(capacity));
    words
        .and_then(|words| words.checked_mul(size_of::<u64>()))
        .ok_or(BufferError::TooLarge {
            rows: settings.capacity,
            words: row_words,
        })
}

#[derive(Debug, Default)]
struct State {
    /// Each row behind its number, counted from 0 over all rows that were pushed, dropped or not.
    rows: VecDeque<u64>,
    /// The number of the next row to drain unless rows are missing.
    expected: u64,
    /// Rows with a lower number are only drained, not peeked at.
    floor: u64,
    closed: bool,
    stats: BufferStats,
}

impl MutexBuffer {
    /// A buffer of rows of `row_words` words, and its writer.
    ///
    /// # Errors
    /// When the settings or the rows have no size, or one so large that the buffer cannot be made.
    pub fn new(settings: &BufferSettings, row_words: usize) -> Result<(MutexWriter, Arc<Self>), BufferError> {
        Self::with_resources(settings, row_words, BufferResources::default())
    }

    pub(super) fn with_resources(
        settings: &BufferSettings,
        row_words: usize,
        resources: BufferResources,
    ) -> Result<(MutexWriter, Arc<Self>), BufferError> {
        settings.check(row_words)?;
        let capacity = checked_capacity(row_words, settings.capacity)?;
        let buffer = Arc::new(Self {
            row_words,
            capacity,
            drops_newest: settings.overflow == Overflow::DropNewest,
            state: Mutex::new(State {
                rows: VecDeque::with_capacity((1 + row_words) * capacity),
                ..State::default()
            }),
            scratch: Mutex::default(),
            _share: resources.share,
        });
        Ok((MutexWriter(buffer.clone()), buffer))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn rows(&self, state: &State) -> usize {
        state.rows.len() / (1 + self.row_words)
    }

    /// Takes the next row into `scratch`, or returns the gap before it, which is reported once. With `stop_at_gap`, a gap is
    /// left for the next call.
    fn take(&self, scratch: &mut Vec<u64>, stop_at_gap: bool) -> NextRow {
        let mut state = self.state();
        let number = state.rows.front().copied().unwrap_or(state.stats.added);
        match number - state.expected {
            0 if state.rows.is_empty() => NextRow::Nothing,
            0 => {
                scratch.clear();
                scratch.extend(state.rows.drain(..1 + self.row_words).skip(1));
                state.expected += 1;
                state.stats.retrieved += 1;
                NextRow::Row
            }
            _ if stop_at_gap => NextRow::Nothing,
            missed => {
                state.expected = number;
                NextRow::Gap(missed)
            }
        }
    }
}

enum NextRow {
    Row,
    Gap(u64),
    Nothing,
}

impl TransitionBuffer for MutexBuffer {
    fn kind(&self) -> BufferKind {
        BufferKind::Mutex
    }

    fn row_words(&self) -> usize {
        self.row_words
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn len(&self) -> usize {
        self.stats().len
    }

    fn free(&self) -> usize {
        self.capacity - self.rows(&self.state())
    }

    fn close(&self) {
        self.state().closed = true;
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained {
        let mut scratch = lock(&self.scratch);
        let mut drained = Drained::default();
        while drained.steps < max {
            // `each` is not called under the lock of `state`, which the writer takes.
            match self.take(&mut scratch, drained.steps > 0) {
                NextRow::Row => {
                    drained.steps += 1;
                    each(&scratch);
                }
                NextRow::Gap(missed) => drained.missed += missed,
                NextRow::Nothing => break,
            }
        }
        drained
    }

    fn peek_newest(&self, max: usize, each: &mut dyn FnMut(&[u64])) {
        let (rows, floor): (Vec<u64>, u64) = {
            let state = self.state();
            let before = self.rows(&state).saturating_sub(max) * (1 + self.row_words);
            (state.rows.iter().copied().skip(before).collect(), state.floor)
        };
        rows.chunks_exact(1 + self.row_words)
            .filter(|row| row[0] >= floor)
            .for_each(|row| each(&row[1..]));
    }

    fn stats(&self) -> BufferStats {
        let state = self.state();
        BufferStats {
            len: self.rows(&state),
            capacity: self.capacity,
            memory: MemoryUse {
                heap: state.rows.capacity() * size_of::<u64>(),
                ..MemoryUse::default()
            },
            ..state.stats
        }
    }
}

/// Pushes to a [`MutexBuffer`]. Dropping it closes the buffer.
#[derive(Debug)]
pub struct MutexWriter(Arc<MutexBuffer>);

impl MutexWriter {
    /// Appends a row. A full buffer drops its oldest row or this one, by its [`Overflow`].
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` has another length than the buffer's rows.
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        let buffer = &*self.0;
        assert_eq!(row.len(), buffer.row_words, "a row of another width");
        let mut state = buffer.state();
        if state.closed {
            state.stats.rejected += 1;
            return Err(Closed);
        }
        let number = state.stats.added;
        state.stats.added += 1;
        if buffer.rows(&state) == buffer.capacity {
            state.stats.dropped += 1;
            if buffer.drops_newest {
                return Ok(());
            }
            state.rows.drain(..1 + buffer.row_words);
        }
        state.rows.push_back(number);
        state.rows.extend(row);
        Ok(())
    }

    /// Rows that can be pushed before one is lost that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.free()
    }

    /// Hides the rows pushed so far from peeks.
    pub fn hide(&mut self) {
        let mut state = self.0.state();
        state.floor = state.stats.added;
    }
}

impl Drop for MutexWriter {
    fn drop(&mut self) {
        self.0.close();
    }
}

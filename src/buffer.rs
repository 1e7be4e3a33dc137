//! One buffer per player: what capture wrote and the exporter, or anybody else, may read.
//!
//! The unit is an encoded row ([`StepHeader`](crate::transition::StepHeader) and what follows it), a fixed number of
//! 64-bit words. Nothing is boxed, and a push allocates nothing.
//!
//! The types say who does what. A [`Writer`] cannot be cloned and pushes through `&mut self`: it belongs to capture.
//! A [`TransitionBuffer`] is shared, and its [`drain`](TransitionBuffer::drain) is the exporter's: the one cursor that
//! counts as "exported". Everybody else peeks, or takes a [`ring::Reader`] with a cursor of its own.

mod mutex;
mod players;
pub mod ring;
mod sync;

pub use mutex::MutexBuffer;
pub use players::PlayerBuffers;

use core::{fmt, time::Duration};
use std::sync::Arc;

/// What happens when a buffer is full of rows that the exporter has not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest row makes room. What is lost is counted, and ends its episode with the reason `gap`.
    #[default]
    DropOldest,
    /// Capture waits for the exporter, at most so long a tick, once for all players together. Then the oldest row makes
    /// room. For runs without a screen, which would rather be slow than lose.
    Block(Duration),
}

/// Which implementation a buffer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BufferKind {
    /// A lock-free ring: see [`ring`].
    #[default]
    Ring,
    /// A `VecDeque` behind a mutex: the plain reference.
    Mutex,
}

/// How each player's buffer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSettings {
    /// Which implementation.
    pub kind: BufferKind,
    /// Rows that it holds; rounded up to a power of two.
    pub capacity: usize,
    /// What happens when it is full.
    pub overflow: Overflow,
}

impl Default for BufferSettings {
    /// A ring of 512 rows, eight seconds at 60 ticks a second, that drops the oldest.
    fn default() -> Self {
        Self {
            kind: BufferKind::default(),
            capacity: 512,
            overflow: Overflow::default(),
        }
    }
}

impl BufferSettings {
    /// Whether buffers of rows of `row_words` words can be made so.
    ///
    /// # Errors
    /// When there is nothing to hold, or too much.
    pub fn check(&self, row_words: usize) -> Result<(), BufferError> {
        checked_capacity(row_words, self.capacity).map(|_| ())
    }
}

/// Why a buffer cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// No rows.
    #[error("a buffer of 0 rows holds nothing: give it a capacity of at least 1")]
    ZeroCapacity,
    /// Rows without words.
    #[error("rows of 0 words hold nothing")]
    ZeroWidth,
    /// More than can be addressed.
    #[error("a buffer of {rows} rows of {words} words is larger than the address space")]
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Words of each.
        words: usize,
    },
}

/// The buffer is closed: nothing more can be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is closed")]
pub struct Closed;

/// What a read gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Rows that were given out.
    pub steps: usize,
    /// Rows that were overwritten before this reader came to them, since its last read.
    pub missed: u64,
}

/// The life of a buffer so far. `added = retrieved + dropped + len` holds whenever nothing is in motion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferStats {
    /// Rows pushed.
    pub added: u64,
    /// Rows overwritten before they were drained.
    pub dropped: u64,
    /// Rows drained.
    pub retrieved: u64,
    /// Rows refused because the buffer was closed.
    pub rejected: u64,
    /// Rows that a drain would find now.
    pub len: usize,
    /// Rows that it can hold.
    pub capacity: usize,
}

impl BufferStats {
    /// How full it is, from 0 to 1.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.len as f64 / self.capacity as f64
    }
}

/// A player's rows, as everybody but capture sees them.
pub trait TransitionBuffer: fmt::Debug + Send + Sync {
    /// Words of a row.
    fn row_words(&self) -> usize;

    /// Rows that it can hold.
    fn capacity(&self) -> usize;

    /// Rows that a drain would find now.
    fn len(&self) -> usize;

    /// Whether a drain would find nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next push makes the oldest undrained row go.
    fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Refuses further pushes. What is inside can still be drained.
    fn close(&self);

    /// Whether pushes are refused.
    fn is_closed(&self) -> bool;

    /// Gives out at most `max` rows, oldest first, and removes them.
    ///
    /// There is one such cursor: two who drain share the rows between them. It is the one that decides what counts as
    /// dropped.
    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained;

    /// Copies the oldest row into `row` and removes it; false when there is none.
    ///
    /// # Panics
    /// When `row` is not as long as the buffer's rows.
    fn pop(&self, row: &mut [u64]) -> bool {
        self.drain(1, &mut |found| row.copy_from_slice(found)).steps == 1
    }

    /// Gives out every row that the buffer still holds, drained or not where the implementation keeps them, oldest
    /// first, and leaves all in place.
    fn peek_all(&self, each: &mut dyn FnMut(&[u64]));

    /// Counts.
    fn stats(&self) -> BufferStats;
}

/// The one who pushes. Dropping it closes the buffer.
#[derive(Debug)]
pub enum Writer {
    /// To a [`ring::Ring`].
    Ring(ring::Writer),
    /// To a [`MutexBuffer`].
    Mutex(mutex::Writer),
}

impl Writer {
    /// Appends a row.
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the buffer's rows.
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        match self {
            Self::Ring(writer) => writer.push(row),
            Self::Mutex(writer) => writer.push(row),
        }
    }

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        match self {
            Self::Ring(writer) => writer.free(),
            Self::Mutex(writer) => writer.free(),
        }
    }
}

/// Makes a buffer and its writer.
///
/// # Errors
/// When there is nothing to hold, or too much.
pub fn create(
    kind: BufferKind,
    row_words: usize,
    capacity: usize,
) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    Ok(match kind {
        BufferKind::Ring => {
            let (writer, ring) = ring::Ring::new(row_words, capacity)?;
            (Writer::Ring(writer), ring)
        }
        BufferKind::Mutex => {
            let (writer, buffer) = MutexBuffer::new(row_words, capacity)?;
            (Writer::Mutex(writer), buffer)
        }
    })
}

/// The number of rows that a buffer of at least `capacity` has.
fn checked_capacity(row_words: usize, capacity: usize) -> Result<usize, BufferError> {
    if capacity == 0 {
        return Err(BufferError::ZeroCapacity);
    }
    if row_words == 0 {
        return Err(BufferError::ZeroWidth);
    }
    let too_large = BufferError::TooLarge {
        rows: capacity,
        words: row_words,
    };
    let rows = capacity.checked_next_power_of_two().ok_or(too_large)?;
    let bytes = row_words
        .checked_add(1)
        .and_then(|words| words.checked_mul(rows))
        .and_then(|words| words.checked_mul(size_of::<u64>()));
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(rows),
        _ => Err(too_large),
    }
}

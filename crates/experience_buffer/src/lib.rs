//! One buffer per player: what capture wrote and the exporter, or anybody else, may read.
//!
//! The unit is an encoded row ([`StepHeader`](experience_core::transition::StepHeader) and what follows it), a fixed number of
//! 64-bit words. Nothing is boxed, and a push allocates nothing.
//!
//! The types say who does what. A [`Writer`] cannot be cloned and pushes through `&mut self`: it belongs to capture.
//! A [`TransitionBuffer`] is shared, and its [`drain`](TransitionBuffer::drain) is the exporter's: the one cursor that
//! counts as "exported". Everybody else peeks, or takes a [`ring::Reader`] with a cursor of its own.
//!
//! # What it costs
//! Rows of 256 bytes, 1024 of them in a buffer, on two cores of a busy server (AMD EPYC, 1 MiB of second-level cache each),
//! in nanoseconds a row: the medians of seven runs of `cargo bench --bench buffer -- --quick`, which takes about a minute, of
//! these groups alone (`chrt -f 20 taskset -c 0,1`). Other machines have other figures; the ratios within a run are what can
//! be compared.
//!
//! | | copy | [`ring`] | [`queue`] | [`mutex`] |
//! |---|---|---|---|---|
//! | a push, `buffer_push/*/256` | 3.2 | 4.0 | 36 | 17 |
//! | a row of a drain of all, `buffer_read/*/256` | 3.1 | 3.0 | 21 | 40 |
//! | a push for one of 1000 players of a [`pool`], `pool_push/256` | | 7.8 | | |
//!
//! The same as ratios, and what was asked of them:
//!
//! | | median | lowest to highest | asked for |
//! |---|---|---|---|
//! | a push, against the copy | 1.25 | 1.16 to 1.30 | 1.4, better 1.2 |
//! | a push to a queue, against one to a ring | 9.2 | 9.0 to 9.2 | 3, better 5 |
//! | a row of a drain, against the copy | 0.97 | 0.96 to 0.97 | 1.3, better 1.1 |
//! | a push while another core drains every millisecond, against alone (`buffer_contended/{polled,alone}/1`) | 1.04 | 1.03 to 1.07 | 1.5, better 1.2 |
//! | a push while another core looks for rows all the time, against alone (`buffer_contended/{ring,alone}/1`) | 25 | 24 to 26 | 1.5: **not reached** |
//! | plain words that go the same way, against a ring alone (`buffer_contended/{words,alone}/1`) | 44 | 43 to 47 | |
//!
//! On an older server (512 KiB of second-level cache) they were 1.32, 3.4, 1.38, 1.06, 4.4 and 6.6.
//!
//! Whoever looks for rows all the time takes each row's memory out of the writer's cache as soon as it is written, and the
//! writer has to fetch it back a round later. How long that takes is a matter of where the two cores are; these are far from
//! each other. The plain words do nothing else, and take longer: no ring that shares memory is fast there.
//!
//! Rows that are drained between one tick and the next go to the other core and back once. With 256 players, a row each a
//! tick (`buffer_contended/tick_{alone,drained}/256`), a push takes 9.4 where nobody drains and 35 where another core does,
//! because their memory is asked for beforehand, to be written ([`Writer::prefetch`]); asked for as if to be read, it took 30
//! to 55.
//!
//! A [`Sampler`] that draws from 64 players' rings of 512 rows (16 floats, 2 of action; 4.7 MB in all) gives 40 million
//! transitions a second in batches of 4096 (`sample/4096`), and 39 to 41 million in each of the seven runs. 20 million were
//! asked for.
//!
//! A push, a drain, a pop, a read and a sample allocate nothing once they are warm.

mod budget;
mod cells;
mod error;
pub mod memory;
pub mod mutex;
mod players;
pub mod pool;
pub mod queue;
pub mod ring;
pub mod sample;
mod settings;
mod shape;
mod stats;
mod supplies;
mod sync;
mod words;
mod writer;

pub use budget::Budget;
pub use error::{BufferError, Closed};
pub use memory::{Label, Memory, MemoryUse};
pub use mutex::MutexBuffer;
pub use players::PlayerBuffers;
pub use pool::BufferPool;
pub use queue::QueueBuffer;
pub use sample::{Batch, Sampler};
pub use settings::{BufferKind, BufferSettings, Overflow};
pub use stats::{BufferStats, Drained};
pub use writer::{Writer, create, create_for};

use core::fmt;

/// A player's rows, as everybody but capture sees them.
pub trait TransitionBuffer: fmt::Debug + Send + Sync {
    /// Which implementation this is.
    fn kind(&self) -> BufferKind;

    /// Words of a row.
    fn row_words(&self) -> usize;

    /// Rows that it can hold.
    fn capacity(&self) -> usize;

    /// Rows that a drain would find now.
    fn len(&self) -> usize;

    /// Rows that can be pushed before one goes that was not drained.
    fn free(&self) -> usize;

    /// Whether a drain would find nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for another row unless the oldest undrained one goes.
    fn is_full(&self) -> bool {
        self.free() == 0
    }

    /// Refuses further pushes. What is inside can still be drained.
    fn close(&self);

    /// Whether pushes are refused.
    fn is_closed(&self) -> bool;

    /// Gives out at most `max` rows, oldest first, and removes them. No allocation.
    ///
    /// There is one such cursor, the **accounting cursor**: what it did not come to in time counts as dropped, and two
    /// who drain share the rows between them. `each` must not drain or pop the same buffer.
    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained;

    /// Copies the oldest row into `row` and removes it; false when there is none. How many rows are missing before it is
    /// not said: use [`drain`](Self::drain) where that matters.
    ///
    /// # Panics
    /// When `row` is not as long as the buffer's rows.
    fn pop(&self, row: &mut [u64]) -> bool {
        assert_eq!(row.len(), self.row_words(), "a row of another width");
        self.drain(1, &mut |found| row.copy_from_slice(found)).steps == 1
    }

    /// Gives out the newest rows that the buffer still holds, at most `max` of them, oldest first, and leaves all in
    /// place. A [`ring`] keeps rows that were drained until later ones take their places; the other kinds do not.
    fn peek_newest(&self, max: usize, each: &mut dyn FnMut(&[u64]));

    /// Gives out every row that the buffer still holds, oldest first, and leaves all in place.
    fn peek_all(&self, each: &mut dyn FnMut(&[u64])) {
        self.peek_newest(usize::MAX, each);
    }

    /// A reader with a cursor of its own, at the oldest row. `None` for kinds whose rows go to one reader only.
    fn reader(&self) -> Option<ring::Reader> {
        None
    }

    /// Counts.
    fn stats(&self) -> BufferStats;
}

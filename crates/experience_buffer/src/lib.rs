//! Lock-free buffers for fixed-width rows, usable alone as a replay buffer.
//!
//! A row is a fixed number of 64-bit words: a [`StepHeader`](experience_core::transition::StepHeader), and the observation,
//! action and info of one step. Each buffer has one [`Writer`], which pushes through `&mut self`, and any number of threads
//! that read through the shared [`TransitionBuffer`]. Pushes, drains, reads and samples allocate nothing after the first ones.
//!
//! The crate depends on no engine. [`bevy_experience`](https://docs.rs/bevy_experience) pushes to these buffers from a Bevy
//! app, and `experience_export` drains them to sinks.
//!
//! # What is here
//! | type | what it is | when to use it |
//! |---|---|---|
//! | [`ring::Ring`] | lock-free ring, wait-free writer, independent readers | the default; the only kind for replay and sampling |
//! | [`QueueBuffer`] | strict FIFO, each row to one consumer | several consumers share the work |
//! | [`MutexBuffer`] | `VecDeque` behind a mutex | reference for tests and measurements |
//! | [`PlayerBuffers`] | concurrent map of one buffer for each player | up to thousands of players that join and leave |
//! | [`BufferPool`] | sharded rings that all players share | more players than fit in memory with a buffer each |
//! | [`Sampler`] | uniform random sampling of transitions from rings | training from live data |
//! | [`ring::MappedRing`] | a ring in a file of another process | recovery after a crash |
//! | [`Memory`], [`Budget`] | heap, NUMA nodes, memory-mapped files; a common limit | see [`memory`] |
//! | [`BufferStats`], [`MemoryUse`] | counters of rows and bytes | monitoring |
//!
//! [`create`] makes a buffer of any kind from [`BufferSettings`], which also choose the capacity and what happens to rows that
//! do not fit ([`Overflow`]).
//!
//! # As a replay buffer
//! ```
//! use experience_buffer::{ring::Ring, Sampler, TransitionBuffer};
//! use experience_core::{schema::{Column, Schema}, transition::{StepHeader, StepKind}};
//! use rand::{SeedableRng, rngs::StdRng};
//!
//! let schema = Schema::new("walker").with_observation([Column::feature("x")]);
//! let layout = schema.layout();
//! // A ring of the newest 1024 rows. It overwrites the oldest row when it is full.
//! let (mut writer, ring) = Ring::new(layout.row_words(), 1024)?;
//!
//! // One episode of 99 transitions: a row for its first observation, and one for each step.
//! let mut row = vec![0; layout.row_words()];
//! for step in 0..100_u32 {
//!     let kind = if step == 0 { StepKind::Begin } else { StepKind::Transition };
//!     let header = StepHeader::of_mut(&mut row);
//!     *header = StepHeader::new(kind);
//!     header.ordinal = step;
//!     header.reward = 1.0;
//!     let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
//!     bytes[layout.observation()].copy_from_slice(&(step as f32).to_ne_bytes());
//!     writer.push(&row)?;
//! }
//!
//! // A batch of transitions, on this or another thread, while the writer continues.
//! let mut sampler = Sampler::new(&schema);
//! sampler.watch([ring.reader()])?;
//! let batch = sampler.sample(32, &mut StdRng::seed_from_u64(1));
//! assert_eq!(batch.len(), 32);
//! assert!(batch.observation.iter().zip(&batch.next_observation).all(|(x, next)| *next == x + 1.0));
//!
//! // The same rows, drained once by a thread that stores them.
//! let drained = ring.drain(usize::MAX, &mut |row| assert_eq!(row.len(), layout.row_words()));
//! assert_eq!((drained.steps, ring.stats().dropped), (100, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! - **No torn rows.** A reader gets a row as it was pushed, or a count of the rows that it missed.
//! - **Exact accounting.** `added = retrieved + dropped + len`: see [`BufferStats`]. Every drain and read returns how many
//!   rows are missing before its rows.
//! - **One accounting cursor.** [`drain`](TransitionBuffer::drain) and [`pop`](TransitionBuffer::pop) move it, and what it
//!   misses counts as dropped. A [`ring::Reader`] has a cursor of its own and does not affect the statistics.
//! - **Wait-free pushes to rings.** The writer never waits for a reader. The other kinds take short locks.
//! - **Uniform samples.** Every transition in the watched rings is equally likely, and none combines two episodes.
//!
//! # Costs
//! Nanoseconds a row of 256 bytes in buffers of 1024 rows, on two cores of a busy server (AMD EPYC, 1 MiB of second-level
//! cache each): the medians of seven runs of single groups of `cargo bench --bench buffer -- --quick`
//! (`chrt -f 20 taskset -c 0,1`), measured with 0.1.0. Compare ratios within a run; absolute figures differ between machines.
//!
//! | | copy | [`ring`] | [`queue`] | [`mutex`] |
//! |---|---|---|---|---|
//! | push, `buffer_push/*/256` | 3.2 | 4.0 | 36 | 17 |
//! | drain of all rows, `buffer_read/*/256` | 3.1 | 3.0 | 21 | 40 |
//! | push for one of 1000 players of a [`pool`], `pool_push/256` | | 7.8 | | |
//!
//! The same as ratios, with their targets:
//!
//! | | median | range | target |
//! |---|---|---|---|
//! | push, to a copy | 1.25 | 1.16 to 1.30 | 1.4, better 1.2 |
//! | push to a queue, to a ring | 9.2 | 9.0 to 9.2 | 3, better 5 |
//! | drained row, to a copy | 0.97 | 0.96 to 0.97 | 1.3, better 1.1 |
//! | push while another core drains every millisecond, to alone (`buffer_contended/{polled,alone}/1`) | 1.04 | 1.03 to 1.07 | 1.5, better 1.2 |
//! | push while another core polls without a pause, to alone (`buffer_contended/{ring,alone}/1`) | 25 | 24 to 26 | 1.5: **not reached** |
//! | plain atomic words that are polled without a pause, to a ring alone (`buffer_contended/{words,alone}/1`) | 44 | 43 to 47 | |
//!
//! On an older server (512 KiB of second-level cache) these ratios were 1.32, 3.4, 1.38, 1.06, 4.4 and 6.6.
//!
//! A reader that polls without a pause moves each row's cache lines out of the writer's cache as soon as they are written, and
//! the writer fetches them back one round later. The cost depends on the distance between the two cores, which is large here.
//! Plain atomic words without any protocol are slower still, so no ring in shared memory is fast in that case.
//!
//! Rows that are drained once between two ticks move to the other core and back. With 256 players and a row each a tick
//! (`buffer_contended/tick_{alone,drained}/256`), a push takes 9.4 ns where no core drains and 35 ns where another one does.
//! [`Writer::prefetch`] requests the lines for writing beforehand; requested for reading, a push took 30 to 55 ns.
//!
//! A [`Sampler`] of 64 rings of 512 rows (16 floats, 2 action values; 4.7 MB in all) draws 40 million transitions a second in
//! batches of 4096 (`sample/4096`; 39 to 41 million in seven runs; the target was 20 million).

mod atomic_copy;
mod budget;
mod cells;
mod error;
pub mod memory;
pub mod mutex;
mod players;
pub mod pool;
pub mod prefetch;
pub mod queue;
mod resources;
pub mod ring;
pub mod sample;
mod settings;
mod shape;
mod stats;
mod sync;
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
pub use writer::{BlockWriter, Writer, create, create_for};

use core::fmt;

/// The shared side of a buffer: drains, reads and statistics, for all threads but the one that pushes.
pub trait TransitionBuffer: fmt::Debug + Send + Sync {
    /// The implementation.
    fn kind(&self) -> BufferKind;

    /// Words of a row.
    fn row_words(&self) -> usize;

    /// Rows that fit in memory.
    fn capacity(&self) -> usize;

    /// Rows that a drain would find now.
    fn len(&self) -> usize;

    /// Rows that can be pushed before one is lost that was not drained.
    fn free(&self) -> usize;

    /// Whether a drain would find nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next push loses a row that was not drained.
    fn is_full(&self) -> bool {
        self.free() == 0
    }

    /// Refuses further pushes. The rows can still be drained.
    fn close(&self);

    /// Whether pushes are refused.
    fn is_closed(&self) -> bool;

    /// Removes at most `max` rows, and calls `each` with them, oldest first. Allocates nothing.
    ///
    /// All drains share one cursor, the **accounting cursor**: rows that it misses count as dropped, and each row goes to one
    /// of several draining threads. `each` must not drain or pop the same buffer.
    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained;

    /// Copies the oldest row into `row` and removes it. Returns false when the buffer is empty. Does not return how many rows
    /// are missing before it: use [`drain`](Self::drain) where that matters.
    ///
    /// # Panics
    /// When `row` has another length than the buffer's rows.
    fn pop(&self, row: &mut [u64]) -> bool {
        assert_eq!(row.len(), self.row_words(), "a row of another width");
        self.drain(1, &mut |found| row.copy_from_slice(found)).steps == 1
    }

    /// Calls `each` with the newest rows that the buffer holds, at most `max`, oldest first, and removes none. A [`ring`] holds
    /// drained rows until they are overwritten; the other kinds do not.
    fn peek_newest(&self, max: usize, each: &mut dyn FnMut(&[u64]));

    /// Calls `each` with every row that the buffer holds, oldest first, and removes none.
    fn peek_all(&self, each: &mut dyn FnMut(&[u64])) {
        self.peek_newest(usize::MAX, each);
    }

    /// A reader with a cursor of its own, at the oldest row. `None` for kinds other than rings.
    fn reader(&self) -> Option<ring::Reader> {
        None
    }

    /// The counters.
    fn stats(&self) -> BufferStats;
}

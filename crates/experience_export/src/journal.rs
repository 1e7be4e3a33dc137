//! What survives a process that dies: episodes in pieces, in files that only grow.
//!
//! Whoever keeps a journal appends the rows of episodes that are open, and then how each of them ended. An open episode need not
//! stay in memory therefore: where its rows lie is an [`Extent`] each, and [`Segments`] reads them back. After a process has
//! died, [`JournalReader`] gives out what it left.
//!
//! The exporter keeps one for each recording with a sink that has a
//! [place for it](crate::sink::Sink::journal_folder).
//!
//! A journal is a folder of segments, `00000.journal`, `00001.journal` and so on. A segment is deleted when nothing in it, and in
//! those before it, is of use any more: every episode in it is durable at every sink, discarded or lost.
//!
//! An episode that stays open would keep every segment since it began, and what everybody else did meanwhile. Where less than a
//! quarter of that is of use, it is told again from its beginning, and goes on from there; then the segments before can go. What is
//! read of it before that is a beginning or an end of the same rows, and whichever telling is longer counts.
//!
//! # The format
//! Numbers are little-endian and of fixed width, but for those in rows, which are in the machine's byte order. A segment begins
//! with
//!
//! | bytes | what |
//! |---|---|
//! | 0 | the letters `bevyjrnl` |
//! | 8 | version of this format, `u32`: 1; all before it is the same in every version |
//! | 12 | `0x01020304` as a `u32` in the machine's byte order |
//!
//! and goes on with frames, one behind the other, until its end:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | length of the batch in bytes, `u32` |
//! | 4 | CRC-32C of the four bytes of the length and of the batch, `u32` |
//! | 8 | the batch: |
//! | 8 | number of the frame, `u64`, counted from 0 through all segments of a run |
//! | 16 | records, each a `u32` that says which, and its fields, until the batch ends |
//!
//! | record | fields |
//! |---|---|
//! | 0, head | run `u32`, segment `u32`, schema hash `u64`, bytes of a row `u32`, schema *text* (JSON), ticks a second *maybe* `f64`, start of the run in seconds since 1970 `f64`, folder of ring files *maybe* *text*, what wrote it *text* |
//! | 1, open | episode id `i64`, number that it was captured as `u32`, agent id `i64`, episode that it continues *maybe* `i64` |
//! | 2, rows | episode id `i64`, rows *bytes* |
//! | 3, close | episode id `i64`, terminated or else truncated `u8`, reason *text*, row that the last reward is in, or nothing *bytes* |
//! | 4, discard | number that the episode was captured as `u32` |
//! | 5, reason | code `u16`, reason *text* |
//! | 6, settled | episode id `i64`: every sink has it for good |
//! | 7, counts | recorded, not finite, lost, discarded, empty episodes, orphaned rewards, ignored ends, refused agents, unbuffered agents: `u64` each |
//!
//! *Text* and *bytes* are a `u64` length and so many bytes; *maybe* is a `u8`, and the value where that is 1. This is what
//! [bincode](https://docs.rs/bincode/2.0.1) makes of the types here with numbers of fixed width. A row is a
//! [`StepHeader`](experience_core::transition::StepHeader) and what [`RowLayout`](experience_core::schema::RowLayout) says; those of one episode are
//! in order, over any number of records. The first frame of a segment holds a head and all reasons so far, so every segment can
//! be read without the others.
//!
//! # Damage
//! A frame that is cut, as the last one of a process that died may be, is no frame. One whose checksum is wrong is passed over:
//! the next frame begins where a length, a checksum and a number fit again. Both are counted and named.

mod extent;
mod frame;
mod reader;
mod record;
mod writer;

#[cfg(test)]
mod tests;

pub use extent::{Extent, Segments};
pub use reader::{Damage, JournalError, JournalReader, Place, Unread};
pub use record::{Counts, Head, Record};
pub use writer::{Journal, Owner};
pub use writer::{remove, sweep};

use core::time::Duration;

/// How a journal is written.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalSettings {
    /// Longest time from draining a row until it is in the journal: what a process that is killed can lose.
    pub flush_interval: Duration,
    /// So many bytes of rows are written before that. It bounds the memory of open episodes.
    pub frame_bytes: usize,
    /// A segment that has about so many bytes is followed by another; at most a gibibyte.
    pub segment_bytes: u64,
    /// When the disk is waited for.
    pub fsync: Fsync,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            frame_bytes: 4 << 20,
            segment_bytes: 16 << 20,
            fsync: Fsync::default(),
        }
    }
}

/// When the disk is waited for.
///
/// A process that dies leaves everything that it wrote to the system, whatever stands here. This is for the machine that loses
/// power: it may lose what the disk was not waited for. Shards are always waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Never.
    Never,
    /// At every flush.
    EveryFlush,
    /// At the first flush after so long.
    Interval(Duration),
}

impl Default for Fsync {
    /// Every 5 seconds.
    fn default() -> Self {
        Self::Interval(Duration::from_secs(5))
    }
}

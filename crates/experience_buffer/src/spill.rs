//! Rows that went to a file because their buffer was full, and come back in order.
//!
//! A buffer that spills is a queue in two parts: the oldest rows in the file, the newest in memory. Where the memory is
//! full of rows that were not drained, the writer moves a block of the oldest of them to the file's end, so that one
//! system call moves many rows; a drain empties the file first. Where the file is full too, or the disk fails, the oldest
//! row in memory goes and is counted.
//!
//! Writer and drainer agree under one lock, which the drainer holds for a **turn** at a time: while it takes the name of a
//! block that it then reads, or copies at most a block of rows out of memory. It reads the file, and gives rows out, without it.
//! So a push that must spill waits for the copy of some kilobytes at most, and never for a disk that is read or for
//! whoever is given the rows.

mod file;
#[cfg(all(test, not(loom)))]
mod tests;

use super::{
    BufferError, BufferSettings, BufferStats, Drained, Overflow,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
};
use file::Place;
use std::{collections::VecDeque, sync::Arc};

pub(super) use file::SpillFile;

/// The file that buffers of these settings share, if they spill.
///
/// # Errors
/// When the settings make no buffer, there is no room for a block, or no file can be made.
pub(super) fn file(settings: &BufferSettings, row_words: usize) -> Result<Option<Arc<SpillFile>>, BufferError> {
    settings.check(row_words)?;
    let (Some((blocks, block_bytes)), Overflow::Spill { folder, .. }) =
        (settings.spill_blocks(row_words)?, &settings.overflow)
    else {
        return Ok(None);
    };
    SpillFile::new(folder, block_bytes, blocks).map(Arc::new).map(Some)
}

/// What a buffer that spills has besides its memory. Rows are numbered from 0 over the buffer's whole life.
#[derive(Debug)]
pub(super) struct Spilling {
    file: Arc<SpillFile>,
    row_words: usize,
    block_rows: usize,
    chain: Mutex<Chain>,
    hand: Mutex<Hand>,
    /// Rows that were given out.
    given: AtomicU64,
    /// Rows that went to the file.
    stored: AtomicU64,
    /// Rows that could not be read back.
    lost: AtomicU64,
    /// Blocks that could not be written or read.
    errors: AtomicU64,
}

/// A buffer's blocks, oldest first. Whoever holds its lock may move rows, and nobody else does.
#[derive(Debug)]
pub(super) struct Chain {
    blocks: VecDeque<Block>,
    /// Room for a block that is about to be written.
    rows: Vec<u64>,
    /// The row from which on it is tried again, after the disk failed: not at every push.
    again: u64,
    file: Arc<SpillFile>,
}

#[derive(Debug)]
struct Block {
    /// The number of its first row.
    first: u64,
    place: Place,
}

/// Rows that left file or memory, and were not given out yet: less than a block.
#[derive(Debug, Default)]
pub(super) struct Hand {
    rows: Vec<u64>,
    /// Words of it that were given out.
    given: usize,
    /// The number of the next row in it, or where it is empty, of the next to come into it.
    next: u64,
    /// The number of the row that comes next if none is missing.
    expected: u64,
}

impl Hand {
    /// Adds a row behind the others.
    pub(super) fn push(&mut self, row: &[u64]) {
        self.rows.extend_from_slice(row);
    }

    /// The number behind the last row that was given out.
    pub(super) fn position(&self) -> u64 {
        self.next
    }

    fn is_empty(&self) -> bool {
        self.given == self.rows.len()
    }
}

impl Spilling {
    /// For a buffer with these settings, in this file, if it spills.
    pub(super) fn new(file: Option<Arc<SpillFile>>, settings: &BufferSettings, row_words: usize) -> Option<Arc<Self>> {
        let file = file?;
        Some(Arc::new(Self {
            row_words,
            block_rows: settings.spill_block_rows(row_words),
            chain: Mutex::new(Chain {
                blocks: VecDeque::new(),
                rows: Vec::new(),
                again: 0,
                file: file.clone(),
            }),
            file,
            hand: Mutex::default(),
            given: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }))
    }

    /// Rows that go to the file at once.
    pub(super) fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// Rows that the file has room for, if no other buffer takes it.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.file.free_blocks())
            .unwrap_or(usize::MAX)
            .saturating_mul(self.block_rows)
    }

    /// Keeps rows from moving between memory and file, and out of them.
    pub(super) fn lock(&self) -> MutexGuard<'_, Chain> {
        lock(&self.chain)
    }

    /// Moves the [`block_rows`](Self::block_rows) oldest rows in memory to the file: `copy` is told which of them, from 0,
    /// to copy where. The first has the number `first`. False when they could not be moved, whether or not `copy` was
    /// called.
    pub(super) fn store(&self, chain: &mut Chain, first: u64, mut copy: impl FnMut(u64, &mut [u64])) -> bool {
        if first < chain.again {
            return false;
        }
        let place = match self.file.claim() {
            Ok(Some(place)) => place,
            Ok(None) => return false,
            Err(error) => {
                chain.again = first + self.block_rows as u64;
                self.fail("make", &error);
                return false;
            }
        };
        chain.rows.resize(self.block_rows * self.row_words, 0);
        for (index, row) in (0..).zip(chain.rows.chunks_exact_mut(self.row_words)) {
            copy(index, row);
        }
        if let Err(error) = self.file.write(&place, bytemuck::cast_slice(&chain.rows)) {
            self.file.free(place);
            chain.again = first + self.block_rows as u64;
            self.fail("write", &error);
            return false;
        }
        self.stored.fetch_add(self.block_rows as u64, Ordering::Relaxed);
        chain.blocks.push_back(Block { first, place });
        true
    }

    fn fail(&self, action: &str, error: &std::io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.file.report(action, error);
    }

    /// What [`TransitionBuffer::drain`](super::TransitionBuffer::drain) does: the file's rows, then the memory's.
    ///
    /// `memory` takes at most so many rows out of memory, the oldest, up to the first gap between them, and says which
    /// number comes behind them, or behind what is missing if there are none. Nothing else moves meanwhile.
    pub(super) fn drain(
        &self,
        max: usize,
        mut memory: impl FnMut(&mut Hand, usize) -> u64,
        each: &mut dyn FnMut(&[u64]),
    ) -> Drained {
        let mut hand = lock(&self.hand);
        let hand = &mut *hand;
        let mut drained = Drained::default();
        while drained.steps < max {
            if hand.is_empty() {
                self.fill(hand, max - drained.steps, &mut memory);
            }
            let missed = hand.next - hand.expected;
            if missed > 0 {
                // Told of by the next drain, so that what is missing is always missing before what was given.
                if drained.steps > 0 {
                    break;
                }
                drained.missed += missed;
                hand.expected = hand.next;
            }
            if hand.is_empty() {
                break;
            }
            let row = hand.given..hand.given + self.row_words;
            hand.given = row.end;
            hand.next += 1;
            hand.expected = hand.next;
            let given = self.given.load(Ordering::Relaxed);
            self.given.store(given + 1, Ordering::Release);
            drained.steps += 1;
            each(&hand.rows[row]);
        }
        drained
    }

    /// Takes the next rows in hand.
    fn fill(&self, hand: &mut Hand, max: usize, memory: &mut impl FnMut(&mut Hand, usize) -> u64) {
        loop {
            hand.rows.clear();
            hand.given = 0;
            let mut chain = self.lock();
            let Some(block) = chain.blocks.pop_front() else {
                let end = memory(hand, max.min(self.block_rows));
                hand.next = end - (hand.rows.len() / self.row_words) as u64;
                return;
            };
            drop(chain);
            hand.rows.resize(self.block_rows * self.row_words, 0);
            let read = self.file.read(&block.place, bytemuck::cast_slice_mut(&mut hand.rows));
            self.file.free(block.place);
            match read {
                Ok(()) => {
                    hand.next = block.first;
                    return;
                }
                Err(error) => {
                    self.lost.fetch_add(self.block_rows as u64, Ordering::Release);
                    self.fail("read", &error);
                }
            }
        }
    }

    /// Rows that were given out. To be read before what was pushed is, so that it never seems to be more.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// Rows that could not be read back. To be read before [`given`](Self::given) is.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// The counts that only a buffer that spills has, of which `in_memory` rows were not drained.
    pub(super) fn count(&self, in_memory: usize, stats: BufferStats) -> BufferStats {
        BufferStats {
            spilled: self.stored.load(Ordering::Relaxed),
            in_file: stats.len.saturating_sub(in_memory),
            spill_errors: self.errors.load(Ordering::Relaxed),
            ..stats
        }
    }
}

impl Drop for Chain {
    /// What nobody came to drain makes room for others.
    fn drop(&mut self) {
        for block in self.blocks.drain(..) {
            self.file.free(block.place);
        }
    }
}

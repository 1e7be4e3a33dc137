//! A strict first-in, first-out queue of rows for one writer and several competing consumers.
//!
//! Every row goes to exactly one of the threads that pop or drain, and there are no readers with cursors of their own. A
//! [`crossbeam_queue::ArrayQueue`] of cell numbers defines the order. The rows are in one allocation, whose cells circulate
//! between the writer and the consumers, and can be peeked at.

use super::{
    BufferError, BufferKind, BufferSettings, BufferStats, Closed, Drained, Overflow, TransitionBuffer,
    cells::{Cells, ReadOutcome},
    memory::Words,
    resources::BufferResources,
    shape::checked_capacity,
    sync::{AtomicU64, Mutex, Ordering, lock},
};
use core::fmt;
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

/// Cells beyond the capacity: while the queue is full, the writer fills one more, and the consumer that holds the lock may
/// have taken another. So the writer always finds a spare cell.
const EXTRA_CELLS: usize = 2;

/// A bounded FIFO queue whose rows go to one consumer each.
pub struct QueueBuffer {
    cells: Cells,
    capacity: usize,
    drops_newest: bool,
    queue: ArrayQueue<QueuedRow>,
    /// Cells without a queued row.
    spare: ArrayQueue<usize>,
    consumers: Mutex<Consumers>,
    /// Rows that were queued or refused. Stored after that.
    added: AtomicU64,
    dropped: AtomicU64,
    retrieved: AtomicU64,
    rejected: AtomicU64,
    closed: AtomicU64,
    floor: AtomicU64,
}

fn words_needed(settings: &BufferSettings, row_words: usize) -> Result<usize, BufferError> {
    let cells = checked_capacity(row_words, settings.capacity)?.saturating_add(EXTRA_CELLS);
    Cells::words_needed(row_words, cells).ok_or(BufferError::TooLarge {
        rows: settings.capacity,
        words: row_words,
    })
}

/// Bytes that a queue's rows take.
pub(super) fn bytes(settings: &BufferSettings, row_words: usize) -> Result<usize, BufferError> {
    Ok(words_needed(settings, row_words)? * size_of::<u64>())
}

/// The number of a row, counted from 0 over all rows that were pushed, dropped or not, and its cell.
#[derive(Clone, Copy, Debug)]
struct QueuedRow {
    number: u64,
    cell: usize,
}

/// The state of the consumers.
struct Consumers {
    /// The number of the next row unless rows are missing.
    expected: u64,
    /// A row that was taken from the queue behind a gap, which is reported first.
    pending: Option<QueuedRow>,
    row: Box<[u64]>,
}

enum Next {
    Row(QueuedRow),
    Gap(u64),
    Nothing,
}

impl QueueBuffer {
    /// A queue of rows of `row_words` words, and its writer.
    ///
    /// # Errors
    /// When the settings or the rows have no size, or one so large that the queue cannot be made.
    pub fn new(settings: &BufferSettings, row_words: usize) -> Result<(QueueWriter, Arc<Self>), BufferError> {
        Self::with_resources(settings, row_words, BufferResources::default())
    }

    pub(super) fn with_resources(
        settings: &BufferSettings,
        row_words: usize,
        resources: BufferResources,
    ) -> Result<(QueueWriter, Arc<Self>), BufferError> {
        settings.check(row_words)?;
        let capacity = checked_capacity(row_words, settings.capacity)?;
        let cells = capacity + EXTRA_CELLS;
        let len = words_needed(settings, row_words)?;
        let words = Words::new(&settings.memory, settings.huge_pages, len)?.holding(resources.share);
        let spare = ArrayQueue::new(cells);
        for cell in 0..cells {
            let _ = spare.push(cell);
        }
        let buffer = Arc::new(Self {
            cells: Cells::new(words, row_words),
            capacity,
            drops_newest: settings.overflow == Overflow::DropNewest,
            queue: ArrayQueue::new(capacity),
            spare,
            consumers: Mutex::new(Consumers {
                expected: 0,
                pending: None,
                row: vec![0; row_words].into(),
            }),
            added: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            retrieved: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            floor: AtomicU64::new(0),
        });
        let writer = QueueWriter {
            buffer: buffer.clone(),
            next: 0,
        };
        Ok((writer, buffer))
    }

    fn recycle(&self, cell: usize) {
        self.spare.push(cell).expect("`spare` has the capacity of all cells");
    }

    /// The next row, or the gap before it, which is reported once. With `stop_at_gap`, a gap is left for the next call.
    fn next(&self, consumers: &mut Consumers, stop_at_gap: bool) -> Next {
        // In this order: if the queue is empty afterwards, every row with a lower number was taken or dropped.
        let added = self.added.load(Ordering::Acquire);
        consumers.pending = consumers.pending.or_else(|| self.queue.pop());
        let number = consumers
            .pending
            .map_or(added.max(consumers.expected), |queued_row| queued_row.number);
        let missed = number - consumers.expected;
        if missed > 0 {
            if stop_at_gap {
                return Next::Nothing;
            }
            consumers.expected = number;
            return Next::Gap(missed);
        }
        match consumers.pending.take() {
            Some(queued_row) => {
                consumers.expected += 1;
                Next::Row(queued_row)
            }
            None => Next::Nothing,
        }
    }

    /// Copies a row that was taken from the queue, and recycles its cell.
    fn copy_and_recycle(&self, queued_row: QueuedRow, row: &mut [u64]) {
        let outcome = self.cells.view().read(queued_row.cell, queued_row.number, row);
        debug_assert_eq!(
            outcome,
            ReadOutcome::Copied,
            "the consumer owns the cell of a row that it took"
        );
        self.recycle(queued_row.cell);
    }
}

impl TransitionBuffer for QueueBuffer {
    fn kind(&self) -> BufferKind {
        BufferKind::Queue
    }

    fn row_words(&self) -> usize {
        self.cells.row_words()
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn len(&self) -> usize {
        self.stats().len
    }

    fn free(&self) -> usize {
        self.capacity.saturating_sub(self.len())
    }

    fn close(&self) {
        self.closed.store(1, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire) != 0
    }

    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained {
        let mut consumers = lock(&self.consumers);
        let consumers = &mut *consumers;
        let mut drained = Drained::default();
        while drained.steps < max {
            match self.next(consumers, drained.steps > 0) {
                Next::Row(queued_row) => {
                    self.copy_and_recycle(queued_row, &mut consumers.row);
                    self.retrieved.fetch_add(1, Ordering::AcqRel);
                    drained.steps += 1;
                    each(&consumers.row);
                }
                Next::Gap(missed) => drained.missed += missed,
                Next::Nothing => break,
            }
        }
        drained
    }

    fn pop(&self, row: &mut [u64]) -> bool {
        assert_eq!(row.len(), self.row_words(), "a row of another width");
        let mut consumers = lock(&self.consumers);
        loop {
            match self.next(&mut consumers, false) {
                Next::Row(queued_row) => {
                    self.copy_and_recycle(queued_row, row);
                    self.retrieved.fetch_add(1, Ordering::AcqRel);
                    return true;
                }
                Next::Gap(_) => {}
                Next::Nothing => return false,
            }
        }
    }

    fn peek_newest(&self, max: usize, each: &mut dyn FnMut(&[u64])) {
        let mut rows: Vec<(u64, usize)> = {
            // No consumer takes rows meanwhile, and the writer only adds rows or drops the oldest.
            let consumers = lock(&self.consumers);
            let added = self.added.load(Ordering::Acquire);
            let queued = if self.drops_newest {
                consumers.expected
            } else {
                added.saturating_sub(self.queue.len() as u64)
            };
            let pending = consumers.pending.map(|queued_row| queued_row.number);
            let floor = self.floor.load(Ordering::Acquire);
            (0..self.capacity + EXTRA_CELLS)
                .filter_map(|cell| Some((self.cells.view().number(cell)?, cell)))
                .filter(|&(number, _)| number >= floor && (number >= queued || Some(number) == pending))
                .filter(|&(number, _)| number >= consumers.expected)
                .collect()
        };
        rows.sort_unstable();
        let mut row = vec![0; self.row_words()];
        for &(number, cell) in &rows[rows.len().saturating_sub(max)..] {
            // The floor is loaded again for each row, because it may rise while `each` runs.
            if self.cells.view().read(cell, number, &mut row) == ReadOutcome::Copied
                && number >= self.floor.load(Ordering::Acquire)
            {
                each(&row);
            }
        }
    }

    fn stats(&self) -> BufferStats {
        let dropped = self.dropped.load(Ordering::Acquire);
        let retrieved = self.retrieved.load(Ordering::Acquire);
        // A row may be taken before it counts as added.
        let added = self.added.load(Ordering::Acquire).max(retrieved + dropped);
        BufferStats {
            added,
            dropped,
            retrieved,
            rejected: self.rejected.load(Ordering::Relaxed),
            len: usize::try_from(added - retrieved - dropped).expect("rows are addressable"),
            capacity: self.capacity,
            memory: self.cells.memory(),
        }
    }
}

impl fmt::Debug for QueueBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuffer")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Pushes to a [`QueueBuffer`]. Dropping it closes the buffer.
#[derive(Debug)]
pub struct QueueWriter {
    buffer: Arc<QueueBuffer>,
    next: u64,
}

impl QueueWriter {
    /// Appends a row. A full buffer drops its oldest row or this one, by its [`Overflow`]. Allocates nothing.
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` has another length than the buffer's rows.
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        let buffer = &*self.buffer;
        assert_eq!(row.len(), buffer.cells.row_words(), "a row of another width");
        if buffer.is_closed() {
            buffer.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Closed);
        }
        let number = self.next;
        self.next += 1;
        // Only this writer adds rows, so a queue that is not full stays so.
        if buffer.drops_newest && buffer.len() >= buffer.capacity {
            buffer.dropped.fetch_add(1, Ordering::AcqRel);
        } else {
            let cell = buffer.spare.pop().expect("a spare cell for the writer");
            buffer.cells.view().write(cell, number, row);
            if let Some(oldest) = buffer.queue.force_push(QueuedRow { number, cell }) {
                buffer.recycle(oldest.cell);
                buffer.dropped.fetch_add(1, Ordering::AcqRel);
            }
        }
        buffer.added.store(self.next, Ordering::Release);
        Ok(())
    }

    /// Rows that can be pushed before one is lost that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        self.buffer.free()
    }

    /// Hides the rows pushed so far from peeks.
    pub fn hide(&mut self) {
        self.buffer.floor.store(self.next, Ordering::Release);
    }
}

impl Drop for QueueWriter {
    fn drop(&mut self) {
        self.buffer.close();
    }
}

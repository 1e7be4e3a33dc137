//! A strict first-in, first-out queue, for several consumers that share the work.
//!
//! Every row goes to exactly one of those who pop or drain; nobody else sees it, and there are no readers with cursors
//! of their own. The order is [`crossbeam_queue::ArrayQueue`]'s. What it holds are numbers of cells: the rows themselves
//! lie in one allocation, go round between writer and consumers without being boxed, and can be peeked at.

use super::{
    BufferError, BufferKind, BufferSettings, BufferStats, Closed, Drained, Overflow, TransitionBuffer,
    cells::{Cells, Look},
    memory::Words,
    shape::checked_capacity,
    supplies::Supplies,
    sync::{AtomicU64, Mutex, Ordering, lock},
};
use core::fmt;
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

/// Cells beyond the capacity: the writer fills one while the queue is full and a consumer, of whom one at a time holds
/// the lock, has taken another. So the writer always finds a spare one.
const IN_HAND: usize = 2;

/// Rows that go to one consumer each.
pub struct QueueBuffer {
    cells: Cells,
    capacity: usize,
    drops_newest: bool,
    queue: ArrayQueue<Ticket>,
    /// Cells that hold nothing of interest.
    spare: ArrayQueue<usize>,
    consumers: Mutex<Consumers>,
    /// Rows that were queued or refused: stored after that was done.
    added: AtomicU64,
    dropped: AtomicU64,
    retrieved: AtomicU64,
    rejected: AtomicU64,
    closed: AtomicU64,
    floor: AtomicU64,
}

fn words_needed(settings: &BufferSettings, row_words: usize) -> Result<usize, BufferError> {
    let cells = checked_capacity(row_words, settings.capacity)?.saturating_add(IN_HAND);
    Cells::words_needed(row_words, cells).ok_or(BufferError::TooLarge {
        rows: settings.capacity,
        words: row_words,
    })
}

/// Bytes that a queue's rows take.
pub(super) fn bytes(settings: &BufferSettings, row_words: usize) -> Result<usize, BufferError> {
    Ok(words_needed(settings, row_words)? * size_of::<u64>())
}

/// A row's number, counted from 0 over all rows that were pushed, dropped or not, and the cell that it is in.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    number: u64,
    cell: usize,
}

/// What consumers share.
struct Consumers {
    /// The number of the row that would come next if none were missing.
    expected: u64,
    /// A row that was taken from the queue behind a gap, which is told of first.
    held: Option<Ticket>,
    row: Box<[u64]>,
}

enum Next {
    Row(Ticket),
    Gap(u64),
    Nothing,
}

impl QueueBuffer {
    /// A queue of rows of `row_words` words, and its writer.
    ///
    /// # Errors
    /// When the settings or the rows have no size, or one so large that the queue cannot be made.
    pub fn new(settings: &BufferSettings, row_words: usize) -> Result<(Writer, Arc<Self>), BufferError> {
        Self::supplied(settings, row_words, Supplies::default())
    }

    pub(super) fn supplied(
        settings: &BufferSettings,
        row_words: usize,
        supplies: Supplies,
    ) -> Result<(Writer, Arc<Self>), BufferError> {
        settings.check(row_words)?;
        let capacity = checked_capacity(row_words, settings.capacity)?;
        let cells = capacity + IN_HAND;
        let len = words_needed(settings, row_words)?;
        let words = Words::new(&settings.memory, settings.huge_pages, len)?.holding(supplies.share);
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
                held: None,
                row: vec![0; row_words].into(),
            }),
            added: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            retrieved: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            floor: AtomicU64::new(0),
        });
        let writer = Writer {
            buffer: buffer.clone(),
            next: 0,
        };
        Ok((writer, buffer))
    }

    fn recycle(&self, cell: usize) {
        self.spare.push(cell).expect("there is room for every cell");
    }

    /// The next row, unless rows are missing before it. That is told first, once, and where `whole` is asked for, not now.
    fn next(&self, consumers: &mut Consumers, whole: bool) -> Next {
        // In this order: if the queue is empty after it, every row with a lower number was taken or dropped.
        let added = self.added.load(Ordering::Acquire);
        consumers.held = consumers.held.or_else(|| self.queue.pop());
        let number = consumers
            .held
            .map_or(added.max(consumers.expected), |ticket| ticket.number);
        let missed = number - consumers.expected;
        if missed > 0 {
            if whole {
                return Next::Nothing;
            }
            consumers.expected = number;
            return Next::Gap(missed);
        }
        match consumers.held.take() {
            Some(ticket) => {
                consumers.expected += 1;
                Next::Row(ticket)
            }
            None => Next::Nothing,
        }
    }

    /// Copies a row that was taken, and gives its cell back.
    fn redeem(&self, ticket: Ticket, row: &mut [u64]) {
        let look = self.cells.view().look(ticket.cell, ticket.number, row);
        debug_assert_eq!(look, Look::Whole, "whoever has the ticket has the cell to themselves");
        self.recycle(ticket.cell);
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
                Next::Row(ticket) => {
                    self.redeem(ticket, &mut consumers.row);
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
                Next::Row(ticket) => {
                    self.redeem(ticket, row);
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
            // Nobody takes rows meanwhile, and the writer only adds some or drops the oldest.
            let consumers = lock(&self.consumers);
            let added = self.added.load(Ordering::Acquire);
            let queued = if self.drops_newest {
                consumers.expected
            } else {
                added.saturating_sub(self.queue.len() as u64)
            };
            let held = consumers.held.map(|ticket| ticket.number);
            let floor = self.floor.load(Ordering::Acquire);
            (0..self.capacity + IN_HAND)
                .filter_map(|cell| Some((self.cells.view().number(cell)?, cell)))
                .filter(|&(number, _)| number >= floor && (number >= queued || Some(number) == held))
                .filter(|&(number, _)| number >= consumers.expected)
                .collect()
        };
        rows.sort_unstable();
        let mut row = vec![0; self.row_words()];
        for &(number, cell) in &rows[rows.len().saturating_sub(max)..] {
            if self.cells.view().look(cell, number, &mut row) == Look::Whole {
                each(&row);
            }
        }
    }

    fn stats(&self) -> BufferStats {
        let dropped = self.dropped.load(Ordering::Acquire);
        let retrieved = self.retrieved.load(Ordering::Acquire);
        // A row may be taken before it is counted as added.
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

/// The one who pushes to a [`QueueBuffer`]. Dropping it closes the buffer.
#[derive(Debug)]
pub struct Writer {
    buffer: Arc<QueueBuffer>,
    next: u64,
}

impl Writer {
    /// Appends a row. Where there is no room, the oldest row goes, or this one does, as the buffer's [`Overflow`] says.
    /// No allocation.
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the buffer's rows.
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        let buffer = &*self.buffer;
        assert_eq!(row.len(), buffer.cells.row_words(), "a row of another width");
        if buffer.is_closed() {
            buffer.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Closed);
        }
        let number = self.next;
        self.next += 1;
        // Only this writer adds: a queue that has room keeps it.
        if buffer.drops_newest && buffer.len() >= buffer.capacity {
            buffer.dropped.fetch_add(1, Ordering::AcqRel);
        } else {
            let cell = buffer.spare.pop().expect("the writer's own cell is spare");
            buffer.cells.view().fill(cell, number, row);
            if let Some(oldest) = buffer.queue.force_push(Ticket { number, cell }) {
                buffer.recycle(oldest.cell);
                buffer.dropped.fetch_add(1, Ordering::AcqRel);
            }
        }
        buffer.added.store(self.next, Ordering::Release);
        Ok(())
    }

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        self.buffer.free()
    }

    /// Hides the rows pushed so far from everybody who does not drain.
    pub fn hide(&mut self) {
        self.buffer.floor.store(self.next, Ordering::Release);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.buffer.close();
    }
}

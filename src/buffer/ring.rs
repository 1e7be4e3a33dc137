//! A lock-free ring of rows: one wait-free writer, any number of readers that never disturb it.
//!
//! Each slot is a *seqlock*: a stamp that says which row the slot holds, and the row's words, all of them atomics. The
//! writer never waits and never looks at readers; a reader copies the words and looks at the stamp again, and so knows
//! whether what it copied is one row or two halves. The orderings are those of Hans Boehm, "Can Seqlocks Get Along With
//! Programming Language Memory Models?" (MSPC 2012), figure 6: the words need only be relaxed, between two fences.
//!
//! ```
//! use bevy_experience::buffer::{TransitionBuffer, ring::Ring};
//!
//! let (mut writer, ring) = Ring::new(2, 4)?;
//! let mut reader = ring.reader();
//! for n in 0..6 {
//!     writer.push(&[n, n])?;
//! }
//! // Four rows fit, so the first two are gone, and this reader is told so.
//! let mut seen = Vec::new();
//! let read = reader.read(usize::MAX, |row| seen.push(row[0]));
//! assert_eq!((read.missed, seen), (2, vec![2, 3, 4, 5]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::{
    BufferError, BufferStats, Closed, Drained, TransitionBuffer, checked_capacity,
    sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, fence, lock},
};
use core::fmt;

/// Keeps what one thread writes off the cache lines that others read. 128 bytes, because processors fetch lines in
/// pairs.
#[repr(align(128))]
struct Padded<T>(T);

/// A ring of rows.
pub struct Ring {
    /// Slot `n` is `stride` words from `n * stride`: the stamp, then the row.
    ///
    /// The stamp of a slot that holds row `r` (rows are counted from 0 for ever) is `2r + 2`. While row `r` is being
    /// written into it, it is `2r + 1`. A slot that was never written has 0.
    words: Box<[AtomicU64]>,
    /// Words from one slot to the next.
    stride: usize,
    /// Slots, less one; their number is a power of two.
    mask: u64,
    /// The number of rows ever pushed, which is the number of the next. The writer alone writes it.
    head: Padded<AtomicU64>,
    /// The first row that was not drained. Whoever drains writes it, holding `drained`.
    accounted: Padded<AtomicU64>,
    /// The accounting cursor. The writer never takes this lock.
    drained: Mutex<Accounting>,
    closed: AtomicBool,
    rejected: AtomicU64,
}

struct Accounting {
    cursor: Cursor,
    retrieved: u64,
    dropped: u64,
}

impl Ring {
    /// A ring of at least `capacity` rows of `row_words` words, and its writer.
    ///
    /// # Errors
    /// When `capacity` or `row_words` is 0, or so large that the ring cannot be addressed.
    pub fn new(row_words: usize, capacity: usize) -> Result<(Writer, Arc<Self>), BufferError> {
        let capacity = checked_capacity(row_words, capacity)?;
        let stride = row_words + 1;
        let ring = Arc::new(Self {
            words: (0..capacity * stride).map(|_| AtomicU64::new(0)).collect(),
            stride,
            mask: capacity as u64 - 1,
            head: Padded(AtomicU64::new(0)),
            accounted: Padded(AtomicU64::new(0)),
            drained: Mutex::new(Accounting {
                cursor: Cursor::new(row_words),
                retrieved: 0,
                dropped: 0,
            }),
            closed: AtomicBool::new(false),
            rejected: AtomicU64::new(0),
        });
        let writer = Writer {
            ring: ring.clone(),
            next: 0,
        };
        Ok((writer, ring))
    }

    fn slot(&self, row: u64) -> &[AtomicU64] {
        let start = usize::try_from(row & self.mask).expect("slots are addressable") * self.stride;
        &self.words[start..start + self.stride]
    }

    fn oldest(&self, head: u64) -> u64 {
        head.saturating_sub(self.mask + 1)
    }

    /// A reader that begins with the oldest row that the ring still holds.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Reader {
        let mut cursor = Cursor::new(self.stride - 1);
        cursor.next = self.oldest(self.head.0.load(Ordering::Acquire));
        Reader {
            ring: self.clone(),
            cursor,
        }
    }

    /// Copies row `row` into `copy`; false when it is being overwritten, or was.
    fn copy(&self, row: u64, copy: &mut [u64]) -> bool {
        let (stamp, words) = self.slot(row).split_first().expect("a slot has a stamp");
        // Acquire: the words are read after the stamp that promises them.
        if stamp.load(Ordering::Acquire) != 2 * row + 2 {
            return false;
        }
        for (to, word) in copy.iter_mut().zip(words) {
            *to = word.load(Ordering::Relaxed);
        }
        // If any of these words is a later row's, the fence makes that row's odd stamp visible to the load below.
        fence(Ordering::Acquire);
        stamp.load(Ordering::Relaxed) == 2 * row + 2
    }

    /// Gives out rows from `cursor` on.
    fn read(&self, cursor: &mut Cursor, max: usize, mut each: impl FnMut(&[u64])) -> Drained {
        let mut read = Drained::default();
        let mut head = self.head.0.load(Ordering::Acquire);
        while read.steps < max {
            if cursor.next == head {
                break;
            }
            let oldest = self.oldest(head);
            if cursor.next < oldest {
                read.missed += oldest - cursor.next;
                cursor.next = oldest;
            }
            let whole = self.copy(cursor.next, &mut cursor.copy);
            cursor.next += 1;
            if whole {
                read.steps += 1;
                each(&cursor.copy);
            } else {
                // The writer came round; how far it is by now is known only to it.
                read.missed += 1;
                head = self.head.0.load(Ordering::Acquire);
            }
        }
        read
    }
}

/// A place in a ring, and room for one row.
#[derive(Clone)]
struct Cursor {
    next: u64,
    copy: Box<[u64]>,
}

impl Cursor {
    fn new(row_words: usize) -> Self {
        Self {
            next: 0,
            copy: vec![0; row_words].into(),
        }
    }
}

impl TransitionBuffer for Ring {
    fn row_words(&self) -> usize {
        self.stride - 1
    }

    fn capacity(&self) -> usize {
        usize::try_from(self.mask + 1).expect("slots are addressable")
    }

    fn len(&self) -> usize {
        // This order: a drain in between makes the answer too small by what it took, never negative.
        let accounted = self.accounted.0.load(Ordering::Acquire);
        let behind = self.head.0.load(Ordering::Acquire) - accounted;
        usize::try_from(behind.min(self.mask + 1)).expect("slots are addressable")
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained {
        let mut accounting = lock(&self.drained);
        let read = self.read(&mut accounting.cursor, max, each);
        accounting.retrieved += read.steps as u64;
        accounting.dropped += read.missed;
        self.accounted.0.store(accounting.cursor.next, Ordering::Release);
        read
    }

    fn peek_all(&self, each: &mut dyn FnMut(&[u64])) {
        let mut cursor = Cursor::new(self.stride - 1);
        let head = self.head.0.load(Ordering::Acquire);
        cursor.next = self.oldest(head);
        while cursor.next < head {
            if self.copy(cursor.next, &mut cursor.copy) {
                each(&cursor.copy);
            }
            cursor.next += 1;
        }
    }

    fn stats(&self) -> BufferStats {
        let accounting = lock(&self.drained);
        let added = self.head.0.load(Ordering::Acquire);
        let oldest = self.oldest(added).max(accounting.cursor.next);
        BufferStats {
            added,
            // Those that are overwritten already, though nobody has come to miss them yet, are among them.
            dropped: accounting.dropped + (oldest - accounting.cursor.next),
            retrieved: accounting.retrieved,
            rejected: self.rejected.load(Ordering::Relaxed),
            len: usize::try_from(added - oldest).expect("slots are addressable"),
            capacity: self.capacity(),
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The one who pushes to a [`Ring`]. Dropping it closes the ring.
pub struct Writer {
    ring: Arc<Ring>,
    next: u64,
}

impl Writer {
    /// Appends a row; the oldest makes room for it. Wait-free, and no allocation.
    ///
    /// # Errors
    /// When the ring was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the ring's rows.
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        let ring = &*self.ring;
        assert_eq!(row.len(), ring.stride - 1, "a row of another width");
        if ring.is_closed() {
            ring.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Closed);
        }
        let number = self.next;
        let (stamp, words) = ring.slot(number).split_first().expect("a slot has a stamp");
        stamp.store(2 * number + 1, Ordering::Relaxed);
        // Whoever reads one of the words below sees the odd stamp above.
        fence(Ordering::Release);
        for (word, &value) in words.iter().zip(row) {
            word.store(value, Ordering::Relaxed);
        }
        stamp.store(2 * number + 2, Ordering::Release);
        self.next = number + 1;
        ring.head.0.store(self.next, Ordering::Release);
        Ok(())
    }

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        let behind = self.next - self.ring.accounted.0.load(Ordering::Acquire);
        usize::try_from((self.ring.mask + 1).saturating_sub(behind)).expect("slots are addressable")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ring.close();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Reads a [`Ring`] with a cursor of its own. Clones go on from the same place, each by itself.
#[derive(Clone)]
pub struct Reader {
    ring: Arc<Ring>,
    cursor: Cursor,
}

impl Reader {
    /// Gives out at most `max` rows that this reader has not seen, oldest first, each of them whole.
    pub fn read(&mut self, max: usize, each: impl FnMut(&[u64])) -> Drained {
        self.ring.read(&mut self.cursor, max, each)
    }

    /// Goes to the oldest row that the ring still holds.
    pub fn seek_oldest(&mut self) {
        self.cursor.next = self.ring.oldest(self.ring.head.0.load(Ordering::Acquire));
    }

    /// Goes to the end: only rows that are pushed from now on are read.
    pub fn seek_newest(&mut self) {
        self.cursor.next = self.ring.head.0.load(Ordering::Acquire);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("next", &self.cursor.next)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;

    /// Rows whose words are equal, so that a torn one is seen.
    fn push(writer: &mut Writer, n: u64) {
        writer.push(&[n, n]).unwrap();
    }

    fn read_all(reader: &mut Reader, last: &mut Option<u64>) -> Drained {
        reader.read(usize::MAX, |row| {
            assert_eq!(row[0], row[1], "torn");
            assert!(last.is_none_or(|last| row[0] > last), "out of order");
            *last = Some(row[0]);
        })
    }

    #[test]
    fn loom_readers_see_whole_rows_in_order_and_know_what_they_missed() {
        loom::model(|| {
            let (mut writer, ring) = Ring::new(2, 2).unwrap();
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let mut reader = ring.reader();
                    thread::spawn(move || {
                        let mut last = None;
                        let read = read_all(&mut reader, &mut last);
                        let seen = read.steps as u64 + read.missed;
                        assert_eq!(seen, reader.cursor.next, "every row is seen or missed");
                    })
                })
                .collect();
            for n in 0..3 {
                push(&mut writer, n);
            }
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
    }

    #[test]
    fn loom_the_writer_laps_a_drain() {
        loom::model(|| {
            let (mut writer, ring) = Ring::new(2, 1).unwrap();
            let drainer = {
                let ring = ring.clone();
                thread::spawn(move || {
                    ring.drain(4, &mut |row| assert_eq!(row[0], row[1], "torn"));
                })
            };
            for n in 0..3 {
                push(&mut writer, n);
            }
            drainer.join().unwrap();
            ring.drain(4, &mut |row| assert_eq!(row[0], row[1], "torn"));
            let stats = ring.stats();
            assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
        });
    }

    #[test]
    fn loom_what_was_pushed_before_a_close_is_drained_after_it() {
        loom::model(|| {
            let (mut writer, ring) = Ring::new(1, 2).unwrap();
            let closer = thread::spawn(move || {
                writer.push(&[7]).unwrap();
                drop(writer);
            });
            let closed = ring.is_closed();
            let mut seen = Vec::new();
            ring.drain(4, &mut |row| seen.push(row[0]));
            if closed {
                assert_eq!(seen, [7]);
            }
            closer.join().unwrap();
        });
    }
}

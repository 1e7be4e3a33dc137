//! Memory of rings: the counters and the cells of one ring, or of several side by side.

use super::rows::RowsView;
use crate::{
    BufferError,
    memory::{MemoryUse, Words},
    shape::{Links, Shape},
    sync::{AtomicU64, Mutex, Ordering, acquire, lock},
};
use core::fmt;

/// The counters of a ring. The first six are written by its writer and its owner, the next two by the draining thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// Rows pushed, which is the number of the next row: all before it are written.
    Head,
    /// 1 once the ring is closed.
    Closed,
    /// Rows refused because the ring was closed.
    Rejected,
    /// Rows refused because the ring was full.
    Skipped,
    /// Only the accounting cursor reads rows before this one.
    Floor,
    /// Rows begun: greater than `r` before the first word of row `r` is written. So a row that is more than a capacity behind
    /// it is overwritten, or about to be.
    Begun,
    /// The accounting cursor: the first row that was not drained. Written by the draining thread.
    Accounted,
    /// Rows that were overwritten before the accounting cursor reached them.
    Missed,
    /// Handles of the ring. Only where a slab has several lanes.
    Handles,
}

impl Counter {
    /// The counters that a lane has.
    const ALL: [Self; 9] = [
        Self::Head,
        Self::Closed,
        Self::Rejected,
        Self::Skipped,
        Self::Floor,
        Self::Begun,
        Self::Accounted,
        Self::Missed,
        Self::Handles,
    ];

    /// Counters before this one are those of the writer.
    const FIRST_OF_READER: usize = Self::Accounted as usize;
}

/// The word of the first counter of the writer in a ring that is alone.
const WRITER: usize = 16;
/// That of the draining thread, 128 bytes away, because processors fetch cache lines in pairs.
const READER: usize = 32;
/// Words of a cache line.
const LINE: usize = 8;

/// The memory of rings of one shape, its **lanes**.
///
/// A ring alone is a slab of one lane, with the layout that files have. In a slab of several lanes the counters of one kind
/// are next to each other, so that a writer that pushes a row to each lane touches an eighth of the cache lines. The cells of a
/// lane are consecutive in both cases.
pub(crate) struct Slab {
    words: Words,
    lanes: usize,
    /// Words from a counter of one kind to the next kind's.
    pitch: usize,
    /// The words of lane 0's first counter of the writer and of the draining thread.
    counters: [usize; 2],
    /// The word of lane 0's first cell.
    first: usize,
    /// Words from a lane's first cell to the next lane's.
    lane_words: usize,
    /// Words from one cell to the next.
    stride: usize,
    /// Words of a cell without padding.
    len: usize,
    /// The capacity of a lane less one.
    mask: u64,
    links: Links,
    /// Lanes that no ring has.
    free: Mutex<Vec<u32>>,
}

impl Slab {
    /// A slab of one lane in `words`, which are [`Shape::words`] words.
    #[inline]
    pub(super) fn single(words: Words, shape: Shape) -> Self {
        debug_assert_eq!(Ok(words.len()), shape.words());
        Self {
            words,
            lanes: 1,
            pitch: 1,
            counters: [WRITER, READER],
            first: shape.first(),
            lane_words: 0,
            stride: shape.stride(),
            len: shape.content(),
            mask: shape.capacity.next_power_of_two() as u64 - 1,
            links: shape.links,
            free: Mutex::new(Vec::new()),
        }
    }

    /// A slab of `lanes` lanes, all of which are free, in the words that `allocate` returns.
    ///
    /// # Errors
    /// When the slab does not fit in the address space, and those of `allocate`.
    pub(crate) fn of_lanes(
        shape: Shape,
        lanes: usize,
        allocate: impl FnOnce(usize) -> Result<Words, BufferError>,
    ) -> Result<Self, BufferError> {
        /// The most cache lines between the cells of two lanes.
        const MAX_SKEW: usize = 3;
        // Refuses what no ring can have.
        shape.words()?;
        let capacity = shape.capacity.next_power_of_two();
        let stride = shape.stride();
        // Powers of two apart, the rows that the lanes write at the same time would share few sets of the caches.
        let lane_words = capacity * stride + stride.div_ceil(LINE).min(MAX_SKEW) * LINE;
        let pitch = lanes.next_multiple_of(LINE);
        let reader = Counter::FIRST_OF_READER * pitch + READER - WRITER;
        let cells = reader + (Counter::ALL.len() - Counter::FIRST_OF_READER) * pitch;
        // Rows begin at even words.
        let first = cells.next_multiple_of(2 * LINE) + shape.links.words() % 2;
        let too_large = || BufferError::TooLarge {
            rows: shape.capacity,
            words: shape.row_words,
        };
        let words = lane_words
            .checked_mul(lanes)
            .and_then(|words| words.checked_add(first))
            .filter(|words| {
                words
                    .checked_mul(size_of::<u64>())
                    .is_some_and(|bytes| isize::try_from(bytes).is_ok())
            })
            .ok_or_else(too_large)?;
        Ok(Self {
            words: allocate(words)?,
            lanes,
            pitch,
            counters: [0, reader],
            first,
            lane_words,
            stride,
            len: shape.content(),
            mask: capacity as u64 - 1,
            links: shape.links,
            free: Mutex::new((0..lanes as u32).rev().collect()),
        })
    }

    /// The place of a counter of lane 0.
    #[inline(always)]
    fn place(&self, counter: Counter) -> usize {
        let counter = counter as usize;
        match counter.checked_sub(Counter::FIRST_OF_READER) {
            None => self.counters[0] + counter * self.pitch,
            Some(counter) => self.counters[1] + counter * self.pitch,
        }
    }

    #[inline(always)]
    pub(super) fn counter(&self, lane: usize, counter: Counter) -> &AtomicU64 {
        debug_assert!(lane < self.lanes);
        &self.words[self.place(counter) + lane]
    }

    /// A counter of all lanes.
    pub(super) fn counters(&self, counter: Counter) -> &[AtomicU64] {
        &self.words[self.place(counter)..][..self.lanes]
    }

    /// Words from a lane's first cell to the next lane's.
    pub(super) fn lane_words(&self) -> usize {
        self.lane_words
    }

    /// Whether it has one lane.
    #[inline(always)]
    pub(super) fn is_single(&self) -> bool {
        self.lanes == 1
    }

    #[inline(always)]
    pub(super) fn mask(&self) -> u64 {
        self.mask
    }

    #[inline(always)]
    pub(super) fn links(&self) -> Links {
        self.links
    }

    /// The cells of a lane.
    #[inline(always)]
    pub(super) fn view(&self, lane: usize) -> RowsView<'_> {
        RowsView::new(
            &self.words[self.first + lane * self.lane_words..],
            self.stride,
            self.len,
            self.links.words(),
        )
    }

    /// Maps all pages now, unless they are of a file.
    pub(crate) fn prefault(&self) {
        self.words.prefault();
    }

    /// Bytes of one lane, by kind of memory.
    pub(super) fn memory(&self) -> MemoryUse {
        let all = self.words.memory();
        let part = |bytes: usize| bytes / self.lanes;
        MemoryUse {
            heap: part(all.heap),
            file: part(all.file),
            numa: part(all.numa),
            unbound: part(all.unbound),
            huge_pages: part(all.huge_pages),
        }
    }

    /// Takes a free lane. Its counters are 0.
    pub(super) fn take_lane(&self) -> Option<u32> {
        lock(&self.free).pop()
    }

    /// Bytes of the free lanes, by kind of memory.
    pub(crate) fn free_memory(&self) -> MemoryUse {
        let free = lock(&self.free).len();
        (0..free).map(|_| self.memory()).sum()
    }

    /// Counts a further handle of the ring in `lane`.
    #[inline]
    pub(super) fn hold(&self, lane: usize) {
        if self.lanes > 1 {
            // Relaxed, as in `Arc`: the caller has a handle or has just taken the lane.
            self.counter(lane, Counter::Handles).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a handle less. The last one frees the lane.
    #[inline]
    pub(super) fn release(&self, lane: usize) {
        // As in `Arc`: what the other threads did with the ring comes before the lane has another.
        if self.lanes > 1 && self.counter(lane, Counter::Handles).fetch_sub(1, Ordering::AcqRel) == 1 {
            for counter in Counter::ALL {
                self.counter(lane, counter).store(0, Ordering::Relaxed);
            }
            lock(&self.free).push(lane as u32);
        }
    }
}

/// Removes the ring's file, unless it holds rows that were not drained.
impl Drop for Slab {
    #[inline]
    fn drop(&mut self) {
        let load = |counter| acquire(self.counter(0, counter));
        if self.words.memory().file > 0 && load(Counter::Closed) != 0 && load(Counter::Accounted) >= load(Counter::Head)
        {
            self.words.remove_file();
        }
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab")
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

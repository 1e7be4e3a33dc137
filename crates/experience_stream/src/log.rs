//! [`BatchLog`]: the newest batches of a recording, encoded once and shared by all subscribers.

use crate::{
    codec::{self, Messages},
    position::Counts,
};
use arrow_array::RecordBatch;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// A batch in the log.
pub(crate) struct LoggedBatch {
    /// What precedes it.
    pub(crate) start: Counts,
    /// What precedes the next batch, unless some is missing between them.
    pub(crate) end: Counts,
    /// Its columns, whose buffers are the bodies of the messages.
    pub(crate) batch: RecordBatch,
    pub(crate) messages: Messages,
    /// Whether it begins with the first transition of an episode.
    pub(crate) begins_episode: bool,
    bytes: usize,
    /// Bytes of all batches before it.
    offset: u64,
}

impl LoggedBatch {
    fn is_news(&self) -> bool {
        self.start.transitions == self.end.transitions
    }
}

/// A batch for the log.
pub(crate) struct NewBatch {
    pub(crate) batch: RecordBatch,
    pub(crate) messages: Messages,
    pub(crate) counts: Counts,
    pub(crate) begins_episode: bool,
    /// Ids of episodes that are discarded.
    pub(crate) withdrawn: Vec<i64>,
}

/// News of a discarded episode. It outlives its batch, because a subscriber that misses the batch may hold transitions of the
/// episode.
struct Withdrawal {
    /// The number of its batch.
    batch: u64,
    /// The transitions up to the end of that batch.
    transitions: u64,
    episode_id: i64,
}

/// Most withdrawals of which a log has news: 24 MiB.
const MAX_WITHDRAWALS: usize = 1 << 20;

/// The newest batches of one unit of a recording, up to a number of bytes.
pub(crate) struct BatchLog {
    state: Mutex<LogState>,
    limit: usize,
    /// Is sent the number of changes so far. Subscribers wait for the next one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct LogState {
    batches: VecDeque<Arc<LoggedBatch>>,
    /// In the order of their batches, of those that were forgotten too.
    withdrawals: VecDeque<Withdrawal>,
    bytes: usize,
    /// Number of batches that were forgotten.
    first: u64,
    /// Bytes of all batches so far.
    written: u64,
    /// Everything so far, missing transitions included.
    head: Counts,
    is_closed: bool,
}

impl LogState {
    /// The number of the next batch.
    fn end(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    /// The episodes that the batches from number `from` up to number `to` withdraw.
    fn withdrawn(&self, from: u64, to: u64) -> Vec<i64> {
        let begin = self.withdrawals.partition_point(|withdrawal| withdrawal.batch < from);
        let end = self.withdrawals.partition_point(|withdrawal| withdrawal.batch < to);
        let withdrawals = self.withdrawals.range(begin..end.max(begin));
        withdrawals.map(|withdrawal| withdrawal.episode_id).collect()
    }
}

/// Where to begin.
#[derive(Clone, Copy)]
pub(crate) enum Seek {
    Newest,
    Oldest,
    After(Counts),
}

/// A place in a log.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    /// What precedes it.
    pub(crate) counts: Counts,
    /// The number of the next batch.
    pub(crate) next: u64,
}

/// What follows a place in the log.
pub(crate) enum Next {
    /// A batch, which may begin before the place; what is missing before it; the ids of episodes that are discarded up to its
    /// end; and the number of the batch after it.
    Batch {
        batch: Arc<LoggedBatch>,
        missed: Counts,
        withdrawn: Vec<i64>,
        next: u64,
    },
    /// Nothing yet.
    Wait,
    /// Nothing, ever. What is missing at the end, and the ids of episodes that are discarded in it.
    Closed { missed: Counts, withdrawn: Vec<i64> },
}

/// The state of a log.
pub(crate) struct LogStatus {
    pub(crate) oldest: Counts,
    pub(crate) head: Counts,
    pub(crate) bytes: usize,
}

impl BatchLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit,
            changes: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        // Each change is complete before it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends batches, and forgets the oldest ones beyond the limit. The newest one always stays.
    pub(crate) fn append(&self, batches: impl IntoIterator<Item = NewBatch>) {
        let mut state = self.state();
        for batch in batches {
            let start = state.head;
            state.head.add(batch.counts);
            let bytes = codec::message_bytes(&batch.messages) + size_of::<LoggedBatch>();
            let offset = state.written;
            state.bytes += bytes;
            state.written += bytes as u64;
            let (number, transitions) = (state.end(), state.head.transitions);
            state
                .withdrawals
                .extend(batch.withdrawn.into_iter().map(|episode_id| Withdrawal {
                    batch: number,
                    transitions,
                    episode_id,
                }));
            let surplus = state.withdrawals.len().saturating_sub(MAX_WITHDRAWALS);
            state.withdrawals.drain(..surplus);
            let logged = LoggedBatch {
                start,
                end: state.head,
                batch: batch.batch,
                messages: batch.messages,
                begins_episode: batch.begins_episode,
                bytes,
                offset,
            };
            state.batches.push_back(Arc::new(logged));
            while state.bytes > self.limit && state.batches.len() > 1 {
                let oldest = state.batches.pop_front();
                state.bytes -= oldest.map_or(0, |oldest| oldest.bytes);
                state.first += 1;
            }
        }
        drop(state);
        self.notify();
    }

    /// Notes that transitions are missing before the next batch.
    pub(crate) fn skip(&self, missing: Counts) {
        self.state().head.add(missing);
    }

    /// Nothing follows.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.notify();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    fn notify(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Notifies of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn status(&self) -> LogStatus {
        let state = self.state();
        LogStatus {
            oldest: state.batches.front().map_or(state.head, |oldest| oldest.start),
            head: state.head,
            bytes: state.bytes,
        }
    }

    /// A place in the log: that of a position, or the oldest or the newest one.
    pub(crate) fn seek(&self, seek: Seek) -> Cursor {
        let state = self.state();
        match seek {
            Seek::Newest => Cursor {
                counts: state.head,
                next: state.end(),
            },
            Seek::Oldest => Cursor {
                counts: state.batches.front().map_or(state.head, |oldest| oldest.start),
                next: state.first,
            },
            Seek::After(counts) => {
                let mut index = state
                    .batches
                    .partition_point(|batch| batch.end.transitions <= counts.transitions);
                // Whether batches at the place that have news alone were received is not known.
                let is_at_place = |batch: &LoggedBatch| batch.end.transitions == counts.transitions;
                while index > 0 && state.batches[index - 1].is_news() && is_at_place(&state.batches[index - 1]) {
                    index -= 1;
                }
                let next = state.first + index as u64;
                // What was forgotten may have withdrawn episodes since.
                let since = state
                    .withdrawals
                    .partition_point(|withdrawal| withdrawal.transitions < counts.transitions);
                let since = state.withdrawals.get(since).filter(|_| index == 0);
                Cursor {
                    counts,
                    next: since.map_or(next, |withdrawal| withdrawal.batch.min(next)),
                }
            }
        }
    }

    /// What follows `cursor`, as far as it is at most `bytes_behind` bytes behind the newest batch. With `whole`, where the beginning
    /// of an episode is missing, the rest of it is missing too.
    pub(crate) fn next(&self, cursor: Cursor, bytes_behind: usize, whole: bool) -> Next {
        let state = self.state();
        let index = cursor.next.saturating_sub(state.first) as usize;
        let mut is_cut = false;
        for (index, batch) in state.batches.iter().enumerate().skip(index) {
            is_cut |= batch.start.transitions > cursor.counts.transitions;
            if state.written - batch.offset > bytes_behind as u64 && index + 1 < state.batches.len() {
                is_cut = true;
            } else if !(is_cut && whole && !batch.begins_episode) {
                let next = state.first + index as u64 + 1;
                return Next::Batch {
                    batch: batch.clone(),
                    missed: batch.start.since(cursor.counts),
                    withdrawn: state.withdrawn(cursor.next, next),
                    next,
                };
            }
        }
        if state.is_closed {
            return Next::Closed {
                missed: state.head.since(cursor.counts),
                withdrawn: state.withdrawn(cursor.next, state.end()),
            };
        }
        Next::Wait
    }

    /// How far `cursor` is behind.
    pub(crate) fn behind(&self, counts: Counts) -> Counts {
        self.state().head.since(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Schema;

    fn batch(transitions: u64, begins_episode: bool) -> NewBatch {
        NewBatch {
            batch: RecordBatch::new_empty(Arc::new(Schema::empty())),
            messages: Arc::default(),
            counts: Counts {
                transitions,
                episodes: 1,
            },
            begins_episode,
            withdrawn: Vec::new(),
        }
    }

    fn log(batches: usize) -> BatchLog {
        BatchLog::new(batches * size_of::<LoggedBatch>())
    }

    fn batch_after(log: &BatchLog, cursor: Cursor, whole: bool) -> (u64, Counts, Cursor) {
        match log.next(cursor, usize::MAX, whole) {
            Next::Batch {
                batch, missed, next, ..
            } => {
                let cursor = Cursor {
                    counts: batch.end,
                    next,
                };
                (batch.start.transitions, missed, cursor)
            }
            Next::Wait | Next::Closed { .. } => panic!("a batch is held"),
        }
    }

    #[test]
    fn a_cursor_that_is_forgotten_is_told_how_much_it_missed() {
        let log = log(2);
        let cursor = log.seek(Seek::Newest);
        log.append((0..5).map(|_| batch(10, true)));
        let (start, missed, cursor) = batch_after(&log, cursor, true);
        assert_eq!(
            (start, missed),
            (
                30,
                Counts {
                    transitions: 30,
                    episodes: 3
                }
            )
        );
        let (start, missed, cursor) = batch_after(&log, cursor, true);
        assert_eq!((start, missed), (40, Counts::default()));
        assert!(matches!(log.next(cursor, usize::MAX, true), Next::Wait));
        log.skip(Counts {
            transitions: 7,
            episodes: 1,
        });
        log.close();
        let end = log.next(cursor, usize::MAX, true);
        assert!(matches!(
            end,
            Next::Closed {
                missed: Counts {
                    transitions: 7,
                    episodes: 1
                },
                ..
            }
        ));
    }

    #[test]
    fn whole_episodes_begin_at_a_first_transition() {
        let log = log(3);
        let cursor = log.seek(Seek::Newest);
        log.append([batch(10, true), batch(10, false), batch(10, false), batch(10, true)]);
        assert_eq!(batch_after(&log, cursor, false).0, 10);
        let (start, missed, _) = batch_after(&log, cursor, true);
        assert_eq!((start, missed.transitions), (30, 30));
        // A position within an episode continues it.
        let within = log.seek(Seek::After(Counts {
            transitions: 15,
            episodes: 1,
        }));
        assert_eq!(batch_after(&log, within, true).0, 10);
    }

    #[test]
    fn a_cursor_that_may_not_fall_far_behind_moves_on() {
        let log = log(100);
        let cursor = log.seek(Seek::Oldest);
        log.append((0..50).map(|_| batch(1, true)));
        let Next::Batch { batch, missed, .. } = log.next(cursor, 10 * size_of::<LoggedBatch>(), true) else {
            panic!("batches are held");
        };
        assert_eq!((batch.start.transitions, missed.transitions), (40, 40));
    }

    #[test]
    fn withdrawals_outlive_their_batches() {
        let log = log(2);
        let kept = log.seek(Seek::Newest);
        log.append([batch(10, true)]);
        let news = |episode_id| NewBatch {
            counts: Counts::default(),
            withdrawn: vec![episode_id],
            ..batch(0, true)
        };
        // Before the place of the second cursor, at it, and after it.
        log.append([news(1), batch(10, true), news(2), batch(10, true), news(3)]);
        log.append((0..5).map(|_| batch(10, true)));
        let withdrawn = |cursor| match log.next(cursor, usize::MAX, true) {
            Next::Batch { withdrawn, next, .. } => (withdrawn, next),
            Next::Wait | Next::Closed { .. } => panic!("a batch is held"),
        };
        let (ids, next) = withdrawn(kept);
        assert_eq!(ids, [1, 2, 3]);
        assert!(withdrawn(Cursor { next, ..kept }).0.is_empty());
        let place = |transitions| {
            log.seek(Seek::After(Counts {
                transitions,
                episodes: 2,
            }))
        };
        assert_eq!(withdrawn(place(15)).0, [2, 3]);
        assert_eq!(withdrawn(place(20)).0, [2, 3]);
        assert_eq!(withdrawn(place(25)).0, [3]);
        assert!(withdrawn(place(35)).0.is_empty());
        assert!(withdrawn(log.seek(Seek::Oldest)).0.is_empty());
        // News before a batch within which a place is does not move it back.
        log.append([news(5), batch(10, true)]);
        let within = place(85);
        assert!(withdrawn(within).0.is_empty());
        assert_eq!(batch_after(&log, within, true).0, 80);
        // News that is skipped.
        log.append([news(4), batch(10, true), batch(10, true)]);
        let Next::Batch { withdrawn, .. } = log.next(kept, 1, true) else {
            panic!("a batch is held");
        };
        assert_eq!(withdrawn, [1, 2, 3, 5, 4]);
    }
}

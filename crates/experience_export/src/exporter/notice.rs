//! Notices from the exporter to the game: sinks that failed, rows that were overwritten.

use crossbeam_queue::ArrayQueue;

/// Capacity of the queue. A new notice replaces the oldest when it is full.
const CAPACITY: usize = 256;

/// An event on the exporter's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A sink or a journal failed, and a retry did not help or is not allowed.
    SinkFailed {
        /// Index of the recording in the list that the exporter was given.
        recording: usize,
        /// Name of the sink: [`Sink::describe`](crate::sink::Sink::describe).
        sink: String,
        /// Message of the error.
        error: String,
        /// What follows from it.
        consequence: SinkFailure,
    },
    /// Transitions were overwritten before they were drained.
    Gap {
        /// Index of the recording in the list that the exporter was given.
        recording: usize,
        /// Agent whose transitions they were; `None` where players share a pool.
        agent_id: Option<i64>,
        /// Number of transitions.
        lost: u64,
    },
}

impl Notice {
    /// Index of the recording in the list that the exporter was given.
    #[must_use]
    pub fn recording(&self) -> usize {
        match self {
            Self::SinkFailed { recording, .. } | Self::Gap { recording, .. } => *recording,
        }
    }
}

/// What follows from a sink's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SinkFailure {
    /// Its disk is full: recording is paused until there is room, and nothing that was taken is lost.
    StorageFull,
    /// It failed for [`RetrySettings::patience`](super::RetrySettings::patience), or with an error that no retry can mend:
    /// what it refuses is counted as dropped, until it works again.
    Refuses,
    /// It held up its recording for [`ExportSettings::patience`](super::ExportSettings::patience): what fits neither in its
    /// queue nor in its backlog is counted as dropped, until there is room again.
    Stalled,
    /// It panicked and is not used any more. What it would have got is counted as dropped.
    Retired,
}

/// Bounded queue of notices.
#[derive(Debug)]
pub(super) struct Notices(ArrayQueue<Notice>);

impl Default for Notices {
    fn default() -> Self {
        Self(ArrayQueue::new(CAPACITY))
    }
}

impl Notices {
    pub(super) fn post(&self, notice: Notice) {
        // Without a reader, the newest notices are worth more than the oldest.
        let _ = self.0.force_push(notice);
    }

    pub(super) fn take(&self) -> Option<Notice> {
        self.0.pop()
    }
}

//! Notices from the exporter to the game: sinks that failed, rows that were overwritten.

use crossbeam_queue::ArrayQueue;

/// Capacity of the queue. A new notice replaces the oldest when it is full.
const CAPACITY: usize = 256;

/// An event on the exporter's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A sink or a journal failed, and a retry did not help or is not allowed.
    SinkFailed {
        /// Index of the recording in the list passed to [`Exporter::spawn`](super::Exporter::spawn).
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
        /// Index of the recording in the list passed to [`Exporter::spawn`](super::Exporter::spawn).
        recording: usize,
        /// Agent whose transitions they were; `None` where players share a pool.
        agent_id: Option<i64>,
        /// Number of transitions.
        lost: u64,
    },
}

impl Notice {
    /// Index of the recording in the list passed to [`Exporter::spawn`](super::Exporter::spawn).
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
    /// Its disk is full. Recording is paused until the disk has space. Accepted episodes are not lost.
    StorageFull,
    /// It failed for [`RetrySettings::patience`](super::RetrySettings::patience), or with an error that no retry can resolve:
    /// what it refuses is counted as dropped, until it works again.
    Refuses,
    /// It held up its recording for [`ExportSettings::patience`](super::ExportSettings::patience): batches that fit neither in
    /// its queue nor in its backlog are counted as dropped, until it takes a batch.
    Stalled,
    /// It panicked and is not called again. All further episodes are counted as dropped for it.
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

//! What the exporter has to tell the game.

use crossbeam_queue::ArrayQueue;

/// So many notices wait to be read; of more, the oldest go.
const MOST: usize = 256;

/// Something that the exporter has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A sink failed, and not only for a moment.
    SinkFailed {
        /// The place of its recording among those that the exporter was given.
        recording: usize,
        /// What the sink is: [`Sink::describe`](crate::sink::Sink::describe).
        sink: String,
        /// What it said.
        error: String,
        /// What follows.
        consequence: SinkFailure,
    },
    /// Transitions were overwritten before they could be drained.
    Gap {
        /// The place of the recording among those that the exporter was given.
        recording: usize,
        /// Whose they were; `None` where players share a pool.
        agent_id: Option<i64>,
        /// How many.
        lost: u64,
    },
}

impl Notice {
    /// The place of the recording among those that the exporter was given.
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
    /// It was tried again for as long as [`RetrySettings::patience`](super::RetrySettings::patience) allows, or there is no
    /// use in that: what it refuses is counted as dropped, until it works again.
    Refuses,
    /// It takes so long that its queue is full: what does not fit is counted as dropped, until there is room again.
    Stalled,
    /// It panicked and is not used any more. What it would have got is counted as dropped.
    Retired,
}

/// Notices on their way to whoever reads them.
#[derive(Debug)]
pub(super) struct Notices(ArrayQueue<Notice>);

impl Default for Notices {
    fn default() -> Self {
        Self(ArrayQueue::new(MOST))
    }
}

impl Notices {
    pub(super) fn post(&self, notice: Notice) {
        // Without a reader the newest are worth more.
        let _ = self.0.force_push(notice);
    }

    pub(super) fn take(&self) -> Option<Notice> {
        self.0.pop()
    }
}

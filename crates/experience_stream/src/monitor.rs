//! [`StreamMonitor`]: the recordings that a stream serves, their subscribers, and what each has missed.

use crate::{Unit, position::Counts, registry::Registry};
use core::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// State of a [`StreamSink`](crate::StreamSink) that any thread can read: the game's, for its own display or log.
#[derive(Clone)]
pub struct StreamMonitor {
    pub(crate) registry: Arc<Registry>,
    pub(crate) address: Arc<OnceLock<SocketAddr>>,
}

/// State of one recording that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// The name of the recording.
    pub recording: String,
    /// Everything so far, as whole episodes.
    pub episodes: LogStatus,
    /// Everything so far, as transitions as they happen.
    pub transitions: LogStatus,
    /// Its subscribers.
    pub subscribers: Vec<SubscriberStatus>,
    /// What all subscribers have missed, those that are gone included.
    pub missed: Counts,
}

/// What is held for subscribers that begin later, or are slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// Everything so far.
    pub total: Counts,
    /// What is held of it.
    pub held: Counts,
    /// Bytes of what is held.
    pub bytes: usize,
}

/// State of one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberStatus {
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// What it receives.
    pub unit: Unit,
    /// Transitions that were sent to it, after its filters.
    pub sent_transitions: u64,
    /// Bytes that were sent to it.
    pub sent_bytes: u64,
    /// What it has missed, before its filters.
    pub missed: Counts,
    /// What it has not received yet, before its filters.
    pub behind: Counts,
}

impl StreamMonitor {
    /// The address that the server listens at. `None` before the recording starts.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    /// The state of each recording.
    #[must_use]
    pub fn recordings(&self) -> Vec<StreamStatus> {
        let recordings = self.registry.recordings();
        let statuses = recordings.iter().map(|recording| {
            let log = |unit| {
                let status = recording.log(unit).status();
                LogStatus {
                    total: status.head,
                    held: status.head.since(status.oldest),
                    bytes: status.bytes,
                }
            };
            StreamStatus {
                recording: recording.name.clone(),
                episodes: log(Unit::Episodes),
                transitions: log(Unit::Transitions),
                subscribers: recording.subscriber_statuses(),
                missed: recording.missed(),
            }
        });
        statuses.collect()
    }
}

impl core::fmt::Debug for StreamMonitor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StreamMonitor")
            .field("address", &self.address())
            .field("recordings", &self.recordings())
            .finish()
    }
}

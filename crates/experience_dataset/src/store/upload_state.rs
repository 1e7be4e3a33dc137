//! [`UploadState`]: how far a run has been uploaded, in its account in a store.

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// A live run has missed this many heartbeats when it counts as dead.
const MISSED_HEARTBEATS: f64 = 3.0;
/// Seconds that clocks of two hosts may differ.
const CLOCK_DIFFERENCE: f64 = 30.0;

/// How far a run has been uploaded to an object store. It is in the account of the run there until all of the run is in the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UploadState {
    /// The last sign of life of the process that uploads the run, in seconds since 1970 (UTC), by the clock of its host.
    pub heartbeat: f64,
    /// Seconds between two signs of life.
    pub heartbeat_interval: f64,
    /// Finished shards that are on the disk of the host and not in the store.
    pub pending_shards: u64,
    /// Their size in bytes.
    pub pending_bytes: u64,
    /// Their transitions, which [`exported`](experience_core::account::RunReport::exported) includes.
    pub pending_transitions: u64,
    /// Requests to the store that have failed.
    pub failures: u64,
}

impl UploadState {
    /// Seconds since the last sign of life, by the clock of this host; 0 if it is in the future.
    #[must_use]
    pub fn age(&self) -> f64 {
        (now() - self.heartbeat).max(0.0)
    }

    /// Whether the process that uploads the run gave a sign of life within three of its intervals.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.age() <= self.heartbeat_interval.max(1.0) * MISSED_HEARTBEATS + CLOCK_DIFFERENCE
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

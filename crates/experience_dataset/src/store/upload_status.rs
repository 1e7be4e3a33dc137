//! [`UploadStatus`]: the state of an uploader, for the game.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The state of the uploads of a [`DatasetSink`](crate::DatasetSink) that writes to an object store. Copies show the same uploads.
#[derive(Clone, Debug, Default)]
pub struct UploadStatus {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    changed: Condvar,
}

/// What [`UploadStatus`] shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) uploaded_shards: u64,
    pub(crate) uploaded_bytes: u64,
    pub(crate) pending_shards: u64,
    pub(crate) pending_bytes: u64,
    pub(crate) failures: u64,
    pub(crate) last_error: Option<String>,
    /// All of the closed run is in the store.
    pub(crate) is_complete: bool,
    /// A repetition cannot succeed until the address, the store, the credentials or the file are changed.
    pub(crate) is_stuck: bool,
}

impl UploadStatus {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts());
        self.shared.changed.notify_all();
    }

    /// Waits until the run is complete, cannot be completed, or `deadline`. Returns the counts then.
    pub(crate) fn wait_until_complete(&self, deadline: Instant) -> Counts {
        let mut counts = self.counts();
        while !counts.is_complete && !counts.is_stuck {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            let waited = self.shared.changed.wait_timeout(counts, left);
            counts = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        counts.clone()
    }

    /// Shards of this run that were uploaded.
    #[must_use]
    pub fn uploaded_shards(&self) -> u64 {
        self.counts().uploaded_shards
    }

    /// Their size in bytes.
    #[must_use]
    pub fn uploaded_bytes(&self) -> u64 {
        self.counts().uploaded_bytes
    }

    /// Finished shards of this run that are on the disk and not in the store.
    #[must_use]
    pub fn pending_shards(&self) -> u64 {
        self.counts().pending_shards
    }

    /// Their size in bytes.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.counts().pending_bytes
    }

    /// Requests that have failed, most of which succeeded when they were repeated.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.counts().failures
    }

    /// The last failure, if the uploads have not succeeded since.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.counts().last_error.clone()
    }
}

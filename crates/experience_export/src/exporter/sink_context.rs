//! What a sink worker shares: with the other sinks of its recording, and with the exporter thread.

use super::{notice::Notices, storage::StorageMonitor};
use crate::sink::{RecordingInfo, RunLabel};
use experience_core::account::Counters;
use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// What the sinks of one recording share.
#[derive(Clone)]
pub(super) struct SinkContext {
    /// Index of the recording at the exporter.
    pub(super) recording: usize,
    pub(super) info: RecordingInfo,
    pub(super) counters: Arc<Counters>,
    pub(super) storage: Arc<StorageMonitor>,
    pub(super) notices: Arc<Notices>,
}

/// State of the sink that its worker reports to the exporter thread.
#[derive(Default)]
pub(super) struct SinkStatus {
    /// The sink's own place for a journal. Set once the sink is open, or cannot be opened.
    pub(super) journal_place: OnceLock<Option<JournalPlace>>,
    /// The sink was retired with batches that it had taken and not made durable.
    pub(super) is_lost: AtomicBool,
    /// The sink was closed, and does not store all episodes that it had accepted.
    pub(super) is_incomplete: AtomicBool,
    stored_tags: AtomicU64,
    stored_tick_rates: AtomicUsize,
    stored_failures: AtomicU64,
}

/// Where a sink keeps the journal of its run, and what the journal states about the run.
pub(super) struct JournalPlace {
    pub(super) folder: PathBuf,
    pub(super) label: RunLabel,
}

impl SinkStatus {
    /// The account changes that the sink has stored.
    pub(super) fn stored_changes(&self) -> StoredChanges {
        StoredChanges {
            tags: self.stored_tags.load(Ordering::Acquire),
            tick_rates: self.stored_tick_rates.load(Ordering::Acquire),
        }
    }

    /// The failures in the account that the sink has stored.
    pub(super) fn stored_failures(&self) -> u64 {
        self.stored_failures.load(Ordering::Acquire)
    }

    /// Notes that the sink has stored an account with so many failures.
    pub(super) fn set_stored_failures(&self, failures: u64) {
        self.stored_failures.store(failures, Ordering::Release);
    }

    /// Notes that the sink has stored the first `total` tag changes.
    pub(super) fn set_stored_tags(&self, total: u64) {
        self.stored_tags.store(total, Ordering::Release);
    }

    /// Notes that the sink has stored the first `total` tick rates.
    pub(super) fn set_stored_tick_rates(&self, total: usize) {
        self.stored_tick_rates.store(total, Ordering::Release);
    }
}

/// The accounts that the sinks of a recording have stored, for its journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SinkAccounts {
    /// The account changes that all sinks have stored.
    pub(super) stored: StoredChanges,
    /// Failures of the sink whose folder contains the journal.
    pub(super) failures: u64,
    /// Those of them that its account states.
    pub(super) stored_failures: u64,
}

/// How many account changes of the run are stored outside of the journal. The journal holds all later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredChanges {
    pub(super) tags: u64,
    pub(super) tick_rates: usize,
}

impl StoredChanges {
    /// The changes that both have stored.
    pub(super) fn min(self, other: Self) -> Self {
        Self {
            tags: self.tags.min(other.tags),
            tick_rates: self.tick_rates.min(other.tick_rates),
        }
    }
}

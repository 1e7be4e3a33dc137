//! Batches of episodes on their way to sinks: in memory, or in the journal alone.

use crate::assembly::StoredEpisode;
use crossbeam_channel::Sender;
use experience_core::transition::{Episode, WordTable};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use web_time::Instant;

/// One for each batch and sink: held until the sink has made the batch durable or counted it lost. Then the journal need not keep
/// the batch for this sink.
#[derive(Debug)]
pub(super) struct DurabilityToken;

/// A batch on its way to one sink.
pub(super) struct Dispatch<B> {
    pub(super) batch: Arc<B>,
    pub(super) token: Arc<DurabilityToken>,
}

/// Episodes in memory that are dispatched together. Every sink of a recording shares the same batch.
pub(super) struct EpisodeBatch {
    pub(super) episodes: Vec<Episode>,
    /// Transitions in `episodes`.
    pub(super) transitions: u64,
    /// Transitions of further episodes, whose rows could not be read back from the journal.
    pub(super) unreadable: u64,
    /// Bytes of rows.
    pub(super) bytes: usize,
    /// When the batch was dispatched.
    pub(super) created: Instant,
    /// The location of the batch in the journal. `None` unless the journal holds all of it.
    pub(super) stored: Option<Arc<StoredBatch>>,
}

impl EpisodeBatch {
    pub(super) fn new(
        episodes: Vec<Episode>,
        unreadable: u64,
        created: Instant,
        stored: Option<Arc<StoredBatch>>,
    ) -> Self {
        Self {
            transitions: episodes.iter().map(|episode| episode.len() as u64).sum(),
            unreadable,
            bytes: episodes.iter().map(|episode| size_of_val(episode.rows())).sum(),
            created,
            stored,
            episodes,
        }
    }

    /// Transitions that a sink loses when it does not get the batch.
    pub(super) fn all_transitions(&self) -> u64 {
        self.transitions + self.unreadable
    }
}

/// Episodes that are dispatched together and are stored in the journal. Memory holds only their locations.
pub(super) struct StoredBatch {
    /// The journal's folder.
    pub(super) journal: PathBuf,
    pub(super) episodes: Vec<StoredEpisode>,
    /// The words of the codes in its rows.
    pub(super) words: Arc<WordTable>,
    pub(super) transitions: u64,
    /// Bytes of rows.
    pub(super) bytes: usize,
    pub(super) created: Instant,
    /// The batch in memory, while a sink holds it: sinks that are equally slow share what is read back.
    loaded: Mutex<Weak<EpisodeBatch>>,
}

impl StoredBatch {
    pub(super) fn new(
        journal: PathBuf,
        episodes: Vec<StoredEpisode>,
        words: Arc<WordTable>,
        bytes: usize,
        created: Instant,
    ) -> Self {
        Self {
            journal,
            transitions: episodes.iter().map(StoredEpisode::transitions).sum(),
            bytes,
            created,
            episodes,
            words,
            loaded: Mutex::default(),
        }
    }

    /// Bytes that the batch adds to a sink's backlog: its rows, and their locations in memory.
    pub(super) fn backlog_bytes(&self) -> u64 {
        let index: usize = self.episodes.iter().map(StoredEpisode::index_bytes).sum();
        self.bytes as u64 + index as u64
    }

    /// The batch in memory, read back by `load` unless a sink still holds it.
    pub(super) fn load(&self, load: impl FnOnce() -> EpisodeBatch) -> Arc<EpisodeBatch> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = loaded.upgrade() {
            return batch;
        }
        let batch = Arc::new(load());
        *loaded = Arc::downgrade(&batch);
        batch
    }
}

/// Sends one message when its last clone in an [`Arc`] is dropped: every sink has completed a flush or a close.
pub(super) struct Completion(pub(super) Sender<()>);

impl Drop for Completion {
    fn drop(&mut self) {
        // The receiver is gone when the caller's timeout has passed.
        let _ = self.0.send(());
    }
}

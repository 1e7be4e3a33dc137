//! What a sink worker shares: with the other sinks of its recording, and with the exporter thread.

use super::{notice::Notices, storage::StorageMonitor};
use crate::sink::RecordingInfo;
use experience_core::account::Counters;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::AtomicBool},
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
    /// The sink's own folder for a journal. Set once the sink is open, or cannot be opened.
    pub(super) journal_folder: OnceLock<Option<PathBuf>>,
    /// The sink was retired with batches that it had taken and not made durable.
    pub(super) is_lost: AtomicBool,
    /// The sink was closed, and does not store all episodes that it had accepted.
    pub(super) is_incomplete: AtomicBool,
}

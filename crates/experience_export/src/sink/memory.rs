//! Episodes kept in memory, for tests and small tools.

use crate::sink::{RecordingInfo, Sink, SinkError};
use experience_core::account::RunReport;
use experience_core::{schema::Schema, transition::Episode};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Keeps every episode in memory. Clones share one store, so keep a clone to read what a recording wrote.
///
/// ```
/// use experience_export::MemorySink;
///
/// let sink = MemorySink::default();
/// // … `.sink(sink.clone())`, play, close …
/// assert!(sink.episodes().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemorySink(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    schema: Option<Arc<Schema>>,
    episodes: Vec<Episode>,
    report: RunReport,
}

impl MemorySink {
    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of all episodes, in the order in which they ended.
    #[must_use]
    pub fn episodes(&self) -> Vec<Episode> {
        self.stored().episodes.clone()
    }

    /// Takes all episodes out.
    #[must_use]
    pub fn take(&self) -> Vec<Episode> {
        core::mem::take(&mut self.stored().episodes)
    }

    /// The account at the last flush or at the close.
    #[must_use]
    pub fn report(&self) -> RunReport {
        self.stored().report.clone()
    }

    /// The schema of the recording, once it has begun.
    #[must_use]
    pub fn schema(&self) -> Option<Arc<Schema>> {
        self.stored().schema.clone()
    }
}

impl Sink for MemorySink {
    fn describe(&self) -> Cow<'_, str> {
        "memory".into()
    }

    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.stored().schema = Some(recording.schema.clone());
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.stored().episodes.extend_from_slice(episodes);
        Ok(())
    }

    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.stored().report = report.clone();
        Ok(())
    }

    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.flush(report)
    }
}

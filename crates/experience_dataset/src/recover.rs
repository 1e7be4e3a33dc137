//! Brings into shards what processes that died left behind.

use super::{Dataset, DatasetError};
use crate::sink::{card, recovery};
use serde::Serialize;

pub use crate::sink::{RecoveredRun, Recovery};

/// What to recover; see [`Dataset::recover`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverSettings {
    /// Recover runs, too, whose process cannot be told to be dead because their lock is missing. Only for when it is known that
    /// none of them is alive.
    pub include_unclear: bool,
}

/// What was recovered in one recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveredRecording {
    /// The name of its folder.
    pub recording: String,
    /// What was found there.
    #[serde(flatten)]
    pub recovery: Recovery,
}

pub(super) fn recover(dataset: &Dataset, settings: &RecoverSettings) -> Result<Vec<RecoveredRecording>, DatasetError> {
    let mut recovered = Vec::new();
    for recording in dataset.recordings() {
        let recovery = recovery::recover(recording.path(), recording.schema(), settings.include_unclear)
            .map_err(|error| DatasetError::write(recording.path(), error))?;
        if !recovery.is_empty() {
            recovered.push(RecoveredRecording {
                recording: recording.folder_name().to_owned(),
                recovery,
            });
        }
    }
    if !recovered.is_empty() {
        card::update(dataset.path()).map_err(|error| DatasetError::write(dataset.path(), error))?;
    }
    Ok(recovered)
}

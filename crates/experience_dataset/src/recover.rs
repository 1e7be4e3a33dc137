//! Recovers the runs of a dataset whose processes died.

use super::{Dataset, DatasetError};
use crate::sink::{card, recovery};
use serde::Serialize;

pub use crate::sink::{RecoveredRun, Recovery};

/// Settings of [`Dataset::recover`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverSettings {
    /// Also recovers runs whose process [may be alive](Recovery::unclear). Set it only if none of them is alive.
    pub include_unclear: bool,
    /// Then removes the segments of journals that recoveries, this one included, could not read completely.
    pub discard_damaged: bool,
}

/// The result of [`Dataset::recover`] for one recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveredRecording {
    /// The name of the recording's folder.
    pub recording: String,
    /// The result.
    #[serde(flatten)]
    pub recovery: Recovery,
}

pub(super) fn recover(dataset: &Dataset, settings: &RecoverSettings) -> Result<Vec<RecoveredRecording>, DatasetError> {
    let mut recovered = Vec::new();
    for recording in dataset.recordings() {
        let mut recovery = recovery::recover(recording.path(), recording.schema(), settings.include_unclear)
            .map_err(|error| DatasetError::write(recording.path(), error))?;
        if settings.discard_damaged {
            recovery.discarded = recovery::discard_damaged(recording.path())
                .map_err(|error| DatasetError::write(recording.path(), error))?;
        }
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

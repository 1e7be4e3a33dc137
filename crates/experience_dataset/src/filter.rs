//! Filters a recording: writes the episodes that meet conditions to a new dataset.

mod conditions;

use super::{
    DatasetError, Progress, RecordingData,
    dataset_builder::DatasetBuilder,
    progress::ProgressMeter,
    selection::{SelectionSource, SelectionTarget},
};
use crate::sink::run_shard_writer::SHARD_BYTES;
pub use conditions::EpisodeFilter;
use experience_export::disk;
use serde::Serialize;
use std::path::Path;

/// The result of [`filter()`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilteredRecording {
    /// The name of the recording's folder.
    pub recording: String,
    /// The conditions, as the accounts state them.
    pub selection: String,
    /// Episodes that were written.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The shards that hold them.
    pub shards: u64,
    /// Episodes that were left out.
    pub left_out_episodes: u64,
    /// Their transitions.
    pub left_out_transitions: u64,
    /// Episodes among them of which a part was controlled by a controller of the filter, and a part by another.
    pub mixed_episodes: u64,
}

/// Writes the episodes of `recording` that `filter` selects to a new dataset in the folder `to`, which appears when it is complete.
///
/// Ids, tags and all columns stay as they are, also those that this crate does not know. Each run keeps its account, in which the
/// transitions that were left out count as discarded, and are described by [`RunAccount::filtered`](crate::RunAccount::filtered).
/// `watch` is called with the progress.
///
/// # Errors
/// If a run is being recorded or is not recovered; if a file is damaged; if no episode is selected, or the filter names an
/// agent, a tag or another value that no episode has; or if `to` is not empty, is within the source, or cannot be written.
pub fn filter(
    recording: &RecordingData,
    to: &Path,
    filter: &EpisodeFilter,
    watch: &mut dyn FnMut(Progress),
) -> Result<FilteredRecording, DatasetError> {
    filter
        .check()
        .map_err(|reason| DatasetError::unsuitable(recording.path(), reason))?;
    let dataset = disk::parent(recording.path());
    let builder = DatasetBuilder::create(to, [dataset])?;
    let mut meter = ProgressMeter::new(recording.transitions()?.saturating_mul(2), watch);
    let source = SelectionSource::read(recording, &mut meter)?;
    let tags = recording.tags()?;
    let selected = filter.select(recording, &source.table, &tags)?;
    let target = SelectionTarget {
        folder: builder.recording(recording.schema())?,
        selection: format!("filter: {filter}"),
    };
    let part_of = |id| selected.contains(&id).then_some(0);
    let counts = source.write(core::slice::from_ref(&target), SHARD_BYTES, part_of, &mut meter)?;
    builder.copy_card(dataset)?;
    builder.finish()?;
    let all = source.table.kept();
    let (episodes, transitions) = (
        all.clone().count() as u64,
        all.map(|episode| episode.transitions).sum::<u64>(),
    );
    let written = counts.first().copied().unwrap_or_default();
    Ok(FilteredRecording {
        recording: recording.folder_name().to_owned(),
        selection: filter.to_string(),
        episodes: written.episodes,
        transitions: written.transitions,
        shards: written.shards,
        left_out_episodes: episodes - written.episodes,
        left_out_transitions: transitions - written.transitions,
        mixed_episodes: filter.count_mixed(&source.table),
    })
}

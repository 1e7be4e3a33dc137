//! Builds a new dataset that appears when it is complete.

use super::{Dataset, DatasetError, RecordingData, RunAccount, ShardAccount, progress::ProgressMeter};
use crate::sink::{
    SchemaMismatch, card, layout, partial, recording_folder, run_shard_writer::RunShardWriter, tag_file,
};
use crate::store::source;
use experience_core::{
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::disk::{self, atomic::AtomicFolder};
use std::{
    collections::{BTreeMap, btree_map},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A dataset in a temporary folder. Dropped before it is finished, it is removed.
pub(super) struct DatasetBuilder {
    folder: AtomicFolder,
}

impl DatasetBuilder {
    /// Begins a dataset that will be at `to`, which is missing or an empty folder, and outside of the datasets `sources`.
    pub(super) fn create<'a>(to: &Path, sources: impl IntoIterator<Item = &'a Path>) -> Result<Self, DatasetError> {
        for source in sources {
            refuse_within(source, to)?;
        }
        let folder = create_folder(to)?;
        Ok(Self { folder })
    }

    /// Copies the card of the dataset `source`, of which [`finish`](Self::finish) replaces the list of recordings.
    pub(super) fn copy_card(&self, source: &Path) -> Result<(), DatasetError> {
        let card = source.join(layout::CARD);
        if !card.is_file() {
            return Ok(());
        }
        copy(&card, &self.folder.temporary_path().join(layout::CARD))
    }

    /// The folder of a recording, which is created if it is missing. Recordings of one name with different schemas get
    /// different folders.
    pub(super) fn recording(&self, schema: &Schema) -> Result<PathBuf, DatasetError> {
        recording_folder::open_or_create(self.folder.temporary_path(), schema, SchemaMismatch::Sibling)
            .map_err(DatasetError::sink(self.folder.final_path()))
    }

    /// Writes the dataset card and moves the dataset to its final path.
    pub(super) fn finish(self) -> Result<Dataset, DatasetError> {
        let to = self.folder.final_path().to_owned();
        card::update(self.folder.temporary_path()).map_err(DatasetError::sink(&to))?;
        self.folder.commit().map_err(DatasetError::io("create", &to))?;
        Dataset::open(to)
    }
}

/// Returns an error if `to` is the dataset `source` or in it: it would be read as a part of it.
pub(super) fn refuse_within(source: &Path, to: &Path) -> Result<(), DatasetError> {
    let Ok(source) = source.canonicalize() else {
        return Ok(());
    };
    let absolute = std::path::absolute(to).map_err(DatasetError::io("open", to))?;
    let mut existing = absolute.ancestors().filter_map(|path| path.canonicalize().ok());
    if existing.next().is_some_and(|folder| folder.starts_with(&source)) {
        let reason = format!(
            "it is in the dataset `{}`, which is read; name a folder outside of it",
            source.display()
        );
        return Err(DatasetError::write(to, reason));
    }
    Ok(())
}

/// Begins a folder that will be at `to`, which is missing or an empty folder. Missing parents are created.
pub(super) fn create_folder(to: &Path) -> Result<AtomicFolder, DatasetError> {
    match fs::read_dir(to) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(DatasetError::write(
                    to,
                    "the folder is not empty; name a new or an empty folder",
                ));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let file = to.ancestors().find(|path| path.is_file()).unwrap_or(to);
            return Err(DatasetError::write(file, "it is a file; name a new or an empty folder"));
        }
        Err(error) => return Err(DatasetError::io("open", to)(error)),
    }
    let parent = disk::parent(to);
    disk::create_folders(parent).map_err(DatasetError::io("create", parent))?;
    AtomicFolder::create(to).map_err(DatasetError::io("create", to))
}

/// Writes every episode of a recording, as `convert` returns it, to the recording in `folder`. Returns the shards of each run.
pub(super) fn rewrite(
    recording: &RecordingData,
    folder: &Path,
    schema: &Arc<Schema>,
    meter: &mut ProgressMeter,
    mut convert: impl FnMut(&Episode) -> Result<Episode, DatasetError>,
) -> Result<BTreeMap<RunId, Vec<ShardAccount>>, DatasetError> {
    let write_error = |error| DatasetError::sink(folder)(error);
    let mut writers: BTreeMap<RunId, RunShardWriter> = BTreeMap::new();
    for episode in recording.episodes() {
        let episode = episode?;
        let converted = convert(&episode)?;
        let run = episode.info().run;
        let writer = match writers.entry(run) {
            btree_map::Entry::Occupied(writer) => writer.into_mut(),
            btree_map::Entry::Vacant(entry) => {
                entry.insert(RunShardWriter::new(folder, schema, run, 0).map_err(write_error)?)
            }
        };
        writer.write(&[converted]).map_err(write_error)?;
        meter.add(episode.len());
    }
    let shards = writers
        .into_iter()
        .map(|(run, writer)| Ok((run, writer.finish().map_err(write_error)?)))
        .collect();
    partial::remove_if_empty(folder);
    shards
}

/// Copies a file and syncs the copy.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), DatasetError> {
    source::copy_to_disk(from, to).map_err(DatasetError::io("copy", from))
}

/// Copies the file of a run's tags from one recording to another, if it exists.
pub(super) fn copy_tags(from: &Path, to: &Path, run: RunId) -> Result<(), DatasetError> {
    let (from, to) = (tag_file::path(from, run), tag_file::path(to, run));
    if source::exists(&from) {
        copy(&from, &to)
    } else {
        Ok(())
    }
}

/// Replaces the account of a run in the folder of a recording.
pub(super) fn save_account(recording: &Path, account: &RunAccount) -> Result<(), DatasetError> {
    account
        .save(recording)
        .map_err(DatasetError::io("write", &account.path(recording)))
}

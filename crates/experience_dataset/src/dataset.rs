//! A dataset on disk, opened for reading.

use crate::{
    CompactSettings, Compacted, DatasetError, Erasure, Progress, RecordingData, RecoverSettings, RecoveredRecording,
    compact, erase, recover,
    sink::{card, layout},
    store::{
        address::{self, DatasetAddress},
        source,
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A dataset on disk that a [`DatasetSink`](crate::sink::DatasetSink) wrote.
#[derive(Clone, Debug)]
pub struct Dataset {
    path: PathBuf,
    recordings: Vec<RecordingData>,
}

impl Dataset {
    /// Opens the dataset in the folder `path` and reads the schemas of its recordings. Shards are read on demand.
    ///
    /// With the feature `object_store`, `path` may be an address: `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. Shards are read by ranges then. Credentials are those of the environment, as the store's own tools
    /// take them. What changes a dataset in place is refused there, with the remedy.
    ///
    /// # Errors
    /// If the folder is missing or has no recording in it, or if the `experience.json` of a recording is damaged. The error names
    /// a dataset around `path` or in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DatasetError> {
        let path = path.into();
        let path = DatasetAddress::resolve(&path)
            .map_err(|reason| DatasetError::unsuitable(Path::new("the address"), reason))?;
        let folders = card::recordings(&path).or_else(|error| match error.kind() {
            io::ErrorKind::NotADirectory => Ok(Vec::new()),
            _ => Err(DatasetError::io("open", &path)(error)),
        })?;
        if folders.is_empty() {
            return Err(not_a_dataset(path));
        }
        let recordings = folders
            .into_iter()
            .map(|folder| RecordingData::open(&path, folder))
            .collect::<Result<_, _>>()?;
        Ok(Self { path, recordings })
    }

    /// The dataset's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All recordings, sorted by folder name.
    ///
    /// A recording whose schema changed is listed once for each schema.
    #[must_use]
    pub fn recordings(&self) -> &[RecordingData] {
        &self.recordings
    }

    /// Erases an agent from all recordings: its episodes from the shards, and its totals from the accounts of the runs, where
    /// its transitions count as discarded afterwards. Then reads all files again to verify that the agent is gone.
    ///
    /// All shards of a recording are rewritten before the first is replaced, so a full disk changes nothing in it. Each file is
    /// the old or the new one at any moment, and an interrupted erasure is finished by another. Data that could not be erased
    /// is in [`Erasure::unreached`] and [`OUT_OF_REACH`](crate::OUT_OF_REACH).
    ///
    /// In an object store, the shards that hold the agent are rewritten on the disk and uploaded. What a bucket with versions keeps
    /// is in [`Erasure::unreached`].
    ///
    /// `watch` is called with the progress.
    ///
    /// # Errors
    /// If a shard or an account cannot be read, is damaged, or cannot be replaced; or if the agent is present again at the end,
    /// because a process writes to the dataset.
    pub fn erase(&self, agent: i64, watch: &mut dyn FnMut(Progress)) -> Result<Erasure, DatasetError> {
        erase::erase(self, agent, watch)
    }

    /// Compacts the shards in place: shards of a run that are small, and those after them, become few large ones. Their rows, the
    /// counts in the accounts and all ids stay the same.
    ///
    /// Shards of runs that are being recorded or must be recovered are left as they are, see
    /// [`Compacted::skipped`](crate::Compacted::skipped). Readers of this crate and of the Python package see each row once
    /// meanwhile, or get an error if shards that they have listed are gone. Loaders that read all files of `data/` may see rows
    /// twice for a moment. A compaction that was interrupted is ended or undone by the next one; readers see each row once
    /// until then. It needs space on the disk for a copy of one run.
    ///
    /// `watch` is called with the progress.
    ///
    /// # Errors
    /// If a shard or an account cannot be read, is damaged, or cannot be written.
    pub fn compact(
        &self,
        settings: CompactSettings,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Compacted>, DatasetError> {
        if address::is_store(&self.path) {
            return Err(DatasetError::unsuitable(
                &self.path,
                "shards in an object store cannot be compacted in place: compact to a new address, and remove the old one",
            ));
        }
        compact::compact_in_place(self, settings, watch)
    }

    /// Recovers the runs of processes that died: writes the episodes in their journals, and with
    /// [`Memory::File`](experience_buffer::Memory::File) those in their buffers, to shards. Open episodes are truncated, reason
    /// [`EndReason::CRASH`](experience_core::transition::EndReason::CRASH). A game does the same at its start, for the
    /// recordings that it writes.
    ///
    /// Episodes in the segments of a [`JournalSink`](crate::JournalSink) are written to shards, also those of runs that were closed.
    ///
    /// Live runs are unchanged. An interrupted recovery is finished by the next one. Runs that could not be recovered are in
    /// [`Recovery::failed`](crate::Recovery::failed).
    ///
    /// # Errors
    /// If a folder cannot be listed, or the dataset card cannot be written.
    pub fn recover(&self, settings: &RecoverSettings) -> Result<Vec<RecoveredRecording>, DatasetError> {
        if address::is_store(&self.path) {
            return Err(DatasetError::unsuitable(
                &self.path,
                "runs are recovered on the host that recorded them: call `upload_staged` there, or run `experience recover`",
            ));
        }
        recover::recover(self, settings)
    }

    /// The recording called `name`. If there are several schemas, `fighter@<schema hash>` is one that differs from `fighter`.
    ///
    /// # Errors
    /// If the dataset has no such recording; the error lists the existing ones.
    pub fn recording(&self, name: &str) -> Result<&RecordingData, DatasetError> {
        let own = layout::folder_name(name);
        let by_folder = |folder: &str| {
            self.recordings
                .iter()
                .find(|recording| recording.folder_name() == folder)
        };
        by_folder(&own)
            .filter(|found| found.name() == name)
            .or_else(|| by_folder(name))
            .ok_or_else(|| DatasetError::NoSuchRecording {
                path: self.path.clone(),
                name: name.to_owned(),
                known: self
                    .recordings
                    .iter()
                    .map(|recording| recording.folder_name().to_owned())
                    .collect(),
            })
    }
}

/// The folders from the root of a dataset to a shard.
const MAX_DEPTH: usize = 3;
/// The maximum number of datasets that an error names.
const MAX_NAMED: usize = 10;

/// The error for a path without a recording in it, which names the dataset that was probably meant.
fn not_a_dataset(path: PathBuf) -> DatasetError {
    let is_recording = |folder: &Path| source::is_file(&folder.join(layout::EXPERIENCE));
    // `.` and `..` have no parent before they are resolved.
    let absolute = path.canonicalize().unwrap_or_else(|_| path.clone());
    for (depth, folder) in absolute.ancestors().take(MAX_DEPTH).enumerate() {
        if let (true, Some(name), Some(dataset)) = (is_recording(folder), folder.file_name(), folder.parent()) {
            let recording = name.to_string_lossy().into_owned();
            // The path as it was written, where that has the dataset in it.
            let written = path.ancestors().nth(depth + 1).filter(|written| {
                !written.as_os_str().is_empty() && written.canonicalize().is_ok_and(|written| written == dataset)
            });
            let dataset = written.unwrap_or(dataset).to_owned();
            return DatasetError::WithinDataset {
                path,
                dataset,
                recording,
            };
        }
    }
    let reason = match fs::read_dir(&path) {
        Err(_) if address::is_store(&path) => "no prefix below it has an `experience.json`",
        Err(_) => "it is a file",
        Ok(entries) => {
            let folders = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_dir());
            let mut datasets: Vec<_> = folders
                .filter(|folder| card::recordings(folder).is_ok_and(|recordings| !recordings.is_empty()))
                .collect();
            if !datasets.is_empty() {
                datasets.sort();
                datasets.truncate(MAX_NAMED);
                return DatasetError::HoldsDatasets { path, datasets };
            }
            if experience_export::journal::run_folders(&path).is_ok_and(|journals| !journals.is_empty()) {
                "it holds journals of recordings without a dataset, which `experience recover` makes one"
            } else {
                "no folder in it has an `experience.json`"
            }
        }
    };
    DatasetError::NotADataset { path, reason }
}

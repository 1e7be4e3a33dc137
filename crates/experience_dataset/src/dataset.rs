//! A dataset on disk, opened for reading.

use crate::{
    DatasetError, Erased, Progress, RecordingData, RecoverSettings, RecoveredRecording, erase, recover,
    sink::{card, layout},
};
use std::path::{Path, PathBuf};

/// A dataset on disk, as a [`DatasetSink`](crate::sink::DatasetSink) writes it.
#[derive(Clone, Debug)]
pub struct Dataset {
    path: PathBuf,
    recordings: Vec<RecordingData>,
}

impl Dataset {
    /// Opens the dataset in the folder `path` and reads what its recordings are; their shards are read when asked for.
    ///
    /// # Errors
    /// When there is no such folder, no recording in it, or when the description of one is damaged.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DatasetError> {
        let path = path.into();
        let folders = card::recordings(&path).map_err(DatasetError::io("open", &path))?;
        if folders.is_empty() {
            return Err(DatasetError::NotADataset {
                path,
                reason: "no folder in it has an `experience.json`",
            });
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

    /// All recordings, by the names of their folders.
    ///
    /// A recording whose columns changed stands here more than once, with a schema of its own each time.
    #[must_use]
    pub fn recordings(&self) -> &[RecordingData] {
        &self.recordings
    }

    /// Removes the agent from all recordings: its episodes from the shards, its totals from the accounts of the runs, where
    /// its transitions count as discarded from now on. Then all of it is read again, and nothing of the agent is found.
    ///
    /// New shards are written beside the old ones before the first is replaced, so a disk that is full changes nothing. Each
    /// file is the old or the new one at any moment; an erasure that was interrupted half way is finished by another. What is
    /// out of reach is in [`Erased::unreached`] and in [`OUT_OF_REACH`](crate::OUT_OF_REACH).
    ///
    /// `watch` is told how far it is.
    ///
    /// # Errors
    /// When a shard or an account cannot be read, is damaged, or cannot be replaced; or when the agent is there again at the
    /// end, because a process writes to the dataset.
    pub fn erase(&self, agent: i64, watch: &mut dyn FnMut(Progress)) -> Result<Erased, DatasetError> {
        erase::erase(self, agent, watch)
    }

    /// Brings into shards what processes that died have left: the episodes in their journals, and with
    /// [`Memory::File`](experience_buffer::Memory::File) those in their buffers. Episodes that had not ended are truncated, reason
    /// [`EndReason::CRASH`](experience_core::transition::EndReason::CRASH). A game does the same for the recordings that it writes, when it
    /// starts.
    ///
    /// Runs that are alive are left alone. It can be interrupted at any moment: the next recovery finishes it, and changes nothing
    /// where nothing is left to do. What could not be recovered is in [`Recovery::failed`](crate::Recovery::failed).
    ///
    /// # Errors
    /// When a folder cannot be listed, or the card not be written.
    pub fn recover(&self, settings: &RecoverSettings) -> Result<Vec<RecoveredRecording>, DatasetError> {
        recover::recover(self, settings)
    }

    /// The recording of this name. `fighter@<schema hash>` is the one with other columns, where there is more than one.
    ///
    /// # Errors
    /// When there is none; the error names those that there are.
    pub fn recording(&self, name: &str) -> Result<&RecordingData, DatasetError> {
        let own = layout::folder_name(name);
        let of_folder = |folder: &str| {
            self.recordings
                .iter()
                .find(|recording| recording.folder_name() == folder)
        };
        of_folder(&own)
            .filter(|found| found.name() == name)
            .or_else(|| of_folder(name))
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

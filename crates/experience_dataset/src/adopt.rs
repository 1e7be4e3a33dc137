//! Moves journals without a dataset into a dataset, so that they can be recovered.

use crate::{
    DatasetError,
    sink::{SchemaMismatch, files::is_refusal, layout, lock::open_lock_file, recording_folder},
};
use experience_core::{schema::Schema, transition::RunId};
use experience_export::{
    SinkError, disk,
    journal::{self, JournalClaim, JournalError, JournalLock, JournalReader, Record},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The result of [`adopt_journals`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AdoptedJournals {
    /// Journals that were moved into a recording.
    pub adopted: Vec<AdoptedJournal>,
    /// Journals whose process is alive; they are unchanged.
    pub alive: Vec<PathBuf>,
    /// Journals whose process may be alive: their lock file is missing, or was written on another host or copied, less than a
    /// minute ago. They are unchanged.
    pub unclear: Vec<PathBuf>,
    /// Journals that could not be moved, and why. They are unchanged.
    pub failed: Vec<(PathBuf, String)>,
    /// Journals that the file system refused to move, and why. They are unchanged.
    pub refused: Vec<(PathBuf, String)>,
}

/// A journal that was moved into a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdoptedJournal {
    /// The run.
    pub run: RunId,
    /// The name of the recording's folder.
    pub recording: String,
}

impl AdoptedJournals {
    /// Whether there was no journal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Moves the journals in `folder`, a [`JournalSettings::folder`](experience_export::journal::JournalSettings::folder), into the
/// recordings of a dataset in the same folder, which are created where they are missing. Then
/// [`Dataset::recover`](crate::Dataset::recover) writes their episodes to shards.
///
/// Only journals of dead processes are moved, and with `include_unclear` those of which that is unknown. Each is moved by a
/// rename, so it can be interrupted and repeated.
///
/// # Errors
/// If the folder cannot be listed.
pub fn adopt_journals(folder: &Path, include_unclear: bool) -> Result<AdoptedJournals, DatasetError> {
    let mut result = AdoptedJournals::default();
    for journal in journal::run_folders(folder).map_err(DatasetError::io("list", folder))? {
        let lock = match JournalLock::claim(&journal) {
            JournalClaim::Dead(lock) => Some(lock),
            JournalClaim::Alive => {
                result.alive.push(journal);
                continue;
            }
            JournalClaim::Unclear if include_unclear => None,
            JournalClaim::Unclear => {
                result.unclear.push(journal);
                continue;
            }
        };
        match adopt(folder, &journal) {
            Ok(adopted) => {
                result.adopted.push(adopted);
                if let Some(lock) = lock {
                    lock.remove();
                }
            }
            Err(error @ SinkError::Io { .. }) => result.refused.push((journal, error.to_string())),
            Err(error) => result.failed.push((journal, error.to_string())),
        }
    }
    if !result.adopted.is_empty() {
        journal::sweep(&folder.join(layout::JOURNALS));
    }
    Ok(result)
}

fn adopt(root: &Path, journal: &Path) -> Result<AdoptedJournal, SinkError> {
    let io_error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| SinkError::Io { action, path, source }
    };
    let (run, schema) = head(journal)?;
    let recording = recording_folder::open_or_create(root, &schema, SchemaMismatch::Sibling)?;
    let target = layout::journal_folder(&recording, run);
    if target.exists() {
        return Err(SinkError::Other(format!(
            "run {run} has another journal, `{}`; recover that one first",
            target.display()
        )));
    }
    let journals = recording.join(layout::JOURNALS);
    disk::create_folders(&journals).map_err(io_error("create", &journals))?;
    // The lock of the run, which nothing holds. Without it the run would be unclear.
    let lock = layout::lock_path(&recording, run);
    open_lock_file(&lock, true).map_err(io_error("create", &lock))?;
    disk::rename(journal, &target).map_err(io_error("move", journal))?;
    disk::sync_folder(&journals);
    let name = recording.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(AdoptedJournal { run, recording: name })
}

/// The run and the schema of a journal, from its first segment with a readable head.
fn head(journal: &Path) -> Result<(RunId, Schema), SinkError> {
    let mut found = None;
    let read = JournalReader::read_until(journal, |record| {
        if let Record::Head(head) = record
            && let Ok(schema) = serde_json::from_str::<Schema>(head.schema)
            && schema.hash() == head.schema_hash
        {
            found = Some((RunId::from_bits(head.run), schema));
        }
        found.is_some()
    });
    match read {
        Ok(()) => {}
        Err(JournalError::Io { path, source }) if is_refusal(&source) => {
            return Err(SinkError::Io {
                action: "read",
                path,
                source,
            });
        }
        Err(error) => return Err(SinkError::Other(error.to_string())),
    }
    let (run, schema) = found.ok_or_else(|| {
        SinkError::Other(format!(
            "`{}` has no segment that names its run and its schema: it is damaged, or no journal",
            journal.display()
        ))
    })?;
    Ok((run, schema))
}

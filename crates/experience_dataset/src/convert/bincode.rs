//! Converts a recording to the format of the journal, frames of bincode.

use crate::{
    DatasetError, Progress, RecordingData, RunAccount,
    dataset_builder::create_folder,
    progress::ProgressMeter,
    sink::segment_episodes::{controller_codes, put_episode},
};
use experience_core::transition::{Episode, RunId, WordTable};
use experience_export::{
    RunLabel,
    journal::{Fsync, Journal, JournalSettings, Owner},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::Path,
    sync::Arc,
};

/// Writes a recording in the format of the [journal](experience_export::journal), frames of bincode, to the folder `path`,
/// which is missing or empty. For each run there is a folder with its name, for a
/// [`JournalReader`](experience_export::journal::JournalReader).
///
/// This is for Rust programs that read the rows of the game without Arrow. `watch` is called with the progress.
///
/// # Errors
/// If the recording is damaged, or if `path` is not empty or cannot be written.
pub fn to_bincode(recording: &RecordingData, path: &Path, watch: &mut dyn FnMut(Progress)) -> Result<(), DatasetError> {
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let folder = create_folder(path)?;
    let write_error = |error: io::Error| DatasetError::io("write to", path)(error);
    let accounts = recording.runs()?;
    let mut journals: BTreeMap<RunId, (Journal, Arc<WordTable>)> = BTreeMap::new();
    for episode in recording.episodes() {
        let episode = episode?;
        let run = episode.info().run;
        let (journal, words) = match journals.entry(run) {
            Entry::Occupied(journal) => journal.into_mut(),
            Entry::Vacant(entry) => {
                let account = accounts.iter().find(|account| account.run == run);
                let owner = Owner {
                    run,
                    schema: recording.schema().clone(),
                    tick_rate: account.and_then(|account| account.tick_rate),
                    started: account.map_or(0.0, |account| account.started),
                    rings: None,
                    label: account.map_or_else(RunLabel::default, RunAccount::label),
                };
                let journal = folder.temporary_path().join(run.to_string());
                let words = Arc::<WordTable>::default();
                let journal = create(&journal, owner, words.clone()).map_err(write_error)?;
                entry.insert((journal, words))
            }
        };
        write(journal, words, &episode).map_err(write_error)?;
        meter.add(episode.len());
    }
    for (journal, _) in journals.values_mut() {
        journal.sync_if_due().map_err(write_error)?;
    }
    drop(journals);
    folder.commit().map_err(DatasetError::io("create", path))
}

fn create(folder: &Path, owner: Owner, words: Arc<WordTable>) -> io::Result<Journal> {
    let settings = JournalSettings {
        fsync: Fsync::EveryFlush,
        ..JournalSettings::default()
    };
    Journal::create(folder, owner, words, settings)
}

fn write(journal: &mut Journal, words: &WordTable, episode: &Episode) -> io::Result<()> {
    let codes = controller_codes(words, episode);
    journal.begin()?;
    put_episode(journal, &codes, episode)?;
    journal.commit()
}

//! Converts a recording to the format of the journal, frames of bincode.

use crate::{DatasetError, Progress, RecordingData, dataset_builder::create_folder, progress::ProgressMeter};
use experience_core::transition::{Episode, Outcome, RunId, StepHeader, WordTable};
use experience_export::journal::{Fsync, Journal, JournalSettings, Owner, Record};
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

fn write(journal: &mut Journal, table: &WordTable, episode: &Episode) -> io::Result<()> {
    let info = episode.info();
    let episode_id = info.episode_id;
    let words = episode.schema().layout().row_words();
    let recoded = recoded_controllers(table, episode);
    journal.begin()?;
    journal.put(&Record::Open {
        episode_id,
        captured_as: episode_id as u32,
        agent_id: info.agent_id,
        continues: info.continues,
    });
    let mut rest = recoded.as_deref().unwrap_or(episode.rows());
    loop {
        let limit = (journal.frame_bytes_left() / (words * size_of::<u64>()))
            .max(1)
            .saturating_mul(words);
        let (now, later) = rest.split_at(rest.len().min(limit));
        let _ = journal.put_rows(episode_id, now);
        rest = later;
        if rest.is_empty() {
            break;
        }
        journal.commit()?;
        journal.begin()?;
    }
    journal.put(&Record::Close {
        episode_id,
        terminated: episode.outcome() == Outcome::Terminated,
        reason: episode.reason().as_str(),
        end: &[],
    });
    journal.commit()
}

/// The rows with the codes that `table` assigns to their controllers. `None` if they have none: codes are those of an episode.
fn recoded_controllers(table: &WordTable, episode: &Episode) -> Option<Vec<u64>> {
    if episode.controllers().is_empty() {
        return None;
    }
    let codes: BTreeMap<u16, u16> = episode
        .controllers()
        .iter()
        .map(|(code, label)| {
            let new = table.controller_code(|known| *known == **label, || label.to_string());
            (*code, new.unwrap_or_else(|| table.other_code()))
        })
        .collect();
    let mut rows = episode.rows().to_vec();
    // The first row has no action.
    for row in rows.chunks_exact_mut(episode.schema().layout().row_words()).skip(1) {
        let header = StepHeader::of_mut(row);
        header.set_controller(codes.get(&header.controller()).copied().unwrap_or(0));
    }
    Some(rows)
}

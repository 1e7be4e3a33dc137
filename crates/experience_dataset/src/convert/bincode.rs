//! Frames of bincode: the format of the journal.

use crate::{DatasetError, Progress, RecordingData, atomic::NewFolder, progress::Meter};
use experience_core::transition::{Episode, Outcome, RunId};
use experience_export::journal::{Fsync, Journal, JournalSettings, Owner, Record};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::Path,
    sync::Arc,
};

/// Writes a recording as frames of bincode, in the format of the [journal](experience_export::journal), to the folder `path`: a new or an
/// empty one. It has a folder for each run, named like it, which a [`JournalReader`](experience_export::journal::JournalReader) reads.
///
/// For programs in Rust that want rows as the game wrote them, without Arrow. `watch` is told how far it is.
///
/// # Errors
/// When the recording is damaged, or the files cannot be written.
pub fn to_bincode(recording: &RecordingData, path: &Path, watch: &mut dyn FnMut(Progress)) -> Result<(), DatasetError> {
    let mut meter = Meter::new(recording.transitions()?, watch);
    let folder = NewFolder::begin(path)?;
    let failed = |error: io::Error| DatasetError::io("write to", path)(error);
    let known = recording.runs()?;
    let mut journals: BTreeMap<RunId, Journal> = BTreeMap::new();
    for episode in recording.episodes() {
        let episode = episode?;
        let run = episode.info().run;
        let journal = match journals.entry(run) {
            Entry::Occupied(journal) => journal.into_mut(),
            Entry::Vacant(place) => {
                let account = known.iter().find(|account| account.run == run);
                let owner = Owner {
                    run,
                    schema: recording.schema().clone(),
                    tick_rate: account.and_then(|account| account.tick_rate),
                    started: account.map_or(0.0, |account| account.started),
                    rings: None,
                };
                place.insert(create(&folder.path().join(run.to_string()), owner).map_err(failed)?)
            }
        };
        write(journal, &episode).map_err(failed)?;
        meter.add(episode.len());
    }
    for journal in journals.values_mut() {
        journal.sync_if_due().map_err(failed)?;
    }
    drop(journals);
    folder.land()
}

fn create(folder: &Path, owner: Owner) -> io::Result<Journal> {
    let settings = JournalSettings {
        fsync: Fsync::EveryFlush,
        ..JournalSettings::default()
    };
    Journal::create(folder, owner, Arc::default(), settings)
}

fn write(journal: &mut Journal, episode: &Episode) -> io::Result<()> {
    let info = episode.info();
    let episode_id = info.episode_id;
    journal.begin()?;
    journal.put(&Record::Open {
        episode_id,
        captured_as: episode_id as u32,
        agent_id: info.agent_id,
        continues: info.continues,
    });
    let words = episode.schema().layout().row_words();
    let mut rest = episode.rows();
    loop {
        let room = (journal.room() / (words * size_of::<u64>()))
            .max(1)
            .saturating_mul(words);
        let (now, later) = rest.split_at(rest.len().min(room));
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

//! Unfinished runs: a sink with a journal, as a killed process or a copy of the dataset of a live one has them.

use crate::episodes::{account, recording};
use experience_core::transition::{Episode, RunId};
use experience_dataset::{Dataset, DatasetSink, RecoverSettings, Recovery, RunAccount};
use experience_export::{
    RecordingInfo, RunLabel, Sink,
    journal::{Journal, JournalSettings, Owner, Record},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A sink that took `episodes`, which are in its journal and in an open shard. The last episode has not ended in the journal.
pub fn unfinished(root: &Path, episodes: &[Episode], buffers: Option<PathBuf>) -> DatasetSink {
    let (schema, run) = (episodes[0].schema(), episodes[0].info().run);
    let mut sink = DatasetSink::new(root).without_recovery();
    let info = RecordingInfo {
        buffers: buffers.clone(),
        ..recording(schema, run)
    };
    sink.open(&info).unwrap();
    write_journal(&sink.journal_folder().unwrap(), episodes, buffers);
    sink.write(episodes).unwrap();
    sink
}

/// Writes the journal of a run that took `episodes`. The last episode has not ended.
pub fn write_journal(folder: &Path, episodes: &[Episode], buffers: Option<PathBuf>) {
    let owner = Owner {
        run: episodes[0].info().run,
        schema: episodes[0].schema().clone(),
        tick_rate: Some(60.0),
        started: 1.0,
        rings: buffers.map(|folder| folder.to_str().unwrap().to_owned()),
        label: RunLabel::default(),
    };
    let mut journal = Journal::create(folder, owner, Arc::default(), JournalSettings::default()).unwrap();
    for episode in episodes {
        let info = episode.info();
        journal.begin().unwrap();
        journal.put(&Record::Open {
            episode_id: info.episode_id,
            captured_as: info.episode_id as u32,
            agent_id: info.agent_id,
            continues: None,
        });
        let _ = journal.put_rows(info.episode_id, episode.rows());
        if info.episode_id != episodes[episodes.len() - 1].info().episode_id {
            journal.put(&Record::Close {
                episode_id: info.episode_id,
                terminated: true,
                reason: "goal",
                end: &[],
            });
        }
        journal.commit().unwrap();
    }
}

pub fn recover(root: &Path) -> Recovery {
    recover_with(root, &RecoverSettings::default())
}

pub fn recover_with(root: &Path, settings: &RecoverSettings) -> Recovery {
    let recovered = Dataset::open(root).unwrap().recover(settings).unwrap();
    recovered
        .into_iter()
        .next()
        .map_or_else(Recovery::default, |recording| recording.recovery)
}

pub fn account_path(root: &Path, run: RunId) -> PathBuf {
    root.join(format!("fighter/runs/{run}.json"))
}

pub fn run_account(root: &Path, run: RunId) -> RunAccount {
    account(&account_path(root, run))
}

pub fn lock_path(root: &Path, run: RunId) -> PathBuf {
    root.join(format!("fighter/runs/.{run}.lock"))
}

/// Copies a folder, without the times of its files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if from.is_dir() {
            copy(&from, &to.join(name));
        } else {
            fs::copy(&from, to.join(name)).unwrap();
        }
    }
}

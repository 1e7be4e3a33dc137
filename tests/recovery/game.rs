//! A game that writes a dataset, and copies of that dataset as a killed process leaves it.

use crate::player::{Age, Player, grow};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, RecoverSettings, RecoveredRun, Recovery, RunAccount},
    export::ExportSettings,
    journal::JournalSettings,
    prelude::*,
    sink::DatasetSink,
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::{TempDir, tempdir};

pub const TIMEOUT: Duration = Duration::from_secs(30);

fn reward_age(mut players: Query<(&Age, &mut Reward)>) {
    for (age, mut reward) in &mut players {
        reward.add("age", f64::from(age.0) / 2.0);
    }
}

/// A game that writes the dataset at `data`.
pub struct Game {
    pub test: TestApp,
    pub data: PathBuf,
    _folder: TempDir,
}

impl Game {
    pub fn new(settings: ExportSettings, edit: impl FnOnce(Recording<Player>) -> Recording<Player>) -> Self {
        Self::with_app(|data| game(data, settings, edit))
    }

    /// A game whose sink `edit` configures.
    pub fn with_sink(settings: ExportSettings, edit: impl FnOnce(DatasetSink) -> DatasetSink) -> Self {
        Self::with_app(|data| game_with(settings, edit(sink(data)), |recording| recording))
    }

    fn with_app(make: impl FnOnce(&Path) -> TestApp) -> Self {
        let folder = tempdir().unwrap();
        let data = folder.path().join("data");
        let mut game = Self {
            test: make(&data),
            data,
            _folder: folder,
        };
        game.test.ticks(1);
        // The first flush opens the sink, the second starts the journal.
        game.flush();
        game.flush();
        game
    }

    pub fn spawn(&mut self, agent: i64) -> Entity {
        self.test
            .world_mut()
            .spawn((Player, Age(agent as f32 * 1000.0), AgentId(agent)))
            .id()
    }

    pub fn flush(&mut self) {
        let mut experience = self.test.world_mut().resource_mut::<Experience>();
        assert!(experience.flush(TIMEOUT));
    }

    /// A copy of the dataset, as a process that is killed now leaves it.
    pub fn killed(&self) -> CrashCopy {
        CrashCopy::of(&self.data)
    }

    /// The folder of the journals of all runs.
    pub fn journal(&self) -> PathBuf {
        self.data.join("player/journal")
    }

    pub fn finish(&mut self) -> Vec<Episode> {
        self.test.finish()
    }
}

fn sink(data: &Path) -> DatasetSink {
    DatasetSink::new(data).with_shard_age(Duration::from_secs(3600))
}

pub fn game(data: &Path, export: ExportSettings, edit: impl FnOnce(Recording<Player>) -> Recording<Player>) -> TestApp {
    game_with(export, sink(data), edit)
}

fn game_with(
    export: ExportSettings,
    sink: DatasetSink,
    edit: impl FnOnce(Recording<Player>) -> Recording<Player>,
) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export,
        ..ExperiencePlugin::default()
    });
    let recording = Recording::<Player>::new("player")
        .observe::<Age>()
        .reward_terms(["age", "prize"])
        .sink(sink);
    test.record(edit(recording));
    test.add_systems(FixedUpdate, (grow, reward_age).chain());
    test
}

/// Settings under which only the test flushes the exporter and the journal.
pub fn manual_flush() -> ExportSettings {
    ExportSettings {
        flush_interval: Duration::from_secs(3600),
        journal: Some(JournalSettings {
            flush_interval: Duration::from_secs(3600),
            ..JournalSettings::default()
        }),
        ..ExportSettings::default()
    }
}

/// A copy of the dataset of a game that was still running.
pub struct CrashCopy {
    pub data: PathBuf,
    _folder: TempDir,
}

impl CrashCopy {
    /// A copy of the dataset at `data`.
    pub fn of(data: &Path) -> Self {
        let folder = tempdir().unwrap();
        let copied = folder.path().join("data");
        copy(data, &copied);
        Self {
            data: copied,
            _folder: folder,
        }
    }

    pub fn recover(&self) -> Vec<RecoveredRun> {
        let recovery = self.try_recover();
        assert!(recovery.failed.is_empty(), "{recovery:?}");
        recovery.recovered
    }

    pub fn try_recover(&self) -> Recovery {
        let dataset = Dataset::open(&self.data).unwrap();
        let recovered = dataset.recover(&RecoverSettings::default()).unwrap();
        recovered
            .into_iter()
            .next()
            .map_or_else(Recovery::default, |recording| recording.recovery)
    }

    pub fn episodes(&self) -> Vec<Episode> {
        let dataset = Dataset::open(&self.data).unwrap();
        let recording = dataset.recording("player").unwrap();
        let validation = recording.validate(&mut |_| {}).unwrap();
        assert!(validation.is_valid(), "{validation:?}");
        let mut episodes: Vec<_> = recording.episodes().map(Result::unwrap).collect();
        episodes.sort_by_key(|episode| (episode.info().agent_id, episode.row(0).header().tick));
        episodes
    }

    pub fn runs(&self) -> Vec<RunAccount> {
        Dataset::open(&self.data)
            .unwrap()
            .recording("player")
            .unwrap()
            .runs()
            .unwrap()
    }

    pub fn journal(&self) -> PathBuf {
        self.data.join("player/journal")
    }
}

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

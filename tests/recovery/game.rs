//! A game that writes a dataset, and what is left of that when its process is killed.

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
use bevy_reflect::Reflect;
use core::time::Duration;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::{TempDir, tempdir};

pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Component)]
pub struct Player;

#[derive(Component, Reflect)]
pub struct Age(pub f32);

fn grow(mut players: Query<(&mut Age, &mut Reward)>) {
    for (mut age, mut reward) in &mut players {
        age.0 += 1.0;
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
        Self::made(|data| game(data, settings, edit))
    }

    /// A game with a sink that writes and forgets when `edit` says so.
    pub fn with_sink(settings: ExportSettings, edit: impl FnOnce(DatasetSink) -> DatasetSink) -> Self {
        Self::made(|data| game_with(settings, edit(sink(data)), |recording| recording))
    }

    fn made(make: impl FnOnce(&Path) -> TestApp) -> Self {
        let folder = tempdir().unwrap();
        let data = folder.path().join("data");
        let mut game = Self {
            test: make(&data),
            data,
            _folder: folder,
        };
        game.test.ticks(1);
        // Once for the sink to be open, and once for the journal to be begun.
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
        assert!(experience.flush(PATIENCE));
    }

    /// What is left when the process is killed now.
    pub fn killed(&self) -> Left {
        let folder = tempdir().unwrap();
        let data = folder.path().join("data");
        copy(&self.data, &data);
        Left { data, _folder: folder }
    }

    /// The folder of all journals.
    pub fn journal(&self) -> PathBuf {
        self.data.join("player/journal")
    }

    pub fn end(&mut self) -> Vec<Episode> {
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
    test.add_systems(FixedUpdate, grow);
    test
}

/// Flushes and hand-overs come when the test asks for them.
pub fn by_hand() -> ExportSettings {
    ExportSettings {
        flush_interval: Duration::from_secs(3600),
        journal: Some(JournalSettings {
            flush_interval: Duration::from_secs(3600),
            ..JournalSettings::default()
        }),
        ..ExportSettings::default()
    }
}

pub struct Left {
    pub data: PathBuf,
    _folder: TempDir,
}

impl Left {
    pub fn recover(&self) -> Vec<RecoveredRun> {
        let recovery = self.try_recover();
        assert!(recovery.failed.is_empty(), "{recovery:?}");
        recovery.recovered
    }

    pub fn try_recover(&self) -> Recovery {
        let dataset = Dataset::open(&self.data).unwrap();
        let found = dataset.recover(&RecoverSettings::default()).unwrap();
        found
            .into_iter()
            .next()
            .map_or_else(Recovery::default, |found| found.recovery)
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

//! [`TestApp`]: a headless app with one fixed tick per update, for tests of recordings.
//!
//! ```
//! use bevy_ecs::prelude::*;
//! use bevy_experience::{prelude::*, test_app::TestApp};
//!
//! #[derive(Component)]
//! struct Player;
//! #[derive(Component)]
//! struct Place(f32);
//!
//! let mut test = TestApp::new();
//! test.record(Recording::<Player>::new("player").observe_with::<Place>(["place"], |place, out| out[0] = place.0));
//! let player = test.world_mut().spawn((Player, Place(1.0))).id();
//! test.ticks(3);
//! test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
//! let episodes = test.finish();
//! assert_eq!(episodes[0].len(), 2);
//! assert!(episodes[0].transition(1).terminated());
//! ```

use crate::{
    plugin::{Experience, ExperienceAppExt, ExperiencePlugin},
    recording::Recording,
};
use bevy_app::{App, TaskPoolPlugin};
use bevy_diagnostic::FrameCountPlugin;
use bevy_ecs::{component::Component, world::World};
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::{
    ops::{Deref, DerefMut},
    time::Duration,
};
use experience_core::{account::RunReport, transition::Episode};
use experience_export::MemorySink;

/// The longest wait for the exporter.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// An [`App`] with time, tasks and [`ExperiencePlugin`], in which every update is exactly one fixed tick.
pub struct TestApp {
    app: App,
    sinks: Vec<(String, MemorySink)>,
}

impl Default for TestApp {
    fn default() -> Self {
        Self::new()
    }
}

impl TestApp {
    /// An app with the default plugin.
    #[must_use]
    pub fn new() -> Self {
        Self::with_plugin(ExperiencePlugin::default())
    }

    /// An app with this plugin.
    #[must_use]
    pub fn with_plugin(plugin: ExperiencePlugin) -> Self {
        let mut app = App::new();
        app.add_plugins((TaskPoolPlugin::default(), FrameCountPlugin, TimePlugin, plugin));
        // The first update never has a fixed tick, so it is run here.
        app.insert_resource(TimeUpdateStrategy::FixedTimesteps(0));
        app.update();
        app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
        Self { app, sinks: Vec::new() }
    }

    /// Adds a recording with a sink from which [`finish`](Self::finish) returns the episodes.
    ///
    /// # Panics
    /// When the recording cannot be set up.
    #[track_caller]
    pub fn record<P: Component>(&mut self, recording: Recording<P>) -> &mut Self {
        let sink = MemorySink::default();
        let names = |app: &App| -> Vec<String> {
            let experience = app.world().resource::<Experience>();
            experience.recordings().map(str::to_owned).collect()
        };
        let before = names(&self.app).len();
        self.app.add_recording(recording.sink(sink.clone()));
        if let Some(name) = names(&self.app).into_iter().nth(before) {
            self.sinks.push((name, sink));
        }
        self
    }

    /// Runs `n` fixed ticks, one per update.
    pub fn ticks(&mut self, n: usize) {
        for _ in 0..n {
            self.app.update();
        }
    }

    /// Runs one update with `ticks` fixed ticks in it.
    pub fn frame(&mut self, ticks: u32) {
        self.app.insert_resource(TimeUpdateStrategy::FixedTimesteps(ticks));
        self.app.update();
        self.app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    }

    /// The app's world.
    pub fn world_mut(&mut self) -> &mut World {
        self.app.world_mut()
    }

    /// Ends all recording and returns the first recording's episodes: by agent, those with an [`AgentId`](crate::player::AgentId)
    /// first, then those without one as they joined; those of one agent in the order of their ids.
    ///
    /// # Panics
    /// When the exporter does not finish within 30 seconds, or there is no recording.
    #[track_caller]
    pub fn finish(&mut self) -> Vec<Episode> {
        let name = self.sinks.first().expect("the test recorded something").0.clone();
        self.finish_recording(&name)
    }

    /// Ends all recording and returns the episodes of one recording, in the order of [`finish`](Self::finish).
    ///
    /// # Panics
    /// When the exporter does not finish within 30 seconds, or there is no such recording.
    #[track_caller]
    pub fn finish_recording(&mut self, name: &str) -> Vec<Episode> {
        let mut experience = self.app.world_mut().resource_mut::<Experience>();
        assert!(experience.close(EXPORT_TIMEOUT), "the exporter did not finish");
        let sink = self.sinks.iter().find(|(known, _)| known == name);
        let mut episodes = sink.expect("the test has such a recording").1.episodes();
        episodes.sort_by_key(|episode| {
            let agent_id = episode.info().agent_id;
            (
                agent_id < 0,
                agent_id.unsigned_abs(),
                episode.row(0).header().tick,
                episode.info().episode_id,
            )
        });
        episodes
    }

    /// The account of the first recording.
    ///
    /// # Panics
    /// When there is no recording.
    #[must_use]
    pub fn report(&self) -> RunReport {
        let name = &self.sinks.first().expect("the test recorded something").0;
        let reports = self.app.world().resource::<Experience>().reports(name);
        reports.into_iter().next().unwrap_or_default()
    }
}

impl Deref for TestApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl DerefMut for TestApp {
    fn deref_mut(&mut self) -> &mut App {
        &mut self.app
    }
}

//! Components, systems and apps that several modules of the contract tests share.

use crate::{
    log_lines::LogLines,
    player::{Age, Player, grow},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::{Reflect, TypePath};

/// An action of one float.
#[derive(Component, Reflect)]
pub struct Choice(pub f32);

/// Inserting or removing it moves a player to another table.
#[derive(Component, TypePath)]
pub struct TableTag;

/// Inserting or removing it moves a player to another archetype of the same table.
#[derive(Component)]
#[component(storage = "SparseSet")]
pub struct SparseTag;

/// Adds 1 to each [`Age`], and gives a reward of 1 for the term `step`.
pub fn grow_with_reward(mut players: Query<(&mut Age, &mut Reward)>) {
    for (mut age, mut reward) in &mut players {
        age.0 += 1.0;
        reward.add("step", 1.0);
    }
}

/// An app with `recording`, which observes [`Age`] after what it observes already, and with [`grow`].
pub fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    test
}

/// An app with `recording`, which observes [`Age`] and the reward term `step`, and with [`grow_with_reward`].
pub fn play_with_reward(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>().reward_terms(["step"]));
    test.add_systems(FixedUpdate, grow_with_reward);
    test
}

/// The [`Experience`] of an app.
pub fn experience(test: &mut TestApp) -> Mut<'_, Experience> {
    test.world_mut().resource_mut::<Experience>()
}

/// Runs `play`, and returns the log.
pub fn log(play: impl FnOnce()) -> LogLines {
    let log = LogLines::default();
    log.collect(play);
    log
}

/// Asserts that there is one warning, with all `parts`.
#[track_caller]
pub fn assert_warning(log: &LogLines, parts: &[&str]) {
    let line = log.warning();
    for part in parts {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

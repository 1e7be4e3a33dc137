//! Rewards that belong to no transition, and those that never change.

use crate::game::{
    Age, Intent, Place, STEADY, assert_healthy, assert_only, diagnose, finding, finish, press_keys, recording, reset,
    walk,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Severity, Symptom},
    prelude::*,
};

#[test]
fn rewards_of_the_tick_of_a_spawn_are_named() {
    // The walker is spawned before the first tick, and walks in it.
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (walk, finish).chain())
            .add_observer(reset);
    });
    assert_healthy(&found, "rewards from the first tick on");
    let note = finding(&found, Symptom::OrphanedRewards);
    assert!(note.cause.contains("players join at the end of a tick"), "{note:#?}");
}

#[test]
fn rewards_after_the_end_are_named() {
    // A walker rests after its end, and is rewarded all the same.
    fn rise(players: Query<(Entity, &Age)>, mut commands: Commands) {
        for (entity, _) in players.iter().filter(|(_, age)| age.0 == 10) {
            commands.trigger(BeginEpisode { entity });
        }
    }
    let rules = EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..EpisodeRules::default()
    };
    let found = diagnose(STEADY, FixedLast, recording().episodes(rules), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (walk, finish).chain())
            .add_systems(FixedUpdate, rise.after(finish))
            .add_observer(reset);
    });
    assert_healthy(&found, "rewards after the end");
    let note = finding(&found, Symptom::OrphanedRewards);
    assert!(note.cause.contains("before `EndEpisode`"), "{note:#?}");
}

/// Moves a walker, with the same reward in each tick.
fn survive<const REWARD: i8>(mut players: Query<(&Intent, &mut Place, &mut Reward, &mut Age)>) {
    for (intent, mut place, mut reward, mut age) in &mut players {
        place.x += 0.1 * intent.x;
        place.y += 0.1 * intent.y;
        reward.add("alive", f64::from(REWARD));
        age.0 += 1;
    }
}

#[test]
fn a_reward_for_each_tick_of_survival_is_a_note() {
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (survive::<1>, finish).chain())
            .add_observer(reset);
    });
    assert_healthy(&found, "survival");
    let note = finding(&found, Symptom::ConstantReward);
    assert_eq!(note.severity, Severity::Note);
    assert!(note.cause.contains("the length of an episode"), "{note:#?}");
}

#[test]
fn rewards_of_zero_are_found() {
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (survive::<0>, finish).chain())
            .add_observer(reset);
    });
    assert_only(
        &found,
        Symptom::ConstantReward,
        "nothing calls `Reward::add`",
        "rewards of zero",
    );
}

//! Rewards that belong to no transition.

use crate::game::{Age, STEADY, assert_healthy, diagnose, finding, finish, press_keys, recording, reset, walk};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Symptom, prelude::*};

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

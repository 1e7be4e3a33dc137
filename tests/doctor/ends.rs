//! Ends before the movement of the tick, resets before the end, and games without resets.

use crate::game::{
    Age, Place, Random, STEADY, Walker, assert_healthy, assert_only, diagnose, finding, finish, press_keys, problems,
    recording, reset, spawn, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Symptom, prelude::*};

#[test]
fn an_end_before_the_movement_is_found() {
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (finish, walk).chain())
            .add_observer(reset_and_rest);
    });
    assert_only(
        &found,
        Symptom::StaleFinalObservation,
        "FinalObservation::AtCapture",
        "end before movement",
    );
    let finding = finding(&found, Symptom::StaleFinalObservation);
    assert!(finding.cause.contains("Recording::capture_after(Last)"), "{finding:#?}");
    assert!(
        finding.places.iter().any(|place| place.contains("place.x")),
        "{finding:#?}"
    );
}

/// Resets the walker, which then begins where it was put.
fn reset_and_rest(ended: On<EpisodeEnded>, players: Query<(&mut Place, &mut Age)>, random: ResMut<Random>) {
    reset(ended, players, random);
}

#[test]
fn a_despawn_before_the_movement_is_found() {
    let despawn = |players: Query<(Entity, &Age)>, mut commands: Commands, mut random: ResMut<Random>| {
        for (player, age) in &players {
            if age.0 >= 50 && random.next() < 0.1 {
                commands.entity(player).despawn();
                commands.queue(|world: &mut World| {
                    spawn(world);
                });
            }
        }
    };
    let rules = || EpisodeRules {
        on_despawn: Outcome::Terminated,
        ..EpisodeRules::default()
    };
    let found = diagnose(STEADY, FixedLast, recording().episodes(rules()), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (despawn, walk).chain());
    });
    assert_only(
        &found,
        Symptom::StaleFinalObservation,
        "despawned after the movement",
        "despawn before movement",
    );
    let found = diagnose(STEADY, FixedLast, recording().episodes(rules()), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (walk, despawn).chain());
    });
    assert_healthy(&found, "despawn after movement");
}

#[test]
fn a_reset_in_the_triggering_system_is_found() {
    fn finish_and_reset(
        mut players: Query<(Entity, &mut Place, &mut Age)>,
        mut commands: Commands,
        mut random: ResMut<Random>,
    ) {
        for (player, mut place, mut age) in &mut players {
            if age.0 >= 100 {
                commands.trigger(EndEpisode::terminated(player, "goal"));
                (place.x, place.y) = (10.0 * random.signed(), 10.0 * random.signed());
                age.0 = 0;
            }
        }
    }
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (walk, finish_and_reset).chain());
    });
    assert_only(
        &found,
        Symptom::ResetTooEarly,
        "an observer of `EpisodeEnded`",
        "reset by the trigger",
    );
}

#[test]
fn a_reset_to_a_fixed_start_in_the_triggering_system_is_found() {
    fn finish_and_reset(mut players: Query<(Entity, &mut Place, &mut Age)>, mut commands: Commands) {
        for (player, mut place, mut age) in &mut players {
            if place.x.hypot(place.y) > 3.0 {
                commands.trigger(EndEpisode::terminated(player, "goal"));
                *place = Place::default();
                age.0 = 0;
            }
        }
    }
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (walk, finish_and_reset).chain());
    });
    assert_only(
        &found,
        Symptom::ResetTooEarly,
        "an observer of `EpisodeEnded`",
        "reset to the start by the trigger",
    );
}

#[test]
fn a_game_without_resets_is_healthy() {
    fn begin_anew(ended: On<EpisodeEnded>, mut players: Query<&mut Age, With<Walker>>) {
        if let Ok(mut age) = players.get_mut(ended.entity) {
            age.0 = 0;
        }
    }
    let found = diagnose(STEADY, FixedLast, recording(), |app| {
        app.add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (walk, finish).chain())
            .add_observer(begin_anew);
    });
    assert_healthy(&found, "no reset");
    assert_eq!(problems(&found), []);
}

//! Observations that are computed before the movement of the tick.

use crate::game::{
    Place, STEADY, Walker, assert_healthy, assert_only, diagnose, finding, finish, press_keys, push_stick, recording,
    reset, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Symptom, prelude::*};
use bevy_reflect::Reflect;

/// Distances from two beacons.
#[derive(Component, Reflect, Default)]
struct Beacons {
    near: f32,
    far: f32,
}

fn sense(mut players: Query<(&Place, &mut Beacons)>) {
    for (place, mut beacons) in &mut players {
        beacons.near = (place.x - 20.0).hypot(place.y + 15.0);
        beacons.far = (place.x + 30.0).hypot(place.y - 40.0);
    }
}

/// A recording with the place and the sensor, or the sensor alone.
fn with_sensor(observes_place: bool) -> Recording<Walker> {
    if observes_place {
        recording().observe::<Beacons>()
    } else {
        Recording::new("walker")
            .observe::<Beacons>()
            .act::<crate::game::Intent>()
    }
}

#[test]
fn a_sensor_before_the_movement_is_found() {
    let found = diagnose(STEADY, FixedLast, with_sensor(true), |app| {
        app.register_required_components::<Walker, Beacons>()
            .add_systems(FixedPreUpdate, push_stick)
            .add_systems(FixedUpdate, (sense, walk, finish).chain())
            .add_observer(reset);
    });
    assert_only(&found, Symptom::LateFeature, "`ExperienceSystems::Stage`", "stick");
    let places = &finding(&found, Symptom::LateFeature).places;
    assert_eq!(places, &["`beacons.near`", "`beacons.far`"], "{found:#?}");
    let found = diagnose(STEADY, FixedLast, with_sensor(true), |app| {
        app.register_required_components::<Walker, Beacons>()
            .add_systems(FixedPreUpdate, press_keys)
            .add_systems(FixedUpdate, (sense, walk, finish).chain())
            .add_observer(reset);
    });
    assert_only(&found, Symptom::LateFeature, "`ExperienceSystems::Stage`", "keys");
}

#[test]
fn sensors_without_anything_else_look_like_actions_that_lead() {
    let found = diagnose(STEADY, FixedLast, with_sensor(false), |app| {
        app.register_required_components::<Walker, Beacons>()
            .add_systems(FixedPreUpdate, push_stick)
            .add_systems(FixedUpdate, (sense, walk, finish).chain())
            .add_observer(reset);
    });
    assert_only(
        &found,
        Symptom::ActionLeads,
        "every observation is captured a tick late",
        "sensor alone",
    );
}

#[test]
fn a_sensor_after_the_movement_is_healthy() {
    for observes_place in [true, false] {
        let found = diagnose(STEADY, FixedLast, with_sensor(observes_place), |app| {
            app.register_required_components::<Walker, Beacons>()
                .add_systems(FixedPreUpdate, push_stick)
                .add_systems(FixedUpdate, (walk, sense, finish).chain())
                .add_observer(reset);
        });
        assert_healthy(&found, &format!("sensor, with the place: {observes_place}"));
    }
}

#[test]
fn a_sensor_at_the_capture_is_stale_in_an_earlier_final_observation() {
    let game = |app: &mut App| {
        app.register_required_components::<Walker, Beacons>()
            .add_systems(FixedPreUpdate, push_stick)
            .add_systems(FixedUpdate, (walk, finish).chain())
            .add_systems(ExperienceCapture, sense.in_set(ExperienceSystems::Stage))
            .add_observer(reset);
    };
    let found = diagnose(STEADY, FixedLast, with_sensor(true), game);
    assert_only(
        &found,
        Symptom::StaleFinalObservation,
        "FinalObservation::AtCapture",
        "read at the trigger",
    );
    let rules = EpisodeRules {
        final_observation: FinalObservation::AtCapture,
        ..EpisodeRules::default()
    };
    assert_healthy(
        &diagnose(STEADY, FixedLast, with_sensor(true).episodes(rules), game),
        "read at the capture",
    );
}

//! A policy plays in place of a script: it sees what is recorded, and writes the components that are recorded as the action.
//!
//! With the feature `policy_onnx`, `.onnx("fighter.onnx")` in place of `.model(…)` plays what `bevy-experience train` wrote.
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    policy::{ActionBatch, ObservationBatch},
    prelude::*,
    test_app::TestApp,
};
use bevy_reflect::Reflect;

#[derive(Component)]
struct Seeker;

#[derive(Component, Reflect)]
struct Distance(f32);

#[derive(Component, Reflect)]
enum Direction {
    Back,
    Forth,
}

/// A person or a script, which always goes back.
fn wander(mut seekers: Query<&mut Direction, Without<PolicyControlled>>) {
    seekers
        .iter_mut()
        .for_each(|mut direction| *direction = Direction::Back);
}

fn walk(mut seekers: Query<(&mut Distance, &Direction, &mut Reward)>) {
    for (mut distance, direction, mut reward) in &mut seekers {
        distance.0 += if matches!(direction, Direction::Back) {
            1.0
        } else {
            -1.0
        };
        reward.add("near", -f64::from(distance.0.abs()));
    }
}

fn main() {
    let mut app = TestApp::new();
    let recording = Recording::<Seeker>::new("seeker")
        .observe::<Distance>()
        .act::<Direction>();
    app.record(recording.policy_info().reward_terms(["near"]));
    app.add_policy(Policy::<Seeker>::for_recording("seeker").model(
        |observations: &ObservationBatch, actions: &mut ActionBatch| {
            for player in 0..observations.len() {
                actions.choose(player, 0, 0, usize::from(observations.features(player)[0] > 0.0));
            }
            Ok(())
        },
    ));
    app.add_systems(FixedUpdate, (wander, walk).chain());
    let seeker = app.world_mut().spawn((Seeker, Distance(3.0), Direction::Back)).id();
    app.ticks(5);
    app.world_mut().entity_mut(seeker).insert(PolicyControlled::default());
    app.ticks(12);
    for transition in app.finish()[0].transitions() {
        let version = transition.after().info("policy_version");
        println!("distance {:?}, policy {version:?}", transition.observation());
    }
}

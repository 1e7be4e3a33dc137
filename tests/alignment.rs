//! Contract, rule 1: what came of which action, seen in which observation.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};

#[derive(Component)]
struct Walker;

#[derive(Component)]
struct Place(f32);

/// How far to go in the coming tick.
#[derive(Component)]
struct Step(f32);

fn walk(mut walkers: Query<(&mut Place, &Step, &mut Reward)>) {
    for (mut place, step, mut reward) in &mut walkers {
        place.0 += step.0;
        reward.add("distance", f64::from(10.0 * step.0));
    }
}

/// The bot decides before the world moves: one unit further each tick.
fn decide(mut walkers: Query<&mut Step>) {
    for mut step in &mut walkers {
        step.0 += 1.0;
    }
}

fn recording() -> Recording<Walker> {
    Recording::new("walker")
        .observe_with::<Place>(["place"], |place, out| out[0] = place.0)
        .act_with::<Step>(["step"], |step, out| out[0] = step.0)
        .reward_terms(["distance"])
}

#[test]
fn reward_and_action_stand_beside_the_observation_they_came_of() {
    let mut test = TestApp::new();
    test.record(recording());
    test.add_systems(FixedPreUpdate, decide).add_systems(FixedUpdate, walk);
    test.world_mut().spawn((Walker, Place(0.0), Step(0.0)));
    // Capture 0 sees 1. Then steps of 2, 3, 4 lead to 3, 6, 10.
    test.ticks(4);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    let episode = &episodes[0];
    assert_eq!(episode.len(), 3);
    let lived: Vec<_> = episode
        .transitions()
        .map(|transition| {
            (
                transition.observation()[0],
                transition.action().next().unwrap(),
                transition.reward(),
                transition.next_observation()[0],
            )
        })
        .collect();
    assert_eq!(
        lived,
        [(1.0, 2.0, 20.0, 3.0), (3.0, 3.0, 30.0, 6.0), (6.0, 4.0, 40.0, 10.0)]
    );
    assert_eq!(episode.reason(), &EndReason::SHUTDOWN);
    assert!(episode.transition(2).truncated());
}

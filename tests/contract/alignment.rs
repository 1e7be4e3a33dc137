//! Contract, rule 1 (alignment): rewards, masks and info belong to the observation and the action of their transition.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp, transition::Episode};
use bevy_reflect::Reflect;

#[derive(Component)]
struct Walker;

#[derive(Component, Reflect)]
struct Place(f32);

/// The action: the displacement of the next tick.
#[derive(Component, Reflect)]
struct Stride(f32);

/// The action mask of the current place: a short stride, a long stride.
#[derive(Component, Reflect)]
struct Allowed([bool; 2]);

/// Info columns of the policy that chose the action.
#[derive(Component, Reflect)]
struct PolicyInfo {
    behavior_logp: f32,
    policy_version: i64,
}

fn walk(mut walkers: Query<(&mut Place, &Stride, &mut Reward)>) {
    for (mut place, stride, mut reward) in &mut walkers {
        place.0 += stride.0;
        reward.add("distance", f64::from(10.0 * stride.0));
    }
}

/// The policy. Runs before the world moves, and lengthens the stride by 1 each tick.
fn decide(mut walkers: Query<&mut Stride>) {
    for mut stride in &mut walkers {
        stride.0 += 1.0;
    }
}

fn recording() -> Recording<Walker> {
    Recording::new("walker")
        .observe::<Place>()
        .act::<Stride>()
        .reward_terms(["distance"])
}

/// (observation, action, reward, next observation) of each transition.
fn steps(episode: &Episode) -> Vec<(f32, f64, f64, f32)> {
    episode
        .transitions()
        .map(|transition| {
            (
                transition.observation()[0],
                transition.action().next().unwrap(),
                transition.reward(),
                transition.next_observation()[0],
            )
        })
        .collect()
}

/// Capture 0 reads place 1. Strides of 2, 3 and 4 then lead to 3, 6 and 10.
const EXPECTED: [(f32, f64, f64, f32); 3] = [(1.0, 2.0, 20.0, 3.0), (3.0, 3.0, 30.0, 6.0), (6.0, 4.0, 40.0, 10.0)];

#[test]
fn reward_and_action_belong_to_the_observation_they_were_taken_in() {
    let mut test = TestApp::new();
    test.record(recording());
    test.add_systems(FixedPreUpdate, decide).add_systems(FixedUpdate, walk);
    test.world_mut().spawn((Walker, Place(0.0), Stride(0.0)));
    test.ticks(4);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    assert_eq!(steps(&episodes[0]), EXPECTED);
    assert_eq!(episodes[0].row(3).reward_terms(), [40.0]);
}

#[test]
fn an_episode_of_t_transitions_has_t_plus_one_observations() {
    let mut test = TestApp::new();
    test.record(recording());
    test.add_systems(FixedPreUpdate, decide).add_systems(FixedUpdate, walk);
    test.world_mut().spawn((Walker, Place(0.0), Stride(0.0)));
    test.ticks(4);
    let episode = &test.finish()[0];
    assert_eq!(episode.len(), 3);
    let places: Vec<_> = (0..=episode.len())
        .map(|index| episode.row(index).observation()[0])
        .collect();
    assert_eq!(places, [1.0, 3.0, 6.0, 10.0]);
    for pair in 1..episode.len() {
        assert_eq!(
            episode.transition(pair - 1).next_observation(),
            episode.transition(pair).observation()
        );
    }
}

#[test]
fn an_action_cleared_on_use_is_read_after_the_policy_schedule() {
    fn walk_and_clear(mut walkers: Query<(&mut Place, &mut Stride, &mut Reward)>, mut next: Local<f32>) {
        for (mut place, mut stride, mut reward) in &mut walkers {
            place.0 += stride.0;
            reward.add("distance", f64::from(10.0 * stride.0));
            *next = core::mem::take(&mut stride.0);
        }
    }
    fn decide_from_memory(mut walkers: Query<&mut Stride>, mut next: Local<f32>) {
        *next += 1.0;
        for mut stride in &mut walkers {
            stride.0 = *next;
        }
    }
    let play = |recording: Recording<Walker>| {
        let mut test = TestApp::new();
        test.record(recording);
        test.add_systems(FixedPreUpdate, decide_from_memory)
            .add_systems(FixedUpdate, walk_and_clear);
        test.world_mut().spawn((Walker, Place(0.0), Stride(0.0)));
        test.ticks(4);
        steps(&test.finish()[0])
    };
    assert_eq!(play(recording().read_actions_after(FixedPreUpdate)), EXPECTED);
    assert_eq!(play(recording()), EXPECTED, "chosen by the access of the systems");
    // At capture the action is cleared already.
    let late = play(recording().read_actions_after(FixedLast));
    assert!(late.iter().all(|&(_, action, _, _)| action == 0.0));
}

#[test]
fn an_action_overwritten_before_capture_is_read_after_the_policy_schedule() {
    let play = |recording: Recording<Walker>| {
        let mut test = TestApp::new();
        test.record(recording);
        // The action of the next tick is written right after the world moved.
        test.add_systems(FixedUpdate, (walk, decide).chain());
        test.world_mut().spawn((Walker, Place(0.0), Stride(1.0)));
        test.ticks(4);
        steps(&test.finish()[0])
    };
    assert_eq!(play(recording().read_actions_after(FixedPreUpdate)), EXPECTED);
    assert_eq!(play(recording()), EXPECTED, "chosen by the access of the systems");
    let late = play(recording().read_actions_after(FixedLast));
    let late: Vec<_> = late.iter().map(|step| step.1).collect();
    assert_eq!(
        late,
        [3.0, 4.0, 5.0],
        "read at capture, each action is that of the next tick"
    );
}

#[test]
fn a_mask_belongs_to_the_observation_and_info_to_the_action() {
    let mut test = TestApp::new();
    test.record(recording().action_mask::<Allowed>().info::<PolicyInfo>());
    fn update_info(mut walkers: Query<(&mut PolicyInfo, &Stride)>) {
        for (mut info, stride) in &mut walkers {
            info.behavior_logp = -stride.0;
            info.policy_version += 1;
        }
    }
    fn update_mask(mut walkers: Query<(&mut Allowed, &Place)>) {
        for (mut allowed, place) in &mut walkers {
            allowed.0 = [true, place.0 > 4.0];
        }
    }
    test.add_systems(FixedPreUpdate, (decide, update_info).chain())
        .add_systems(FixedUpdate, (walk, update_mask).chain());
    test.world_mut().spawn((
        Walker,
        Place(0.0),
        Stride(0.0),
        Allowed([true, false]),
        PolicyInfo {
            behavior_logp: 0.0,
            policy_version: 6,
        },
    ));
    test.ticks(4);
    let episode = &test.finish()[0];
    // Places 1, 3, 6, 10: four observations, four masks.
    let masks: Vec<_> = (0..=3).map(|row| episode.row(row).allows(1)).collect();
    assert_eq!(masks, [false, false, true, true]);
    for transition in episode.transitions() {
        let action = transition.action().next().unwrap();
        assert_eq!(transition.after().info("behavior_logp"), Some(vec![-action]));
        let version = 8.0 + transition.step() as f64;
        assert_eq!(transition.after().info("policy_version"), Some(vec![version]));
    }
}

//! Contract, rule 2 (timing): the tick that a transition belongs to, and its duration.

use crate::{
    player::{Age, Player},
    support::Choice,
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{plugin::ExperienceTick, prelude::*, test_app::TestApp, transition::Transition};

fn grow(mut players: Query<(&mut Age, &mut Choice)>) {
    for (mut age, mut choice) in &mut players {
        age.0 += 1.0;
        choice.0 = age.0 * 100.0;
    }
}

fn recording() -> Recording<Player> {
    Recording::new("player").observe::<Age>().act::<Choice>()
}

fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording);
    test.add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0), Choice(0.0)));
    test
}

#[test]
fn a_frame_with_0_1_or_3_fixed_ticks_has_as_many_captures() {
    let mut test = play(recording());
    for (ticks, captures) in [(1, 1), (0, 1), (3, 4), (0, 4), (1, 5)] {
        test.frame(ticks);
        assert_eq!(test.world().resource::<Experience>().tick("player"), Some(captures));
    }
    let episode = &test.finish()[0];
    assert_eq!(episode.len(), 4);
    for transition in episode.transitions() {
        assert_eq!(transition.ticks(), 1);
        assert_eq!(transition.tick(), transition.step() as i64);
        assert_eq!(transition.observation()[0], transition.step() as f32 + 1.0);
    }
}

#[test]
fn rewards_given_in_update_count_to_the_next_capture() {
    fn give_reward(mut players: Query<&mut Reward>) {
        for mut reward in &mut players {
            reward.add("frame", 1.0);
        }
    }
    let mut test = play(recording().reward_terms(["frame"]));
    test.add_systems(Update, give_reward);
    // Updates run after the fixed ticks of their frame.
    for ticks in [1, 1, 0, 0, 1, 2] {
        test.frame(ticks);
    }
    let rewards: Vec<_> = test.finish()[0].transitions().map(Transition::reward).collect();
    assert_eq!(rewards, [1.0, 3.0, 1.0, 0.0]);
}

#[test]
fn reward_after_the_last_capture_is_kept_when_the_app_exits() {
    fn give_reward(mut players: Query<&mut Reward>) {
        for mut reward in &mut players {
            reward.add("frame", 1.0);
        }
    }
    let mut test = play(recording());
    test.add_systems(Update, give_reward);
    test.ticks(3);
    test.world_mut().write_message(AppExit::Success);
    test.frame(0);
    let total: f64 = test.finish()[0].transitions().map(Transition::reward).sum();
    assert_eq!(total, 4.0, "two before captures, two after the last one");
}

#[test]
fn a_decision_interval_takes_the_first_ticks_action_and_sums_rewards() {
    fn give_reward(mut players: Query<(&Age, &mut Reward)>) {
        for (age, mut reward) in &mut players {
            reward.add("age", f64::from(age.0));
        }
    }
    let play = |recording| {
        let mut test = play(recording);
        test.add_systems(FixedUpdate, give_reward.after(grow));
        test.ticks(7);
        let episode = test.finish().remove(0);
        episode
            .transitions()
            .map(|t| {
                (
                    t.observation()[0],
                    t.action().next().unwrap(),
                    t.reward(),
                    t.ticks(),
                    t.next_observation()[0],
                )
            })
            .collect::<Vec<_>>()
    };
    // Capture 0 reads age 1. Decisions cover ages 2–4 and 5–7.
    assert_eq!(
        play(recording().decision_interval(3)),
        [(1.0, 200.0, 9.0, 3, 4.0), (4.0, 500.0, 18.0, 3, 7.0)]
    );
    assert_eq!(
        play(recording().decision_interval(3).decision_tick(DecisionTick::Last)),
        [(1.0, 400.0, 9.0, 3, 4.0), (4.0, 700.0, 18.0, 3, 7.0)]
    );
}

#[test]
fn an_end_within_a_decision_interval_shortens_the_transition() {
    let mut test = play(recording().decision_interval(4));
    let player = test
        .world_mut()
        .query_filtered::<Entity, With<Player>>()
        .single(test.world())
        .unwrap();
    test.ticks(6);
    fn end(mut commands: Commands, players: Query<(Entity, &Age)>) {
        for (player, age) in &players {
            if age.0 == 7.0 {
                commands.trigger(EndEpisode::terminated(player, "goal"));
            }
        }
    }
    test.add_systems(FixedUpdate, end.after(grow));
    test.ticks(2);
    assert!(test.world().get_entity(player).is_ok());
    let episodes = test.finish();
    let steps: Vec<_> = episodes[0]
        .transitions()
        .map(|t| (t.ticks(), t.action().next().unwrap()))
        .collect();
    assert_eq!(steps, [(4, 200.0), (2, 600.0)]);
    assert!(episodes[0].transition(1).terminated());
}

#[test]
fn an_end_between_ticks_keeps_the_action_that_led_to_it() {
    let mut test = TestApp::new();
    test.record(
        recording()
            .decision_interval(4)
            .decision_tick(DecisionTick::Last)
            .read_actions_after(FixedPreUpdate),
    );
    test.add_systems(FixedUpdate, grow);
    let player = test.world_mut().spawn((Player, Age(0.0), Choice(0.0))).id();
    test.ticks(3);
    // Two ticks of an interval. The action of the second was written at age 2.
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
    test.ticks(2);
    let episodes = test.finish();
    let steps: Vec<_> = episodes[0]
        .transitions()
        .map(|t| (t.ticks(), t.action().next().unwrap(), t.next_observation()[0]))
        .collect();
    assert_eq!(steps, [(2, 200.0, 3.0)]);
}

#[test]
fn timestamps_are_seconds_of_game_time() {
    let mut test = play(recording());
    test.ticks(5);
    let episode = &test.finish()[0];
    for transition in episode.transitions() {
        let seconds = transition.tick() as f64 / 64.0;
        assert!((transition.timestamp() - seconds).abs() < 1e-6);
    }
}

#[test]
fn capture_can_follow_a_per_frame_schedule() {
    let mut test = TestApp::new();
    test.record(recording().capture_after(Last));
    test.add_systems(Update, grow);
    test.world_mut().spawn((Player, Age(0.0), Choice(0.0)));
    for ticks in [0, 2, 0, 1] {
        test.frame(ticks);
    }
    let episode = &test.finish()[0];
    let observations: Vec<_> = episode.transitions().map(|t| t.observation()[0]).collect();
    assert_eq!(observations, [1.0, 2.0, 3.0]);
}

#[test]
fn actions_can_be_read_after_a_per_frame_schedule() {
    fn choose(mut players: Query<&mut Choice>, mut count: Local<f32>) {
        *count += 1.0;
        for mut choice in &mut players {
            choice.0 = *count;
        }
    }
    let mut test = TestApp::new();
    test.record(recording().read_actions_after(PreUpdate));
    test.add_systems(PreUpdate, choose).add_systems(FixedUpdate, grow);
    test.world_mut().spawn((Player, Age(0.0), Choice(0.0)));
    test.ticks(4);
    let actions: Vec<_> = test.finish()[0]
        .transitions()
        .map(|t| t.action().next().unwrap())
        .collect();
    // `grow` overwrites the action after it was read.
    assert_eq!(actions, [2.0, 3.0, 4.0]);
}

#[test]
fn a_game_that_runs_captures_itself_ends_episodes_at_the_true_final_observation() {
    #[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Simulation;
    fn end(mut commands: Commands, players: Query<(Entity, &Age)>) {
        for (player, age) in &players {
            if age.0 == 4.0 {
                commands.trigger(EndEpisode::terminated(player, "goal"));
            }
        }
    }
    for runs_ticks in [false, true] {
        let mut test = TestApp::new();
        test.record(recording().capture_after(Simulation));
        test.add_systems(Simulation, (grow, end).chain());
        let player = test.world_mut().spawn((Player, Age(0.0), Choice(0.0))).id();
        for _ in 0..6 {
            if runs_ticks {
                test.world_mut().run_schedule(ExperienceTick);
            }
            test.world_mut().run_schedule(Simulation);
            test.world_mut().run_schedule(ExperienceCapture);
        }
        if runs_ticks {
            // Between two ticks: no tick led to it.
            test.world_mut().trigger(EndEpisode::terminated(player, "late"));
        }
        let timing = test.world().resource::<Experience>().tick("player");
        assert_eq!(timing, Some(6));
        let episodes = test.finish();
        let last = episodes[0].transitions().last().unwrap();
        assert_eq!(
            (episodes[0].len(), last.next_observation()[0]),
            (3, 4.0),
            "{runs_ticks}"
        );
        assert!(last.terminated());
        assert_eq!(episodes[1].len(), 2);
        assert_eq!(episodes[1].transition(1).terminated(), runs_ticks);
    }
}

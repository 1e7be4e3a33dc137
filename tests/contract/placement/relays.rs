//! Games in which the action reaches what is observed through other systems, and not the systems that read it first.

use super::games::{Expected, GameLog, Intent, Position, Step, Walker, app, assert_every_row, close, nth_input, run};
use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{
    episode::DecisionTick,
    prelude::*,
    transition::{Episode, Transition},
};

/// What a walker does in its next step.
#[derive(Component, Default)]
struct Wanted(f32);

/// Evaluates the input, as an input manager does.
fn evaluate(mut walkers: Query<&mut Intent>, mut count: Local<u32>) {
    for mut intent in &mut walkers {
        *count += 1;
        intent.step = nth_input(*count);
    }
}

#[derive(Event)]
struct Started;

/// Triggers the events of the input, as an input manager does.
fn trigger(walkers: Query<&Intent>, mut commands: Commands) {
    for _ in walkers.iter().filter(|intent| intent.step > 1.0) {
        commands.trigger(Started);
    }
}

/// Reads the action of the input manager.
fn read(mut walkers: Query<(&Intent, &mut Wanted)>) {
    for (intent, mut wanted) in &mut walkers {
        wanted.0 = intent.step;
    }
}

/// Moves by what was read.
fn walk_as_wanted(
    mut walkers: Query<(Entity, &Wanted, &mut Position, &mut Reward)>,
    mut log: ResMut<GameLog>,
    mut commands: Commands,
) {
    for (walker, wanted, mut position, mut reward) in &mut walkers {
        let step = log.step(position.0, wanted.0);
        position.0 = step.after;
        reward.add("step", step.reward);
        if step.ends {
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

fn expected(capture: impl ScheduleLabel, read: impl ScheduleLabel) -> Expected {
    Expected {
        capture: capture.intern(),
        read: Some(read.intern()),
    }
}

#[test]
fn an_input_manager_whose_events_are_triggered_before_the_game_reads() {
    assert_every_row("manager in frames", &expected(FixedLast, Update), |app| {
        app.register_required_components::<Walker, Wanted>()
            .add_systems(PreUpdate, (evaluate, trigger).chain())
            .add_systems(Update, read)
            .add_systems(FixedUpdate, walk_as_wanted);
    });
}

#[test]
fn an_input_manager_whose_events_are_triggered_in_the_loop_of_the_movement() {
    assert_every_row("events in ticks", &expected(FixedLast, Update), |app| {
        app.register_required_components::<Walker, Wanted>()
            .add_systems(PreUpdate, evaluate)
            .add_systems(Update, read)
            .add_systems(FixedUpdate, walk_as_wanted)
            .add_systems(FixedPostUpdate, trigger);
    });
}

#[test]
fn an_input_manager_in_ticks_whose_action_the_game_corrects() {
    fn correct(mut walkers: Query<&mut Intent>) {
        for mut intent in &mut walkers {
            intent.step += 1.0;
        }
    }
    fn clear(mut walkers: Query<&mut Intent>) {
        for mut intent in &mut walkers {
            intent.step = 0.0;
        }
    }
    assert_every_row("manager in ticks", &expected(FixedLast, FixedUpdate), |app| {
        app.register_required_components::<Walker, Wanted>()
            .add_systems(FixedPreUpdate, (evaluate, trigger).chain())
            .add_systems(FixedUpdate, (correct, read).chain())
            .add_systems(FixedPostUpdate, (walk_as_wanted, clear).chain());
    });
}

#[test]
fn a_system_that_could_write_in_the_loop_in_which_the_action_is_read() {
    fn wake(mut walkers: Query<&mut Position>, asleep: Local<bool>) {
        for mut position in &mut walkers {
            if *asleep {
                position.0 = 0.0;
            }
        }
    }
    assert_every_row("mixture", &expected(FixedLast, Update), |app| {
        app.register_required_components::<Walker, Wanted>()
            .add_systems(PreUpdate, (evaluate, trigger).chain())
            .add_systems(Update, (read, wake).chain())
            .add_systems(FixedUpdate, walk_as_wanted);
    });
}

#[test]
fn an_intent_that_is_taken_for_the_physics() {
    fn take(mut walkers: Query<(&mut Intent, &mut Wanted)>) {
        for (mut intent, mut wanted) in &mut walkers {
            wanted.0 = core::mem::take(&mut intent.step);
        }
    }
    assert_every_row("taken for the physics", &expected(FixedLast, FixedPreUpdate), |app| {
        app.register_required_components::<Walker, Wanted>()
            .add_systems(Update, evaluate)
            .add_systems(FixedUpdate, take)
            .add_systems(FixedPostUpdate, walk_as_wanted);
    });
}

/// The rows and the steps of a game that reads its action in one loop and moves in the other, with frames of `hertz` a second.
fn play(recording: Recording<Walker>, hertz: u32, (read_in, walk_in): Loops, build: impl Fn(&mut App)) -> Played {
    let sink = MemorySink::default();
    let mut app = app();
    app.add_recording(recording.observe::<Position>().act::<Intent>().sink(sink.clone()))
        .register_required_components::<Walker, Wanted>()
        .add_systems(
            if read_in == Update.intern() {
                PreUpdate.intern()
            } else {
                FixedPreUpdate.intern()
            },
            evaluate,
        )
        .add_systems(read_in, read)
        .add_systems(walk_in, walk_as_wanted)
        .add_observer(|ended: On<EpisodeEnded>, mut walkers: Query<&mut Position>| {
            // Every step begins at another position.
            if let Ok(mut position) = walkers.get_mut(ended.entity) {
                position.0 += 1000.0;
            }
        });
    build(&mut app);
    run(&mut app, hertz, 300);
    close(&mut app);
    let episodes = sink.episodes();
    let rows = episodes.iter().flat_map(Episode::transitions);
    // An episode that ends before the step of its last tick ends where that tick began.
    let is_step = |transition: &Transition<'_>| {
        !(transition.terminated() || transition.truncated())
            || transition.observation() != transition.next_observation()
    };
    let rows = rows.filter(is_step).map(|transition| {
        let action = transition.action().next().unwrap() as f32;
        (transition.observation()[0], action, transition.next_observation()[0])
    });
    Played {
        rows: rows.collect(),
        log: app.world().resource::<GameLog>().0.clone(),
    }
}

/// The schedule in which the action is read, and that of the movement.
type Loops = (InternedScheduleLabel, InternedScheduleLabel);

struct Played {
    /// Position, action and next position.
    rows: Vec<(f32, f32, f32)>,
    log: Vec<Step>,
}

impl Played {
    /// Asserts that each row is made of `ticks` steps, and has the action of one of them.
    fn assert_rows(&self, case: &str, ticks: usize, acting: usize) {
        let expected = self.log.len() / ticks;
        let count = self.rows.len();
        assert!(
            count * 10 > expected * 7,
            "{case}: {count} rows of {expected} decisions"
        );
        for row in &self.rows {
            let is_row = |first: usize| {
                let decision = &self.log[first..self.log.len().min(first + ticks)];
                // An episode can end before its last decision is complete.
                let last = decision.iter().position(|step| step.after == row.2);
                decision[0].before == row.0 && last.is_some_and(|last| decision[acting.min(last)].action == row.1)
            };
            assert!((0..self.log.len()).any(is_row), "{case}: no steps are {row:?}");
        }
    }
}

fn loops() -> [Loops; 2] {
    [
        (Update.intern(), FixedUpdate.intern()),
        (FixedUpdate.intern(), Update.intern()),
    ]
}

fn spawn_walker(world: &mut World, position: f32) {
    world.spawn((Walker, Position(position), Intent { step: 0.0 }));
}

#[test]
fn the_first_row_of_each_player_has_its_action() {
    for loops in loops() {
        for hertz in [20, 30, 60, 144] {
            let played = play(Recording::new("walker"), hertz, loops, |app| {
                spawn_walker(app.world_mut(), 0.0);
                // Another walker takes over, at different moments of a frame.
                for (schedule, period) in [
                    (Update.intern(), 23),
                    (FixedUpdate.intern(), 71),
                    (PostUpdate.intern(), 31),
                ] {
                    let mut count = 0;
                    app.add_systems(
                        schedule,
                        move |walkers: Query<(Entity, &Position), With<Walker>>, mut commands: Commands| {
                            count += 1;
                            if count % period == 0 {
                                for (walker, position) in &walkers {
                                    let position = position.0 + 1000.0;
                                    commands.entity(walker).despawn();
                                    commands.queue(move |world: &mut World| spawn_walker(world, position));
                                }
                            }
                        },
                    );
                }
            });
            played.assert_rows(&format!("{loops:?} at {hertz} Hz"), 1, 0);
        }
    }
}

#[test]
fn the_first_row_of_each_episode_has_its_action() {
    for loops in loops() {
        for hertz in [20, 30, 60, 144] {
            let played = play(Recording::new("walker"), hertz, loops, |app| {
                spawn_walker(app.world_mut(), 0.0);
                for (schedule, period) in [
                    (Update.intern(), 11),
                    (FixedUpdate.intern(), 17),
                    (PreUpdate.intern(), 23),
                ] {
                    let mut count = 0;
                    app.add_systems(
                        schedule,
                        move |walkers: Query<Entity, With<Walker>>, mut commands: Commands| {
                            count += 1;
                            if count % period == 0 {
                                for walker in &walkers {
                                    commands.trigger(EndEpisode::truncated(walker, "time"));
                                }
                            }
                        },
                    );
                }
            });
            played.assert_rows(&format!("{loops:?} at {hertz} Hz"), 1, 0);
        }
    }
}

#[test]
fn each_decision_has_the_action_of_its_tick() {
    for loops in loops() {
        for hertz in [20, 30, 60, 144] {
            for (decision_tick, acting) in [(DecisionTick::First, 0), (DecisionTick::Last, 2)] {
                let recording = Recording::new("walker")
                    .decision_interval(3)
                    .decision_tick(decision_tick);
                let played = play(recording, hertz, loops, |app| spawn_walker(app.world_mut(), 0.0));
                played.assert_rows(&format!("{loops:?} at {hertz} Hz, {decision_tick:?}"), 3, acting);
            }
        }
    }
}

//! Games that move in one of the loops, in different ways.

use super::games::{
    Expected, GameLog, Intent, Position, Walker, app, assert_every_row, close, input, nth_input, recording, rows, run,
    timing, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::prelude::*;

/// Captured at the end of a fixed tick, and the action read there.
fn fixed() -> Expected {
    Expected {
        capture: FixedLast.intern(),
        read: None,
    }
}

/// Captured at the end of a frame, and the action read there.
fn frame() -> Expected {
    Expected {
        capture: Last.intern(),
        read: None,
    }
}

#[test]
fn everything_in_update() {
    assert_every_row("update", &frame(), |app| {
        app.add_systems(Update, (input, walk).chain());
    });
}

#[test]
fn input_before_update() {
    assert_every_row("pre-update", &frame(), |app| {
        app.add_systems(PreUpdate, input).add_systems(Update, walk);
    });
}

#[test]
fn movement_after_update() {
    assert_every_row("post-update", &frame(), |app| {
        app.add_systems(Update, input).add_systems(PostUpdate, walk);
    });
}

#[test]
fn everything_in_fixed_update() {
    assert_every_row("fixed update", &fixed(), |app| {
        app.add_systems(FixedUpdate, (input, walk).chain());
    });
}

#[test]
fn input_in_update_and_movement_in_fixed_update() {
    assert_every_row("input in update", &fixed(), |app| {
        app.add_systems(Update, input).add_systems(FixedUpdate, walk);
    });
}

#[test]
fn physics_after_the_fixed_update() {
    #[derive(Component, Default)]
    struct Velocity(f32);
    fn accelerate(mut walkers: Query<(&Intent, &mut Velocity)>) {
        for (intent, mut velocity) in &mut walkers {
            velocity.0 = intent.step;
        }
    }
    fn integrate(
        mut walkers: Query<(Entity, &Velocity, &mut Position, &mut Reward)>,
        mut log: ResMut<GameLog>,
        mut commands: Commands,
    ) {
        for (walker, velocity, mut position, mut reward) in &mut walkers {
            let step = log.step(position.0, velocity.0);
            position.0 = step.after;
            reward.add("step", step.reward);
            if step.ends {
                commands.trigger(EndEpisode::terminated(walker, "goal"));
            }
        }
    }
    assert_every_row("physics", &fixed(), |app| {
        app.register_required_components::<Walker, Velocity>()
            .add_systems(Update, input)
            .add_systems(FixedUpdate, accelerate)
            .add_systems(FixedPostUpdate, integrate);
    });
}

#[test]
fn input_that_is_accumulated_before_the_fixed_ticks() {
    /// Writes the intent, and could write what is observed.
    fn accumulate(mut walkers: Query<(&mut Intent, &mut Position)>, mut count: Local<u32>) {
        for (mut intent, mut position) in &mut walkers {
            *count += 1;
            intent.step = nth_input(*count);
            if !position.0.is_finite() {
                position.0 = 0.0;
            }
        }
    }
    fn interpolate(mut walkers: Query<&mut Position>) {
        for mut position in &mut walkers {
            position.bypass_change_detection();
        }
    }
    assert_every_row("accumulated input", &fixed(), |app| {
        app.add_systems(FixedUpdate, walk).add_systems(
            RunFixedMainLoop,
            (
                accumulate.in_set(RunFixedMainLoopSystems::BeforeFixedMainLoop),
                interpolate.in_set(RunFixedMainLoopSystems::AfterFixedMainLoop),
            ),
        );
    });
}

/// Consumes the intent with access to the whole world.
fn walk_exclusively(world: &mut World) {
    let mut walkers = world.query::<(Entity, &Intent, &Position)>();
    let walkers: Vec<_> = walkers
        .iter(world)
        .map(|(walker, intent, position)| (walker, *intent, *position))
        .collect();
    for (walker, intent, position) in walkers {
        let step = world.resource_mut::<GameLog>().step(position.0, intent.step);
        world.get_mut::<Position>(walker).unwrap().0 = step.after;
        world.get_mut::<Reward>(walker).unwrap().add("step", step.reward);
        if step.ends {
            world.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

#[test]
fn exclusive_movement_in_update() {
    assert_every_row("exclusive in update", &frame(), |app| {
        app.add_systems(PreUpdate, input).add_systems(Update, walk_exclusively);
    });
}

#[test]
fn exclusive_movement_in_fixed_update() {
    assert_every_row("exclusive in fixed update", &fixed(), |app| {
        app.add_systems(FixedPreUpdate, input)
            .add_systems(FixedUpdate, walk_exclusively);
    });
}

/// Consumes the intent, and moves by commands.
fn walk_by_commands(
    mut walkers: Query<(Entity, &Intent, &Position, &mut Reward)>,
    mut log: ResMut<GameLog>,
    mut commands: Commands,
) {
    for (walker, intent, position, mut reward) in &mut walkers {
        let step = log.step(position.0, intent.step);
        commands.entity(walker).insert(Position(step.after));
        reward.add("step", step.reward);
        if step.ends {
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

#[test]
fn movement_by_commands_in_update() {
    assert_every_row("commands in update", &frame(), |app| {
        app.add_systems(Update, (input, walk_by_commands).chain());
    });
}

#[test]
fn movement_by_commands_in_fixed_update() {
    assert_every_row("commands in fixed update", &fixed(), |app| {
        app.add_systems(FixedUpdate, (input, walk_by_commands).chain());
    });
}

/// Bullets move in the other loop, with the same component.
#[derive(Component)]
struct Bullet;

fn move_bullets(mut bullets: Query<&mut Position, With<Bullet>>) {
    for mut position in &mut bullets {
        position.0 += 100.0;
    }
}

fn move_all_but_walkers(mut others: Query<&mut Position, Without<Walker>>) {
    for mut position in &mut others {
        position.0 += 1.0;
    }
}

#[test]
fn bullets_in_fixed_update() {
    assert_every_row("bullets in fixed update", &frame(), |app| {
        app.world_mut().spawn((Bullet, Position(0.0)));
        app.add_systems(Update, (input, walk).chain())
            .add_systems(FixedUpdate, (move_bullets, move_all_but_walkers).chain());
    });
}

#[test]
fn bullets_in_update() {
    assert_every_row("bullets in update", &fixed(), |app| {
        app.world_mut().spawn((Bullet, Position(0.0)));
        app.add_systems(FixedUpdate, (input, walk).chain())
            .add_systems(Update, (move_bullets, move_all_but_walkers).chain());
    });
}

#[test]
fn a_system_that_could_write_but_does_not_is_outweighed_by_what_reads_the_action() {
    fn wake(mut walkers: Query<&mut Position>, asleep: Local<bool>) {
        for mut position in &mut walkers {
            if *asleep {
                position.0 = 0.0;
            }
        }
    }
    assert_every_row("mixture", &frame(), |app| {
        app.add_systems(Update, (input, walk).chain())
            .add_systems(FixedUpdate, wake);
    });
    assert_every_row("mixture", &fixed(), |app| {
        app.add_systems(FixedUpdate, (input, walk).chain())
            .add_systems(Update, wake);
    });
}

#[test]
fn movement_by_an_observer() {
    #[derive(Event)]
    struct Walk;
    fn on_walk(
        _: On<Walk>,
        walkers: Query<(Entity, &Intent, &mut Position, &mut Reward)>,
        log: ResMut<GameLog>,
        commands: Commands,
    ) {
        walk(walkers, log, commands);
    }
    fn call(mut commands: Commands) {
        commands.trigger(Walk);
    }
    assert_every_row("observer in update", &frame(), |app| {
        app.add_observer(on_walk)
            .add_systems(PreUpdate, input)
            .add_systems(Update, call);
    });
    assert_every_row("observer in fixed update", &fixed(), |app| {
        app.add_observer(on_walk)
            .add_systems(FixedPreUpdate, input)
            .add_systems(FixedUpdate, call);
    });
}

#[test]
fn a_choice_that_no_system_supports_follows_the_first_changes() {
    let sink = MemorySink::default();
    let mut app = app();
    app.add_recording(recording().sink(sink.clone()))
        .add_systems(PreUpdate, input)
        .add_systems(
            Update,
            // Waits for the start of the match.
            walk_exclusively.run_if(|mut frame: Local<u32>| {
                *frame += 1;
                *frame > 30
            }),
        );
    app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
    run(&mut app, 64, 25);
    assert_eq!(timing(&app).capture_after, FixedLast.intern());
    run(&mut app, 64, 200);
    assert_eq!(timing(&app).capture_after, Last.intern());
    close(&mut app);
    let rows = rows(&sink);
    let log = &app.world().resource::<GameLog>().0;
    assert!(rows.len() + 4 > log.len(), "{} rows of {} steps", rows.len(), log.len());
    assert_eq!(rows, log[log.len() - rows.len()..]);
    let report = app.world().resource::<Experience>().reports("walker").remove(0);
    assert!(
        report.discarded > 20,
        "the rows in which nothing moved: {}",
        report.discarded
    );
}

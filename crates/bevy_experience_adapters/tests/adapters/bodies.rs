//! avian: every row has the body as it is after the steps of the physics, in two and three dimensions.

use crate::log_lines::LogLines;
use bevy_app::prelude::*;
use bevy_diagnostic::FrameCountPlugin;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{prelude::*, transition::Episode};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use bevy_transform::{TransformPlugin, components::Transform};
use core::time::Duration;

/// The action: the acceleration to the right and up.
#[derive(Component, Reflect, Clone, Copy, PartialEq, Debug, Default)]
#[require(BodyLog)]
pub struct Push([f32; 2]);

/// What was done in each step, and the body after it.
#[derive(Component, Default, Clone)]
struct BodyLog {
    pushes: Vec<Push>,
    bodies: Vec<Vec<f32>>,
}

fn decide(mut pushes: Query<&mut Push>, mut count: Local<u32>) {
    *count += 1;
    for mut push in &mut pushes {
        push.0 = [(*count % 7) as f32 - 2.5, if *count % 50 < 2 { 3.0 } else { 0.0 }];
    }
}

fn app() -> App {
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        FrameCountPlugin,
        TimePlugin,
        TransformPlugin,
        ExperiencePlugin::default(),
    ));
    app
}

fn play(app: &mut App, hertz: u32, frames: u32) {
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_secs(1) / hertz));
    app.finish();
    app.cleanup();
    for _ in 0..frames {
        app.update();
    }
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(30)));
}

/// Asserts that observation and action of each row are those of the log, all but those before the first capture.
#[track_caller]
fn assert_rows(case: &str, app: &mut App, sink: &MemorySink, capture: InternedScheduleLabel) -> Vec<Vec<f32>> {
    let experience = app.world().resource::<Experience>();
    let timing = experience.timing("body").expect("the timing was chosen").clone();
    let case = format!("{case} ({timing})");
    assert_eq!(timing.capture_after, capture, "{case}");
    let log = app.world_mut().query::<&BodyLog>().single(app.world()).unwrap().clone();
    let episodes = sink.episodes();
    let transitions: Vec<_> = episodes.iter().flat_map(Episode::transitions).collect();
    assert!(transitions.len() > 150, "{case}: {} rows", transitions.len());
    assert_eq!(transitions.len(), log.bodies.len() - 1, "{case}: rows and steps");
    for (index, transition) in transitions.iter().enumerate() {
        let action: Vec<_> = transition.action().map(|value| value as f32).collect();
        assert_eq!(
            transition.observation(),
            log.bodies[index],
            "{case}: observation {index}"
        );
        assert_eq!(action, log.pushes[index + 1].0, "{case}: action {index}");
        assert_eq!(
            transition.next_observation(),
            log.bodies[index + 1],
            "{case}: next observation {index}"
        );
    }
    log.bodies
}

mod two_dimensions {
    use super::*;
    use avian2d::{
        math::{AdjustPrecision, AsF32, Scalar, Vector},
        prelude::*,
    };
    use bevy_experience_adapters::avian2d::Avian2dRecordingExt;

    pub(super) fn recording() -> Recording<Push> {
        Recording::<Push>::new("body")
            .observe_body()
            .observe_contacts()
            .observe_grounded(45_f32.to_radians())
            .act::<Push>()
    }

    fn push(mut bodies: Query<(&Push, &mut LinearVelocity, &mut BodyLog)>) {
        for (push, mut velocity, mut log) in &mut bodies {
            velocity.x += (push.0[0] * 0.1).adjust_precision();
            velocity.y += push.0[1].adjust_precision();
            log.pushes.push(*push);
        }
    }

    /// A number of avian, which is `f32` or `f64`, as a column holds it.
    fn single(value: Scalar) -> f32 {
        Vector::splat(value).f32().x
    }

    /// The body as the game reads it, with its contacts from [`Collisions`].
    fn log(
        mut bodies: Query<(
            Entity,
            &Position,
            &Rotation,
            &LinearVelocity,
            &AngularVelocity,
            &mut BodyLog,
        )>,
        collisions: Collisions,
    ) {
        for (body, position, rotation, linear, angular, mut log) in &mut bodies {
            let (mut count, mut impulse, mut grounded): (f32, Scalar, f32) = (0.0, 0.0, 0.0);
            for pair in collisions.collisions_with(body) {
                count += 1.0;
                impulse += pair.total_normal_impulse_magnitude();
                for manifold in &pair.manifolds {
                    let up = if pair.collider1 == body {
                        -manifold.normal.y
                    } else {
                        manifold.normal.y
                    };
                    grounded = grounded.max(f32::from(up > 0.8));
                }
            }
            let values = [
                position.x,
                position.y,
                rotation.cos,
                rotation.sin,
                linear.x,
                linear.y,
                angular.0,
            ];
            let values = values.map(single);
            log.bodies
                .push([&values[..], &[count, single(impulse), grounded]].concat());
        }
    }

    fn game(physics: InternedScheduleLabel, sink: &MemorySink) -> App {
        let mut app = app();
        app.add_plugins(PhysicsPlugins::new(physics))
            .add_recording(recording().sink(sink.clone()));
        let wall = Transform::from_xyz(6.0, 0.0, 0.0);
        app.world_mut()
            .spawn((RigidBody::Static, Collider::rectangle(40.0, 1.0), Transform::default()));
        app.world_mut()
            .spawn((RigidBody::Static, Collider::rectangle(1.0, 20.0), wall));
        app.world_mut().spawn((
            Push::default(),
            RigidBody::Dynamic,
            Collider::rectangle(1.0, 1.0),
            Transform::from_xyz(0.0, 2.0, 0.0),
        ));
        app
    }

    #[test]
    fn every_row_is_the_body_after_the_step() {
        for hertz in [30, 60, 64, 144] {
            let sink = MemorySink::default();
            let mut app = game(FixedPostUpdate.intern(), &sink);
            app.add_systems(FixedUpdate, (decide, push).chain())
                .add_systems(FixedLast, log);
            play(&mut app, hertz, 400);
            let bodies = assert_rows(&format!("{hertz} Hz"), &mut app, &sink, FixedLast.intern());
            let falls = bodies.iter().filter(|body| body[9] == 0.0).count();
            let stands = bodies.iter().filter(|body| body[9] == 1.0).count();
            assert!(
                falls > 10 && stands > 10,
                "{hertz} Hz: grounded in {stands}, not in {falls}"
            );
            assert!(bodies.iter().any(|body| body[8] > 0.0), "an impulse");
            assert!(bodies.iter().any(|body| body[3] != 0.0), "a rotation");
        }
    }

    #[test]
    fn physics_of_a_game_that_moves_in_frames() {
        for hertz in [30, 60, 144] {
            let sink = MemorySink::default();
            let mut app = game(PostUpdate.intern(), &sink);
            app.add_systems(Update, (decide, push).chain()).add_systems(Last, log);
            play(&mut app, hertz, 400);
            assert_rows(&format!("{hertz} Hz"), &mut app, &sink, Last.intern());
        }
    }

    /// A body whose collider is on a child.
    #[test]
    fn colliders_of_children_count() {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_plugins(PhysicsPlugins::default())
            .add_recording(recording().sink(sink.clone()));
        app.world_mut()
            .spawn((RigidBody::Static, Collider::rectangle(40.0, 1.0), Transform::default()));
        app.world_mut().spawn((
            Push::default(),
            RigidBody::Dynamic,
            Transform::from_xyz(0.0, 2.0, 0.0),
            children![
                (Collider::circle(0.5), Transform::from_xyz(-1.0, 0.0, 0.0)),
                (Collider::circle(0.5), Transform::from_xyz(1.0, 0.0, 0.0)),
                (Collider::circle(3.0), Sensor, Transform::default()),
            ],
        ));
        play(&mut app, 64, 150);
        let episodes = sink.episodes();
        let last = episodes[0].transition(episodes[0].len() - 1).observation();
        assert_eq!(
            (last[7], last[9]),
            (2.0, 1.0),
            "two colliders touch the ground, and the sensor does not count"
        );
    }

    #[test]
    fn a_wall_is_no_ground() {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_plugins(PhysicsPlugins::default())
            .insert_resource(Gravity(Vector::X * 9.81))
            .add_recording(recording().observe_has::<Sleeping>().sink(sink.clone()));
        let wall = Transform::from_xyz(2.0, 0.0, 0.0);
        app.world_mut()
            .spawn((RigidBody::Static, Collider::rectangle(1.0, 20.0), wall));
        app.world_mut().spawn((
            Push::default(),
            RigidBody::Dynamic,
            Collider::circle(0.5),
            Transform::default(),
        ));
        play(&mut app, 64, 150);
        let last = |sink: &MemorySink| {
            let episodes = sink.episodes();
            episodes[0].transition(episodes[0].len() - 1).observation().to_vec()
        };
        let observation = last(&sink);
        assert_eq!(
            (observation[7], observation[9]),
            (1.0, 1.0),
            "gravity says where the ground is: {observation:?}"
        );
    }

    /// A physics of `f64` has more digits than a column.
    #[cfg(feature = "complete_f64")]
    #[test]
    fn numbers_of_double_precision_are_rounded() {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_plugins(PhysicsPlugins::default())
            .insert_resource(Gravity::ZERO)
            .add_recording(recording().capture_after(FixedLast).sink(sink.clone()));
        // 2^24 + 1. A position that is spawned is overwritten by the `Transform`, which has `f32`.
        app.add_systems(FixedLast, |mut positions: Query<&mut Position>| {
            for mut position in &mut positions {
                position.0 = Vector::new(16_777_217.0, 1.0 / 3.0);
            }
        });
        app.world_mut().spawn((Push::default(), RigidBody::Kinematic));
        play(&mut app, 64, 10);
        let episodes = sink.episodes();
        let observation = episodes[0].transition(0).observation();
        assert_eq!(observation[..2], [16_777_216.0, 1.0 / 3.0]);
    }

    #[test]
    fn columns_are_named_and_bounded() {
        let mut app = app();
        app.add_recording(recording().sink(MemorySink::default()));
        let experience = app.world().resource::<Experience>();
        let schema = experience.schema("body").unwrap();
        assert_eq!(
            schema.feature_names(),
            [
                "position.x",
                "position.y",
                "rotation.cos",
                "rotation.sin",
                "linear_velocity.x",
                "linear_velocity.y",
                "angular_velocity",
                "contacts.count",
                "contacts.impulse",
                "grounded"
            ]
        );
        assert_eq!(
            schema.observation()[9].space,
            bevy_experience::schema::Space::bounded(0.0, 1.0)
        );
    }

    #[test]
    #[should_panic(expected = "`observe_grounded` was given a slope of 45: give radians from 0 to π")]
    fn a_slope_in_degrees() {
        let _ = Recording::<Push>::new("body").observe_grounded(45.0);
    }

    /// A recording in an app without physics says what is missing.
    #[test]
    fn missing_physics_is_logged() {
        let log = LogLines::default();
        log.collect(|| {
            let mut app = app();
            app.add_recording(
                Recording::<Push>::new("body")
                    .observe_contacts()
                    .act::<Push>()
                    .sink(MemorySink::default()),
            );
            app.world_mut().spawn(Push::default());
            play(&mut app, 64, 10);
        });
        let warnings = log.warnings();
        assert!(
            warnings
                .iter()
                .any(|line| line.contains("recording `body`") && line.contains("observe_contacts")),
            "{warnings:?}"
        );
    }
}

#[cfg(feature = "avian3d")]
mod three_dimensions {
    use super::*;
    use avian3d::prelude::*;
    use bevy_experience_adapters::avian3d::Avian3dRecordingExt;

    fn recording() -> Recording<Push> {
        Recording::<Push>::new("body")
            .observe_body()
            .observe_grounded(0.8)
            .act::<Push>()
    }

    fn push(mut bodies: Query<(&Push, &mut LinearVelocity, &mut BodyLog)>) {
        for (push, mut velocity, mut log) in &mut bodies {
            velocity.x += push.0[0] * 0.1;
            velocity.y += push.0[1];
            log.pushes.push(*push);
        }
    }

    fn log(
        mut bodies: Query<(
            Entity,
            &Position,
            &Rotation,
            &LinearVelocity,
            &AngularVelocity,
            &mut BodyLog,
        )>,
        collisions: Collisions,
    ) {
        for (body, position, rotation, linear, angular, mut log) in &mut bodies {
            let stands = |pair: &ContactPair| {
                let is_first = pair.collider1 == body;
                let up = |manifold: &ContactManifold| {
                    if is_first {
                        -manifold.normal.y
                    } else {
                        manifold.normal.y
                    }
                };
                pair.manifolds.iter().any(|manifold| up(manifold) > 0.7)
            };
            let grounded = f32::from(collisions.collisions_with(body).any(stands));
            let rotation = rotation.0.to_array();
            let parts = [
                &position.0.to_array()[..],
                &rotation,
                &linear.0.to_array(),
                &angular.0.to_array(),
                &[grounded],
            ];
            log.bodies.push(parts.concat());
        }
    }

    #[test]
    fn every_row_is_the_body_after_the_step() {
        for hertz in [30, 144] {
            let sink = MemorySink::default();
            let mut app = app();
            app.add_plugins(PhysicsPlugins::default())
                .add_recording(recording().sink(sink.clone()))
                .add_systems(FixedUpdate, (decide, push).chain())
                .add_systems(FixedLast, log);
            app.world_mut().spawn((
                RigidBody::Static,
                Collider::cuboid(40.0, 1.0, 40.0),
                Transform::default(),
            ));
            app.world_mut().spawn((
                Push::default(),
                RigidBody::Dynamic,
                Collider::cuboid(1.0, 1.0, 1.0),
                Transform::from_xyz(0.0, 2.0, 0.0),
            ));
            play(&mut app, hertz, 400);
            let bodies = assert_rows(&format!("{hertz} Hz"), &mut app, &sink, FixedLast.intern());
            let stands = bodies.iter().filter(|body| body[13] == 1.0).count();
            assert!((10..bodies.len() - 10).contains(&stands), "{hertz} Hz: {stands}");
        }
    }
}

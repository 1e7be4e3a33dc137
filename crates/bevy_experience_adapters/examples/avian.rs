//! Records the body of a ball that is pushed over the ground.
use avian2d::prelude::*;
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_adapters::avian2d::Avian2dRecordingExt;
use bevy_reflect::Reflect;
use bevy_transform::{TransformPlugin, components::Transform};

/// The action: how hard the ball is pushed.
#[derive(Component, Reflect)]
struct Push(f32);

fn main() {
    let mut test = TestApp::new();
    test.add_plugins((TransformPlugin, PhysicsPlugins::default()));
    test.add_systems(FixedUpdate, push).finish();
    let recording = Recording::<Push>::new("ball").observe_body().observe_grounded(0.8);
    test.record(recording.act::<Push>());
    let ground = (RigidBody::Static, Collider::rectangle(100.0, 1.0));
    test.world_mut().spawn(ground);
    let ball = (RigidBody::Dynamic, Collider::circle(0.5));
    let above = Transform::from_xyz(0.0, 1.5, 0.0);
    test.world_mut().spawn((Push(0.01), ball, above));
    test.ticks(100);
    let episode = &test.finish()[0];
    assert_eq!(episode.row(1).observation().last(), Some(&0.0));
    assert_eq!(episode.row(90).observation().last(), Some(&1.0));
}

fn push(mut balls: Query<(&Push, &mut LinearVelocity)>) {
    for (push, mut velocity) in &mut balls {
        velocity.x += push.0;
    }
}

//! The inspector's window over a small game of bouncing balls.
//!
//!     cargo run -p inspector
//!
//! One plugin is all it takes. The window is drawn by the game's own camera, and F9 closes and opens it.

use bevy::prelude::*;
use bevy_experience::prelude::*;
use bevy_experience_inspector::ExperienceInspectorPlugin;

#[derive(Component)]
struct Ball;

/// In pixels per second.
#[derive(Component, Reflect)]
struct Velocity(Vec2);

fn main() {
    App::new()
        .add_plugins((DefaultPlugins, ExperiencePlugin::default()))
        .add_plugins(ExperienceInspectorPlugin {
            open: true,
            ..default()
        })
        .add_recording(
            Recording::<Ball>::new("ball")
                .observe_fields::<Transform>(["translation.x", "translation.y"])
                .act::<Velocity>()
                .reward_terms(["wall"])
                .sink(DatasetSink::new("data/balls")),
        )
        .add_systems(Startup, spawn_balls)
        .add_systems(FixedUpdate, move_balls)
        .add_observer(relaunch)
        .run();
}

fn spawn_balls(mut commands: Commands) {
    commands.spawn(Camera2d);
    for index in 0..20 {
        let fraction = index as f32 / 20.0;
        let sprite = Sprite::from_color(Color::hsl(360.0 * fraction, 0.7, 0.6), Vec2::splat(24.0));
        let transform = Transform::from_xyz(1000.0 * fraction - 500.0, 0.0, 0.0);
        commands.spawn((Ball, Velocity(Vec2::new(250.0, 400.0 * fraction)), sprite, transform));
    }
}

fn move_balls(
    time: Res<Time>,
    mut balls: Query<(Entity, &mut Transform, &mut Velocity, &mut Reward)>,
    mut commands: Commands,
) {
    for (ball, mut transform, mut velocity, mut reward) in &mut balls {
        velocity.0.y -= 400.0 * time.delta_secs();
        transform.translation += (velocity.0 * time.delta_secs()).extend(0.0);
        if transform.translation.x * velocity.0.x.signum() > 600.0 {
            velocity.0.x *= -1.0;
            reward.add("wall", 1.0);
        }
        if transform.translation.y < -300.0 {
            commands.trigger(EndEpisode::terminated(ball, "ground"));
        }
    }
}

/// Launches a ball again at the end of its episode, after the final observation.
fn relaunch(ended: On<EpisodeEnded>, mut balls: Query<(&mut Transform, &mut Velocity)>) {
    if let Ok((mut transform, mut velocity)) = balls.get_mut(ended.entity) {
        velocity.0.y = 500.0 + 0.2 * transform.translation.x;
        transform.translation.y = -300.0;
    }
}

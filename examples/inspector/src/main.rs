//! The inspector in the smallest game with a window: balls that fly about, and a panel that shows what is recorded of them.
//!
//!     cargo run -p inspector
//!
//! One plugin is all. It brings no camera and no states of its own: it is drawn by the game's camera, and F9 closes and opens
//! it.

use bevy::prelude::*;
use bevy_experience::prelude::*;
use bevy_experience_inspector::ExperienceInspectorPlugin;

#[derive(Component)]
struct Ball;

/// Where a ball flies, in pixels a second.
#[derive(Component, Reflect)]
struct Flight(Vec2);

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
                .act::<Flight>()
                .reward_terms(["wall"])
                .sink(DatasetSink::new("data/balls")),
        )
        .add_systems(Startup, set_up)
        .add_systems(FixedUpdate, fly)
        .add_observer(throw)
        .run();
}

fn set_up(mut commands: Commands) {
    commands.spawn(Camera2d);
    for number in 0..20 {
        let part = number as f32 / 20.0;
        let sprite = Sprite::from_color(Color::hsl(360.0 * part, 0.7, 0.6), Vec2::splat(24.0));
        let place = Transform::from_xyz(1000.0 * part - 500.0, 0.0, 0.0);
        commands.spawn((Ball, Flight(Vec2::new(250.0, 400.0 * part)), sprite, place));
    }
}

fn fly(time: Res<Time>, mut balls: Query<(Entity, &mut Transform, &mut Flight, &mut Reward)>, mut commands: Commands) {
    for (ball, mut place, mut flight, mut reward) in &mut balls {
        flight.0.y -= 400.0 * time.delta_secs();
        place.translation += (flight.0 * time.delta_secs()).extend(0.0);
        if place.translation.x * flight.0.x.signum() > 600.0 {
            flight.0.x *= -1.0;
            reward.add("wall", 1.0);
        }
        if place.translation.y < -300.0 {
            commands.trigger(EndEpisode::terminated(ball, "ground"));
        }
    }
}

/// The final observation is taken: up again, a little lower or higher than before.
fn throw(ended: On<EpisodeEnded>, mut balls: Query<(&mut Transform, &mut Flight)>) {
    if let Ok((mut place, mut flight)) = balls.get_mut(ended.entity) {
        flight.0.y = 500.0 + 0.2 * place.translation.x;
        place.translation.y = -300.0;
    }
}

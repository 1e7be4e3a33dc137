//! Records what a camera sees, without a window: a square that moves, as images of 84 × 84 pixels in `data/camera`.
//!
//!     cargo run -p bevy_experience_camera --example camera
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy::{camera::RenderTarget, prelude::*, time::TimeUpdateStrategy, window::ExitCondition, winit::WinitPlugin};
use bevy_experience::prelude::*;
use bevy_experience_camera::{
    CameraReadback, ExperienceCameraPlugin, PlayerCameras, RecordingCameraExt, camera_target,
};

#[derive(Component)]
struct Walker;

fn main() {
    let window = WindowPlugin {
        primary_window: None,
        exit_condition: ExitCondition::DontExit,
        ..default()
    };
    App::new()
        .add_plugins(DefaultPlugins.set(window).disable::<WinitPlugin>())
        .add_plugins((ExperiencePlugins, ExperienceCameraPlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Walker>::new("walker")
                .observe_fields::<Transform>(["translation.x"])
                .observe_camera("eye", 84, 84) // the image `eye` and the feature `eye.age`
                .buffers(BufferSettings {
                    capacity: 64,
                    ..default()
                })
                .sink(DatasetSink::new("data/camera")),
        )
        .add_systems(Startup, spawn)
        .add_systems(FixedUpdate, walk)
        .set_runner(|mut app| {
            app.finish();
            app.cleanup();
            (0..200).for_each(|_| app.update());
            println!("{:?}", app.world().resource::<CameraReadback>().report());
            AppExit::Success
        })
        .run();
}

fn spawn(mut commands: Commands, mut images: ResMut<Assets<Image>>) {
    let target = RenderTarget::Image(images.add(camera_target(84, 84)).into());
    let eye = commands.spawn((Camera2d, target)).id();
    let square = Sprite::from_color(Color::srgb(0.2, 0.8, 0.6), Vec2::splat(12.0));
    commands.spawn((Walker, square, Transform::default(), PlayerCameras::new("eye", eye)));
}

fn walk(mut walkers: Query<&mut Transform, With<Walker>>) {
    for mut transform in &mut walkers {
        transform.translation.x = (transform.translation.x + 43.0) % 84.0 - 42.0;
    }
}

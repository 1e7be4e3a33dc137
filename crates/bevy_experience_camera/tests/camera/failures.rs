//! A GPU that is lost.

use crate::game::*;
use bevy::{
    prelude::*,
    render::{
        error_handler::{RenderErrorHandler, RenderErrorPolicy},
        renderer::RenderDevice,
        settings::RenderCreation,
    },
};
use bevy_experience::{prelude::*, transition::Episode};
use bevy_experience_camera::camera_target;
use std::{
    sync::MutexGuard,
    time::{Duration, Instant},
};

/// Checks that each row shows the tick that its age states, and returns the ages.
fn ages(episode: &Episode) -> Vec<f32> {
    let rows = (0..=episode.len()).map(|row| episode.row(row));
    rows.map(|row| {
        let [ticks, age] = *row.observation() else { panic!() };
        if age >= 0.0 {
            assert_eq!(ticks_of(pixel(row.image(0), 8, 0, 0)), (ticks - age) as i64);
        }
        age
    })
    .collect()
}

/// A started app with one player and its camera.
fn started(set_up: impl FnOnce(&mut App)) -> Option<(MutexGuard<'static, ()>, App, MemorySink)> {
    let (guard, mut app) = recorded_app(true)?;
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 8, 8));
    let camera = spawn_camera(&mut app, camera_target(8, 8), 0);
    spawn_player(&mut app, camera);
    set_up(&mut app);
    start(&mut app);
    Some((guard, app, sink))
}

/// Runs frames until the condition holds.
fn run_until(app: &mut App, what: &str, mut condition: impl FnMut(&App) -> bool) {
    let start = Instant::now();
    while !condition(app) {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:?}", report(app));
        run(app, [1]);
    }
}

/// Loses the device, and returns the report of before.
fn lose_device(app: &mut App) {
    run_until(app, "no image arrived", |app| report(app).received > 10);
    app.world().resource::<RenderDevice>().wgpu_device().destroy();
}

#[test]
fn a_lost_device_leaves_the_last_image_and_the_game_goes_on() {
    // Bevy's default ends the app.
    let set_up = |app: &mut App| {
        app.insert_resource(RenderErrorHandler(|_, _, _| RenderErrorPolicy::StopRendering));
    };
    let Some((_guard, mut app, sink)) = started(set_up) else {
        return;
    };
    lose_device(&mut app);
    run(&mut app, [1; 60]);
    let lost = report(&app);
    run(&mut app, [1; 20]);
    assert_eq!(report(&app).received, lost.received);
    let episodes = finish(&mut app, &sink);
    let ages = ages(&episodes[0]);
    assert!(
        ages.windows(2).rev().take(60).all(|pair| pair[1] == pair[0] + 1.0),
        "{ages:?}"
    );
}

#[test]
fn images_arrive_again_from_a_new_device() {
    let set_up = |app: &mut App| {
        app.insert_resource(RenderErrorHandler(|_, _, _| {
            RenderErrorPolicy::Recover(RenderCreation::default())
        }));
    };
    let Some((_guard, mut app, sink)) = started(set_up) else {
        return;
    };
    lose_device(&mut app);
    run(&mut app, [1; 10]);
    let lost = report(&app);
    run_until(&mut app, "no image arrived from the new device", |app| {
        report(app).received > lost.received + 10
    });
    let episodes = finish(&mut app, &sink);
    assert!(
        ages(&episodes[0])
            .iter()
            .rev()
            .take(5)
            .all(|age| (0.0..20.0).contains(age))
    );
}

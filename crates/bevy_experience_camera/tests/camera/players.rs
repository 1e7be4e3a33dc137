//! One camera for each player, several for one, and one for several.

use crate::game::*;
use bevy::prelude::*;
use bevy_experience::prelude::*;
use bevy_experience_camera::{PlayerCameras, RecordingCameraExt, camera_target};
use std::sync::Arc;

#[test]
fn each_player_has_the_image_of_its_own_camera() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 12, 10));
    for shade in 0..16 {
        let camera = spawn_camera(&mut app, camera_target(12, 10), shade);
        spawn_player(&mut app, camera);
    }
    start(&mut app);
    run(&mut app, [1; 40]);
    let report = report(&app);
    assert_eq!(report.requested, 16 * 40);
    let episodes = finish(&mut app, &sink);
    assert_eq!(episodes.len(), 16);
    for (shade, episode) in episodes.iter().enumerate() {
        let mut with_image = 0;
        for row in (0..=episode.len()).map(|row| episode.row(row)) {
            let [ticks, age] = *row.observation() else { panic!() };
            if age >= 0.0 {
                with_image += 1;
                let [red, green, blue] = background((ticks - age) as i64);
                assert_eq!(pixel(row.image(0), 12, 11, 9), [red, green, blue + shade as u8]);
            }
        }
        assert!(with_image > 20, "{with_image}");
    }
}

#[test]
fn a_player_has_several_cameras_and_several_players_have_one() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    let two = Recording::<Player>::new("player")
        .observe_camera("eye", 8, 8)
        .observe_camera("map", 6, 4)
        .sink(sink.clone());
    app.add_recording(two);
    let eye = spawn_camera(&mut app, camera_target(8, 8), 1);
    let map = spawn_camera(&mut app, camera_target(6, 4), 2);
    for _ in 0..2 {
        let cameras = PlayerCameras::new("eye", eye).with("map", map);
        app.world_mut().spawn((Player, Ticks(0.0), cameras));
    }
    start(&mut app);
    run(&mut app, [1; 30]);
    // Copied once for both, and not copied for the second.
    assert_eq!(report(&app).requested, 2 * 30);
    let mut players = app.world_mut().query::<&PlayerCameras>();
    let players: Vec<_> = players.iter(app.world()).collect();
    for name in ["eye", "map"] {
        let [first, second] = [0, 1].map(|index: usize| players[index].image(name).expect("an image"));
        assert!(Arc::ptr_eq(&first, &second));
    }
    let episodes = finish(&mut app, &sink);
    assert_eq!(episodes[0].schema().feature_names(), ["eye.age", "map.age"]);
    for episode in &episodes {
        let last = episode.row(episode.len());
        assert_eq!((last.image(0).len(), last.image(1).len()), (8 * 8 * 3, 6 * 4 * 3));
        assert_eq!(
            (pixel(last.image(0), 8, 7, 7)[2], pixel(last.image(1), 6, 5, 3)[2]),
            (78, 79)
        );
    }
}

#[test]
fn players_that_come_and_go_have_no_image_of_another() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 8, 8));
    start(&mut app);
    // One tick first, which fixes the clock.
    run(&mut app, [1; 3]);
    for round in 0..6 {
        let camera = spawn_camera(&mut app, camera_target(8, 8), round);
        let player = spawn_player(&mut app, camera);
        run(&mut app, [1; 10]);
        app.world_mut().despawn(player);
        app.world_mut().despawn(camera);
        run(&mut app, [1; 2]);
    }
    let report = report(&app);
    assert_eq!(report.failed, 0);
    let episodes = finish(&mut app, &sink);
    assert_eq!(episodes.len(), 6);
    for (round, episode) in episodes.iter().enumerate() {
        assert_eq!(episode.row(0).observation()[1], -1.0);
        for row in (0..=episode.len()).map(|row| episode.row(row)) {
            let [ticks, age] = *row.observation() else { panic!() };
            if age >= 0.0 {
                let [red, green, blue] = background((ticks - age) as i64);
                assert_eq!(pixel(row.image(0), 8, 0, 0), [red, green, blue + round as u8]);
            }
        }
    }
}

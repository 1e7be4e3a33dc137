//! Each row's image shows exactly the tick that the row states.

use crate::game::*;
use bevy::prelude::*;
use bevy_experience::{prelude::*, transition::Episode};
use bevy_experience_camera::{CameraClock, PlayerCameras, RecordingCameraExt, camera_target};
use std::collections::BTreeMap;

/// Checks all rows of an episode whose features are the count at its observation and the age. `images` gets the image of each count.
/// Returns the ages.
fn check(episode: &Episode, width: usize, images: &mut BTreeMap<i64, [u8; 3]>) -> Vec<i64> {
    let mut ages = Vec::new();
    for row in (0..=episode.len()).map(|row| episode.row(row)) {
        let [count, age] = *row.observation() else {
            panic!("{:?}", row.observation());
        };
        ages.push(age as i64);
        if age < 0.0 {
            assert_eq!(age, -1.0);
            assert!(is_black(row.image(0)));
            continue;
        }
        let shown = pixel(row.image(0), width, width - 1, 0);
        assert_eq!(ticks_of(shown), (count - age) as i64, "at {count}, {age} ticks old");
        images.insert((count - age) as i64, shown);
    }
    // The same, by the tick of the row: the first tick is 0, and its observation the count 1.
    for transition in episode.transitions() {
        let age = transition.observation()[1];
        if age >= 0.0 {
            let shown = pixel(transition.image(0), width, width - 1, 0);
            assert_eq!(ticks_of(shown) - 1, transition.tick() - age as i64);
        }
    }
    ages
}

/// Frames with no tick, one, two and three.
fn uneven_frames(count: usize) -> impl Iterator<Item = u32> {
    (0..count).map(|frame| [1, 0, 3, 1, 2, 1, 0, 0, 1, 1][frame % 10])
}

fn fixed_ticks(is_pipelined: bool) {
    let Some((_guard, mut app)) = recorded_app(is_pipelined) else {
        return;
    };
    let sink = MemorySink::default();
    // The width is no multiple of the alignment of rows on a GPU.
    app.add_recording(recording(&sink, 60, 48));
    let camera = spawn_camera(&mut app, camera_target(60, 48), 0);
    // A white square in the upper left corner.
    app.world_mut().spawn((
        Sprite::from_color(Color::WHITE, Vec2::splat(16.0)),
        Transform::from_xyz(8.0 - 30.0, 24.0 - 8.0, 0.0),
    ));
    spawn_player(&mut app, camera);
    start(&mut app);
    run(&mut app, uneven_frames(150));
    end_episodes(&mut app);
    run(&mut app, uneven_frames(150));
    let report = report(&app);
    let episodes = finish(&mut app, &sink);
    assert_eq!(episodes.len(), 2);
    assert_eq!(episodes[0].schema().feature_names(), ["ticks", "eye.age"]);
    for (index, episode) in episodes.iter().enumerate() {
        let ages = check(episode, 60, &mut BTreeMap::new());
        let with_image: Vec<_> = ages.iter().copied().filter(|age| *age >= 0).collect();
        assert!(with_image.len() > 100, "{ages:?}");
        assert!(with_image.iter().all(|age| (1..40).contains(age)), "{ages:?}");
        // Only the first rows of the player have none.
        let first = ages.iter().position(|age| *age >= 0);
        assert!(ages[first.unwrap_or(0)..].iter().all(|age| *age > 0) && (index == 0 || first == Some(0)));
        // What is drawn is not flipped.
        let last = episode.row(episode.len());
        for (x, y) in [(2, 2), (13, 13)] {
            assert_eq!(pixel(last.image(0), 60, x, y), [255; 3]);
        }
        for (x, y) in [(50, 2), (2, 40), (17, 2), (2, 17)] {
            assert_eq!(pixel(last.image(0), 60, x, y)[2], 77);
        }
    }
    // Frames without a tick, 3 of 10, are not copied, unless the one before was not.
    let (with_ticks, late) = (300 * 7 / 10, report.skipped + report.refused);
    assert!(
        (with_ticks..=with_ticks + late).contains(&report.requested),
        "{report:?}"
    );
    assert_eq!(report.failed, 0);
}

#[test]
fn images_show_their_tick_with_pipelined_rendering() {
    fixed_ticks(true);
}

#[test]
fn images_show_their_tick_without_pipelined_rendering() {
    fixed_ticks(false);
}

#[test]
fn recordings_of_both_loops_state_their_own_ticks() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let (fixed, main) = (MemorySink::default(), MemorySink::default());
    app.add_recording(recording(&fixed, 8, 8));
    // The second camera shows the frames.
    app.add_recording(
        Recording::<Player>::new("frames")
            .capture_after(Last)
            .observe::<Frames>()
            .observe_camera("frames", 8, 8)
            .sink(main.clone()),
    );
    let eye = spawn_camera(&mut app, camera_target(8, 8), 0);
    let second = spawn_camera(&mut app, camera_target(8, 8), 0);
    app.world_mut().entity_mut(second).remove::<Shade>();
    let cameras = PlayerCameras::new("eye", eye).with("frames", second);
    app.world_mut().spawn((Player, Ticks(0.0), Frames(0.0), cameras));
    let count_frames = move |mut players: Query<&mut Frames>, mut cameras: Query<&mut Camera>| -> Result {
        for mut frames in &mut players {
            frames.0 += 1.0;
            let mut camera = cameras.get_mut(second)?;
            paint(&mut camera, 0, frames.0 as i64);
        }
        Ok(())
    };
    app.add_systems(Update, count_frames);
    start(&mut app);
    run(&mut app, uneven_frames(100));
    // The clock knows both, also between captures.
    let mut players = app.world_mut().query::<(&PlayerCameras, &Ticks, &Frames)>();
    let (cameras, ticks, frames) = players.single(app.world()).expect("one player");
    let clock = app.world().resource::<CameraClock>();
    let eye = cameras.image("eye").expect("an image");
    let shown = ticks_of(pixel(eye.pixels(), 8, 0, 0));
    assert_eq!(clock.tick("player", &eye), Some(shown - 1));
    assert_eq!(clock.age("player", &eye), Some(ticks.0 as i64 - shown + 1));
    let second = cameras.image("frames").expect("an image");
    let shown = ticks_of(pixel(second.pixels(), 8, 0, 0));
    assert_eq!(clock.age("frames", &second), Some(frames.0 as i64 - shown + 1));
    assert_eq!(clock.age("other", &second), None);
    for (sink, rows) in [(fixed, 80), (main, 80)] {
        let episodes = finish(&mut app, &sink);
        let ages = check(&episodes[0], 8, &mut BTreeMap::new());
        let count = ages.iter().filter(|age| **age >= 0).count();
        assert!(count > rows, "{ages:?}");
    }
}

#[test]
fn the_image_of_a_row_is_in_a_later_row() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 8, 8));
    let camera = spawn_camera(&mut app, camera_target(8, 8), 0);
    spawn_player(&mut app, camera);
    start(&mut app);
    run(&mut app, [1; 100]);
    let episodes = finish(&mut app, &sink);
    let mut images = BTreeMap::new();
    let ages = check(&episodes[0], 8, &mut images);
    // With one tick per frame the images of nearly all ticks arrive, in their order.
    let mut own = 0;
    for (row, image) in (0..=episodes[0].len()).filter_map(|row| {
        let count = episodes[0].row(row).observation()[0] as i64;
        Some((count, images.get(&count)?))
    }) {
        assert_eq!(ticks_of(*image), row);
        own += 1;
    }
    let skipped = report(&app).skipped as usize;
    assert!(own + skipped + 12 >= 100, "{own} of 100, {skipped} skipped, {ages:?}");
}

#[test]
fn final_observations_have_the_age_of_their_own_tick() {
    let Some((_guard, mut app)) = recorded_app(true) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 8, 8));
    let camera = spawn_camera(&mut app, camera_target(8, 8), 0);
    spawn_player(&mut app, camera);
    // Ends after the movement of the tick, where the final observation is read at once.
    let end = |players: Query<(Entity, &Ticks)>, mut commands: Commands| {
        for (player, ticks) in &players {
            if ticks.0 as i64 % 7 == 0 {
                commands.trigger(EndEpisode::terminated(player, "seven"));
            }
        }
    };
    app.add_systems(FixedUpdate, end.after(count_ticks));
    start(&mut app);
    run(&mut app, uneven_frames(100));
    let episodes = finish(&mut app, &sink);
    assert!(episodes.len() > 10);
    for episode in &episodes[..episodes.len() - 1] {
        assert_eq!(episode.row(episode.len()).observation()[0] as i64 % 7, 0);
        check(episode, 8, &mut BTreeMap::new());
    }
}

//! Images: bytes of a component that are recorded as they are.

use crate::player::Player;
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    schema::{Column, DType},
    test_app::TestApp,
    transition::Episode,
};
use bevy_reflect::Reflect;

const HEIGHT: usize = 3;
const WIDTH: usize = 5;
const SHAPE: ImageShape = ImageShape {
    height: HEIGHT,
    width: WIDTH,
    channels: 2,
};

/// The pixels are those of [`pixels`] for the number of ticks.
#[derive(Component, Reflect)]
struct Eye([[[u8; 2]; WIDTH]; HEIGHT]);

#[derive(Component, Reflect)]
struct Ticks(u8);

fn pixels(tick: u8) -> Vec<u8> {
    (0..SHAPE.bytes())
        .map(|index| tick.wrapping_mul(7).wrapping_add(index as u8))
        .collect()
}

fn eye(tick: u8) -> Eye {
    let pixels = pixels(tick);
    Eye(core::array::from_fn(|y| {
        core::array::from_fn(|x| core::array::from_fn(|channel| pixels[(y * WIDTH + x) * 2 + channel]))
    }))
}

fn draw(ticks: &Ticks, image: &mut [u8]) {
    image.copy_from_slice(&pixels(ticks.0));
}

fn look(mut players: Query<(Entity, &mut Ticks, &mut Eye)>, mut commands: Commands) {
    for (player, mut ticks, mut seen) in &mut players {
        ticks.0 += 1;
        *seen = eye(ticks.0);
        if ticks.0.is_multiple_of(8) {
            commands.trigger(EndEpisode::terminated(player, "goal"));
        }
    }
}

fn play(recording: Recording<Player>, ticks: usize) -> Vec<Episode> {
    let mut test = TestApp::new();
    test.record(recording);
    test.add_systems(FixedUpdate, look);
    for first in [0, 100] {
        test.world_mut().spawn((Player, Ticks(first), eye(first)));
    }
    test.ticks(ticks);
    test.finish()
}

fn recording() -> Recording<Player> {
    Recording::new("player")
        .observe::<Ticks>()
        .observe_image::<Eye>()
        .observe_image_with("drawn", SHAPE, draw)
}

fn ticks(episode: &Episode) -> Vec<u8> {
    (0..=episode.len())
        .map(|row| episode.row(row).observation()[0] as u8)
        .collect()
}

#[test]
fn every_row_has_the_pixels_of_its_tick() {
    let episodes = play(recording(), 20);
    assert!(episodes.len() >= 4, "{}", episodes.len());
    let schema = episodes[0].schema();
    assert_eq!(
        schema.images(),
        [Column::image("eye", SHAPE), Column::image("drawn", SHAPE)]
    );
    assert_eq!(schema.feature_names(), ["ticks"]);
    for episode in &episodes {
        for (row, tick) in ticks(episode).into_iter().enumerate() {
            assert_eq!(episode.row(row).image(0), pixels(tick), "row {row}");
            assert_eq!(episode.row(row).image(1), pixels(tick), "row {row}");
        }
        for transition in episode.transitions() {
            let tick = transition.observation()[0] as u8;
            assert_eq!(
                (transition.image(0), transition.next_image(1)),
                (&*pixels(tick), &*pixels(tick + 1))
            );
        }
    }
}

#[test]
fn images_alone_are_an_observation() {
    let episodes = play(Recording::new("player").observe_image::<Eye>(), 20);
    let schema = episodes[0].schema();
    assert_eq!((schema.observation_width(), schema.has_observation()), (0, true));
    let first = episodes
        .iter()
        .find(|episode| episode.row(0).image(0) == pixels(1))
        .unwrap();
    assert_eq!(first.len(), 7);
    for row in 0..=7 {
        assert_eq!(first.row(row).image(0), pixels(row as u8 + 1));
    }
}

#[test]
fn the_same_field_is_still_a_feature_for_observe() {
    let episodes = play(Recording::new("player").observe::<Eye>(), 3);
    let schema = episodes[0].schema();
    assert_eq!(schema.observation()[0].dtype, DType::F32);
    assert_eq!((schema.observation_width(), schema.images().len()), (SHAPE.bytes(), 0));
}

#[test]
fn a_changed_pixel_is_a_change() {
    /// Changes one pixel at each tenth tick.
    fn blink(mut players: Query<&mut Eye>, mut tick: Local<u32>) {
        *tick += 1;
        for mut eye in &mut players {
            // Mutable access alone is no change.
            eye.0[2][4][1] = (*tick / 10) as u8;
        }
    }
    for trusts in [false, true] {
        let mut test = TestApp::new();
        let recording = Recording::<Player>::new("player")
            .observe_image::<Eye>()
            .mode(RecordMode::OnChange);
        test.record(if trusts {
            recording.trust_change_ticks()
        } else {
            recording
        });
        test.add_systems(FixedUpdate, blink);
        test.world_mut().spawn((Player, eye(0)));
        test.ticks(41);
        let episodes = test.finish();
        let seen: Vec<u8> = episodes[0]
            .transitions()
            .map(|transition| transition.next_image(0)[29])
            .collect();
        assert_eq!(seen, [1, 2, 3, 4, 4], "trusts: {trusts}");
        let ticks: u32 = episodes[0]
            .transitions()
            .map(bevy_experience::transition::Transition::ticks)
            .sum();
        assert_eq!(ticks, 40, "trusts: {trusts}");
    }
}

#[test]
fn a_full_buffer_counts_its_losses() {
    let mut test = TestApp::new();
    test.record(recording().buffers(BufferSettings {
        capacity: 4,
        overflow: Overflow::DropNewest,
        kind: BufferKind::Queue,
        ..Default::default()
    }));
    test.add_systems(FixedUpdate, look);
    test.world_mut().spawn((Player, Ticks(0), eye(0)));
    for _ in 0..40 {
        test.ticks(5);
    }
    let report = test.report();
    let episodes = test.finish();
    let written: usize = episodes.iter().map(Episode::len).sum();
    assert!(report.recorded >= 190, "{report:?}");
    let report = test.report();
    assert_eq!(
        report.recorded,
        written as u64 + report.dropped + report.discarded,
        "{report:?}"
    );
    for episode in &episodes {
        for (row, tick) in ticks(episode).into_iter().enumerate() {
            assert_eq!(episode.row(row).image(1), pixels(tick));
        }
    }
}

fn setup_error(recording: Recording<Player>) -> String {
    let mut app = App::new();
    app.add_plugins(ExperiencePlugin::default());
    match app.try_add_recording(recording) {
        Ok(_) => panic!("it is not refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bad_images_are_refused_at_set_up() {
    let empty = ImageShape { width: 0, ..SHAPE };
    let error = setup_error(Recording::new("player").observe_image_with("drawn", empty, draw));
    assert!(error.contains("the image `drawn` has the shape [3, 0, 2]"), "{error}");
    let huge = ImageShape {
        height: 1 << 40,
        ..SHAPE
    };
    let error = setup_error(Recording::new("player").observe_image_with("drawn", huge, draw));
    assert!(error.contains("at most 32 MiB"), "{error}");
    let endless = ImageShape {
        height: usize::MAX,
        width: usize::MAX,
        channels: 3,
    };
    let error = setup_error(Recording::new("player").observe_image_with("drawn", endless, draw));
    assert!(error.contains("at most 32 MiB"), "{error}");
    let error = setup_error(recording().observe_image_with("drawn", SHAPE, draw));
    assert!(
        error.contains("two columns `drawn`") && error.contains("observe_image_with"),
        "{error}"
    );
    let error = setup_error(Recording::new("player").observe_image::<Ticks>());
    assert!(
        error.contains("`ticks` is of type `u8`") && error.contains("observe_image_with"),
        "{error}"
    );
    // 512 steps of 16 players and a megabyte each.
    let large = ImageShape {
        height: 1024,
        width: 1024,
        channels: 1,
    };
    let error = setup_error(Recording::new("player").observe_image_with("drawn", large, draw));
    assert!(error.contains("memory budget") && error.contains("capacity"), "{error}");
}

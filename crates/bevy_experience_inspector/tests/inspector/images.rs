//! Images of the selected player: their pixels are those of the transition that is shown, and change only a few times a second.

use crate::support::{panel::Panel, policy_game};
use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use bevy_egui::egui::{Color32, TextureOptions};
use bevy_experience::{prelude::*, schema::ImageShape, test_app::TestApp};
use bevy_experience_inspector::ExperienceInspectorPlugin;

#[derive(Component)]
struct Painter;

#[derive(Component)]
struct Canvas(u8);

const SHAPE: ImageShape = ImageShape {
    height: 4,
    width: 6,
    channels: 3,
};

/// The left half is blue, and the right half has the red of the canvas.
fn paint(canvas: &Canvas, pixels: &mut [u8]) {
    for (index, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let colour = if index % 6 < 3 { [0, 0, 200] } else { [canvas.0, 40, 0] };
        pixel.copy_from_slice(&colour);
    }
}

/// Paints the canvas with `step` more red in each tick.
pub fn game(step: u8) -> TestApp {
    let mut test = TestApp::new();
    test.add_plugins(ExperienceInspectorPlugin::default());
    test.record(
        Recording::<Painter>::new("painter")
            .observe_with::<Canvas>(["red"], |canvas, out| out[0] = canvas.0.into())
            .observe_image_with::<Canvas>("canvas", SHAPE, paint)
            .observe_image_with::<Canvas>("mask", ImageShape { channels: 1, ..SHAPE }, |canvas, pixels| {
                pixels.fill(canvas.0);
            })
            .act_with::<Canvas>(["red"], |canvas, out| out[0] = canvas.0.into()),
    );
    test.add_systems(FixedUpdate, move |mut canvases: Query<&mut Canvas>| {
        canvases
            .iter_mut()
            .for_each(|mut canvas| canvas.0 = canvas.0.wrapping_add(step));
    });
    test.world_mut().spawn((Painter, AgentId(101), Canvas(77)));
    test
}

fn count(panel: &mut Panel, [red, green, blue]: [u8; 3]) -> usize {
    let pixels = panel.screenshot().pixels;
    let wanted = Color32::from_rgb(red, green, blue);
    pixels.iter().filter(|&&pixel| pixel == wanted).count()
}

/// The red of the right half of the canvas.
fn red(panel: &Panel) -> u8 {
    let images = panel.images();
    assert_eq!(
        (images[0].size, images[0].pixels[0]),
        ([6, 4], Color32::from_rgb(0, 0, 200))
    );
    let pixel = images[0].pixels[5];
    assert_eq!(images[1].pixels, [Color32::from_gray(pixel.r()); 24]);
    pixel.r()
}

/// Pixels of half of an image, of 144 by 216 points.
const HALF: usize = 144 * 108;

#[test]
fn the_pixels_are_those_of_the_observation_with_sharp_edges() {
    let mut panel = policy_game::panel(game(0), 10);
    assert!(panel.shows("canvas") && panel.shows("4 × 6 × 3") && panel.shows("4 × 6 × 1"));
    // egui blends the outline of an image with its background.
    let is_half = |count: usize| (HALF - HALF / 20..=HALF + HALF / 20).contains(&count);
    assert!(is_half(count(&mut panel, [0, 0, 200])));
    assert!(is_half(count(&mut panel, [77, 40, 0])));
    assert!(is_half(count(&mut panel, [77, 77, 77]) / 2));
    assert_eq!(panel.image_options(), [TextureOptions::NEAREST; 2]);
}

#[test]
fn an_image_is_uploaded_a_few_times_a_second() {
    let mut panel = policy_game::panel(game(1), 10);
    let mut shown = Vec::new();
    // One second of 60 frames with a tick each.
    for _ in 0..60 {
        panel.tick();
        let red = red(&panel);
        if shown.last() != Some(&red) {
            shown.push(red);
        }
    }
    assert!((4..=11).contains(&shown.len()), "{shown:?}");
    assert!(shown.is_sorted());
}

#[test]
fn stepping_back_shows_the_image_of_that_transition() {
    let mut panel = policy_game::panel(game(1), 20);
    for _ in 0..4 {
        panel.click("◀");
        panel.frames(10);
    }
    let tick = |panel: &Panel| -> u8 {
        let texts = panel.texts();
        let text = texts
            .iter()
            .find(|text| text.text.starts_with("tick ") && text.text.contains("duration"))
            .unwrap();
        text.text["tick ".len()..].split(',').next().unwrap().parse().unwrap()
    };
    // The canvas has 78 at the first capture, of tick 0.
    assert_eq!(red(&panel), 78 + tick(&panel));
}

#[test]
fn images_of_players_that_share_a_pool_cannot_be_shown_and_the_tab_says_so() {
    let mut test = TestApp::new();
    test.add_plugins(ExperienceInspectorPlugin::default());
    test.record(
        Recording::<Painter>::new("painter")
            .observe_image_with::<Canvas>("canvas", SHAPE, paint)
            .act_with::<Canvas>(["red"], |canvas, out| out[0] = canvas.0.into())
            .scaling(PlayerScaling {
                pool_above: Some(0),
                ..Default::default()
            }),
    );
    for agent in 101..104 {
        test.world_mut().spawn((Painter, AgentId(agent), Canvas(60)));
    }
    let panel = policy_game::panel(test, 5);
    assert!(panel.shows("Rows are in a shared pool") && panel.shows("Images are in the rows of a player's own buffer"));
}

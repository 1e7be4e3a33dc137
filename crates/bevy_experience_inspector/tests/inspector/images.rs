//! Images of the selected player: their pixels are those of the transition that is shown, and change only a few times a second.

use crate::support::{panel::Panel, policy_game};
use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use bevy_egui::egui::Color32;
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
    test.world_mut().spawn((Painter, AgentId(101), Canvas(60)));
    test
}

/// The frequent colours of a screenshot that are neither grey nor those of a theme.
fn count(panel: &mut Panel, colour: [u8; 3]) -> usize {
    let [red, green, blue] = colour;
    let pixels = panel.screenshot().pixels;
    pixels
        .iter()
        .filter(|&&pixel| pixel == Color32::from_rgb(red, green, blue))
        .count()
}

#[test]
fn the_pixels_are_those_of_the_observation_and_have_sharp_edges() {
    let mut panel = policy_game::panel(game(0), 10);
    assert!(panel.shows("canvas") && panel.shows("4 × 6 × 3") && panel.shows("4 × 6 × 1"));
    // 144 points high and 216 wide. Interpolated pixels would be of other colours.
    let (left, right) = (count(&mut panel, [0, 0, 200]), count(&mut panel, [60, 40, 0]));
    assert_eq!((left, right), (144 * 108, 144 * 108));
    assert_eq!(count(&mut panel, [60, 60, 60]) / 1000, 144 * 216 / 1000);
}

#[test]
fn an_image_is_uploaded_a_few_times_a_second() {
    let mut panel = policy_game::panel(game(1), 10);
    let mut shown = Vec::new();
    // One second of 60 frames with a tick each.
    for _ in 0..60 {
        panel.tick();
        let red = (60..=255).find(|&red| count(&mut panel, [red, 40, 0]) > 0).unwrap();
        if shown.last() != Some(&red) {
            shown.push(red);
        }
    }
    assert!((5..=11).contains(&shown.len()), "{shown:?}");
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
    // The canvas has 61 at the first capture, of tick 0.
    let expected = 61 + tick(&panel);
    assert_eq!(count(&mut panel, [expected, 40, 0]), 144 * 108);
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

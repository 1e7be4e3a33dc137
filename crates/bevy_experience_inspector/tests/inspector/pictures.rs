//! Pictures of every tab, in small and in large, dark and light.
//!
//! They are in Cargo's folder for such things, or where `EXPERIENCE_PICTURES` says.

use crate::{empty::with_a_broken_sink, game, panel::Panel};
use bevy_egui::egui::Theme;
use bevy_experience::test_app::TestApp;
use bevy_experience_inspector::Tab;
use std::path::PathBuf;

fn folder() -> PathBuf {
    let folder = std::env::var_os("EXPERIENCE_PICTURES").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("inspector"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// Takes a picture of a panel that is full of things.
fn take(panel: &mut Panel, name: &str) {
    take_of(panel, name, 5_000);
}

/// Takes a picture of at least so many pixels that were drawn, and sees that nothing was cut off on a side: what is drawn lies in what it is drawn in.
fn take_of(panel: &mut Panel, name: &str, least: usize) {
    panel.frames(2);
    for text in panel.texts() {
        let cut = text.at.left() < text.clip.left() - 1.0 || text.at.right() > text.clip.right() + 1.0;
        assert!(
            !cut,
            "{name}: `{}` at {:?} is cut off by {:?}",
            text.text, text.at, text.clip
        );
    }
    let picture = panel.picture();
    assert!(picture.drawn() > least, "{name} is empty");
    picture.save(&folder().join(format!("{name}.png")));
}

fn word(theme: Theme) -> &'static str {
    match theme {
        Theme::Dark => "dark",
        Theme::Light => "light",
    }
}

/// Where something is wrong, or nothing is there yet.
fn states(size: [u16; 2], theme: Theme) {
    let name = |what: &str| format!("{what}-{}x{}-{}", size[0], size[1], word(theme));
    let mut panel = with_a_broken_sink(size, theme);
    take(&mut panel, &name("failed"));

    let mut panel = Panel::sized(game::play(24, 200), size, theme);
    panel.click("Pause");
    panel.tick();
    take(&mut panel, &name("paused"));
    panel.click("104");
    take(&mut panel, &name("paused-player"));

    let mut panel = Panel::sized(game::play(3, 1), size, theme);
    take_of(&mut panel, &name("nothing"), 500);
    panel.click("101");
    take_of(&mut panel, &name("nothing-player"), 500);

    let mut panel = Panel::sized(TestApp::new(), size, theme);
    take_of(&mut panel, &name("no-recording"), 500);
}

fn pictures(size: [u16; 2], theme: Theme) {
    let mut panel = Panel::sized(game::play(24, 3), size, theme);
    for _ in 0..400 {
        panel.test.ticks(1);
    }
    panel.frames(2);
    for _ in 0..20 {
        panel.tick();
    }
    let name = |tab: &str| format!("{tab}-{}x{}-{}", size[0], size[1], word(theme));
    take(&mut panel, &name("players"));
    panel.click("107");
    panel.click("health");
    panel.click("place.x");
    take(&mut panel, &name("player"));
    panel.show(Tab::Distributions);
    take(&mut panel, &name("distributions"));
    panel.show(Tab::Schema);
    take(&mut panel, &name("schema"));
    panel.show(Tab::Settings);
    take(&mut panel, &name("settings"));
}

#[test]
fn small_and_dark() {
    pictures([1000, 700], Theme::Dark);
}

#[test]
fn small_and_light() {
    pictures([1000, 700], Theme::Light);
}

#[test]
fn large_and_dark() {
    pictures([1920, 1080], Theme::Dark);
}

#[test]
fn large_and_light() {
    pictures([1920, 1080], Theme::Light);
}

#[test]
fn a_thousand_players_and_nobody() {
    let mut panel = Panel::new(game::play(1000, 40));
    take(&mut panel, "thousand-1000x700-dark");
    let mut panel = Panel::new(game::play(0, 3));
    take(&mut panel, "nobody-1000x700-dark");
}

#[test]
fn what_is_wrong_or_missing() {
    for size in [[1000, 700], [1920, 1080]] {
        for theme in [Theme::Dark, Theme::Light] {
            states(size, theme);
        }
    }
}

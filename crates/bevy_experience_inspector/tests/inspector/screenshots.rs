//! Screenshots of every tab at two sizes and in both themes: drawn completely, with no text clipped.
//!
//! They are written to `target/tmp/inspector`, or to the folder that `EXPERIENCE_PICTURES` names.

use crate::{
    images,
    support::{game, panel::Panel, policy_game},
};
use bevy_app::FixedUpdate;
use bevy_egui::egui::Theme;
use bevy_experience::{
    policy::{ActionBatch, ObservationBatch, PolicyError},
    test_app::TestApp,
};
use bevy_experience_inspector::Tab;
use std::path::PathBuf;

fn folder() -> PathBuf {
    let folder = std::env::var_os("EXPERIENCE_PICTURES").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("inspector"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).expect("the folder of screenshots can be created");
    folder
}

/// Saves a screenshot of a panel with content.
fn save(panel: &mut Panel, name: &str) {
    save_with_at_least(panel, name, 5_000);
}

/// Saves a screenshot. Asserts that at least `min_pixels` differ from the background, and that no text is clipped at
/// its left or right.
fn save_with_at_least(panel: &mut Panel, name: &str, min_pixels: usize) {
    panel.frames(2);
    for text in panel.texts() {
        let is_clipped = text.rect.left() < text.clip.left() - 1.0 || text.rect.right() > text.clip.right() + 1.0;
        assert!(
            !is_clipped,
            "{name}: `{}` at {:?} is clipped by {:?}",
            text.text, text.rect, text.clip
        );
    }
    let screenshot = panel.screenshot();
    assert!(screenshot.foreground_pixels() > min_pixels, "{name} is empty");
    screenshot.save(&folder().join(format!("{name}.png")));
}

fn theme_name(theme: Theme) -> &'static str {
    match theme {
        Theme::Dark => "dark",
        Theme::Light => "light",
    }
}

/// Screenshots of failed and paused recordings, and of placeholders.
fn save_states(size: [u16; 2], theme: Theme) {
    let name = |state: &str| format!("{state}-{}x{}-{}", size[0], size[1], theme_name(theme));
    let mut panel = Panel::with_failing_sink(size, theme);
    save(&mut panel, &name("failed"));

    let mut panel = Panel::sized(game::play(24, 200), size, theme);
    panel.click("Pause");
    panel.tick();
    save(&mut panel, &name("paused"));
    panel.click("104");
    save(&mut panel, &name("paused-player"));

    let mut panel = Panel::sized(game::play(3, 1), size, theme);
    save_with_at_least(&mut panel, &name("empty"), 500);
    panel.click("101");
    save_with_at_least(&mut panel, &name("empty-player"), 500);

    let mut panel = Panel::sized(TestApp::new(), size, theme);
    save_with_at_least(&mut panel, &name("no-recording"), 500);
}

/// A panel with the tab of a player that a policy acts for.
fn policy_panel(mut test: TestApp, size: [u16; 2], theme: Theme, ticks: usize) -> Panel {
    test.ticks(3);
    policy_game::show_player(Panel::sized(test, size, theme), ticks)
}

/// Screenshots of a player that a policy acts for, and of all players.
fn save_policy(size: [u16; 2], theme: Theme) {
    let name = |state: &str| format!("{state}-{}x{}-{}", size[0], size[1], theme_name(theme));
    let mut panel = policy_panel(policy_game::fixed(24), size, theme, 300);
    panel.click("health");
    panel.click("place.x");
    save(&mut panel, &name("policy"));
    panel.show(Tab::Players);
    save(&mut panel, &name("policy-players"));
}

/// Screenshots of a policy that fails, of a player that a person took over, and of one with images.
fn save_policy_states(theme: Theme) {
    const SIZE: [u16; 2] = [1000, 700];
    let name = |state: &str| format!("{state}-1000x700-{}", theme_name(theme));
    let failing = |_: &ObservationBatch, _: &mut ActionBatch| Err(PolicyError::Model("no battery".to_owned()));
    let policy = policy_game::policy(failing);
    let failing = policy_game::play(FixedUpdate, policy_game::recording(), policy, 6);
    let mut failing = policy_panel(failing, SIZE, theme, 60);
    assert!(failing.shows("✖ the model failed") && failing.shows("no battery"));
    save(&mut failing, &name("policy-failed"));

    let mut taken = policy_panel(policy_game::fixed(6), SIZE, theme, 60);
    taken.click("Take over");
    (0..40).for_each(|_| taken.tick());
    assert!(taken.shows("Return to script:bot"));
    save(&mut taken, &name("policy-taken-over"));

    let mut images = policy_panel(images::game(1), SIZE, theme, 60);
    assert_eq!(images.images().len(), 2);
    save(&mut images, &name("images"));
}

fn save_tabs(size: [u16; 2], theme: Theme) {
    let mut panel = Panel::sized(game::play(24, 3), size, theme);
    for _ in 0..400 {
        panel.test.ticks(1);
    }
    panel.frames(2);
    for _ in 0..20 {
        panel.tick();
    }
    let name = |tab: &str| format!("{tab}-{}x{}-{}", size[0], size[1], theme_name(theme));
    save(&mut panel, &name("players"));
    panel.click("107");
    panel.click("health");
    panel.click("place.x");
    save(&mut panel, &name("player"));
    panel.show(Tab::Distributions);
    save(&mut panel, &name("distributions"));
    panel.show(Tab::Schema);
    save(&mut panel, &name("schema"));
    panel.show(Tab::Settings);
    save(&mut panel, &name("settings"));
}

#[test]
fn small_and_dark() {
    save_tabs([1000, 700], Theme::Dark);
    save_policy([1000, 700], Theme::Dark);
    save_policy_states(Theme::Dark);
}

#[test]
fn small_and_light() {
    save_tabs([1000, 700], Theme::Light);
    save_policy([1000, 700], Theme::Light);
    save_policy_states(Theme::Light);
}

#[test]
fn large_and_dark() {
    save_tabs([1920, 1080], Theme::Dark);
    save_policy([1920, 1080], Theme::Dark);
}

#[test]
fn large_and_light() {
    save_tabs([1920, 1080], Theme::Light);
    save_policy([1920, 1080], Theme::Light);
}

#[test]
fn a_thousand_players_and_none() {
    let mut panel = Panel::new(game::play(1000, 40));
    save(&mut panel, "thousand-1000x700-dark");
    let mut panel = Panel::new(game::play(0, 3));
    save(&mut panel, "none-1000x700-dark");
}

#[test]
fn failures_pauses_and_placeholders() {
    for size in [[1000, 700], [1920, 1080]] {
        for theme in [Theme::Dark, Theme::Light] {
            save_states(size, theme);
        }
    }
}

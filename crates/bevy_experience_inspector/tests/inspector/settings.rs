//! The Settings tab: edits take effect, and fixed settings show why they are fixed.

use crate::support::{game, panel::Panel};
use bevy_egui::egui::{Event, Key, Modifiers};
use bevy_experience::export::ExportSettings;
use bevy_experience::{plugin::LiveSettings, prelude::*, test_app::TestApp};
use bevy_experience_inspector::{ExperienceInspectorPlugin, Tab};
use core::time::Duration;

/// The Settings tab of a game with these export settings.
fn settings_tab(export: ExportSettings) -> Panel {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export,
        ..ExperiencePlugin::default()
    });
    test.add_plugins(ExperienceInspectorPlugin::default());
    game::set_up(&mut test, 2);
    test.ticks(10);
    let mut panel = Panel::new(test);
    panel.show(Tab::Settings);
    panel
}

/// Replaces the value to the right of `label`.
fn edit(panel: &mut Panel, label: &str, value: &str) {
    let label = panel.find(label);
    let texts = panel.texts();
    let field = texts
        .iter()
        .filter(|text| text.rect.left() > label.right() && text.rect.y_range().contains(label.center().y))
        .min_by(|a, b| a.rect.left().total_cmp(&b.rect.left()))
        .expect("a value is drawn beside the label")
        .rect
        .center();
    panel.click_at(field);
    let key = |key, modifiers| Event::Key {
        key,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers,
    };
    panel.frame(vec![key(Key::A, Modifiers::COMMAND)]);
    panel.frame(vec![Event::Text(value.to_owned())]);
    panel.frame(vec![key(Key::Enter, Modifiers::NONE)]);
    panel.frames(2);
}

#[test]
fn an_edited_flush_interval_takes_effect() {
    let mut panel = settings_tab(ExportSettings {
        flush_interval: Duration::from_secs(3600),
        batch: usize::MAX,
        batch_bytes: usize::MAX,
        ..ExportSettings::default()
    });
    panel.experience().end_episode("fighter", 100, "test").unwrap();
    panel.tick();
    let is_exported_within = |panel: &mut Panel, milliseconds: u64| {
        (0..milliseconds / 10).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            panel.tick();
            panel.experience().progress("fighter").unwrap().exported > 0
        })
    };
    assert!(!is_exported_within(&mut panel, 300));
    edit(&mut panel, "Flush interval (s)", "0.02");
    let settings = panel.test.world_mut().resource::<LiveSettings>();
    assert_eq!(settings.flush_interval, Duration::from_millis(20));
    assert!(is_exported_within(&mut panel, 30_000));
}

#[test]
fn values_out_of_range_are_clamped() {
    let mut panel = settings_tab(ExportSettings::default());
    edit(&mut panel, "Stall timeout (s)", "1e300");
    edit(&mut panel, "Close timeout (s)", "-5");
    edit(&mut panel, "Sink queue (MiB)", "1.5");
    edit(&mut panel, "Batch size (transitions)", "0");
    panel.tick();
    let settings = panel.test.world_mut().resource::<LiveSettings>().clone();
    assert_eq!(settings.patience, Duration::from_secs(31_536_000));
    assert_eq!(settings.close_timeout, Duration::ZERO);
    assert_eq!((settings.queue_bytes, settings.batch), (3 << 19, 1));
    // Settings that were not edited are unchanged to the last digit.
    let before = LiveSettings::default();
    assert_eq!(
        (settings.flush_interval, settings.batch_bytes),
        (before.flush_interval, before.batch_bytes)
    );
}

#[test]
fn drawing_the_tab_changes_no_setting() {
    let unrounded = ExportSettings {
        flush_interval: Duration::new(1, 234_567_891),
        queue_bytes: 12_345_677,
        ..ExportSettings::default()
    };
    let mut panel = settings_tab(unrounded.clone());
    for _ in 0..5 {
        panel.tick();
    }
    let settings = panel.test.world_mut().resource::<LiveSettings>();
    assert_eq!(*settings, LiveSettings::of(&unrounded));
}

#[test]
fn fixed_settings_show_why_they_are_fixed() {
    let mut panel = settings_tab(ExportSettings::default());
    assert!(panel.shows("Fixed at the first capture"));
    assert!(panel.shows("a buffer is created when its player joins"));
    assert!(panel.shows("Captured") && panel.shows("after FixedLast"));
    assert!(panel.shows("Memory budget of all buffers") && panel.shows("1.00 GiB"));
    panel.test.world_mut().remove_resource::<LiveSettings>();
    panel.frames(2);
    assert!(panel.shows("`LiveSettings` was removed"));
}

//! Settings that are edited in the panel take effect; the others say why they cannot be.

use crate::{game, panel::Panel};
use bevy_egui::egui::{Event, Key, Modifiers};
use bevy_experience::export::ExportSettings;
use bevy_experience::{plugin::LiveSettings, prelude::*, test_app::TestApp};
use bevy_experience_inspector::{ExperienceInspectorPlugin, Tab};
use core::time::Duration;

fn panel(export: ExportSettings) -> Panel {
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

/// Types a number in the place of the one beside `name`.
fn edit(panel: &mut Panel, name: &str, typed: &str) {
    let label = panel.place(name);
    let texts = panel.texts();
    let value = texts
        .iter()
        .filter(|text| text.at.left() > label.right() && text.at.y_range().contains(label.center().y))
        .min_by(|a, b| a.at.left().total_cmp(&b.at.left()))
        .expect("a value stands beside it")
        .at
        .center();
    panel.click_at(value);
    let key = |key, modifiers| Event::Key {
        key,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers,
    };
    panel.frame(vec![key(Key::A, Modifiers::COMMAND)]);
    panel.frame(vec![Event::Text(typed.to_owned())]);
    panel.frame(vec![key(Key::Enter, Modifiers::NONE)]);
    panel.frames(2);
}

#[test]
fn a_shorter_wait_that_is_typed_hands_over_sooner() {
    let mut panel = panel(ExportSettings {
        flush_interval: Duration::from_secs(3600),
        batch: usize::MAX,
        batch_bytes: usize::MAX,
        ..ExportSettings::default()
    });
    panel.experience().end_episode("fighter", 100, "test").unwrap();
    panel.tick();
    let exported = |panel: &mut Panel, within: u64| {
        (0..within / 10).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            panel.tick();
            panel.experience().progress("fighter").unwrap().exported > 0
        })
    };
    assert!(!exported(&mut panel, 300));
    edit(&mut panel, "Hand over after, seconds", "0.02");
    let settings = panel.test.world_mut().resource::<LiveSettings>();
    assert_eq!(settings.flush_interval, Duration::from_millis(20));
    assert!(exported(&mut panel, 30_000));
}

#[test]
fn nonsense_that_is_typed_becomes_the_nearest_sense() {
    let mut panel = panel(ExportSettings::default());
    edit(&mut panel, "Patience with a sink, seconds", "1e300");
    edit(&mut panel, "Wait at the end, seconds", "-5");
    edit(&mut panel, "Queue of a sink, MiB", "1.5");
    edit(&mut panel, "Hand over at, transitions", "0");
    panel.tick();
    let settings = panel.test.world_mut().resource::<LiveSettings>().clone();
    assert_eq!(settings.patience, Duration::from_secs(31_536_000));
    assert_eq!(settings.close_timeout, Duration::ZERO);
    assert_eq!((settings.queue_bytes, settings.batch), (3 << 19, 1));
    // What nobody edited is as it was, to the last digit.
    let before = LiveSettings::default();
    assert_eq!(
        (settings.flush_interval, settings.batch_bytes),
        (before.flush_interval, before.batch_bytes)
    );
}

#[test]
fn looking_at_them_changes_nothing() {
    let odd = ExportSettings {
        flush_interval: Duration::new(1, 234_567_891),
        queue_bytes: 12_345_677,
        ..ExportSettings::default()
    };
    let mut panel = panel(odd.clone());
    for _ in 0..5 {
        panel.tick();
    }
    let settings = panel.test.world_mut().resource::<LiveSettings>();
    assert_eq!(*settings, LiveSettings::of(&odd));
}

#[test]
fn what_cannot_be_changed_says_why() {
    let mut panel = panel(ExportSettings::default());
    assert!(panel.shows("Settled at the first capture"));
    assert!(panel.shows("a player's buffer is made when it joins"));
    assert!(panel.shows("Memory for all buffers") && panel.shows("1.00 GiB"));
    panel.test.world_mut().remove_resource::<LiveSettings>();
    panel.frames(2);
    assert!(panel.shows("nothing can be changed"));
}

//! The plugin without a window: it neither panics nor does anything.

use crate::game;
use bevy_experience::inspector::{ExperienceInspector, ExperienceInspectorPlugin};
use bevy_input::{ButtonInput, keyboard::KeyCode};

#[test]
fn without_a_window_it_does_nothing_and_does_not_panic() {
    let mut test = game::play(2, 3);
    test.add_plugins(ExperienceInspectorPlugin {
        open: true,
        ..ExperienceInspectorPlugin::default()
    });
    // Long enough to say that nothing draws it.
    test.ticks(200);
    assert!(test.world_mut().resource::<ExperienceInspector>().open);
    assert_eq!(test.finish().len(), 2);
}

#[test]
fn a_key_opens_and_closes_it() {
    let mut test = game::play(1, 1);
    test.add_plugins(ExperienceInspectorPlugin {
        toggle: Some(KeyCode::F3),
        open: false,
    });
    test.init_resource::<ButtonInput<KeyCode>>();
    let mut press = |key: KeyCode| {
        test.world_mut().resource_mut::<ButtonInput<KeyCode>>().press(key);
        test.ticks(1);
        test.world_mut().resource_mut::<ButtonInput<KeyCode>>().reset_all();
        test.ticks(1);
        test.world_mut().resource::<ExperienceInspector>().open
    };
    assert!(!press(KeyCode::F9));
    assert!(press(KeyCode::F3));
    assert!(!press(KeyCode::F3));
}

#[test]
fn recording_is_the_same_with_it_and_without() {
    let episodes = |inspected: bool| {
        let mut test = game::play(3, 5);
        if inspected {
            test.add_plugins(ExperienceInspectorPlugin::default());
        }
        test.ticks(300);
        let episodes = test.finish();
        let life = |episode: &bevy_experience::transition::Episode| {
            (episode.info().agent_id, episode.len(), episode.total_reward().to_bits())
        };
        episodes.iter().map(life).collect::<Vec<_>>()
    };
    let without = episodes(false);
    assert!(without.len() > 3, "somebody died");
    assert_eq!(episodes(true), without);
}

//! The plugin without a window: it neither panics nor does anything.

use crate::game;
use bevy_egui::{EguiContext, EguiPrimaryContextPass, PrimaryEguiContext, egui::RawInput};
use bevy_experience::test_app::TestApp;
use bevy_experience::transition::Episode;
use bevy_experience_inspector::{ExperienceInspector, ExperienceInspectorPlugin};
use bevy_input::{ButtonInput, keyboard::KeyCode};

#[test]
fn without_a_window_it_does_nothing_and_does_not_panic() {
    let mut test = game::play(2, 3);
    test.world_mut().resource_mut::<ExperienceInspector>().open = true;
    // Long enough to say that nothing draws it.
    test.ticks(200);
    assert!(test.world_mut().resource::<ExperienceInspector>().open);
    assert!(test.finish().len() >= 2);
}

#[test]
fn a_key_opens_and_closes_it() {
    let mut test = TestApp::new();
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
        let mut test = TestApp::new();
        game::set_up(&mut test, 3);
        if inspected {
            test.add_plugins(ExperienceInspectorPlugin::default());
        }
        test.ticks(300);
        let life = |episode: &Episode| (episode.info().agent_id, episode.len(), episode.total_reward().to_bits());
        test.finish().iter().map(life).collect::<Vec<_>>()
    };
    let without = episodes(false);
    assert!(without.len() > 3, "somebody died");
    assert_eq!(episodes(true), without);
}

#[test]
fn a_setting_below_what_can_be_shown_is_put_right() {
    let mut panel = crate::panel::Panel::new(game::play(1, 20));
    panel.inspector().settings.plot_steps = 0;
    panel.show(bevy_experience_inspector::Tab::Settings);
    assert!(panel.shows("plot_steps"));
    assert!(panel.inspector().settings.plot_steps >= 2);
    assert!(panel.experience().is_recording());
}

#[test]
fn the_window_is_drawn_over_the_primary_context_while_it_is_open() {
    let mut test = game::play(2, 5);
    let context = test.world_mut().spawn(PrimaryEguiContext).id();
    let context = test
        .world_mut()
        .get_mut::<EguiContext>(context)
        .unwrap()
        .get_mut()
        .clone();
    let mut draw = |open: bool| {
        test.world_mut().resource_mut::<ExperienceInspector>().open = open;
        let mut draw = || {
            context.run_ui(RawInput::default(), |_| {
                test.world_mut().run_schedule(EguiPrimaryContextPass);
            })
        };
        // The first frame of a window measures it.
        draw();
        draw().shapes.len()
    };
    assert_eq!(draw(false), 0);
    assert!(draw(true) > 50);
    assert_eq!(draw(false), 0);
}

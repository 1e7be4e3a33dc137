//! Placeholders and errors: missing recordings or players, failed sinks, a closed exporter.

use crate::support::{
    game,
    panel::{FAILING_SINK_ERROR, Panel},
};
use bevy_egui::egui::Theme;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_inspector::Tab;
use core::time::Duration;

#[test]
fn without_a_recording_the_panel_names_the_method_that_adds_one() {
    let mut panel = Panel::new(TestApp::new());
    assert!(panel.shows("No recordings") && panel.shows("App::add_recording"));
    for tab in Tab::ALL {
        panel.show(tab);
        assert!(panel.shows("No recordings"));
    }
}

#[test]
fn without_the_plugin_the_panel_names_it() {
    let mut test = TestApp::new();
    test.world_mut().remove_resource::<Experience>();
    assert!(Panel::new(test).shows("ExperiencePlugin"));
}

#[test]
fn without_players_every_tab_shows_a_placeholder() {
    let mut panel = Panel::new(game::play(0, 3));
    assert!(panel.shows("No players"));
    panel.show(Tab::Player);
    assert!(panel.shows("No player selected"));
    panel.show(Tab::Distributions);
    assert!(panel.shows("Nothing recorded yet"));
    panel.show(Tab::Schema);
    assert!(panel.shows("health"));
    panel.show(Tab::Settings);
    assert!(panel.shows("Fixed at the first capture"));
}

#[test]
fn before_its_first_transition_a_player_shows_a_placeholder() {
    let mut panel = Panel::new(game::play(1, 1));
    panel.click("100");
    assert!(panel.shows("Nothing recorded yet"));
    panel.tick();
    panel.tick();
    assert!(!panel.shows("Nothing recorded yet"));
}

#[test]
fn a_selected_player_that_left_shows_a_placeholder() {
    let mut panel = Panel::new(game::play(2, 5));
    panel.click("101");
    let world = panel.test.world_mut();
    let entity = {
        let experience = world.resource::<Experience>();
        let mut players = experience.players("fighter");
        players.find(|player| player.agent_id == 101).unwrap().entity
    };
    world.despawn(entity);
    panel.tick();
    assert!(panel.shows("Agent 101 is not playing"));
}

#[test]
fn a_failed_sink_is_shown_with_its_error() {
    let panel = Panel::with_failing_sink([1000, 700], Theme::Dark);
    assert!(panel.shows(FAILING_SINK_ERROR));
    assert!(panel.shows("✖ refuses episodes") && panel.shows("⏶ rising"));
}

#[test]
fn only_visible_rows_of_a_thousand_players_are_drawn() {
    let mut panel = Panel::new(game::play(1000, 4));
    assert!(panel.shows("1,000 of 1,000 players"));
    let rows = panel.texts().iter().filter(|text| text.text == "3").count();
    assert!((10..60).contains(&rows), "{rows}");
    panel.click("Agent");
    assert!(panel.shows("1099"));
}

#[test]
fn after_close_the_panel_shows_that_nothing_is_recorded() {
    let mut panel = Panel::new(game::play(2, 5));
    panel.experience().close(Duration::from_secs(30));
    panel.frames(1);
    assert!(panel.shows("■ not recording"));
}

//! Where there is nothing to show, or something is broken, the panel says so, and what to do.

use crate::{game, panel::Panel};
use bevy_egui::egui::Theme;
use bevy_experience::export::{ExportSettings, RecordingInfo, RetrySettings, Sink, SinkError};
use bevy_experience::{account::RunReport, transition::Episode};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_inspector::{ExperienceInspectorPlugin, Tab};
use core::time::Duration;
use std::borrow::Cow;

#[test]
fn without_a_recording_it_says_how_to_add_one() {
    let mut panel = Panel::new(TestApp::new());
    assert!(panel.shows("There is no recording") && panel.shows("App::add_recording"));
    for tab in Tab::ALL {
        panel.show(tab);
        assert!(panel.shows("There is no recording"));
    }
}

#[test]
fn without_the_plugin_it_says_so() {
    let mut test = TestApp::new();
    test.world_mut().remove_resource::<Experience>();
    assert!(Panel::new(test).shows("ExperiencePlugin"));
}

#[test]
fn without_players_every_tab_says_what_is_missing() {
    let mut panel = Panel::new(game::play(0, 3));
    assert!(panel.shows("Nobody plays"));
    panel.show(Tab::Player);
    assert!(panel.shows("No player is selected"));
    panel.show(Tab::Distributions);
    assert!(panel.shows("Nothing is recorded yet"));
    panel.show(Tab::Schema);
    assert!(panel.shows("health"));
    panel.show(Tab::Settings);
    assert!(panel.shows("Settled at the first capture"));
}

#[test]
fn before_the_first_transition_the_player_has_none() {
    let mut panel = Panel::new(game::play(1, 1));
    panel.click("100");
    assert!(panel.shows("Nothing is recorded yet"));
    panel.tick();
    panel.tick();
    assert!(!panel.shows("Nothing is recorded yet"));
}

#[test]
fn a_player_who_left_is_said_to_be_gone() {
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
    assert!(panel.shows("Agent 101 does not play"));
}

struct Broken;

impl Sink for Broken {
    fn describe(&self) -> Cow<'_, str> {
        "a broken sink".into()
    }

    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        Err(SinkError::Other("the cable is out".to_owned()))
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A game whose sink takes nothing, once that is known.
pub fn with_a_broken_sink(size: [u16; 2], theme: Theme) -> Panel {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            retry: RetrySettings {
                patience: Duration::ZERO,
                ..RetrySettings::default()
            },
            flush_interval: Duration::from_millis(5),
            ..ExportSettings::default()
        },
        ..ExperiencePlugin::default()
    });
    test.add_plugins(ExperienceInspectorPlugin::default());
    test.add_recording(game::recording().sink(Broken));
    game::join(&mut test, 0);
    test.ticks(10);
    let mut panel = Panel::sized(test, size, theme);
    panel.experience().end_episode("fighter", 100, "test").unwrap();
    let said = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        panel.tick();
        panel.shows("the cable is out")
    });
    assert!(said, "{:?}", panel.texts());
    panel
}

#[test]
fn a_sink_that_failed_is_named_with_what_it_said() {
    let panel = with_a_broken_sink([1000, 700], Theme::Dark);
    assert!(panel.shows("✖ refuses episodes") && panel.shows("⏶ rising"));
}

#[test]
fn of_a_thousand_players_those_are_drawn_that_are_seen() {
    let mut panel = Panel::new(game::play(1000, 4));
    assert!(panel.shows("1,000 of 1,000 players"));
    let rows = panel.texts().iter().filter(|text| text.text == "3").count();
    assert!((10..60).contains(&rows), "{rows}");
    panel.click("Agent");
    assert!(panel.shows("1099"));
}

#[test]
fn when_all_is_closed_it_says_that_nothing_is_recorded() {
    let mut panel = Panel::new(game::play(2, 5));
    panel.experience().close(Duration::from_secs(30));
    panel.frames(1);
    assert!(panel.shows("■ not recording"));
}

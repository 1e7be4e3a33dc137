//! Effects of clicks and typed text on the panel and on the recording.

use crate::support::{game, panel::Panel};
use bevy_experience::prelude::*;
use bevy_experience_inspector::{ExperienceInspector, Tab};

/// The agent ids of the visible rows of the player table, from the top.
fn agents(panel: &Panel) -> Vec<i64> {
    let mut rows: Vec<_> = panel
        .texts()
        .into_iter()
        .filter_map(|text| Some((text.rect.center(), text.text.parse::<i64>().ok()?)))
        .filter(|(center, agent)| center.x < 120.0 && center.y > 165.0 && (100..10_000).contains(agent))
        .collect();
    rows.sort_by(|(a, _), (b, _)| a.y.total_cmp(&b.y));
    rows.into_iter().map(|(_, agent)| agent).collect()
}

#[test]
fn a_click_on_a_title_sorts_and_a_second_reverses_the_order() {
    let mut panel = Panel::new(game::play(6, 20));
    assert_eq!(agents(&panel), [100, 101, 102, 103, 104, 105]);
    panel.click("Agent");
    assert_eq!(agents(&panel), [105, 104, 103, 102, 101, 100]);
    panel.click("Agent");
    assert_eq!(agents(&panel), [100, 101, 102, 103, 104, 105]);
    // An agent whose episode was ended begins a new one, and has the fewest steps.
    panel
        .experience()
        .end_episode("fighter", 103, EndReason::from("test"))
        .unwrap();
    panel.tick();
    panel.click("Step");
    assert_eq!(agents(&panel)[0], 103);
}

#[test]
fn the_search_field_filters_players() {
    let mut panel = Panel::new(game::play(30, 10));
    panel.type_at("agent, entity, controller or end", "117");
    assert_eq!(agents(&panel), [117]);
    assert!(panel.shows("1 of 30 players"));
}

#[test]
fn a_click_on_a_player_selects_it_and_shows_its_transitions() {
    let mut panel = Panel::new(game::play(6, 20));
    panel.click("104");
    let inspector = panel.inspector();
    assert_eq!((inspector.selected, inspector.tab), (Some(104), Tab::Player));
    assert!(panel.shows("Agent 104"));
    assert!(panel.shows("place.x") && panel.shows("sight.shield"));
    let world = panel.test.world_mut();
    let experience = world.resource::<Experience>();
    let inspector = world.resource::<ExperienceInspector>();
    let selected = inspector.selected_entity(experience).unwrap();
    assert_eq!(world.get::<AgentId>(selected), Some(&AgentId(104)));
}

#[test]
fn stepping_back_freezes_the_transition_that_is_shown() {
    let mut panel = Panel::new(game::play(2, 30));
    panel.click("100");
    // 30 captures are 29 transitions, of which the last begins at tick 28.
    assert!(panel.shows("tick 28, duration 1"));
    panel.click("◀");
    panel.click("◀");
    assert!(panel.shows("tick 26, duration 1"));
    panel.tick();
    panel.tick();
    assert!(panel.shows("tick 26, duration 1"), "a frozen transition moved");
    panel.click("▶");
    assert!(panel.shows("tick 27, duration 1"));
    panel.click("Freeze");
    panel.click("▶");
    assert!(panel.shows("tick 30, duration 1"));
}

#[test]
fn a_click_on_a_feature_plots_it() {
    let mut panel = Panel::new(game::play(2, 30));
    panel.click("100");
    assert!(panel.shows("Click on features to plot them."));
    panel.click("health");
    assert!(!panel.shows("Click on features to plot them."));
    assert!(panel.shows("☑"));
}

#[test]
fn pause_and_resume_buttons_act_on_the_recording() {
    let mut panel = Panel::new(game::play(2, 10));
    assert!(panel.shows("⏺ recording"));
    panel.click("Pause");
    let reason = panel.experience().pause_reason("fighter").unwrap();
    panel.frames(1);
    assert!(panel.shows(&format!("⏸ paused: {reason}")));
    panel.tick();
    panel.click("Resume");
    assert_eq!(panel.experience().pause_reason("fighter"), None);
    panel.tick();
    panel.tick();
    let episodes = panel.test.finish();
    let reasons: Vec<_> = episodes.iter().map(|episode| episode.reason().to_string()).collect();
    assert_eq!(reasons, ["paused", "shutdown", "paused", "shutdown"]);
}

#[test]
fn player_buttons_discard_tag_end_exclude_and_include() {
    let mut panel = Panel::new(game::play(2, 10));
    panel.click("101");
    panel.click("Discard episode");
    assert!(panel.shows("discarded"));
    panel.tick();
    panel.tick();
    panel.type_at("tag name", "odd");
    panel.click("Tag");
    assert!(panel.shows("tagged `odd`"));
    panel.click("End episode");
    panel.tick();
    panel.tick();
    panel.click("Exclude");
    assert!(panel.experience().is_excluded("fighter", 101));
    panel.tick();
    assert!(panel.shows("between episodes"));
    panel.click("Include");
    assert!(!panel.experience().is_excluded("fighter", 101));
    let episodes = panel.test.finish();
    let reasons: Vec<_> = episodes
        .iter()
        .filter(|episode| episode.info().agent_id == 101)
        .map(|episode| episode.reason().to_string())
        .collect();
    assert_eq!(reasons, ["inspector", "excluded"]);
    let report = panel.test.report();
    // 10 captures are 9 transitions.
    assert_eq!(report.discarded, 9);
    let tags: Vec<_> = report.tags.iter().map(|tag| (tag.agent_id, tag.tag.as_str())).collect();
    assert_eq!(tags, [(101, "odd")]);
}

#[test]
fn a_command_that_fails_shows_its_error() {
    let mut panel = Panel::new(game::play(1, 10));
    panel.click("100");
    // The game ends the episode between the frame and the click.
    let world = panel.test.world_mut();
    let experience = world.resource::<Experience>();
    let fighter = experience.players("fighter").next().unwrap().entity;
    world.trigger(EndEpisode::terminated(fighter, "death"));
    panel.click("Discard episode");
    assert!(panel.shows("the game has just ended the episode"));
}

#[test]
fn the_flush_button_exports_ended_episodes() {
    let mut panel = Panel::new(game::play(1, 10));
    panel.experience().end_episode("fighter", 100, "test").unwrap();
    panel.click("Flush now");
    assert!(panel.shows("flush requested"));
    let exported = (0..500).any(|_| {
        std::thread::sleep(core::time::Duration::from_millis(10));
        panel.experience().progress("fighter").unwrap().exported == 9
    });
    assert!(exported, "nothing was exported");
}

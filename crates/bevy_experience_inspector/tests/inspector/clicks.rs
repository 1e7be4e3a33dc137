//! What clicks do, to what is shown and to the recording.

use crate::{game, panel::Panel};
use bevy_experience::prelude::*;
use bevy_experience_inspector::{ExperienceInspector, Tab};

/// The agents of the rows that are seen, from the top.
fn agents(panel: &Panel) -> Vec<i64> {
    let mut rows: Vec<_> = panel
        .texts()
        .into_iter()
        .filter_map(|text| Some((text.at.center(), text.text.parse::<i64>().ok()?)))
        .filter(|(at, agent)| at.x < 120.0 && at.y > 165.0 && (100..10_000).contains(agent))
        .collect();
    rows.sort_by(|(a, _), (b, _)| a.y.total_cmp(&b.y));
    rows.into_iter().map(|(_, agent)| agent).collect()
}

#[test]
fn a_click_on_a_title_sorts_and_another_turns_the_order_round() {
    let mut panel = Panel::new(game::play(6, 20));
    assert_eq!(agents(&panel), [100, 101, 102, 103, 104, 105]);
    panel.click("Agent");
    assert_eq!(agents(&panel), [105, 104, 103, 102, 101, 100]);
    panel.click("Agent");
    assert_eq!(agents(&panel), [100, 101, 102, 103, 104, 105]);
    // Whose episode was cut begins anew, and has the fewest steps.
    panel
        .experience()
        .end_episode("fighter", 103, EndReason::from("test"))
        .unwrap();
    panel.tick();
    panel.click("Step");
    assert_eq!(agents(&panel)[0], 103);
}

#[test]
fn what_is_typed_is_searched_for() {
    let mut panel = Panel::new(game::play(30, 10));
    panel.type_at("agent, entity, or why it ended", "117");
    assert_eq!(agents(&panel), [117]);
    assert!(panel.shows("1 of 30 players"));
}

#[test]
fn a_click_on_a_player_selects_it_and_shows_what_it_did() {
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
fn scrubbing_goes_back_and_holds_what_is_looked_at() {
    let mut panel = Panel::new(game::play(2, 30));
    panel.click("100");
    // 30 captures are 29 transitions; the last began at the tick before the last.
    assert!(panel.shows("tick 28, lasted 1"));
    panel.click("◀");
    panel.click("◀");
    assert!(panel.shows("tick 26, lasted 1"));
    panel.tick();
    panel.tick();
    assert!(panel.shows("tick 26, lasted 1"), "it ran away");
    panel.click("▶");
    assert!(panel.shows("tick 27, lasted 1"));
    panel.click("Hold");
    panel.click("▶");
    assert!(panel.shows("tick 30, lasted 1"));
}

#[test]
fn a_feature_that_is_clicked_is_plotted() {
    let mut panel = Panel::new(game::play(2, 30));
    panel.click("100");
    assert!(panel.shows("Click on features to plot them."));
    panel.click("health");
    assert!(!panel.shows("Click on features to plot them."));
    assert!(panel.shows("☑"));
}

#[test]
fn pause_and_resume_reach_the_recording() {
    let mut panel = Panel::new(game::play(2, 10));
    assert!(panel.shows("⏺ recording"));
    panel.click("Pause");
    let why = panel.experience().pause_reason("fighter").unwrap();
    panel.frames(1);
    assert!(panel.shows(&format!("⏸ paused: {why}")));
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
fn an_episode_is_thrown_away_tagged_and_ended_and_a_player_excluded() {
    let mut panel = Panel::new(game::play(2, 10));
    panel.click("101");
    panel.click("Throw away episode");
    assert!(panel.shows("was thrown away"));
    panel.tick();
    panel.tick();
    panel.type_at("a word", "odd");
    panel.click("Tag");
    assert!(panel.shows("is tagged `odd`"));
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
    // Ten captures are nine transitions.
    assert_eq!(report.discarded, 9);
    let words: Vec<_> = report.tags.iter().map(|tag| (tag.agent_id, tag.tag.as_str())).collect();
    assert_eq!(words, [(101, "odd")]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut panel = Panel::new(game::play(1, 10));
    panel.click("100");
    // The game ends the episode in the same moment.
    let world = panel.test.world_mut();
    let experience = world.resource::<Experience>();
    let fighter = experience.players("fighter").next().unwrap().entity;
    world.trigger(EndEpisode::terminated(fighter, "death"));
    panel.click("Throw away episode");
    assert!(panel.shows("the game has just ended the episode"));
}

#[test]
fn a_flush_is_asked_for() {
    let mut panel = Panel::new(game::play(1, 10));
    panel.experience().end_episode("fighter", 100, "test").unwrap();
    panel.click("Flush now");
    assert!(panel.shows("a flush was asked for"));
    let exported = (0..500).any(|_| {
        std::thread::sleep(core::time::Duration::from_millis(10));
        panel.experience().progress("fighter").unwrap().exported == 9
    });
    assert!(exported, "it was not flushed");
}

//! Handovers: the buttons of the Player tab change who acts between two ticks, and the data says who did.

use crate::support::{
    panel::Panel,
    policy_game::{self, PERSON_TURN, POLICY_TURN},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, transition::Episode};

/// Runs of equal labels in the transitions of agent 101, with their lengths.
///
/// Asserts that each transition has the action of the controller that it names. `idle` transitions after a handover to the policy
/// keep the action that there was.
fn controllers(episodes: &[Episode]) -> Vec<(String, usize)> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    let own = episodes.iter().filter(|episode| episode.info().agent_id == 101);
    let mut last_turn = f64::NAN;
    for transition in own.flat_map(Episode::transitions) {
        let label = transition.controller().unwrap_or("nothing");
        let turn = transition.action().next().unwrap();
        let version = transition.after().info("policy_version").unwrap()[0];
        let is_idle = turn == last_turn;
        match label {
            "policy:brawler@12" => assert!(
                (turn - POLICY_TURN).abs() < 1.0 && version == 12.0,
                "{turn} of {version}"
            ),
            "person" => assert!(
                (turn == f64::from(PERSON_TURN) || is_idle) && version == 0.0,
                "{turn} of {version}"
            ),
            "script:bot" => assert!((turn.abs() <= 1.0 || is_idle) && version == 0.0, "{turn} of {version}"),
            other => panic!("an unknown controller: `{other}`"),
        }
        last_turn = turn;
        match runs.last_mut() {
            Some((last, count)) if last == label => *count += 1,
            _ => runs.push((label.to_owned(), 1)),
        }
    }
    runs
}

fn labels(runs: &[(String, usize)]) -> Vec<&str> {
    runs.iter().map(|(label, _)| label.as_str()).collect()
}

fn ticks(panel: &mut Panel, ticks: usize) {
    (0..ticks).for_each(|_| panel.tick());
}

const POLICY: &str = "policy:brawler@12";

#[test]
fn a_person_takes_over_and_hands_over_and_each_transition_says_who_acted() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 10);
    assert!(panel.shows(POLICY));
    panel.click("Take over");
    assert!(panel.shows("a person acts after the next capture"));
    ticks(&mut panel, 10);
    assert!(panel.shows("person") && !panel.shows("after the next capture"));
    panel.click("Hand over to brawler");
    ticks(&mut panel, 10);
    assert!(panel.shows(POLICY));
    panel.click("Take over");
    ticks(&mut panel, 10);
    panel.click("Return to script:bot");
    ticks(&mut panel, 10);
    assert!(!panel.shows("Return to script:bot"));
    let runs = controllers(&panel.test.finish());
    assert_eq!(labels(&runs), [POLICY, "person", POLICY, "person", "script:bot"]);
    // The tick of the click is the predecessor's, and a player that is handed to a policy is idle for a tick.
    let lengths: Vec<_> = runs[1..].iter().map(|&(_, length)| length).collect();
    assert_eq!(lengths, [11, 9, 10, 9]);
}

#[test]
fn a_player_of_a_policy_returns_to_its_script() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 10);
    panel.click("Return to script:bot");
    ticks(&mut panel, 10);
    panel.click("Hand over to brawler");
    ticks(&mut panel, 10);
    let runs = controllers(&panel.test.finish());
    assert_eq!(labels(&runs), [POLICY, "script:bot", POLICY]);
}

/// In a game without fixed ticks, the panel is drawn between the decision of the policy and the capture that reads its action.
#[test]
fn a_click_within_a_tick_waits_for_its_end() {
    let recording = policy_game::recording().capture_after(Last);
    let test = policy_game::play(Update, recording, policy_game::policy(policy_game::model), 3);
    let mut panel = policy_game::panel(test, 10);
    panel.click_within(PostUpdate, "Take over");
    ticks(&mut panel, 5);
    panel.click_within(PreUpdate, "Hand over to brawler");
    ticks(&mut panel, 5);
    panel.click_within(Update, "Return to script:bot");
    ticks(&mut panel, 5);
    let runs = controllers(&panel.test.finish());
    assert_eq!(labels(&runs), [POLICY, "person", POLICY, "script:bot"]);
}

#[test]
fn a_player_that_left_is_not_handed_over() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 10);
    panel.click("Take over");
    let world = panel.test.world_mut();
    let mut players = world.query_filtered::<Entity, With<PolicyControlled>>();
    let player = players.single(world).unwrap();
    world.despawn(player);
    ticks(&mut panel, 3);
    assert!(panel.shows("Agent 101 is not playing"));
    assert!(panel.test.finish().len() >= 3);
}

#[test]
fn several_policies_have_a_button_each() {
    let mut test = policy_game::fixed(3);
    test.add_policy(
        Policy::<crate::support::game::Fighter>::for_recording("fighter")
            .named("second")
            .random(),
    );
    let mut panel = policy_game::panel(test, 10);
    assert!(!panel.shows("Hand over to brawler"));
    panel.click("Hand over to second");
    ticks(&mut panel, 5);
    assert!(panel.shows("policy:second@1") && panel.shows("Hand over to brawler"));
    let versions: Vec<f64> = panel
        .test
        .finish()
        .iter()
        .filter(|episode| episode.info().agent_id == 101)
        .flat_map(|episode| {
            episode
                .transitions()
                .map(|t| t.after().info("policy_version").unwrap()[0])
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(versions.last(), Some(&1.0));
}

//! The Player tab of a player that a policy acts for: probabilities, means, the recorded action, and failures.

use crate::support::{game, panel::Panel, policy_game};
use bevy_app::{FixedPostUpdate, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_experience::{
    policy::{ActionBatch, ObservationBatch, PolicyError},
    prelude::*,
};
use bevy_experience_inspector::{ExperienceInspector, Tab};

/// The texts in the row of a table that has `text`, from the left.
fn row(panel: &Panel, text: &str) -> Vec<String> {
    let top = panel.find(text).center().y;
    let texts = panel
        .texts()
        .into_iter()
        .filter(|found| (found.rect.center().y - top).abs() < 4.0);
    let left = panel.find("Choice").left() - 130.0;
    let mut texts: Vec<_> = texts.filter(|found| found.rect.left() > left).collect();
    texts.sort_by(|a, b| a.rect.left().total_cmp(&b.rect.left()));
    texts
        .into_iter()
        .map(|text| text.text)
        .filter(|text| !text.is_empty())
        .collect()
}

#[test]
fn probabilities_and_the_recorded_action_are_those_of_the_decision() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 20);
    assert!(panel.shows("brawler 12") && panel.shows("sampled at temperature 1"));
    let world = panel.test.world_mut();
    let decision = world
        .resource_mut::<Experience>()
        .policy_decision("fighter", AgentId(101))
        .unwrap()
        .clone();
    let mut fighters = world.query::<(&AgentId, &game::Intent)>();
    let (_, intent) = fighters.iter(world).find(|(agent, _)| agent.0 == 101).unwrap();
    let intent = (intent.turn, intent.fire, intent.stance as usize);
    let [turn, fire, stance] = &decision.heads[..] else {
        panic!("three columns")
    };
    assert_eq!(
        (turn.values[0] as f32, fire.values[0] == 1.0, stance.values[0] as usize),
        intent
    );
    let number = format!("{:.3}", turn.values[0]);
    assert_eq!(
        row(&panel, "intent.turn"),
        ["intent.turn", "-3.000 ± 0.135", &number, &number]
    );
    for (index, name) in ["Hold", "Chase", "Flee"].into_iter().enumerate() {
        let mut expected = vec![name.to_owned(), format!("{:.1} %", 100.0 * stance.probabilities[index])];
        if index == 0 {
            expected.insert(0, "intent.stance".to_owned());
        }
        if index == intent.2 {
            expected.extend(["●".to_owned(), "●".to_owned()]);
        }
        assert_eq!(row(&panel, name), expected);
    }
    assert!(panel.shows(&format!("{:.1} %", 100.0 * fire.probabilities[1])));
}

#[test]
fn an_action_that_the_game_changes_differs_from_the_decision() {
    let recording = policy_game::recording().read_actions_after(FixedPostUpdate);
    let mut test = policy_game::play(FixedUpdate, recording, policy_game::policy(policy_game::model), 3);
    let disarm = |mut fighters: Query<&mut game::Intent, With<PolicyControlled>>| {
        fighters.iter_mut().for_each(|mut intent| intent.turn = 0.25);
    };
    test.add_systems(FixedPostUpdate, disarm);
    let panel = policy_game::panel(test, 20);
    let turn = row(&panel, "intent.turn");
    assert_eq!(turn[3], "0.250", "{turn:?}");
    assert_ne!(turn[2], turn[3]);
}

#[test]
fn a_frozen_transition_keeps_its_decision() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 20);
    let before = row(&panel, "intent.turn");
    panel.tick();
    panel.click("◀");
    assert_eq!(row(&panel, "intent.turn"), before);
    for _ in 0..5 {
        panel.tick();
    }
    assert_eq!(row(&panel, "intent.turn"), before, "a frozen decision changed");
    // What was decided before the player was shown was not kept.
    for _ in 0..22 {
        panel.click("◀");
    }
    assert!(panel.shows("Its outputs were not read at this transition"));
}

#[test]
fn a_closed_panel_keeps_no_decisions() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 20);
    panel.test.ticks(300);
    let world = panel.test.world_mut();
    let tick = world.resource::<Experience>().tick("fighter").unwrap();
    let kept = world
        .resource_mut::<Experience>()
        .policy_decision("fighter", AgentId(101))
        .unwrap()
        .tick;
    assert!(tick - kept > 40, "the decision of tick {kept} was kept at {tick}");
    assert!(world.resource::<ExperienceInspector>().selected.is_some());
}

#[test]
fn a_player_without_a_policy_shows_no_decision() {
    let mut panel = policy_game::panel(policy_game::fixed(3), 10);
    panel.inspector().selected = Some(100);
    panel.frames(2);
    panel.tick();
    assert!(panel.shows("script:bot") && panel.shows("Hand over to brawler"));
    assert!(!panel.shows("Chosen"));
}

/// Fails at some ticks.
fn failing(observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
    policy_game::model(observations, actions)?;
    match observations.tick() {
        10..20 => Err(PolicyError::Model("no battery".to_owned())),
        30..40 => {
            actions.means_mut(0).fill(f64::NAN);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[test]
fn failures_are_shown_until_the_policy_acts_again() {
    let test = policy_game::play(FixedUpdate, policy_game::recording(), policy_game::policy(failing), 3);
    let mut panel = policy_game::panel(test, 0);
    let mut states = Vec::new();
    for _ in 0..50 {
        panel.tick();
        let texts = ["✔ acts for 1 player", "✖ the model failed", "✖ no decision"];
        let shown = texts.into_iter().find(|text| panel.shows(text)).unwrap_or("nothing");
        assert_eq!(panel.shows("no battery"), shown == "✖ the model failed");
        if states.last() != Some(&shown) {
            states.push(shown);
        }
    }
    assert_eq!(
        states,
        [
            "✔ acts for 1 player",
            "✖ the model failed",
            "✔ acts for 1 player",
            "✖ no decision",
            "✔ acts for 1 player"
        ]
    );
    assert!(panel.shows("10 failed, 10 undecided"));
}

#[test]
fn a_player_of_a_policy_that_does_not_exist_says_so_and_the_failure_can_be_dismissed() {
    let mut test = policy_game::fixed(3);
    let world = test.world_mut();
    let mut fighters = world.query::<(Entity, &AgentId)>();
    let (fighter, _) = fighters.iter(world).find(|(_, agent)| agent.0 == 101).unwrap();
    world.entity_mut(fighter).insert(PolicyControlled::by("absent"));
    let mut panel = policy_game::panel(test, 5);
    assert!(panel.shows("policy:absent (missing)") && panel.shows("there is no policy of this name"));
    assert!(panel.shows("names a policy that does not exist"));
    panel.click("Dismiss");
    panel.tick();
    assert!(!panel.shows("names a policy that") && panel.shows("acts for no player"));
}

#[test]
fn players_are_found_by_their_controller() {
    let mut test = policy_game::fixed(30);
    test.ticks(3);
    let mut panel = Panel::new(test);
    assert!(panel.shows("script:bot") && panel.shows("✔ acts for 10 players"));
    panel.type_at("agent, entity, controller or end", "brawler");
    assert!(panel.shows("10 of 30 players"));
    panel.show(Tab::Schema);
    assert!(panel.shows("policy brawler"));
}

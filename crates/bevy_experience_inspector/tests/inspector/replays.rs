//! The Replays tab: controls of ghosts, and reports.

use crate::support::{
    game::{self, Fighter, Health, Place},
    panel::Panel,
};
use bevy_ecs::entity::Entity;
use bevy_experience::prelude::*;
use bevy_experience_inspector::Tab;
use bevy_experience_replay::{Replay, ReplayPlugin};

/// A panel over a game that replays an episode of 20 transitions, on a ghost without `Sight`.
fn replayed() -> (Panel, Entity) {
    let episode = game::play(1, 21).finish().remove(0);
    let mut test = game::play(1, 1);
    test.add_plugins(ReplayPlugin);
    let ghost = (Replay::new(episode), Place { x: 0.0, y: 0.0 }, Health(0.0));
    let ghost = test.world_mut().spawn(ghost).id();
    let mut panel = Panel::new(test);
    panel.show(Tab::Replays);
    panel.tick();
    (panel, ghost)
}

fn step(panel: &mut Panel, ghost: Entity) -> usize {
    panel.test.world_mut().get::<Replay>(ghost).unwrap().step()
}

#[test]
fn without_replays_the_tab_says_how_to_add_one() {
    let mut panel = Panel::new(game::play(1, 3));
    panel.show(Tab::Replays);
    assert!(panel.shows("No replays") && panel.shows("ReplayPlugin"));
}

#[test]
fn buttons_play_pause_and_step() {
    let (mut panel, ghost) = replayed();
    assert!(panel.shows("fighter, episode") && panel.shows("agent 100"));
    assert!(panel.shows("0 of 20"));
    panel.tick();
    panel.tick();
    panel.frames(1);
    assert_eq!(step(&mut panel, ghost), 2);
    assert!(panel.shows("2 of 20") && panel.shows("0.03 s of 0.31 s"));
    panel.click("Pause replay");
    panel.tick();
    panel.tick();
    assert_eq!(step(&mut panel, ghost), 2);
    panel.click("▶");
    assert_eq!(step(&mut panel, ghost), 3);
    panel.click("◀");
    panel.click("◀");
    assert_eq!(step(&mut panel, ghost), 1);
    panel.tick();
    // 0.01 for a tick, and a hit.
    assert!(panel.shows("reward so far") && panel.shows("-0.2400"));
    panel.click("Play replay");
    panel.tick();
    assert_eq!(step(&mut panel, ghost), 2);
}

#[test]
fn a_click_on_the_slider_seeks() {
    let (mut panel, ghost) = replayed();
    panel.click("Pause replay");
    let forward = panel.find("▶");
    // The slider begins after the button and is 260 points wide.
    panel.click_at(forward.right_center() + bevy_egui::egui::vec2(150.0, 0.0));
    let sought = step(&mut panel, ghost);
    assert!((6..=14).contains(&sought), "step {sought}");
    panel.tick();
    let world = panel.test.world_mut();
    let episode = world.get::<Replay>(ghost).unwrap().episode().clone();
    assert_eq!(
        world.get::<Place>(ghost).unwrap().x,
        episode.row(sought).observation()[0]
    );
}

#[test]
fn missing_components_and_errors_are_shown() {
    let (mut panel, _) = replayed();
    panel.frames(2);
    assert!(panel.shows("Sight is missing on the ghost"));
    assert!(panel.shows("columns are restored"));

    let mut other = bevy_experience::test_app::TestApp::new();
    other.record(Recording::<Fighter>::new("stranger").observe::<Health>());
    other.world_mut().spawn((Fighter, Health(1.0)));
    other.ticks(4);
    let episode = other.finish().remove(0);
    panel.test.world_mut().spawn(Replay::new(episode));
    panel.tick();
    panel.frames(1);
    assert!(panel.shows("an episode of the recording `stranger` cannot be replayed"));
}

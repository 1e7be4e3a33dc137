//! Tournaments: seats rotate, and results are those of the rounds.

use arena::{
    ArenaSettings,
    bot::Skill,
    headless,
    record::recording,
    seating::SeatController,
    tournament::{TournamentPlugin, TournamentResults},
};
use bevy_experience::{
    prelude::*,
    transition::{Episode, Transition},
};
use std::{collections::BTreeSet, time::Duration};

fn settings() -> ArenaSettings {
    ArenaSettings {
        players: 6,
        hz: 10,
        rotate_seats: true,
        ..ArenaSettings::default()
    }
}

#[test]
fn results_are_the_rewards_of_the_rounds() {
    let settings = settings();
    let rounds = 3;
    let sink = MemorySink::default();
    let mut app = headless(settings.clone());
    app.add_plugins((TournamentPlugin, ExperiencePlugin::default()))
        .add_recording(recording(&settings).sink(sink.clone()));
    for _ in 0..=rounds * settings.round_ticks() {
        app.update();
    }
    assert!(
        app.world_mut()
            .resource_mut::<Experience>()
            .close(Duration::from_secs(10))
    );
    let results = app.world().resource::<TournamentResults>();
    let mut total = 0.0;
    for skill in Skill::ALL {
        let of_skill = results.rounds(SeatController::Script(skill));
        assert_eq!(of_skill.len() as u64, rounds, "{skill:?}");
        // Two of six seats.
        total += 2.0 * of_skill.iter().map(|round| round.reward).sum::<f64>();
    }
    let episodes = sink.episodes();
    let recorded: f64 = episodes
        .iter()
        .flat_map(Episode::transitions)
        .map(Transition::reward)
        .sum();
    // The rewards of the first tick follow no observation.
    assert!((total - recorded).abs() < 1.0, "{total} {recorded}");
    // Each agent was controlled by all of them, and the data says so.
    let controllers: BTreeSet<_> = episodes
        .iter()
        .filter(|episode| episode.info().agent_id == 0)
        .flat_map(|episode| episode.transitions().filter_map(Transition::controller))
        .collect();
    assert_eq!(
        controllers,
        BTreeSet::from(["script:collector", "script:hunter", "script:wanderer"])
    );
}

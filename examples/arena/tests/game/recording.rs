//! The recorded data of the arena, compared with what the game did.

use std::collections::BTreeMap;

use arena::{
    ArenaSettings,
    fighter::{Body, Deed, Fighter, Score},
    headless,
    human::HumanPlugin,
    record::{FIGHTER, buffers, recording},
    rules::{ALIVE_REWARD, COIN_REWARD, FULL_HEALTH, RESPAWN_SECONDS, ROUND_SECONDS},
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    sink::RunReport,
    transition::{Episode, Transition},
};

use crate::support::{EXPORT_TIMEOUT, close, fighter_of, hash_after, update};

/// Two matches with churn.
fn settings() -> ArenaSettings {
    ArenaSettings {
        players: 9,
        matches: 2,
        churn: true,
        ..ArenaSettings::default()
    }
}

/// Count of `EndEpisode` events with reason `death`.
#[derive(Resource, Default)]
struct DeathCount(u64);

fn count_deaths(ended: On<EndEpisode>, mut deaths: ResMut<DeathCount>) {
    if ended.reason == EndReason::DEATH {
        deaths.0 += 1;
    }
}

/// What a closed recording contains, and what the game did.
struct RecordedGame {
    episodes: Vec<Episode>,
    report: RunReport,
    deaths: u64,
    hash: u64,
}

/// An arena that records into memory, before its first update.
fn recorded_app(settings: &ArenaSettings, enabled: bool) -> (App, MemorySink) {
    let sink = MemorySink::default();
    let mut app = headless(settings.clone());
    app.add_plugins(ExperiencePlugin {
        enabled,
        ..ExperiencePlugin::default()
    })
    .add_recording(
        recording(settings)
            .buffers(BufferSettings {
                overflow: Overflow::Block(EXPORT_TIMEOUT),
                ..buffers(settings)
            })
            .sink(sink.clone()),
    )
    .init_resource::<DeathCount>()
    .add_observer(count_deaths);
    (app, sink)
}

/// Plays and records `ticks` ticks.
fn play(settings: &ArenaSettings, ticks: u64) -> RecordedGame {
    let (mut app, sink) = recorded_app(settings, true);
    let hash = hash_after(ticks, &mut app);
    finish(&mut app, &sink, hash)
}

fn finish(app: &mut App, sink: &MemorySink, hash: u64) -> RecordedGame {
    let episodes = close(app, sink);
    let report = app.world().resource::<Experience>().reports(FIGHTER).remove(0);
    RecordedGame {
        episodes,
        report,
        deaths: app.world().resource::<DeathCount>().0,
        hash,
    }
}

/// Names of features and action values, to look values up by.
struct ColumnNames {
    features: Vec<String>,
    actions: Vec<String>,
}

impl ColumnNames {
    fn of(episode: &Episode) -> Self {
        let actions = episode
            .schema()
            .action()
            .iter()
            .flat_map(|column| column.element_names().collect::<Vec<_>>());
        Self {
            features: episode.schema().feature_names(),
            actions: actions.collect(),
        }
    }

    fn feature(&self, observation: &[f32], name: &str) -> f32 {
        let index = self.features.iter().position(|feature| feature == name);
        observation[index.unwrap_or_else(|| panic!("feature `{name}` is not among {:?}", self.features))]
    }

    fn action(&self, transition: &Transition, name: &str) -> f64 {
        let index = self.actions.iter().position(|action| action == name);
        let index = index.unwrap_or_else(|| panic!("action `{name}` is not among {:?}", self.actions));
        transition.action().nth(index).expect("the action has a value per name")
    }
}

#[test]
fn the_data_says_which_bot_acted_and_where_a_person_did() {
    let settings = ArenaSettings {
        players: 6,
        ..ArenaSettings::default()
    };
    let (mut app, sink) = recorded_app(&settings, true);
    app.add_plugins(HumanPlugin { agent: 4 });
    update(&mut app, 600);
    let labels = ["wanderer", "collector", "hunter"].map(|skill| format!("script:{skill}"));
    let mut seen = BTreeMap::new();
    for transition in close(&mut app, &sink).iter().flat_map(Episode::transitions) {
        let agent = transition.episode().info().agent_id;
        let expected = if agent == 4 {
            "person"
        } else {
            &labels[agent as usize % 3]
        };
        assert_eq!(transition.controller(), Some(expected), "agent {agent}");
        *seen.entry(agent).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn recording_does_not_change_the_game() {
    let ticks = 1200;
    let plain = hash_after(ticks, &mut headless(settings()));
    assert_eq!(
        plain,
        hash_after(ticks, &mut recorded_app(&settings(), false).0),
        "disabled"
    );
    assert_eq!(plain, play(&settings(), ticks).hash, "enabled");
}

#[test]
fn all_transitions_are_exported_and_each_death_terminates_an_episode() {
    let played = play(&settings(), 3000);
    let report = &played.report;
    assert_eq!(report.recorded, report.exported);
    assert_eq!(
        (report.dropped, report.discarded, report.pending, report.non_finite),
        (0, 0, 0, 0)
    );
    assert_eq!((report.ignored_ends, report.refused_agents), (0, 0));
    // The survival rewards of the tick before the first observations belong to no transition.
    assert_eq!(report.orphaned_rewards, settings().agent_count() as u64);
    assert_eq!(
        report.exported,
        played.episodes.iter().map(|episode| episode.len() as u64).sum::<u64>()
    );
    assert_eq!(report.episodes, played.episodes.len() as u64);

    let terminated: Vec<_> = played
        .episodes
        .iter()
        .filter(|episode| episode.outcome() == Outcome::Terminated)
        .collect();
    assert!(played.deaths > 20, "{}", played.deaths);
    assert_eq!(terminated.len() as u64, played.deaths);
    let names = ColumnNames::of(&played.episodes[0]);
    for episode in &played.episodes {
        let last = episode.row(episode.len()).observation();
        let died = episode.outcome() == Outcome::Terminated;
        assert_eq!(*episode.reason() == EndReason::DEATH, died);
        assert_eq!(
            names.feature(last, "body.health") == 0.0,
            died,
            "the final observation shows a dead fighter"
        );
        assert_eq!(names.feature(episode.row(0).observation(), "body.health"), FULL_HEALTH);
    }
    let reasons: Vec<_> = played
        .episodes
        .iter()
        .map(|episode| episode.reason().as_str())
        .collect();
    assert!(
        reasons.contains(&"left") && reasons.contains(&"shutdown"),
        "{reasons:?}"
    );
}

#[test]
fn dead_fighters_have_no_episode() {
    let settings = ArenaSettings {
        churn: false,
        ..settings()
    };
    let played = play(&settings, 2500);
    let mut gaps = 0;
    for pair in played.episodes.windows(2) {
        let [before, after] = pair else {
            unreachable!("windows of two")
        };
        if before.info().agent_id == after.info().agent_id {
            assert_eq!(*before.reason(), EndReason::DEATH);
            let end = before.row(before.len()).header().tick;
            let respawn_ticks = after.row(0).header().tick - end;
            assert!(
                (respawn_ticks - settings.ticks(RESPAWN_SECONDS) as i64).abs() <= 1,
                "{respawn_ticks}"
            );
            gaps += 1;
        }
    }
    assert!(gaps > 20, "{gaps}");
}

#[test]
fn the_end_of_a_round_truncates_episodes_and_begins_new_ones() {
    let settings = ArenaSettings {
        players: 3,
        hz: 10,
        ..ArenaSettings::default()
    };
    let round = settings.ticks(ROUND_SECONDS);
    let played = play(&settings, round + 5);
    let truncated: Vec<_> = played
        .episodes
        .iter()
        .filter(|episode| *episode.reason() == EndReason::TIME_LIMIT)
        .collect();
    assert!(!truncated.is_empty());
    assert_eq!(played.report.ignored_ends, 0);
    for episode in &truncated {
        assert_eq!(episode.outcome(), Outcome::Truncated);
        assert_eq!(episode.row(episode.len()).header().tick, round as i64 - 1);
    }
    let begun: Vec<_> = played
        .episodes
        .iter()
        .filter(|episode| episode.row(0).header().tick == round as i64 - 1)
        .collect();
    assert_eq!(begun.len(), 3, "dead fighters respawn as well");
    let names = ColumnNames::of(truncated[0]);
    let x = |observation: &[f32]| names.feature(observation, "transform.translation.x");
    for old in &truncated {
        let new = begun
            .iter()
            .find(|new| new.info().agent_id == old.info().agent_id)
            .expect("every fighter begins a new episode");
        assert_ne!(
            x(old.row(old.len()).observation()),
            x(new.row(0).observation()),
            "the final observation was captured after the reset"
        );
    }
}

#[test]
fn a_respawn_that_is_due_at_the_end_of_a_round_happens_once() {
    let settings = ArenaSettings {
        players: 4,
        hz: 10,
        ..ArenaSettings::default()
    };
    let (mut app, sink) = recorded_app(&settings, true);
    let respawn_ticks = settings.ticks(RESPAWN_SECONDS);
    let round = settings.ticks(ROUND_SECONDS);
    update(&mut app, round - respawn_ticks - 1);
    // Deaths in consecutive ticks, around the one whose respawn is due in the last tick of the round.
    for agent in 0..4 {
        let fighter = fighter_of(&app, agent);
        app.world_mut()
            .get_mut::<Body>(fighter)
            .expect("fighters have a body")
            .health = 0.0;
        app.update();
    }
    let hash = hash_after(respawn_ticks, &mut app);
    let played = finish(&mut app, &sink, hash);
    assert_eq!(played.report.ignored_ends, 0);
    for agent in 0..4 {
        let last = played
            .episodes
            .iter()
            .rfind(|episode| episode.info().agent_id == agent)
            .expect("every agent has an episode");
        assert_eq!(last.row(0).header().tick, round as i64 - 1, "agent {agent}");
    }
}

#[test]
fn actions_are_recorded_with_the_observation_they_were_chosen_from() {
    let settings = ArenaSettings {
        churn: false,
        ..settings()
    };
    let played = play(&settings, 400);
    let names = ColumnNames::of(&played.episodes[0]);
    let mut checked = 0;
    // Collectors steer straight to the nearest coin in their observation.
    for episode in played
        .episodes
        .iter()
        .filter(|episode| episode.info().agent_id % 9 % 3 == 1)
    {
        for transition in episode.transitions() {
            let observation = transition.observation();
            let (dx, dy) = (
                names.feature(observation, "coin[0].dx"),
                names.feature(observation, "coin[0].dy"),
            );
            if names.feature(observation, "coin[0].present") == 0.0
                || names.action(&transition, "intent.deed") == Deed::Dash as i64 as f64
            {
                continue;
            }
            let length = f64::from(dx.hypot(dy));
            let steer = (
                names.action(&transition, "intent.steer.x"),
                names.action(&transition, "intent.steer.y"),
            );
            let cosine = (steer.0 * f64::from(dx) + steer.1 * f64::from(dy)) / length;
            assert!(
                (cosine - 1.0).abs() < 1e-4,
                "step {}: {steer:?} towards ({dx}, {dy})",
                transition.step()
            );
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn recorded_reward_terms_equal_those_of_the_game() {
    let settings = ArenaSettings {
        churn: false,
        ..settings()
    };
    let (mut app, sink) = recorded_app(&settings, true);
    hash_after(1500, &mut app);
    let episodes = close(&mut app, &sink);
    let mut coins = BTreeMap::<i64, f64>::new();
    for episode in &episodes {
        for transition in episode.transitions() {
            let [alive, coin, hit] = transition.reward_terms() else {
                panic!("the schema has three reward terms")
            };
            let died = transition.terminated();
            assert_eq!(*alive, if died { 0.0 } else { ALIVE_REWARD as f32 });
            assert!((transition.reward() - f64::from(alive + coin + hit)).abs() < 1e-6);
            *coins.entry(episode.info().agent_id).or_default() += f64::from(*coin);
        }
    }
    // Rewards of the first tick precede the first observation, and belong to no transition.
    let world = app.world_mut();
    let total: u32 = world.query::<&Score>().iter(world).map(|score| score.coins).sum();
    let recorded: f64 = coins.values().sum::<f64>() / COIN_REWARD;
    assert!(
        total > 50 && f64::from(total) - recorded <= 1.0,
        "{total} collected, {recorded} recorded"
    );
    assert_eq!(world.query::<&Fighter>().iter(world).count(), settings.agent_count());
}

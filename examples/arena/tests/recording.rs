//! The arena as it is recorded.

use std::{collections::BTreeMap, time::Duration};

use arena::{
    ArenaSettings, Seats,
    fighter::{Body, Deed, Fighter, Score},
    headless,
    record::{FIGHTER, buffers, recording},
    rules::{ALIVE_REWARD, COIN_REWARD, FULL_HEALTH, RESPAWN_AFTER, ROUND},
    world_hash,
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    sink::RunReport,
    transition::{Episode, Transition},
};

/// Nothing that is checked here may be lost to a slow disk or a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn busy() -> ArenaSettings {
    ArenaSettings {
        players: 9,
        matches: 2,
        churn: true,
        ..ArenaSettings::default()
    }
}

/// Deaths that the game told of.
#[derive(Resource, Default)]
struct Deaths(u64);

fn count_deaths(ended: On<EndEpisode>, mut deaths: ResMut<Deaths>) {
    if ended.reason == EndReason::DEATH {
        deaths.0 += 1;
    }
}

struct Played {
    episodes: Vec<Episode>,
    report: RunReport,
    deaths: u64,
    hash: u64,
}

fn recorded(settings: &ArenaSettings, enabled: bool) -> (App, MemorySink) {
    let sink = MemorySink::default();
    let mut app = headless(settings.clone());
    app.add_plugins(ExperiencePlugin {
        enabled,
        ..ExperiencePlugin::default()
    })
    .add_recording(
        recording(settings)
            .buffers(BufferSettings {
                overflow: Overflow::Block(PATIENCE),
                ..buffers(settings)
            })
            .sink(sink.clone()),
    )
    .init_resource::<Deaths>()
    .add_observer(count_deaths);
    (app, sink)
}

fn hash_after(ticks: u32, app: &mut App) -> u64 {
    for _ in 0..=ticks {
        app.update();
    }
    world_hash(app.world_mut())
}

fn play(settings: &ArenaSettings, ticks: u32) -> Played {
    let (mut app, sink) = recorded(settings, true);
    let hash = hash_after(ticks, &mut app);
    close(&mut app, &sink, hash)
}

fn close(app: &mut App, sink: &MemorySink, hash: u64) -> Played {
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(PATIENCE));
    let report = experience.reports(FIGHTER).remove(0);
    let mut episodes = sink.episodes();
    episodes.sort_by_key(|episode| (episode.info().agent_id, episode.row(0).header().tick));
    Played {
        episodes,
        report,
        deaths: app.world().resource::<Deaths>().0,
        hash,
    }
}

/// The features and the parts of the action by name.
struct Names {
    features: Vec<String>,
    actions: Vec<String>,
}

impl Names {
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
        let place = self.features.iter().position(|feature| feature == name);
        observation[place.unwrap_or_else(|| panic!("`{name}` is none of {:?}", self.features))]
    }

    fn action(&self, transition: &Transition, name: &str) -> f64 {
        let place = self.actions.iter().position(|action| action == name);
        let place = place.unwrap_or_else(|| panic!("`{name}` is none of {:?}", self.actions));
        transition.action().nth(place).expect("the action is whole")
    }
}

#[test]
fn recording_leaves_the_game_as_it_is() {
    let ticks = 1200;
    let plain = hash_after(ticks, &mut headless(busy()));
    assert_eq!(plain, hash_after(ticks, &mut recorded(&busy(), false).0), "disabled");
    assert_eq!(plain, play(&busy(), ticks).hash, "enabled");
}

#[test]
fn everything_is_exported_and_every_death_is_a_terminated_episode() {
    let played = play(&busy(), 3000);
    let report = &played.report;
    assert_eq!(report.recorded, report.exported);
    assert_eq!(
        (report.dropped, report.discarded, report.pending, report.non_finite),
        (0, 0, 0, 0)
    );
    assert_eq!((report.ignored_ends, report.refused_agents), (0, 0));
    // For being alive in the tick that led to the very first observations.
    assert_eq!(report.orphaned_rewards, busy().seats() as u64);
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
    let names = Names::of(&played.episodes[0]);
    for episode in &played.episodes {
        let last = episode.row(episode.len()).observation();
        let died = episode.outcome() == Outcome::Terminated;
        assert_eq!(*episode.reason() == EndReason::DEATH, died);
        assert_eq!(
            names.feature(last, "body.health") == 0.0,
            died,
            "the dead are seen dead"
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
fn a_corpse_is_no_episode() {
    let settings = ArenaSettings { churn: false, ..busy() };
    let played = play(&settings, 2500);
    let mut gaps = 0;
    for pair in played.episodes.windows(2) {
        let [before, after] = pair else {
            unreachable!("windows of two")
        };
        if before.info().agent_id == after.info().agent_id {
            assert_eq!(*before.reason(), EndReason::DEATH);
            let end = before.row(before.len()).header().tick;
            let lying = after.row(0).header().tick - end;
            assert!((lying - settings.ticks(RESPAWN_AFTER) as i64).abs() <= 1, "{lying}");
            gaps += 1;
        }
    }
    assert!(gaps > 20, "{gaps}");
}

#[test]
fn the_end_of_a_round_truncates_and_everyone_begins_anew_at_once() {
    let settings = ArenaSettings {
        players: 3,
        hz: 10,
        ..ArenaSettings::default()
    };
    let round = settings.ticks(ROUND) as u32;
    let played = play(&settings, round + 5);
    let limited: Vec<_> = played
        .episodes
        .iter()
        .filter(|episode| *episode.reason() == EndReason::TIME_LIMIT)
        .collect();
    assert!(!limited.is_empty());
    assert_eq!(played.report.ignored_ends, 0);
    for episode in &limited {
        assert_eq!(episode.outcome(), Outcome::Truncated);
        assert_eq!(episode.row(episode.len()).header().tick, i64::from(round) - 1);
    }
    let begun: Vec<_> = played
        .episodes
        .iter()
        .filter(|episode| episode.row(0).header().tick == i64::from(round) - 1)
        .collect();
    assert_eq!(begun.len(), 3, "corpses stand up as well");
    let names = Names::of(limited[0]);
    let x = |observation: &[f32]| names.feature(observation, "transform.translation.x");
    for old in &limited {
        let new = begun
            .iter()
            .find(|new| new.info().agent_id == old.info().agent_id)
            .expect("everyone begins anew");
        assert_ne!(
            x(old.row(old.len()).observation()),
            x(new.row(0).observation()),
            "the reset is not the final observation"
        );
    }
}

#[test]
fn who_would_stand_up_as_the_round_ends_stands_up_once() {
    let settings = ArenaSettings {
        players: 4,
        hz: 10,
        ..ArenaSettings::default()
    };
    let (mut app, sink) = recorded(&settings, true);
    let lying = settings.ticks(RESPAWN_AFTER);
    let round = settings.ticks(ROUND);
    hash_after((round - lying - 2) as u32, &mut app);
    // One after the other, around the tick from which on a corpse lies until the very end of the round.
    for agent in 0..4 {
        let fighter = app.world().resource::<Seats>().entity(agent).expect("nobody leaves");
        app.world_mut()
            .get_mut::<Body>(fighter)
            .expect("fighters have bodies")
            .health = 0.0;
        app.update();
    }
    let hash = hash_after(lying as u32, &mut app);
    let played = close(&mut app, &sink, hash);
    assert_eq!(played.report.ignored_ends, 0);
    for agent in 0..4 {
        let last = played
            .episodes
            .iter()
            .rfind(|episode| episode.info().agent_id == agent)
            .expect("everyone plays");
        assert_eq!(last.row(0).header().tick, round as i64 - 1, "agent {agent}");
    }
}

#[test]
fn actions_stand_beside_the_observation_they_were_chosen_from() {
    let settings = ArenaSettings { churn: false, ..busy() };
    let played = play(&settings, 400);
    let names = Names::of(&played.episodes[0]);
    let mut checked = 0;
    // Collectors steer straight to the nearest coin that they see.
    for episode in played
        .episodes
        .iter()
        .filter(|episode| episode.info().agent_id % 9 % 3 == 1)
    {
        for transition in episode.transitions() {
            let seen = transition.observation();
            let (dx, dy) = (names.feature(seen, "coin[0].dx"), names.feature(seen, "coin[0].dy"));
            if names.feature(seen, "coin[0].present") == 0.0
                || names.action(&transition, "intent.deed") == Deed::Dash as i64 as f64
            {
                continue;
            }
            let length = f64::from(dx.hypot(dy));
            let steer = (
                names.action(&transition, "intent.steer.x"),
                names.action(&transition, "intent.steer.y"),
            );
            let along = (steer.0 * f64::from(dx) + steer.1 * f64::from(dy)) / length;
            assert!(
                (along - 1.0).abs() < 1e-4,
                "step {}: {steer:?} towards ({dx}, {dy})",
                transition.step()
            );
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn reward_terms_are_what_the_game_gave() {
    let settings = ArenaSettings { churn: false, ..busy() };
    let (mut app, sink) = recorded(&settings, true);
    hash_after(1500, &mut app);
    assert!(app.world_mut().resource_mut::<Experience>().close(PATIENCE));
    let mut coins = BTreeMap::<i64, f64>::new();
    for episode in sink.episodes() {
        for transition in episode.transitions() {
            let [alive, coin, hit] = transition.reward_terms() else {
                panic!("there are three terms")
            };
            let died = transition.terminated();
            assert_eq!(*alive, if died { 0.0 } else { ALIVE_REWARD as f32 });
            assert!((transition.reward() - f64::from(alive + coin + hit)).abs() < 1e-6);
            *coins.entry(episode.info().agent_id).or_default() += f64::from(*coin);
        }
    }
    // The first tick of all ended in the first observation: what was earned in it is nobody's transition.
    let world = app.world_mut();
    let total: u32 = world.query::<&Score>().iter(world).map(|score| score.coins).sum();
    let recorded: f64 = coins.values().sum::<f64>() / COIN_REWARD;
    assert!(
        total > 50 && f64::from(total) - recorded <= 1.0,
        "{total} against {recorded}"
    );
    assert_eq!(world.query::<&Fighter>().iter(world).count(), settings.seats());
}

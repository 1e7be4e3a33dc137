//! [`JournalSink`]: a recovery of its segments gives the dataset that a [`DatasetSink`] of the same game has written.

use crate::{
    assert_prefixes,
    game::{CrashCopy, TIMEOUT, manual_flush},
    player::{Age, Player, grow},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, RecoverSettings, RunAccount, RunStatus},
    export::ExportSettings,
    prelude::*,
    sink::RunReport,
    test_app::TestApp,
    transition::Episode,
};
use proptest::prelude::*;
use std::{fs, path::Path};
use tempfile::tempdir;

/// One event of a game, for the player with the index.
#[derive(Clone, Copy, Debug)]
enum Event {
    Ticks(u8),
    Join,
    Terminate(u8),
    Truncate(u8),
    Despawn(u8),
    Discard(u8),
    Tag(u8),
    Flush,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        6 => (1..30_u8).prop_map(Event::Ticks),
        3 => Just(Event::Join),
        2 => any::<u8>().prop_map(Event::Terminate),
        2 => any::<u8>().prop_map(Event::Truncate),
        1 => any::<u8>().prop_map(Event::Despawn),
        1 => any::<u8>().prop_map(Event::Discard),
        2 => any::<u8>().prop_map(Event::Tag),
        1 => Just(Event::Flush),
    ];
    prop::collection::vec(one, 1..40)
}

fn reward_age(mut players: Query<(&Age, &mut Reward)>) {
    for (age, mut reward) in &mut players {
        reward.add("age", f64::from(age.0) / 2.0);
    }
}

fn recording() -> Recording<Player> {
    Recording::<Player>::new("player")
        .observe::<Age>()
        .reward_terms(["age"])
        .episodes(EpisodeRules {
            max_steps: 25,
            ..EpisodeRules::default()
        })
}

fn app(export: ExportSettings) -> TestApp {
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        export,
        ..ExperiencePlugin::default()
    });
    test.add_systems(FixedUpdate, (grow, reward_age).chain());
    test
}

fn spawn(test: &mut TestApp, agent: usize) -> Entity {
    let player = (Player, Age(agent as f32 * 1000.0), AgentId(agent as i64));
    test.world_mut().spawn(player).id()
}

fn experience(test: &mut TestApp) -> Mut<'_, Experience> {
    test.world_mut().resource_mut::<Experience>()
}

/// Plays a game that is recorded by both sinks, and returns the accounts that they were given.
fn play(events: &[Event], shards: &Path, segments: &Path) -> Vec<RunReport> {
    let mut test = app(ExportSettings::default());
    test.add_recording(
        recording()
            .sink(DatasetSink::new(shards).with_seed(7).with_build("1.2.0"))
            .sink(
                JournalSink::new(segments)
                    .with_segment_bytes(4096)
                    .with_seed(7)
                    .with_build("1.2.0"),
            ),
    );
    // Starts the exporter.
    test.ticks(1);
    let mut players = Vec::new();
    for &event in events {
        let index = |any: u8| usize::from(any) % players.len().max(1);
        match event {
            Event::Ticks(ticks) => test.ticks(ticks.into()),
            Event::Join => {
                let player = spawn(&mut test, players.len());
                players.push(player);
            }
            Event::Flush => assert!(experience(&mut test).flush(TIMEOUT)),
            _ if players.is_empty() => {}
            Event::Terminate(any) => test
                .world_mut()
                .trigger(EndEpisode::terminated(players[index(any)], "goal")),
            Event::Truncate(any) => test
                .world_mut()
                .trigger(EndEpisode::truncated(players[index(any)], "time")),
            Event::Despawn(any) => {
                test.world_mut().despawn(players[index(any)]);
            }
            // A player without an open episode is refused, which changes nothing.
            Event::Discard(any) => {
                let _ = experience(&mut test).discard_episode("player", index(any) as i64);
            }
            Event::Tag(any) => {
                let tag = format!("tag {any}");
                let _ = experience(&mut test).tag_episode("player", index(any) as i64, tag);
            }
        }
    }
    let mut experience = experience(&mut test);
    assert!(experience.close(TIMEOUT));
    experience.reports("player")
}

fn account(root: &Path) -> RunAccount {
    let dataset = Dataset::open(root).unwrap();
    dataset.recording("player").unwrap().runs().unwrap().remove(0)
}

/// The episodes of a dataset in the order of its shards.
fn episodes(root: &Path) -> Vec<Episode> {
    let dataset = Dataset::open(root).unwrap();
    let recording = dataset.recording("player").unwrap();
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    recording.episodes().map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_recovery_of_segments_gives_the_dataset_of_a_dataset_sink(events in events()) {
        let folder = tempdir().unwrap();
        let (shards, segments) = (folder.path().join("shards"), folder.path().join("segments"));
        let reports = play(&events, &shards, &segments);
        let [report, of_segments] = &*reports else { panic!("{reports:?}") };
        prop_assert_eq!(report, of_segments);
        prop_assert_eq!(report.recorded, report.exported + report.discarded);
        let before = account(&segments);
        prop_assert_eq!(before.account.exported, report.exported);
        prop_assert_eq!(before.status, if report.episodes > 0 { RunStatus::Journaled } else { RunStatus::Closed });

        let recovered = Dataset::open(&segments).unwrap().recover(&RecoverSettings::default()).unwrap();
        for run in recovered.iter().flat_map(|recording| &recording.recovery.recovered) {
            prop_assert!(run.closed && run.lost == 0 && run.cut_short == 0 && run.unread.is_empty(), "{:?}", run);
            prop_assert_eq!((run.episodes, run.transitions), (report.episodes, report.exported));
        }
        let (found, expected) = (episodes(&segments), episodes(&shards));
        prop_assert_eq!(found.len() as u64, report.episodes);
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!(found.info(), expected.info());
            prop_assert_eq!((found.outcome(), found.reason()), (expected.outcome(), expected.reason()));
            prop_assert_eq!(found.rows(), expected.rows());
        }
        let (own, other) = (account(&segments), account(&shards));
        prop_assert_eq!((own.run, own.status, own.ended), (other.run, RunStatus::Closed, before.ended));
        prop_assert_eq!(&own.account, &other.account);
        prop_assert_eq!((own.seed, &own.build, own.tick_rate), (other.seed, &other.build, other.tick_rate));
        let tags = format!("runs/{}.tags.jsonl", own.run);
        for file in ["experience.json", &tags] {
            let content = |root: &Path| fs::read_to_string(root.join("player").join(file)).ok();
            prop_assert_eq!(content(&segments), content(&shards), "{}", file);
        }
        prop_assert!(!segments.join("player/segments").exists());
    }
}

#[test]
fn a_killed_game_with_segments_is_recovered_up_to_its_last_flush() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    let mut test = app(manual_flush());
    test.record(recording().sink(JournalSink::new(&data)));
    test.ticks(1);
    for _ in 0..2 {
        assert!(experience(&mut test).flush(TIMEOUT));
    }
    for agent in 0..3 {
        spawn(&mut test, agent);
    }
    for _ in 0..4 {
        test.ticks(15);
        assert!(experience(&mut test).flush(TIMEOUT));
    }
    // Not flushed, so they are lost.
    test.ticks(7);
    let crashed = CrashCopy::of(&data);
    let [run] = &*crashed.recover() else { panic!() };
    // Each player has recorded 59 transitions in episodes of 25, since its first row is no transition.
    assert_eq!((run.closed, run.unread.len()), (false, 0));
    assert!(run.transitions >= 3 * 57, "{run:?}");
    assert_eq!((run.cut_short, run.lost), (3, 0));
    let recorded = test.finish();
    let found = crashed.episodes();
    assert!(found.len() >= 9, "{}", found.len());
    assert_prefixes(&found, &recorded);
    assert_eq!(crashed.runs()[0].status, RunStatus::Recovered);
}

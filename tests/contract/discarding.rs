//! Discarding an episode while people record: `DiscardEpisode` for the open one and for the last that has ended.

use crate::{
    player::{Age, Player, grow},
    support::experience,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    account::DISCARDED_TAG, buffer::pool::PoolSettings, plugin::PlayerError, prelude::*, test_app::TestApp,
};
use core::time::Duration;

/// The ways in which players are captured and their rows are kept: serially in buffers of their own and in a pool, and in
/// parallel.
fn scalings() -> [PlayerScaling; 3] {
    let pool = PlayerScaling {
        pool_above: Some(0),
        pool: Some(PoolSettings {
            bytes: 1 << 20,
            shards: 2,
            ..PoolSettings::default()
        }),
        ..PlayerScaling::default()
    };
    let parallel = PlayerScaling {
        parallel_above: Some(0),
        ..pool.clone()
    };
    [PlayerScaling::default(), pool, parallel]
}

fn play(recording: Recording<Player>) -> (TestApp, Entity) {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    let player = test.world_mut().spawn((Player, Age(0.0), AgentId(7))).id();
    (test, player)
}

fn end(test: &mut TestApp, player: Entity) {
    test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
}

#[test]
fn the_open_episode_reaches_no_sink_and_counts_as_discarded() {
    for scaling in scalings() {
        let (mut test, player) = play(Recording::new("player").scaling(scaling));
        test.ticks(4);
        end(&mut test, player);
        test.ticks(4);
        test.world_mut().trigger(DiscardEpisode::running(player));
        test.ticks(3);
        let episodes = test.finish();
        let first: Vec<_> = episodes.iter().map(|episode| episode.row(0).observation()[0]).collect();
        assert_eq!(
            first,
            [1.0, 9.0],
            "the first had ended, the second is discarded, the third began after it"
        );
        let report = test.report();
        assert_eq!((report.discarded, report.dropped, report.pending), (3, 0, 0));
        assert_eq!(report.recorded, report.exported + report.discarded);
        assert!(report.tags.is_empty());
    }
}

#[test]
fn the_last_episode_that_has_ended_is_marked_whatever_is_open() {
    for scaling in scalings() {
        let rules = EpisodeRules {
            start: EpisodeStart::OnEvent,
            ..EpisodeRules::default()
        };
        let (mut test, player) = play(Recording::new("player").episodes(rules).scaling(scaling));
        test.ticks(4);
        end(&mut test, player);
        test.ticks(2);
        // No episode is open.
        test.world_mut().trigger(DiscardEpisode::last(player));
        test.world_mut().trigger(BeginEpisode { entity: player });
        test.ticks(4);
        end(&mut test, player);
        test.ticks(1);
        test.world_mut().trigger(BeginEpisode { entity: player });
        test.ticks(3);
        // The third is open, so the second is marked, twice without an effect.
        test.world_mut().trigger(DiscardEpisode::last(player));
        test.world_mut().trigger(DiscardEpisode::last(player));
        test.ticks(2);
        let episodes = test.finish();
        assert_eq!(episodes.len(), 3);
        let report = test.report();
        assert_eq!((report.recorded, report.discarded), (report.exported, 0));
        let tags: Vec<_> = report
            .tags
            .iter()
            .map(|tag| (tag.episode_id, tag.agent_id, tag.tag.as_str()))
            .collect();
        let ids: Vec<i64> = episodes.iter().map(|episode| episode.info().episode_id).collect();
        assert_eq!(tags, [(ids[0], 7, DISCARDED_TAG), (ids[1], 7, DISCARDED_TAG)]);
    }
}

#[test]
fn a_discard_is_limited_to_one_recording_and_to_players_with_an_episode() {
    let (mut test, player) = play(Recording::new("player"));
    test.record(Recording::<Player>::new("other").observe::<Age>());
    let stranger = test.world_mut().spawn(Age(0.0)).id();
    // No capture has run, so there is no episode.
    test.world_mut().trigger(DiscardEpisode::running(player));
    test.world_mut().trigger(DiscardEpisode::last(player));
    test.ticks(4);
    test.world_mut().trigger(DiscardEpisode::last(player));
    test.world_mut().trigger(DiscardEpisode::last(stranger));
    test.world_mut()
        .trigger(DiscardEpisode::running(player).in_recording("other"));
    let error = experience(&mut test)
        .discard_last_episode("player", player)
        .unwrap_err();
    assert!(matches!(error, PlayerError::NoEpisode { agent_id: 7, .. }), "{error}");
    test.ticks(2);
    assert!(experience(&mut test).flush(Duration::from_secs(30)));
    let discarded = |test: &mut TestApp, name: &str| experience(test).reports(name)[0].discarded;
    assert_eq!((discarded(&mut test, "player"), discarded(&mut test, "other")), (0, 3));
    end(&mut test, player);
    test.ticks(2);
    let id = experience(&mut test).discard_last_episode("player", 7).unwrap();
    assert_eq!(experience(&mut test).reports("player")[0].tags[0].episode_id, id);
}

#[cfg(feature = "dataset")]
#[test]
fn a_dataset_stores_the_mark_and_its_readers_skip_the_episode() {
    use bevy_experience::dataset::{CompactSettings, Dataset};
    for scaling in scalings() {
        let folder = tempfile::tempdir().unwrap();
        let mut test = TestApp::new();
        test.add_recording(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .scaling(scaling)
                .sink(DatasetSink::new(folder.path()).with_shard_bytes(1)),
        );
        test.add_systems(FixedUpdate, grow);
        let player = test.world_mut().spawn((Player, Age(0.0), AgentId(7))).id();
        let mut ids = Vec::new();
        for flushes_before in [true, false] {
            test.ticks(4);
            end(&mut test, player);
            test.ticks(1);
            if flushes_before {
                // The episode is in a shard.
                assert!(experience(&mut test).flush(Duration::from_secs(30)));
            }
            ids.push(experience(&mut test).discard_last_episode("player", player).unwrap());
        }
        test.ticks(3);
        assert!(experience(&mut test).flush(Duration::from_secs(30)));
        end(&mut test, player);
        test.ticks(1);
        assert!(experience(&mut test).close(Duration::from_secs(30)));
        drop(test);
        let dataset = Dataset::open(folder.path()).unwrap();
        let recording = dataset.recording("player").unwrap();
        let left = || -> Vec<i64> {
            let found = recording.episodes().map(|episode| episode.unwrap().info().episode_id);
            found.collect()
        };
        let before = left();
        assert!(
            !before.is_empty() && before.iter().all(|id| !ids.contains(id)),
            "{before:?}"
        );
        assert_eq!(recording.discarded().unwrap().len(), 2);
        let counts = || recording.runs().unwrap().remove(0).account;
        let recorded = counts();
        assert_eq!((recorded.recorded, recorded.discarded), (recorded.exported, 0));
        assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
        dataset.compact(CompactSettings::default(), &mut |_| {}).unwrap();
        assert_eq!(left(), before);
        let now = counts();
        assert_eq!(now.recorded, recorded.recorded);
        assert_eq!(now.discarded, recorded.exported - now.exported);
        assert!(now.discarded >= 7, "{now:?}");
        assert_eq!(recording.transitions().unwrap(), now.exported);
        assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
    }
}

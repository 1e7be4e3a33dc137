//! Operations on single players: reading their state, ending, tagging and discarding episodes, and excluding agents.

use crate::{
    player::{Age, Player},
    support::{experience, play_with_reward as play},
};
use bevy_ecs::prelude::*;
use bevy_experience::{
    plugin::{PlayerError, PlayerState},
    prelude::*,
    test_app::TestApp,
    transition::Episode,
};
use core::time::Duration;

fn join(test: &mut TestApp, agent: i64) -> Entity {
    test.world_mut().spawn((Player, Age(0.0), AgentId(agent))).id()
}

fn state(test: &mut TestApp, agent: i64) -> PlayerState {
    let experience = experience(test);
    let mut players = experience.players("player");
    players
        .find(|player| player.agent_id == agent)
        .expect("the player is recorded")
}

/// The agent, first observation, last observation and end reason of each episode.
fn summaries(episodes: &[Episode]) -> Vec<(i64, f32, f32, String)> {
    let summary = |episode: &Episode| {
        (
            episode.info().agent_id,
            episode.row(0).observation()[0],
            episode.row(episode.len()).observation()[0],
            episode.reason().to_string(),
        )
    };
    episodes.iter().map(summary).collect()
}

#[test]
fn player_state_describes_the_open_and_the_last_episode() {
    let mut test = play(Recording::new("player"));
    let entity = join(&mut test, 7);
    test.ticks(3);
    let player = state(&mut test, 7);
    assert_eq!(
        (player.entity, player.steps, player.last_end.clone()),
        (entity, 2, None)
    );
    assert!(player.is_recorded && !player.is_excluded);
    assert_eq!(player.buffer.unwrap().added, 3);
    test.world_mut().trigger(EndEpisode::terminated(entity, "goal"));
    let before = player.episode_id.unwrap();
    test.ticks(1);
    let player = state(&mut test, 7);
    let end = player.last_end.unwrap();
    assert_eq!(
        (end.episode_id, end.steps, end.outcome),
        (before, 2, Outcome::Terminated)
    );
    assert_eq!(end.reason, EndReason::GOAL);
    assert_ne!(player.episode_id, Some(before));
    let recorded = test.finish();
    assert_eq!(recorded[0].info().episode_id, before);
    assert_eq!(recorded[0].len(), 2);
    let experience = experience(&mut test);
    assert_eq!(experience.players("player").count(), 0, "the recording is closed");
    assert_eq!(experience.players("no_such").count(), 0);
}

#[test]
fn end_episode_truncates_at_the_last_capture_and_triggers_no_event() {
    let mut test = play(Recording::new("player"));
    test.add_observer(|_: On<EpisodeEnded>| panic!("`EpisodeEnded` was triggered"));
    join(&mut test, 7);
    test.ticks(3);
    let before = state(&mut test, 7).episode_id.unwrap();
    let ended = experience(&mut test).end_episode("player", 7, "level_change");
    assert_eq!(ended, Ok(before));
    assert_eq!(state(&mut test, 7).episode_id, None);
    let again = experience(&mut test).end_episode("player", 7, "level_change");
    assert!(matches!(again, Err(PlayerError::NoOpenEpisode { agent_id: 7, .. })));
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(
        summaries(&episodes),
        [
            (7, 1.0, 3.0, "level_change".to_owned()),
            (7, 4.0, 6.0, "shutdown".to_owned())
        ]
    );
    assert_eq!(episodes[0].outcome(), Outcome::Truncated);
    let report = test.report();
    assert_eq!((report.recorded, report.exported, report.dropped), (4, 4, 0));
}

#[test]
fn an_open_episode_can_be_discarded_and_an_ended_one_cannot() {
    let mut test = play(Recording::new("player"));
    let entity = join(&mut test, 7);
    test.ticks(4);
    let discarded = state(&mut test, 7).episode_id.unwrap();
    experience(&mut test).tag_episode("player", 7, "odd").unwrap();
    assert_eq!(experience(&mut test).discard_episode("player", 7), Ok(discarded));
    let again = experience(&mut test).discard_episode("player", 7);
    assert!(matches!(again, Err(PlayerError::NoOpenEpisode { .. })));
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(entity, "goal"));
    let after_end = experience(&mut test).discard_episode("player", 7);
    assert!(matches!(after_end, Err(PlayerError::AlreadyEnding { .. })));
    test.ticks(1);
    let episodes = test.finish();
    assert_eq!(summaries(&episodes), [(7, 5.0, 7.0, "goal".to_owned())]);
    let report = test.report();
    assert_eq!((report.recorded, report.exported, report.discarded), (5, 2, 3));
    assert_eq!((report.pending, report.tags), (0, vec![]));
}

#[test]
fn an_excluded_player_leaves_no_row_until_it_is_included() {
    let mut test = play(Recording::new("player"));
    join(&mut test, 1);
    join(&mut test, 2);
    test.ticks(3);
    experience(&mut test).exclude("player", 1).unwrap();
    assert!(state(&mut test, 1).is_excluded && !state(&mut test, 2).is_excluded);
    test.ticks(3);
    assert_eq!(state(&mut test, 1).episode_id, None);
    experience(&mut test).include("player", 1).unwrap();
    test.ticks(3);
    let summaries = summaries(&test.finish());
    assert_eq!(
        summaries,
        [
            (1, 1.0, 3.0, "excluded".to_owned()),
            (1, 7.0, 9.0, "shutdown".to_owned()),
            (2, 1.0, 9.0, "shutdown".to_owned())
        ]
    );
    // Rewards before the first capture of each player, and before the first after `include`; none in between.
    assert_eq!(test.report().orphaned_rewards, 3);
}

#[test]
fn an_exclusion_outlasts_a_despawn_and_keeps_a_staged_end() {
    let mut test = play(Recording::new("player"));
    let entity = join(&mut test, 1);
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(entity, "goal"));
    experience(&mut test).exclude("player", 1).unwrap();
    test.ticks(2);
    test.world_mut().despawn(entity);
    test.ticks(1);
    assert!(experience(&mut test).is_excluded("player", 1));
    join(&mut test, 1);
    test.ticks(3);
    assert!(state(&mut test, 1).is_excluded);
    assert_eq!(summaries(&test.finish()), [(1, 1.0, 3.0, "goal".to_owned())]);
}

#[test]
fn the_exclusion_of_a_player_without_an_agent_id_ends_with_it() {
    let mut test = play(Recording::new("player"));
    for _ in 0..3 {
        let entity = test.world_mut().spawn((Player, Age(0.0))).id();
        test.ticks(2);
        let player = experience(&mut test).players("player").next().unwrap();
        experience(&mut test).exclude("player", entity).unwrap();
        assert!(experience(&mut test).is_excluded("player", player.agent_id));
        test.ticks(2);
        test.world_mut().despawn(entity);
        test.ticks(2);
        assert!(!experience(&mut test).is_excluded("player", player.agent_id));
    }
}

#[test]
fn a_tag_belongs_to_the_open_or_the_last_episode() {
    let mut test = play(Recording::new("player").episodes(EpisodeRules {
        start: EpisodeStart::OnEvent,
        ..Default::default()
    }));
    let entity = join(&mut test, 7);
    test.ticks(3);
    let first = experience(&mut test).tag_episode("player", 7, "funny").unwrap();
    test.world_mut().trigger(EndEpisode::terminated(entity, "goal"));
    test.ticks(2);
    assert_eq!(state(&mut test, 7).episode_id, None);
    assert_eq!(experience(&mut test).tag_episode("player", 7, "short"), Ok(first));
    assert_eq!(experience(&mut test).tag_episode("player", 7, "short"), Ok(first));
    let tags = test.report().tags;
    let words: Vec<_> = tags.iter().map(|tag| tag.tag.as_str()).collect();
    assert_eq!(words, ["funny", "short"]);
    assert!(tags.iter().all(|tag| (tag.episode_id, tag.agent_id) == (first, 7)));
    assert_eq!(test.finish()[0].info().episode_id, first);
}

#[test]
fn errors_name_the_missing_recording_or_agent() {
    let mut test = play(Recording::new("player"));
    test.ticks(1);
    let error = experience(&mut test).end_episode("no_such", 7, "x").unwrap_err();
    assert!(error.to_string().contains("`no_such`"), "{error}");
    let error = experience(&mut test).tag_episode("player", 7, "x").unwrap_err();
    assert!(error.to_string().contains("agent id 7"), "{error}");
    assert!(experience(&mut test).exclude("no_such", 7).is_err());
}

#[derive(Component)]
struct Spectator;

#[test]
fn recordings_and_players_are_addressed_by_id_name_and_entity() {
    let mut test = play(Recording::new("player"));
    test.record(Recording::<Spectator>::new("slow").observe::<Age>());
    test.record(Recording::<Spectator>::new("fast").observe::<Age>());
    let player = join(&mut test, 7);
    let other = join(&mut test, 8);
    test.ticks(3);
    let mut all = experience(&mut test);
    let id = all.recording::<Player>().unwrap();
    assert_eq!(all.recording_named("player"), Some(id));
    // `Spectator` is the marker of two recordings, `Age` of none.
    assert_eq!(all.recording::<Spectator>(), None);
    assert_eq!(all.recording::<Age>(), None);
    assert_eq!(all.recording_named("no_such"), None);
    assert!(all.recording_named("slow") != all.recording_named("fast"));
    let name = String::from("player");
    assert_eq!(all.players(id).count(), all.players(&name).count());
    assert_eq!(all.schema(id).unwrap().name(), "player");
    assert_eq!(all.progress(id), all.progress("player"));
    assert_eq!(all.reports(id), all.reports("player"));
    assert_eq!(all.sinks(id).len(), 1);
    assert!(all.buffers(id).is_some());

    let tagged = all.tag_episode(id, player, "odd").unwrap();
    assert_eq!(all.tag_episode("player", AgentId(7), "odd"), Ok(tagged));
    assert_eq!(all.end_episode(&name, 7, "test"), Ok(tagged));
    assert!(all.discard_episode(id, other).is_ok());
    all.exclude(id, player).unwrap();
    assert!(all.is_excluded("player", 7) && all.is_excluded(id, player) && !all.is_excluded(id, other));
    all.include("player", player).unwrap();
    assert!(!all.is_excluded(id, AgentId(7)));

    assert!(all.pause_recording(id, "enough"));
    assert_eq!(all.pause_reason(id), all.pause_reason("player"));
    assert!(all.resume_recording(id));

    // A despawned entity is not a player.
    test.world_mut().despawn(player);
    test.ticks(1);
    let error = experience(&mut test).exclude(id, player).unwrap_err();
    assert_eq!(
        error,
        PlayerError::NoSuchPlayer {
            recording: "player".to_owned(),
            player: player.into(),
        }
    );
    assert!(error.to_string().contains(&format!("entity {player}")), "{error}");
    // One that was spawned since the last capture will be one.
    let spawned = test.world_mut().spawn((Player, Age(0.0))).id();
    let error = experience(&mut test)
        .end_episode(id, spawned, "test")
        .unwrap_err()
        .to_string();
    assert!(error.contains("after the next capture"), "{error}");
    assert!(!experience(&mut test).is_excluded(id, player));
    assert!(
        experience(&mut test).exclude(id, 7).is_ok(),
        "an agent id needs no live player"
    );
    // The id of another app.
    let mut empty = TestApp::new();
    assert!(experience(&mut empty).schema(id).is_none());
    let error = experience(&mut empty).end_episode(id, 7, "x").unwrap_err();
    assert!(error.to_string().contains("`#0`"), "{error}");
}

#[cfg(feature = "dataset")]
#[test]
fn erasing_an_agent_removes_its_tags_from_the_dataset() {
    use bevy_experience::dataset::Dataset;
    let folder = tempfile::tempdir().unwrap();
    let mut test = TestApp::new();
    test.add_recording(
        Recording::<Player>::new("player")
            .observe::<Age>()
            .sink(DatasetSink::new(folder.path())),
    );
    join(&mut test, 1);
    join(&mut test, 2);
    test.ticks(3);
    let sink = |test: &mut TestApp| experience(test).sinks("player").remove(0);
    assert!(sink(&mut test).sink.starts_with("dataset "));
    let ids = [1, 2].map(|agent| experience(&mut test).tag_episode("player", agent, "speedrun").unwrap());
    experience(&mut test).end_episode("player", 1, "level_change").unwrap();
    assert!(experience(&mut test).flush(Duration::from_secs(30)));
    let flushed = sink(&mut test);
    assert_eq!((flushed.episodes, flushed.exported, flushed.dropped), (1, 2, 0));
    assert!(flushed.disk_bytes > 0);
    drop(test);
    let open = || Dataset::open(folder.path()).unwrap();
    let tags = open().recording("player").unwrap().tags().unwrap();
    assert_eq!(tags.keys().copied().collect::<Vec<_>>(), ids);
    assert!(
        tags.values()
            .all(|words| words.contains("speedrun") && words.len() == 1)
    );
    open().erase(2, &mut |_| {}).unwrap();
    let tags = open().recording("player").unwrap().tags().unwrap();
    assert_eq!(tags.keys().copied().collect::<Vec<_>>(), ids[..1]);
    assert!(
        open()
            .recording("player")
            .unwrap()
            .validate(&mut |_| {})
            .unwrap()
            .is_valid()
    );
}

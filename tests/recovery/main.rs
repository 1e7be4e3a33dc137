//! What a process that dies leaves behind is brought into shards: contract, rule 6.
//!
//! A copy of a dataset whose game still runs is what a process leaves that is killed at that moment: nothing was closed, and
//! nobody holds a lock on the copy.

mod game;
mod journal;
mod long_lives;

use bevy_experience::{
    buffer::Memory,
    dataset::{Dataset, RecoverSettings, RunStatus},
    export::ExportSettings,
    journal::JournalSettings,
    prelude::*,
    transition::{Episode, Outcome},
};
use core::time::Duration;
use game::{Age, Game, Left, Player, by_hand, copy, game};
use std::fs;
use tempfile::tempdir;

/// What is in a transition, by which it is compared with another.
fn steps(episode: &Episode) -> Vec<(Vec<f32>, f64, Vec<f32>, i64)> {
    episode
        .transitions()
        .map(|transition| {
            (
                transition.observation().to_vec(),
                transition.reward(),
                transition.next_observation().to_vec(),
                transition.tick(),
            )
        })
        .collect()
}

/// Each of `found` is, in its order, a beginning of what was lived, and whole if it says that it ended otherwise than by a crash.
#[track_caller]
fn assert_beginnings(found: &[Episode], lived: &[Episode]) {
    for episode in found {
        let id = episode.info().episode_id;
        let whole = lived.iter().find(|lived| lived.info().episode_id == id).unwrap();
        assert_eq!(episode.info(), whole.info());
        assert_eq!(steps(episode), steps(whole)[..episode.len()]);
        if episode.reason() == &EndReason::CRASH {
            assert_eq!(episode.outcome(), Outcome::Truncated);
        } else {
            assert_eq!((episode.len(), episode.outcome()), (whole.len(), whole.outcome()));
            assert_eq!(episode.reason(), whole.reason());
        }
    }
}

#[test]
fn episodes_that_were_open_come_back_and_are_truncated_by_the_crash() {
    let mut game = Game::new(by_hand(), |recording| recording);
    for agent in 0..3 {
        game.spawn(agent);
    }
    for _ in 0..3 {
        game.test.ticks(10);
        game.flush();
    }
    game.test.ticks(5);
    let left = game.killed();
    let [recovered] = &*left.recover() else { panic!() };
    assert_eq!(
        (recovered.episodes, recovered.transitions, recovered.cut_short),
        (3, 87, 3)
    );
    assert!(recovered.unread.is_empty());
    let lived = game.end();
    assert_eq!(lived[0].len(), 34);
    let found = left.episodes();
    assert_eq!(found.iter().map(Episode::len).collect::<Vec<_>>(), [29; 3]);
    assert!(found.iter().all(|episode| episode.reason() == &EndReason::CRASH));
    assert_beginnings(&found, &lived);
    let [run] = &*left.runs() else { panic!() };
    assert_eq!(run.status, RunStatus::Recovered);
    assert_eq!((run.account.exported, run.account.pending), (87, 0));
    assert!(!left.journal().exists());
}

#[test]
fn episodes_that_ended_and_were_in_no_shard_come_back_as_they_were() {
    let mut game = Game::new(by_hand(), |recording| recording);
    let player = game.spawn(7);
    game.test.ticks(10);
    game.flush();
    // Its rows are in the journal, and in memory no more; what comes now is read together with them.
    game.test
        .world_mut()
        .get_mut::<Reward>(player)
        .unwrap()
        .add("prize", 100.0);
    game.test
        .world_mut()
        .trigger(EndEpisode::terminated(player, EndReason::GOAL));
    game.test.ticks(4);
    game.test.world_mut().despawn(player);
    game.spawn(8);
    game.test.ticks(3);
    game.flush();
    let left = game.killed();
    let [recovered] = &*left.recover() else { panic!() };
    assert_eq!((recovered.episodes, recovered.cut_short), (3, 1));
    let lived = game.end();
    let found = left.episodes();
    assert_eq!(found.len(), 3);
    assert_beginnings(&found, &lived);
    assert_eq!(found[0].reason(), &EndReason::GOAL);
    assert_eq!(found[0].total_reward(), lived[0].total_reward());
    assert!(lived[0].total_reward() > 100.0);
    assert_eq!(found[1].reason(), &EndReason::LEFT);
}

#[test]
fn an_episode_that_was_read_back_from_the_journal_is_what_was_lived() {
    let lived = |journal: Option<JournalSettings>| {
        let has_journal = journal.is_some();
        let settings = ExportSettings { journal, ..by_hand() };
        let mut game = Game::new(settings, |recording| recording);
        for agent in 0..3 {
            game.spawn(agent);
        }
        for _ in 0..20 {
            game.test.ticks(7);
            game.flush();
            assert_eq!(game.data.join("player/journal").exists(), has_journal);
        }
        game.end()
    };
    let (with, without) = (lived(Some(JournalSettings::default())), lived(None));
    assert_eq!(with.len(), 3);
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with.len(), 139);
        assert_eq!(steps(with), steps(without));
        assert_eq!(with.total_reward(), without.total_reward());
    }
}

#[test]
fn a_recovery_that_is_repeated_or_was_interrupted_changes_nothing() {
    let mut game = Game::new(by_hand(), |recording| recording);
    let player = game.spawn(1);
    game.test.ticks(10);
    game.test
        .world_mut()
        .trigger(EndEpisode::terminated(player, EndReason::DEATH));
    game.test.ticks(10);
    game.flush();
    let left = game.killed();
    let journal = tempdir().unwrap();
    copy(&left.journal(), journal.path());
    left.recover();
    let (first, runs) = (left.episodes(), left.runs());
    assert_eq!(first.len(), 2);
    assert!(left.try_recover().is_empty());
    // As if it had been killed before the journal was gone, or before the account was written.
    for status in ["recovered", "running"] {
        copy(journal.path(), &left.journal());
        let account = left.data.join(format!("player/runs/{}.json", runs[0].run));
        let text = fs::read_to_string(&account)
            .unwrap()
            .replace("\"recovered\"", &format!("\"{status}\""));
        fs::write(&account, text).unwrap();
        fs::write(left.data.join(format!("player/runs/.{}.lock", runs[0].run)), "").unwrap();
        for recovered in left.recover() {
            assert_eq!((recovered.episodes, recovered.transitions), (0, 0), "{status}");
        }
        let again = left.episodes();
        assert_eq!(
            again.iter().map(steps).collect::<Vec<_>>(),
            first.iter().map(steps).collect::<Vec<_>>()
        );
        assert_eq!(left.runs()[0].account, runs[0].account, "{status}");
        assert_eq!(left.runs()[0].status, RunStatus::Recovered);
        assert!(!left.journal().exists());
    }
}

#[test]
fn a_run_that_is_alive_is_left_alone() {
    let mut game = Game::new(by_hand(), |recording| recording);
    game.spawn(1);
    game.test.ticks(10);
    game.flush();
    let dataset = Dataset::open(&game.data).unwrap();
    let found = dataset.recover(&RecoverSettings::default()).unwrap();
    let run = dataset.recording("player").unwrap().runs().unwrap()[0].run;
    assert_eq!(found[0].recovery.alive, [run]);
    assert!(found[0].recovery.recovered.is_empty());
    assert!(game.data.join("player/journal").join(run.to_string()).exists());
    // Whether one without a lock is alive nobody knows: it takes somebody who does.
    let left = game.killed();
    fs::remove_file(left.data.join(format!("player/runs/.{run}.lock"))).unwrap();
    assert_eq!(left.try_recover().unclear, [run]);
    assert!(left.journal().exists());
    let dataset = Dataset::open(&left.data).unwrap();
    let settings = RecoverSettings { include_unclear: true };
    assert_eq!(dataset.recover(&settings).unwrap()[0].recovery.recovered[0].episodes, 1);
    assert_eq!(left.episodes().len(), 1);
    game.end();
    assert!(
        !game.data.join("player/journal").exists(),
        "a run that ended in order leaves no journal"
    );
}

#[test]
fn the_next_start_recovers_and_records_beside_it() {
    let mut first = Game::new(by_hand(), |recording| recording);
    first.spawn(1);
    first.test.ticks(10);
    first.flush();
    let left = first.killed();
    let mut next = game(&left.data, by_hand(), |recording| recording);
    next.world_mut().spawn((Player, Age(5.0), AgentId(2)));
    next.ticks(6);
    next.finish();
    let found = left.episodes();
    assert_eq!(found.iter().map(Episode::len).collect::<Vec<_>>(), [9, 5]);
    let statuses: Vec<_> = left.runs().iter().map(|run| run.status).collect();
    assert!(statuses.contains(&RunStatus::Recovered) && statuses.contains(&RunStatus::Closed));
    let card = fs::read_to_string(left.data.join("README.md")).unwrap();
    assert!(card.contains("config_name: \"player\""), "{card}");
    first.end();
}

#[test]
fn what_a_player_took_back_does_not_come_back() {
    let mut game = Game::new(by_hand(), |recording| recording);
    let player = game.spawn(1);
    game.spawn(2);
    game.test.ticks(10);
    game.flush();
    game.test.world_mut().entity_mut(player).insert(DoNotRecord);
    game.test.ticks(5);
    game.flush();
    let left = game.killed();
    left.recover();
    let found = left.episodes();
    assert_eq!(
        found.iter().map(|episode| episode.info().agent_id).collect::<Vec<_>>(),
        [2]
    );
    let [run] = &*left.runs() else { panic!() };
    assert_eq!(run.account.discarded, 9);
    game.end();
}

#[test]
fn with_buffers_in_files_even_what_was_not_drained_comes_back() {
    let rings = tempdir().unwrap();
    // From here on nothing is drained without a flush.
    let settings = ExportSettings {
        poll_interval: Duration::from_secs(3600),
        ..by_hand()
    };
    let mut game = Game::new(settings, |recording| {
        recording.buffers(BufferSettings {
            memory: Memory::File(rings.path().to_owned()),
            ..Default::default()
        })
    });
    let player = game.spawn(1);
    game.test.ticks(10);
    game.flush();
    game.test.ticks(20);
    game.test
        .world_mut()
        .trigger(EndEpisode::terminated(player, EndReason::GOAL));
    game.test.ticks(30);
    game.spawn(2);
    game.test.ticks(5);
    let left = game.killed();
    let [recovered] = &*left.recover() else { panic!() };
    assert!(recovered.unread.is_empty(), "{recovered:?}");
    assert_eq!(recovered.lost, 0);
    let lived = game.end();
    let found = left.episodes();
    assert_beginnings(&found, &lived);
    assert_eq!(found.iter().map(Episode::len).collect::<Vec<_>>(), [29, 34, 4]);
    assert_eq!(
        found
            .iter()
            .filter(|episode| episode.reason() == &EndReason::CRASH)
            .count(),
        2
    );
    let files = fs::read_dir(&rings)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(files.count(), 0, "recovered files are removed");
}

#[test]
fn a_damaged_journal_costs_what_is_damaged_and_no_more() {
    let mut game = Game::new(by_hand(), |recording| recording);
    game.spawn(1);
    for _ in 0..10 {
        game.test.ticks(10);
        game.flush();
    }
    let lived_to = 99;
    let segment = |left: &Left| {
        let run = fs::read_dir(left.journal()).unwrap().next().unwrap().unwrap().path();
        run.join("00000.journal")
    };
    let whole = fs::read(segment(&game.killed())).unwrap();
    // The first half is the head, which can be spared neither here nor there.
    for at in (whole.len() / 2..whole.len()).step_by(37) {
        let left = game.killed();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(segment(&left), &bytes).unwrap();
        let [recovered] = &*left.recover() else { panic!() };
        assert_eq!(recovered.unread.len(), 1, "{at}: {recovered:?}");
        let found = left.episodes();
        let transitions: usize = found.iter().map(Episode::len).sum();
        // Ten rows are in the frame, and what comes behind it has lost its first observation.
        assert!(transitions + 11 >= lived_to - 1, "{at}: {transitions}");
        assert!(found.len() <= 2);
        if let [before, after] = &*found {
            assert_eq!(
                (before.outcome(), before.reason()),
                (Outcome::Truncated, &EndReason::GAP)
            );
            assert_eq!(after.info().continues, Some(before.info().episode_id));
        }
    }
    for cut in (whole.len() / 2..whole.len()).step_by(101) {
        let left = game.killed();
        fs::write(segment(&left), &whole[..cut]).unwrap();
        left.recover();
        for episode in left.episodes() {
            assert_eq!(episode.reason(), &EndReason::CRASH);
        }
    }
    game.end();
}

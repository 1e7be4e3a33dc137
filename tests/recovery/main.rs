//! Recovery of a dataset after a crash: contract, rule 5 ([`EndReason::CRASH`]) and rule 7 (loss).
//!
//! A copy of the dataset of a running game stands for what a killed process leaves: nothing was closed, and no process holds
//! a lock on the copy.

#[path = "../support/player.rs"]
mod player;

mod account;
mod controllers;
mod game;
mod journal;
mod journal_folder;
mod long_episodes;
mod segments;

use bevy_experience::{
    buffer::Memory,
    dataset::{Dataset, RecoverSettings, RunStatus},
    export::ExportSettings,
    journal::JournalSettings,
    prelude::*,
    transition::{Episode, Outcome},
};
use core::time::Duration;
use game::{CrashCopy, Game, copy, game, manual_flush};
use player::{Age, Player};
use std::fs;
use tempfile::tempdir;

/// The contents of the transitions of an episode, for comparison.
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

/// Asserts that each episode of `found` is a prefix of a recorded one, and whole unless it ended with a crash.
#[track_caller]
fn assert_prefixes(found: &[Episode], recorded: &[Episode]) {
    for episode in found {
        let id = episode.info().episode_id;
        let whole = recorded
            .iter()
            .find(|recorded| recorded.info().episode_id == id)
            .unwrap();
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
fn open_episodes_are_recovered_and_truncated_with_reason_crash() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    for agent in 0..3 {
        game.spawn(agent);
    }
    for _ in 0..3 {
        game.test.ticks(10);
        game.flush();
    }
    game.test.ticks(5);
    let crashed = game.killed();
    let [recovered] = &*crashed.recover() else { panic!() };
    assert_eq!(
        (recovered.episodes, recovered.transitions, recovered.cut_short),
        (3, 87, 3)
    );
    assert!(recovered.unread.is_empty());
    let recorded = game.finish();
    assert_eq!(recorded[0].len(), 34);
    let found = crashed.episodes();
    assert_eq!(found.iter().map(Episode::len).collect::<Vec<_>>(), [29; 3]);
    assert!(found.iter().all(|episode| episode.reason() == &EndReason::CRASH));
    assert_prefixes(&found, &recorded);
    let [run] = &*crashed.runs() else { panic!() };
    assert_eq!(run.status, RunStatus::Recovered);
    assert_eq!((run.account.exported, run.account.pending), (87, 0));
    assert!(!crashed.journal().exists());
}

#[test]
fn ended_episodes_outside_a_shard_are_recovered_unchanged() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    let player = game.spawn(7);
    game.test.ticks(10);
    game.flush();
    // The rows so far are in the journal and no longer in memory. The end of the episode reads them back.
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
    let crashed = game.killed();
    let [recovered] = &*crashed.recover() else { panic!() };
    assert_eq!((recovered.episodes, recovered.cut_short), (3, 1));
    let recorded = game.finish();
    let found = crashed.episodes();
    assert_eq!(found.len(), 3);
    assert_prefixes(&found, &recorded);
    assert_eq!(found[0].reason(), &EndReason::GOAL);
    assert_eq!(found[0].total_reward(), recorded[0].total_reward());
    assert!(recorded[0].total_reward() > 100.0);
    assert_eq!(found[1].reason(), &EndReason::LEFT);
}

#[test]
fn an_episode_read_back_from_the_journal_is_the_recorded_one() {
    let recorded = |journal: Option<JournalSettings>| {
        let has_journal = journal.is_some();
        let settings = ExportSettings {
            journal,
            ..manual_flush()
        };
        let mut game = Game::new(settings, |recording| recording);
        for agent in 0..3 {
            game.spawn(agent);
        }
        for _ in 0..20 {
            game.test.ticks(7);
            game.flush();
            assert_eq!(game.data.join("player/journal").exists(), has_journal);
        }
        game.finish()
    };
    let (with, without) = (recorded(Some(JournalSettings::default())), recorded(None));
    assert_eq!(with.len(), 3);
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with.len(), 139);
        assert_eq!(steps(with), steps(without));
        assert_eq!(with.total_reward(), without.total_reward());
    }
}

#[test]
fn a_repeated_or_interrupted_recovery_changes_nothing() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    let player = game.spawn(1);
    game.test.ticks(10);
    game.test
        .world_mut()
        .trigger(EndEpisode::terminated(player, EndReason::DEATH));
    game.test.ticks(10);
    game.flush();
    let crashed = game.killed();
    let journal = tempdir().unwrap();
    copy(&crashed.journal(), journal.path());
    crashed.recover();
    let (first, runs) = (crashed.episodes(), crashed.runs());
    assert_eq!(first.len(), 2);
    assert!(crashed.try_recover().is_empty());
    // As if recovery was killed before it removed the journal, or before it wrote the account.
    for status in ["recovered", "running"] {
        copy(journal.path(), &crashed.journal());
        let account = crashed.data.join(format!("player/runs/{}.json", runs[0].run));
        let text = fs::read_to_string(&account)
            .unwrap()
            .replace("\"recovered\"", &format!("\"{status}\""));
        fs::write(&account, text).unwrap();
        fs::write(crashed.data.join(format!("player/runs/.{}.lock", runs[0].run)), "").unwrap();
        for recovered in crashed.recover() {
            assert_eq!((recovered.episodes, recovered.transitions), (0, 0), "{status}");
        }
        let again = crashed.episodes();
        assert_eq!(
            again.iter().map(steps).collect::<Vec<_>>(),
            first.iter().map(steps).collect::<Vec<_>>()
        );
        assert_eq!(crashed.runs()[0].account, runs[0].account, "{status}");
        assert_eq!(crashed.runs()[0].status, RunStatus::Recovered);
        assert!(!crashed.journal().exists());
    }
}

#[test]
fn a_run_of_a_live_process_is_not_recovered() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    game.spawn(1);
    game.test.ticks(10);
    game.flush();
    let dataset = Dataset::open(&game.data).unwrap();
    let found = dataset.recover(&RecoverSettings::default()).unwrap();
    let run = dataset.recording("player").unwrap().runs().unwrap()[0].run;
    assert_eq!(found[0].recovery.alive, [run]);
    assert!(found[0].recovery.recovered.is_empty());
    assert!(game.data.join("player/journal").join(run.to_string()).exists());
    // Without its lock file a run may be live or not, so recovery needs `include_unclear`.
    let crashed = game.killed();
    fs::remove_file(crashed.data.join(format!("player/runs/.{run}.lock"))).unwrap();
    assert_eq!(crashed.try_recover().unclear, [run]);
    assert!(crashed.journal().exists());
    let dataset = Dataset::open(&crashed.data).unwrap();
    let settings = RecoverSettings {
        include_unclear: true,
        ..RecoverSettings::default()
    };
    assert_eq!(dataset.recover(&settings).unwrap()[0].recovery.recovered[0].episodes, 1);
    assert_eq!(crashed.episodes().len(), 1);
    game.finish();
    assert!(
        !game.data.join("player/journal").exists(),
        "an orderly shutdown removes the journal"
    );
}

#[test]
fn the_next_run_recovers_the_crashed_one_and_records() {
    let mut first = Game::new(manual_flush(), |recording| recording);
    first.spawn(1);
    first.test.ticks(10);
    first.flush();
    let crashed = first.killed();
    let mut next = game(&crashed.data, manual_flush(), |recording| recording);
    next.world_mut().spawn((Player, Age(5.0), AgentId(2)));
    next.ticks(6);
    next.finish();
    let found = crashed.episodes();
    assert_eq!(found.iter().map(Episode::len).collect::<Vec<_>>(), [9, 5]);
    let statuses: Vec<_> = crashed.runs().iter().map(|run| run.status).collect();
    assert!(statuses.contains(&RunStatus::Recovered) && statuses.contains(&RunStatus::Closed));
    let card = fs::read_to_string(crashed.data.join("README.md")).unwrap();
    assert!(card.contains("config_name: \"player\""), "{card}");
    first.finish();
}

#[test]
fn a_discarded_episode_is_not_recovered() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    let player = game.spawn(1);
    game.spawn(2);
    game.test.ticks(10);
    game.flush();
    game.test.world_mut().entity_mut(player).insert(DoNotRecord);
    game.test.ticks(5);
    game.flush();
    let crashed = game.killed();
    crashed.recover();
    let found = crashed.episodes();
    assert_eq!(
        found.iter().map(|episode| episode.info().agent_id).collect::<Vec<_>>(),
        [2]
    );
    let [run] = &*crashed.runs() else { panic!() };
    assert_eq!(run.account.discarded, 9);
    game.finish();
}

#[test]
fn with_file_buffers_undrained_rows_are_recovered() {
    let rings = tempdir().unwrap();
    // Nothing is drained without a flush.
    let settings = ExportSettings {
        poll_interval: Duration::from_secs(3600),
        ..manual_flush()
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
    let crashed = game.killed();
    let count = || fs::read_dir(&rings).unwrap().count();
    let before = count();
    let [recovered] = &*crashed.recover() else { panic!() };
    assert!(recovered.unread.is_empty(), "{recovered:?}");
    assert_eq!(recovered.lost, 0);
    assert!(before > 0);
    assert_eq!(
        count(),
        before,
        "the files are the live game's, and a copy removes none"
    );
    assert_eq!(recovered.kept_buffers.as_deref(), Some(rings.path()));
    let recorded = game.finish();
    let found = crashed.episodes();
    assert_prefixes(&found, &recorded);
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
    assert_eq!(files.count(), 0, "drained files are removed");
}

#[test]
fn a_damaged_journal_loses_the_damaged_frame_only() {
    let mut game = Game::new(manual_flush(), |recording| recording);
    game.spawn(1);
    for _ in 0..10 {
        game.test.ticks(10);
        game.flush();
    }
    let recorded_transitions = 99;
    let segment = |crashed: &CrashCopy| {
        let run = fs::read_dir(crashed.journal()).unwrap().next().unwrap().unwrap().path();
        run.join("00000.journal")
    };
    let whole = fs::read(segment(&game.killed())).unwrap();
    // The first half is the head of the journal, which recovery cannot do without.
    for at in (whole.len() / 2..whole.len()).step_by(37) {
        let crashed = game.killed();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(segment(&crashed), &bytes).unwrap();
        let [recovered] = &*crashed.recover() else { panic!() };
        assert_eq!(recovered.unread.len(), 1, "{at}: {recovered:?}");
        let found = crashed.episodes();
        let transitions: usize = found.iter().map(Episode::len).sum();
        // The frame holds ten rows, and the rows after it lack their first observation.
        assert!(transitions + 11 >= recorded_transitions - 1, "{at}: {transitions}");
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
        let crashed = game.killed();
        fs::write(segment(&crashed), &whole[..cut]).unwrap();
        crashed.recover();
        for episode in crashed.episodes() {
            assert_eq!(episode.reason(), &EndReason::CRASH);
        }
    }
    game.finish();
}

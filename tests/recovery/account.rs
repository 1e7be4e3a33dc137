//! Changes that the account of a run had not stored when its process died: they are in the journal.

use crate::game::{CrashCopy, Game, manual_flush};
use bevy_ecs::prelude::*;
use bevy_experience::{
    account::TickRate,
    dataset::Dataset,
    export::ExportSettings,
    journal::{JournalReader, JournalSettings, Record},
    prelude::*,
};
use bevy_time::{Fixed, Time};
use core::time::Duration;
use std::{fs, time::Instant};

/// Settings under which the journal is written at once, and only the test flushes the sinks.
fn journal_at_once(segment_bytes: u64) -> ExportSettings {
    ExportSettings {
        poll_interval: Duration::from_millis(1),
        journal: Some(JournalSettings {
            flush_interval: Duration::ZERO,
            segment_bytes,
            ..JournalSettings::default()
        }),
        ..manual_flush()
    }
}

/// A copy of the dataset once the journal has a row of the game's last tick.
#[track_caller]
fn killed_after_write(game: &mut Game) -> CrashCopy {
    let experience = game.test.world().resource::<Experience>();
    let last = experience.tick("player").unwrap() - 1;
    let begun = Instant::now();
    loop {
        let copy = game.killed();
        let mut written = None;
        for run in fs::read_dir(copy.journal()).unwrap() {
            let mut row_bytes = 0;
            JournalReader::read(&run.unwrap().path(), |_, record| match record {
                Record::Head(head) => row_bytes = head.row_bytes as usize,
                Record::Rows { rows, .. } => {
                    for row in rows.chunks(row_bytes) {
                        // The tick is the first field of a `StepHeader`.
                        written = written.max(row.first_chunk().copied().map(i64::from_ne_bytes));
                    }
                }
                _ => {}
            })
            .unwrap();
        }
        if written == Some(last) {
            return copy;
        }
        assert!(begun.elapsed() < crate::game::TIMEOUT, "{written:?} instead of {last}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn set_rate(game: &mut Game, hertz: f64) {
    let mut time = game.test.world_mut().resource_mut::<Time<Fixed>>();
    time.set_timestep_hz(hertz);
}

/// The tags of all episodes, in the order of episode ids.
fn tags(crashed: &CrashCopy) -> Vec<(i64, String)> {
    let dataset = Dataset::open(&crashed.data).unwrap();
    let tags = dataset.recording("player").unwrap().tags().unwrap();
    let tags = tags
        .into_iter()
        .flat_map(|(episode, tags)| tags.into_iter().map(move |tag| (episode, tag)));
    tags.collect()
}

fn tag(game: &mut Game, player: Entity, tag: &str) -> i64 {
    let mut experience = game.test.world_mut().resource_mut::<Experience>();
    experience.tag_episode("player", player, tag).unwrap()
}

#[test]
fn tick_rates_that_the_account_lacks_are_recovered() {
    // The segments that hold the first change are deleted in the last case.
    for (segment_bytes, ticks) in [(16 << 20, 10), (1 << 10, 200)] {
        let mut game = Game::new(journal_at_once(segment_bytes), |recording| recording);
        game.spawn(1);
        game.flush();
        for hertz in [50.0, 20.0, 25.0] {
            set_rate(&mut game, hertz);
            game.test.ticks(ticks);
        }
        let crashed = killed_after_write(&mut game);
        let [before] = &*crashed.runs() else { panic!() };
        assert!(
            before.tick_rate.is_some() && before.account.tick_rates.is_empty(),
            "{before:?}"
        );
        crashed.recover();
        let [run] = &*crashed.runs() else { panic!() };
        let expected = game.test.report().tick_rates;
        let rates = |rates: &[TickRate]| rates.iter().map(|rate| rate.ticks_per_second).collect::<Vec<_>>();
        assert!(rates(&expected).ends_with(&[50.0, 20.0, 25.0]), "{expected:?}");
        assert_eq!((run.tick_rate, &run.account.tick_rates), (None, &expected));
        game.finish();
    }
}

#[test]
fn tags_that_were_not_flushed_are_recovered() {
    let mut game = Game::new(journal_at_once(16 << 20), |recording| recording);
    let (kept, discarded) = (game.spawn(1), game.spawn(2));
    game.test.ticks(5);
    let episode = tag(&mut game, kept, "a, flushed");
    let other = tag(&mut game, discarded, "a, flushed");
    game.flush();
    tag(&mut game, kept, "b, not flushed");
    tag(&mut game, discarded, "b, not flushed");
    game.test.ticks(5);
    game.test.world_mut().entity_mut(discarded).insert(DoNotRecord);
    game.test.ticks(5);
    let crashed = killed_after_write(&mut game);
    let flushed = "a, flushed".to_owned();
    assert_eq!(tags(&crashed), [(episode, flushed.clone()), (other, flushed.clone())]);
    crashed.recover();
    assert_eq!(
        tags(&crashed),
        [(episode, flushed), (episode, "b, not flushed".to_owned())]
    );
    let [found] = &*crashed.episodes() else { panic!() };
    assert_eq!(found.info().episode_id, episode);
    game.finish();
}

#[test]
fn an_episode_that_was_discarded_after_its_end_is_skipped_after_a_crash() {
    // In a shard, or in the journal alone.
    for is_flushed in [true, false] {
        let mut game = Game::new(journal_at_once(16 << 20), |recording| recording);
        let player = game.spawn(1);
        game.test.ticks(5);
        game.test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
        game.test.ticks(1);
        if is_flushed {
            game.flush();
        }
        let mut experience = game.test.world_mut().resource_mut::<Experience>();
        let discarded = experience.discard_last_episode("player", player).unwrap();
        game.test.ticks(5);
        let crashed = killed_after_write(&mut game);
        crashed.recover();
        let dataset = Dataset::open(&crashed.data).unwrap();
        let recording = dataset.recording("player").unwrap();
        let found: Vec<i64> = recording
            .episodes()
            .map(|episode| episode.unwrap().info().episode_id)
            .collect();
        assert!(!found.is_empty() && !found.contains(&discarded), "{found:?}");
        assert!(recording.discarded().unwrap().contains(&discarded));
        assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
        game.finish();
    }
}

#[test]
fn tags_are_recovered_after_the_segments_that_held_them_were_deleted() {
    let mut game = Game::new(journal_at_once(1 << 10), |recording| {
        recording.episodes(EpisodeRules {
            max_steps: 20,
            ..EpisodeRules::default()
        })
    });
    let player = game.spawn(1);
    game.test.ticks(5);
    let episode = tag(&mut game, player, "early");
    game.test.ticks(400);
    let crashed = killed_after_write(&mut game);
    assert_eq!(tags(&crashed), []);
    crashed.recover();
    assert_eq!(tags(&crashed), [(episode, "early".to_owned())]);
    game.finish();
}

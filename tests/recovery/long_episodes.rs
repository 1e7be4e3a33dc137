//! Journal compaction: an episode that stays open does not keep the rows of finished episodes in the journal.

use crate::{
    assert_prefixes,
    game::{Game, manual_flush},
    player::Player,
};
use bevy_experience::{journal::JournalSettings, prelude::*, transition::Episode};
use std::{fs, path::Path};

/// Bytes after which the journal starts another segment.
const SEGMENT: u64 = 2 << 10;

/// A game with two players that stay, and a sink that writes each batch to a shard of its own.
fn game() -> Game {
    let mut settings = manual_flush();
    settings.journal = settings.journal.map(|journal| JournalSettings {
        segment_bytes: SEGMENT,
        ..journal
    });
    let mut game = Game::with_sink(settings, |sink| sink.with_shard_bytes(1));
    for agent in 0..2 {
        game.spawn(agent);
    }
    game
}

/// Players that are spawned and despawned in each round.
const VISITORS: i64 = 16;
/// Ticks of each round.
const TICKS: usize = 11;

/// Plays the short episodes of a round beside the two that stay open.
fn play_round(game: &mut Game, round: i64) {
    let first = (1 + round) * VISITORS;
    let visitors: Vec<_> = (first..first + VISITORS).map(|agent| game.spawn(agent)).collect();
    game.test.ticks(TICKS - 1);
    for visitor in visitors {
        game.test.world_mut().despawn(visitor);
    }
    game.test.ticks(1);
    game.flush();
}

/// The names of the segments, and their size together in bytes.
fn segments(journals: &Path) -> (Vec<String>, u64) {
    let journal = fs::read_dir(journals).unwrap().next().unwrap().unwrap().path();
    let files: Vec<_> = fs::read_dir(journal).unwrap().map(Result::unwrap).collect();
    let bytes = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    let mut names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    names.sort();
    (names, bytes)
}

fn transitions_of(episodes: &[Episode], agents: core::ops::Range<i64>) -> usize {
    let of = |episode: &&Episode| agents.contains(&episode.info().agent_id);
    episodes.iter().filter(of).map(Episode::len).sum()
}

#[test]
fn segments_of_finished_episodes_are_removed_beside_open_ones() {
    let mut game = game();
    let mut max_bytes = 0;
    for round in 0..60 {
        play_round(&mut game, round);
        let (names, bytes) = segments(&game.journal());
        max_bytes = max_bytes.max(bytes);
        if round > 10 {
            assert_ne!(
                names[0], "00000.journal",
                "the segment in which the open episodes began is removed"
            );
        }
    }
    let crashed = game.killed();
    let recorded = game.finish();
    let row = recorded[0].rows().len() / (recorded[0].len() + 1) * size_of::<u64>();
    let open_bytes = transitions_of(&recorded, 0..2) * row;
    // Open episodes are rewritten when they are a quarter of the journal, and a few segments are always kept.
    assert!(
        max_bytes < 5 * open_bytes as u64 + 8 * SEGMENT,
        "{max_bytes} bytes for {open_bytes} of open episodes"
    );

    let [recovered] = &*crashed.recover() else { panic!() };
    assert_eq!((recovered.cut_short, recovered.lost), (2, 0));
    assert!(recovered.unread.is_empty(), "{recovered:?}");
    let found = crashed.episodes();
    assert_prefixes(&found, &recorded);
    assert_eq!(
        transitions_of(&found, 0..i64::MAX),
        transitions_of(&recorded, 0..i64::MAX)
    );
}

#[test]
fn a_long_episode_is_recovered_whole_after_a_kill_in_any_round() {
    let mut game = game();
    let mut copies = Vec::new();
    for round in 0..40 {
        play_round(&mut game, round);
        copies.push(game.killed());
    }
    let recorded = game.finish();
    for (round, crashed) in (1..).zip(copies) {
        let [recovered] = &*crashed.recover() else { panic!() };
        assert_eq!(recovered.lost, 0, "after {round} rounds");
        let found = crashed.episodes();
        assert_prefixes(&found, &recorded);
        // The first tick of a player gives its first observation, and no transition.
        assert_eq!(
            transitions_of(&found, 0..2),
            2 * (TICKS * round - 1),
            "after {round} rounds"
        );
        assert_eq!(
            transitions_of(&found, VISITORS..i64::MAX),
            VISITORS as usize * (TICKS - 2) * round,
            "after {round} rounds"
        );
    }
}

#[test]
fn a_rewritten_episode_is_read_back_when_it_ends() {
    let mut game = game();
    for round in 0..40 {
        play_round(&mut game, round);
    }
    let staying = {
        let world = game.test.world_mut();
        let mut players = world.query_filtered::<(bevy_ecs::entity::Entity, &AgentId), bevy_ecs::query::With<Player>>();
        players.iter(world).find(|(_, agent)| agent.0 == 0).unwrap().0
    };
    game.test.world_mut().despawn(staying);
    game.test.ticks(1);
    game.flush();
    let ages: Vec<f32> = {
        let recorded = game.finish();
        let episode = recorded.iter().find(|episode| episode.info().agent_id == 0).unwrap();
        (0..=episode.len())
            .map(|row| episode.row(row).observation()[0])
            .collect()
    };
    assert_eq!(ages.len(), 40 * TICKS);
    assert!(ages.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
}

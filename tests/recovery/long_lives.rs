//! A player who lives long does not keep everybody else's rows in the journal.

use crate::{
    assert_beginnings,
    game::{Game, Player, by_hand},
};
use bevy_experience::{journal::JournalSettings, prelude::*, transition::Episode};
use std::{fs, path::Path};

/// Bytes after which another segment is begun.
const SEGMENT: u64 = 2 << 10;

/// Two who stay, and many who come and go, all of whom are in shards at once.
fn game() -> Game {
    let mut settings = by_hand();
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

/// Guests of each round.
const GUESTS: i64 = 16;
/// Ticks of each round.
const TICKS: usize = 11;

/// Short lives beside those who stay.
fn visit(game: &mut Game, round: i64) {
    let first = (1 + round) * GUESTS;
    let guests: Vec<_> = (first..first + GUESTS).map(|agent| game.spawn(agent)).collect();
    game.test.ticks(TICKS - 1);
    for guest in guests {
        game.test.world_mut().despawn(guest);
    }
    game.test.ticks(1);
    game.flush();
}

/// The segments that there are, and the bytes of all.
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

fn rows_of(episodes: &[Episode], agents: core::ops::Range<i64>) -> usize {
    let of = |episode: &&Episode| agents.contains(&episode.info().agent_id);
    episodes.iter().filter(of).map(Episode::len).sum()
}

#[test]
fn what_everybody_else_did_meanwhile_goes() {
    let mut game = game();
    let mut most = 0;
    for round in 0..60 {
        visit(&mut game, round);
        let (names, bytes) = segments(&game.journal());
        most = most.max(bytes);
        if round > 10 {
            assert_ne!(names[0], "00000.journal", "those who stay began there");
        }
    }
    let left = game.killed();
    let lived = game.end();
    let row = lived[0].rows().len() / (lived[0].len() + 1) * size_of::<u64>();
    let stay = rows_of(&lived, 0..2) * row;
    // They are told again when that is a quarter of all; and a few segments are always there.
    assert!(most < 5 * stay as u64 + 8 * SEGMENT, "{most} bytes of {stay}");

    let [recovered] = &*left.recover() else { panic!() };
    assert_eq!((recovered.cut_short, recovered.lost), (2, 0));
    assert!(recovered.unread.is_empty(), "{recovered:?}");
    let found = left.episodes();
    assert_beginnings(&found, &lived);
    assert_eq!(rows_of(&found, 0..i64::MAX), rows_of(&lived, 0..i64::MAX));
}

#[test]
fn a_long_life_is_whole_whenever_the_process_dies() {
    let mut game = game();
    let mut left = Vec::new();
    for round in 0..40 {
        visit(&mut game, round);
        left.push(game.killed());
    }
    let lived = game.end();
    for (round, left) in (1..).zip(left) {
        let [recovered] = &*left.recover() else { panic!() };
        assert_eq!(recovered.lost, 0, "after {round} rounds");
        let found = left.episodes();
        assert_beginnings(&found, &lived);
        // The first tick that a player is there for is its first observation.
        assert_eq!(rows_of(&found, 0..2), 2 * (TICKS * round - 1), "after {round} rounds");
        assert_eq!(
            rows_of(&found, GUESTS..i64::MAX),
            GUESTS as usize * (TICKS - 2) * round,
            "after {round} rounds"
        );
    }
}

#[test]
fn what_is_told_again_is_read_back_when_it_ends() {
    let mut game = game();
    for round in 0..40 {
        visit(&mut game, round);
    }
    let stays = {
        let world = game.test.world_mut();
        let mut players = world.query_filtered::<(bevy_ecs::entity::Entity, &AgentId), bevy_ecs::query::With<Player>>();
        players.iter(world).find(|(_, agent)| agent.0 == 0).unwrap().0
    };
    game.test.world_mut().despawn(stays);
    game.test.ticks(1);
    game.flush();
    let ages: Vec<f32> = {
        let lived = game.end();
        let episode = lived.iter().find(|episode| episode.info().agent_id == 0).unwrap();
        (0..=episode.len())
            .map(|row| episode.row(row).observation()[0])
            .collect()
    };
    assert_eq!(ages.len(), 40 * TICKS);
    assert!(ages.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
}

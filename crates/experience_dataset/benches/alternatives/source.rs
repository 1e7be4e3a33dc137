//! The rows that the players push.

use crate::{PLAYERS, TICKS, arena, streams::streams};
use experience_core::{
    schema::Schema,
    transition::{Outcome, StepHeader, StepKind},
};
use std::sync::Arc;

/// Players whose rows are encoded before they are pushed: their rows fit in the first-level cache.
pub const BLOCK: usize = 64;

/// Episodes of a player, at most.
const EPISODES: u32 = 1 << 12;

/// The rows of the fighters of an arena, which the players repeat.
pub struct Source {
    pub schema: Arc<Schema>,
    words: usize,
    streams: Vec<Vec<u64>>,
    block: Vec<u64>,
}

impl Source {
    pub fn new() -> Self {
        let workload = arena::play(TICKS as i64 * 3);
        let words = workload.schema.layout().row_words();
        let mut streams = streams(&workload);
        for stream in &mut streams {
            assert!(stream.len() >= TICKS * words, "fighters play for long enough");
            stream.truncate(TICKS * words);
            let last = StepHeader::of_mut(&mut stream[(TICKS - 1) * words..]);
            if last.kind() == StepKind::Transition && last.outcome().is_none() {
                last.set_outcome(Some(Outcome::Truncated), 1);
            }
        }
        Self {
            block: vec![0; BLOCK * words],
            schema: workload.schema,
            words,
            streams,
        }
    }

    pub fn row_words(&self) -> usize {
        self.words
    }

    pub fn row_bytes(&self) -> usize {
        self.words * size_of::<u64>()
    }

    /// Transitions of all players.
    pub fn transitions(&self) -> usize {
        let of = |stream: &Vec<u64>| {
            let rows = stream.chunks_exact(self.words);
            rows.filter(|row| StepHeader::of(row).kind() == StepKind::Transition)
                .count()
        };
        let counts: Vec<_> = self.streams.iter().map(of).collect();
        counts.iter().cycle().take(PLAYERS).sum()
    }

    /// Encodes the rows of `count` players from `first` on.
    pub fn encode(&mut self, tick: usize, first: usize, count: usize) -> &[u64] {
        let block = &mut self.block[..count * self.words];
        for (row, player) in block.chunks_exact_mut(self.words).zip(first..) {
            let stream = &self.streams[player % self.streams.len()];
            row.copy_from_slice(&stream[tick * self.words..][..self.words]);
            let header = StepHeader::of_mut(row);
            header.agent_id = player as i64;
            header.episode += EPISODES * player as u32;
        }
        block
    }
}

//! Where rows come from: buffers of one player, and shards that many share.

use crate::assembly::{Assembly, Draft, Shop, Toll};
use core::{
    hash::{BuildHasherDefault, Hasher},
    sync::atomic::{AtomicU32, Ordering},
};
use experience_buffer::{TransitionBuffer, pool::Stream, ring::Ring};
use experience_core::transition::{EndReason, Outcome, StepHeader};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// The most rows taken from one buffer, or one shard, before the next one's turn.
const TURN: usize = 1024;

/// One player's buffer and what is being put together from it.
pub(super) struct OwnIntake {
    pub(super) agent_id: i64,
    pub(super) buffer: Arc<dyn TransitionBuffer>,
    /// How many were pushed, once the buffer is closed.
    pub(super) transitions: Arc<AtomicU32>,
    pub(super) assembly: Assembly,
}

impl OwnIntake {
    /// Takes a turn's rows. How many they were, and whether there will never be more.
    pub(super) fn drain(&mut self, shop: &Shop, finished: &mut Vec<Draft>, toll: &mut Toll) -> (usize, bool) {
        // Asked first: what is pushed before the close is found by the drain after it.
        let closed = self.buffer.is_closed();
        let assembly = &mut self.assembly;
        // A drain goes on while more is pushed: a game that is as fast would fill a turn from a buffer however small.
        let turn = TURN.min(self.buffer.capacity());
        let rows = self
            .buffer
            .drain(turn, &mut |row| assembly.take(shop, row, finished, toll))
            .steps;
        let done = closed && rows == 0;
        if done {
            self.settle(toll);
            self.assembly.finish(Outcome::Truncated, EndReason::GAP, finished);
        }
        (rows, done)
    }

    /// Ends what is open: the exporter ends.
    pub(super) fn close(mut self, finished: &mut Vec<Draft>, toll: &mut Toll) {
        if self.buffer.is_closed() {
            self.settle(toll);
        }
        self.assembly.finish(Outcome::Truncated, EndReason::SHUTDOWN, finished);
    }

    /// The episode that is open.
    pub(super) fn open(&mut self) -> Option<&mut Draft> {
        self.assembly.open_mut()
    }

    fn settle(&mut self, toll: &mut Toll) {
        toll.lost += self.assembly.settle(self.transitions.load(Ordering::Acquire));
    }
}

/// One shard of a pool and what is being put together from it, player by player.
pub(super) struct ShardIntake {
    shard: Arc<Ring>,
    /// By the number of the stream.
    assemblies: HashMap<u32, Assembly, BuildHasherDefault<StreamHasher>>,
    /// Streams that ended before the row of this number.
    leaving: VecDeque<(u64, Stream)>,
}

impl ShardIntake {
    pub(super) fn new(shard: Arc<Ring>) -> Self {
        Self {
            shard,
            assemblies: HashMap::default(),
            leaving: VecDeque::new(),
        }
    }

    /// A stream has ended: all its rows were pushed by now.
    pub(super) fn leave(&mut self, stream: Stream) {
        self.leaving.push_back((self.shard.pushed(), stream));
    }

    /// The episodes that are open.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut Draft> {
        self.assemblies.values_mut().filter_map(Assembly::open_mut)
    }

    /// Takes a turn's rows. How many they were.
    pub(super) fn drain(&mut self, shop: &Shop, finished: &mut Vec<Draft>, toll: &mut Toll) -> usize {
        let assemblies = &mut self.assemblies;
        let rows = self
            .shard
            .drain(TURN, &mut |row| {
                let assembly = assemblies.entry(StepHeader::of(row).stream).or_default();
                assembly.take(shop, row, finished, toll);
            })
            .steps;
        let drained = self.shard.drained_to();
        while let Some((_, stream)) = self.leaving.pop_front_if(|&mut (end, _)| end <= drained) {
            let mut assembly = self.assemblies.remove(&stream.number).unwrap_or_default();
            toll.lost += assembly.settle(stream.transitions);
            assembly.finish(Outcome::Truncated, EndReason::GAP, finished);
        }
        rows
    }

    /// Ends what is open: the exporter ends.
    pub(super) fn close(mut self, finished: &mut Vec<Draft>, toll: &mut Toll) {
        for (_, stream) in self.leaving {
            let assembly = self.assemblies.entry(stream.number).or_default();
            toll.lost += assembly.settle(stream.transitions);
        }
        // In the order of joining, not in that of the map.
        let mut assemblies: Vec<_> = self.assemblies.into_iter().collect();
        assemblies.sort_unstable_by_key(|&(stream, _)| stream);
        for (_, mut assembly) in assemblies {
            assembly.finish(Outcome::Truncated, EndReason::SHUTDOWN, finished);
        }
    }
}

/// Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): streams are counted, nobody chooses their numbers,
/// and every row is looked up.
#[derive(Default)]
struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_buffer::{BufferKind, BufferStats, Drained};
    use experience_core::{
        schema::{Column, Schema},
        transition::{RunId, StepKind},
    };

    /// Filled by a game as fast as it is drained.
    #[derive(Debug)]
    struct NeverEmpty {
        row_words: usize,
    }

    impl TransitionBuffer for NeverEmpty {
        fn kind(&self) -> BufferKind {
            BufferKind::Ring
        }

        fn row_words(&self) -> usize {
            self.row_words
        }

        fn capacity(&self) -> usize {
            8
        }

        fn len(&self) -> usize {
            self.capacity()
        }

        fn free(&self) -> usize {
            0
        }

        fn close(&self) {}

        fn is_closed(&self) -> bool {
            false
        }

        fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained {
            let mut row = vec![0; self.row_words];
            StepHeader::of_mut(&mut row).set_kind(StepKind::Begin);
            for _ in 0..max {
                each(&row);
            }
            Drained {
                steps: max,
                ..Drained::default()
            }
        }

        fn peek_newest(&self, _: usize, _: &mut dyn FnMut(&[u64])) {}

        fn stats(&self) -> BufferStats {
            BufferStats::default()
        }
    }

    #[test]
    fn a_turn_takes_no_more_than_the_buffer_holds_however_fast_it_fills() {
        let shop = Shop {
            schema: Schema::new("test")
                .with_observation([Column::feature("x")])
                .into_shared(),
            run: RunId::from_bits(7),
            reasons: Arc::default(),
            episodes: Arc::default(),
        };
        let buffer = Arc::new(NeverEmpty {
            row_words: shop.schema.layout().row_words(),
        });
        let mut intake = OwnIntake {
            agent_id: 0,
            buffer: buffer.clone(),
            transitions: Arc::default(),
            assembly: Assembly::default(),
        };
        let taken = intake.drain(&shop, &mut Vec::new(), &mut Toll::default());
        assert_eq!(taken, (buffer.capacity(), false));
    }
}

//! Draining of buffers into episodes: one player's buffer, or a pool shard that many players share.

use crate::assembly::{Assembly, AssemblyContext, EpisodeBuilder, LossCounts};
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

/// Most rows drained from one buffer or shard before the next one's turn.
pub(super) const TURN: usize = 1024;

/// One player's buffer and the assembly of its rows.
pub(super) struct PlayerDrain {
    pub(super) agent_id: i64,
    pub(super) buffer: Arc<dyn TransitionBuffer>,
    /// Number of transitions pushed, modulo 2³². Set before the buffer is closed.
    pub(super) transitions: Arc<AtomicU32>,
    pub(super) assembly: Assembly,
}

impl PlayerDrain {
    /// Drains one turn. Returns the number of rows, and whether the buffer is closed and empty.
    pub(super) fn drain(
        &mut self,
        context: &AssemblyContext,
        finished: &mut Vec<EpisodeBuilder>,
        losses: &mut LossCounts,
    ) -> (usize, bool) {
        // Read before the drain, which then finds every row pushed before the close.
        let closed = self.buffer.is_closed();
        let turn = self.turn();
        let assembly = &mut self.assembly;
        let rows = self
            .buffer
            .drain(turn, &mut |row| assembly.push_row(context, row, finished, losses))
            .steps;
        let done = closed && rows == 0;
        if done {
            self.count_missing(losses);
            self.assembly.finish(Outcome::Truncated, EndReason::GAP, finished);
        }
        (rows, done)
    }

    /// Most rows of one turn.
    pub(super) fn turn(&self) -> usize {
        // A drain also takes rows pushed while it runs. Without this limit a small buffer could fill a whole turn.
        TURN.min(self.buffer.capacity())
    }

    /// Ends the open episode, because the exporter ends.
    pub(super) fn close(mut self, finished: &mut Vec<EpisodeBuilder>, losses: &mut LossCounts) {
        if self.buffer.is_closed() {
            self.count_missing(losses);
        }
        self.assembly.finish(Outcome::Truncated, EndReason::SHUTDOWN, finished);
    }

    /// The open episode.
    pub(super) fn open(&mut self) -> Option<&mut EpisodeBuilder> {
        self.assembly.open_mut()
    }

    fn count_missing(&mut self, losses: &mut LossCounts) {
        losses.lost += self.assembly.missing_at_end(self.transitions.load(Ordering::Acquire));
    }
}

/// One pool shard and an assembly for each player who shares it.
pub(super) struct ShardDrain {
    shard: Arc<Ring>,
    /// By stream number.
    assemblies: HashMap<u32, Assembly, BuildHasherDefault<StreamHasher>>,
    /// Streams with rows in the last turn.
    touched: Vec<u32>,
    /// Streams that ended, each with the number of the first row after its last one.
    leaving: VecDeque<(u64, Stream)>,
}

impl ShardDrain {
    pub(super) fn new(shard: Arc<Ring>) -> Self {
        Self {
            shard,
            assemblies: HashMap::default(),
            touched: Vec::new(),
            leaving: VecDeque::new(),
        }
    }

    /// Ends a stream, all rows of which were pushed.
    pub(super) fn end_stream(&mut self, stream: Stream) {
        self.leaving.push_back((self.shard.pushed(), stream));
    }

    /// The open episodes.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut EpisodeBuilder> {
        self.assemblies.values_mut().filter_map(Assembly::open_mut)
    }

    /// Calls `each` with the open episodes that were given rows in the last turn, with some of them more than once.
    pub(super) fn for_each_touched(&mut self, mut each: impl FnMut(&mut EpisodeBuilder)) {
        for stream in &self.touched {
            if let Some(open) = self.assemblies.get_mut(stream).and_then(Assembly::open_mut) {
                each(open);
            }
        }
    }

    /// Drains one turn. Returns the number of rows.
    pub(super) fn drain(
        &mut self,
        context: &AssemblyContext,
        finished: &mut Vec<EpisodeBuilder>,
        losses: &mut LossCounts,
    ) -> usize {
        let (assemblies, touched) = (&mut self.assemblies, &mut self.touched);
        touched.clear();
        let rows = self
            .shard
            .drain(TURN, &mut |row| {
                let stream = StepHeader::of(row).stream;
                if context.gives_parts {
                    touched.push(stream);
                }
                let assembly = assemblies.entry(stream).or_default();
                assembly.push_row(context, row, finished, losses);
            })
            .steps;
        let drained = self.shard.drained_to();
        while let Some((_, stream)) = self.leaving.pop_front_if(|&mut (end, _)| end <= drained) {
            let mut assembly = self.assemblies.remove(&stream.number).unwrap_or_default();
            losses.lost += assembly.missing_at_end(stream.transitions);
            assembly.finish(Outcome::Truncated, EndReason::GAP, finished);
        }
        rows
    }

    /// Ends the open episodes, because the exporter ends.
    pub(super) fn close(mut self, finished: &mut Vec<EpisodeBuilder>, losses: &mut LossCounts) {
        for (_, stream) in self.leaving {
            let assembly = self.assemblies.entry(stream.number).or_default();
            losses.lost += assembly.missing_at_end(stream.transitions);
        }
        // In the order in which players joined, because the map's order is not reproducible.
        let mut assemblies: Vec<_> = self.assemblies.into_iter().collect();
        assemblies.sort_unstable_by_key(|&(stream, _)| stream);
        for (_, mut assembly) in assemblies {
            assembly.finish(Outcome::Truncated, EndReason::SHUTDOWN, finished);
        }
    }
}

/// Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). It is used for every row, and stream numbers are
/// counted up by the pool, so no input can be chosen to collide.
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

    /// A buffer that is filled as fast as it is drained.
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
        let context = AssemblyContext {
            schema: Schema::new("test")
                .with_observation([Column::feature("x")])
                .into_shared(),
            run: RunId::from_bits(7),
            words: Arc::default(),
            episodes: Arc::default(),
            gives_parts: false,
        };
        let buffer = Arc::new(NeverEmpty {
            row_words: context.schema.layout().row_words(),
        });
        let mut player = PlayerDrain {
            agent_id: 0,
            buffer: buffer.clone(),
            transitions: Arc::default(),
            assembly: Assembly::default(),
        };
        let taken = player.drain(&context, &mut Vec::new(), &mut LossCounts::default());
        assert_eq!(taken, (buffer.capacity(), false));
    }
}

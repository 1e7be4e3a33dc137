//! Captures players on several threads.
//!
//! Each worker writes only to what it owns: the slots of its players, its shards of the pool, and its scratch buffers. Counters
//! are the exception. A worker runs the fast path alone. Players whom the fast path does not finish are deferred, with their
//! rows, and captured by one thread afterwards, in the order in which a capture by one thread would visit them. So episode
//! numbers and rows do not depend on the number of threads.

mod partition;

pub(in crate::episode::recorder) use partition::GROUP_PLAYERS;

use super::{
    fast_path::{ChunkCursor, FastPath, FastPathScratch, StepInputs},
    slow_path::SlowPath,
};
use crate::{
    capture::{Block, Captured, EncodeScratch, Parts, RowEncoder},
    episode::player_table::PlayerTable,
    player::Reward,
};
use bevy_ecs::{entity::Entity, world::World};
use bevy_tasks::{ComputeTaskPool, available_parallelism};
use experience_buffer::pool::PoolPart;
use partition::{Chunk, Partition};
use std::sync::LazyLock;

/// Fewer players than this are not worth another thread.
const MIN_PLAYERS_PER_THREAD: usize = 4096;

/// The parallel capture of one recording, with the buffers that it keeps between captures.
#[derive(Default)]
pub(super) struct ParallelCapture {
    /// More players than this are captured in parallel.
    threshold: usize,
    workers: Vec<Worker>,
    partition: Partition,
    /// The deferred players of all workers, sorted by visit: (visit, worker, index in the worker's `deferred`).
    deferred: Vec<(usize, usize, usize)>,
    /// How many slots are not in the order of the visit, as far as known.
    misplaced: usize,
}

/// The buffers of one worker, and the results of its last capture.
struct Worker {
    encoder_scratch: EncodeScratch,
    fast_path_scratch: FastPathScratch,
    /// Players who were captured completely.
    captured: usize,
    deferred: Vec<Deferred>,
    /// The row of each deferred player.
    deferred_rows: Vec<u64>,
}

/// A player whom a worker did not finish.
struct Deferred {
    /// The player's place in the order of a capture by one thread.
    visit: usize,
    entity: Entity,
    reason: DeferReason,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DeferReason {
    /// The slot is not in the worker's chunk, or does not exist.
    SlotNotFound,
    NeedsSlowPath,
    /// The transition is closed; the row belongs to the shard of another worker.
    OtherShard,
}

/// What encodes the players at one capture.
#[derive(Clone, Copy)]
pub(super) struct EncodeInputs<'a> {
    pub(super) world: &'a World,
    pub(super) parts: Parts,
    pub(super) encoder: &'a RowEncoder,
    pub(super) fast_path: &'a FastPath,
}

/// The work of one worker at one capture.
struct WorkerTask<'a> {
    worker: &'a mut Worker,
    shards: PoolPart<'a>,
    chunks: Vec<Chunk<'a>>,
}

impl ParallelCapture {
    pub(super) fn new(threshold: usize) -> Self {
        Self {
            threshold,
            ..Self::default()
        }
    }

    /// How many threads to capture this many players with; 1 for a serial capture.
    pub(super) fn threads(&self, players: usize) -> usize {
        // If many slots are misplaced, a serial capture reorders them.
        if players <= self.threshold || self.misplaced > players / 32 {
            return 1;
        }
        // On one processor, tasks would only take turns.
        static PROCESSORS: LazyLock<usize> = LazyLock::new(available_parallelism);
        let Some(pool) = ComputeTaskPool::try_get().filter(|_| *PROCESSORS > 1) else {
            return 1;
        };
        // The calling thread is a worker, too.
        let threads = pool.thread_num() + 1;
        let min_players = (self.threshold / 4).clamp(GROUP_PLAYERS, MIN_PLAYERS_PER_THREAD);
        threads.min(players / min_players).max(1)
    }

    /// A serial capture has put all slots in the order of the visit.
    pub(super) fn note_ordered(&mut self) {
        self.misplaced = 0;
    }

    /// A player joined or left, which may have moved a slot.
    pub(super) fn note_moved(&mut self) {
        self.misplaced += 1;
    }

    /// Captures all players with this many threads. Returns how many of those found have a slot.
    pub(super) fn capture(
        &mut self,
        threads: usize,
        encode: EncodeInputs<'_>,
        players: &mut PlayerTable,
        slow_path: &mut SlowPath<'_>,
    ) -> usize {
        self.run_workers(threads, encode, players, slow_path);
        let workers = &self.workers[..threads];
        let captured: usize = workers.iter().map(|worker| worker.captured).sum();
        captured + self.finish_deferred(threads, encode.world, players, slow_path)
    }

    fn run_workers(
        &mut self,
        threads: usize,
        encode: EncodeInputs<'_>,
        players: &mut PlayerTable,
        slow_path: &SlowPath<'_>,
    ) {
        let context = slow_path.context;
        self.workers.resize_with(threads.max(self.workers.len()), || Worker {
            encoder_scratch: encode.encoder.scratch(),
            fast_path_scratch: encode.fast_path.scratch(),
            captured: 0,
            deferred: Vec::new(),
            deferred_rows: Vec::new(),
        });
        let mut pool = context.pool_writer();
        let mut tasks: Vec<_> = self.workers[..threads]
            .iter_mut()
            .zip(pool.parts(threads))
            .map(|(worker, shards)| WorkerTask {
                worker,
                shards,
                chunks: Vec::new(),
            })
            .collect();
        self.partition.plan(encode.encoder, encode.world, players, &tasks);
        self.partition.assign(players, &mut tasks);
        let step = StepInputs {
            context,
            capture: slow_path.capture,
            reward_terms: &*slow_path.reward_terms,
        };
        let own_task = tasks.pop();
        ComputeTaskPool::get().scope(|scope| {
            for task in tasks {
                scope.spawn(async move { task.run(encode, step) });
            }
            if let Some(task) = own_task {
                task.run(encode, step);
            }
        });
    }

    /// Captures the deferred players. Returns how many of them have a slot.
    fn finish_deferred(
        &mut self,
        threads: usize,
        world: &World,
        players: &mut PlayerTable,
        slow_path: &mut SlowPath<'_>,
    ) -> usize {
        let workers = &mut self.workers[..threads];
        self.deferred.clear();
        for (number, worker) in workers.iter().enumerate() {
            let deferred = worker.deferred.iter().enumerate();
            self.deferred
                .extend(deferred.map(|(index, deferred)| (deferred.visit, number, index)));
        }
        self.deferred.sort_unstable();
        self.misplaced = 0;
        let context = slow_path.context;
        let row_words = context.layout().row_words();
        let mut captured = 0;
        for &(_, number, index) in &self.deferred {
            let Worker {
                deferred,
                deferred_rows,
                ..
            } = &mut workers[number];
            let &Deferred { entity, reason, .. } = &deferred[index];
            let row = &mut deferred_rows[index * row_words..][..row_words];
            let slot = players.get_mut(entity);
            if reason == DeferReason::OtherShard {
                if let Some(slot) = slot {
                    slot.push_fast_step(context, row);
                    captured += 1;
                }
                continue;
            }
            let reward = world.get::<Reward>(entity);
            let is_captured = slow_path.capture(slot, Captured { entity, row, reward });
            captured += usize::from(is_captured);
            self.misplaced += usize::from(is_captured && reason == DeferReason::SlotNotFound);
        }
        captured
    }
}

impl WorkerTask<'_> {
    fn run(self, encode: EncodeInputs<'_>, step: StepInputs<'_>) {
        let EncodeInputs {
            world,
            parts,
            encoder,
            fast_path,
        } = encode;
        let Self {
            worker,
            mut shards,
            chunks,
        } = self;
        let Worker {
            encoder_scratch,
            fast_path_scratch,
            captured,
            deferred,
            deferred_rows,
        } = worker;
        *captured = 0;
        deferred.clear();
        deferred_rows.clear();
        let mut chunks = chunks.into_iter().peekable();
        while let Some(chunk) = chunks.next() {
            let next = chunks.peek();
            let mut visit = chunk.first_visit;
            let mut cursor = ChunkCursor::new(chunk.slots, next.map_or(&[], |next| &*next.slots));
            let next_group = next.map(|next| next.group);
            encoder.encode_group(world, parts, encoder_scratch, chunk.group, next_group, |mut block| {
                *captured += fast_path.step_block(&mut block, fast_path_scratch, step, &mut cursor, &mut shards);
                defer(&mut block, fast_path_scratch, visit, deferred, deferred_rows);
                visit += block.len();
            });
        }
    }
}

/// Defers the players of a block whom the fast path did not finish. `first_visit` is the visit of the block's first player.
fn defer(
    block: &mut Block<'_>,
    scratch: &FastPathScratch,
    first_visit: usize,
    deferred: &mut Vec<Deferred>,
    rows: &mut Vec<u64>,
) {
    for (indices, reason) in [
        (&scratch.other_shard, DeferReason::OtherShard),
        (&scratch.unmatched, DeferReason::SlotNotFound),
        (&scratch.slow, DeferReason::NeedsSlowPath),
    ] {
        for &index in indices {
            deferred.push(Deferred {
                visit: first_visit + index,
                entity: block.entity(index),
                reason,
            });
            rows.extend_from_slice(block.row_mut(index));
        }
    }
}

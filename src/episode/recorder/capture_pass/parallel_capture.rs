//! Parallel capture: runs the fast path on the threads of the `ComputeTaskPool`.
//!
//! Except for atomic counters, each worker writes only to data that it borrows exclusively: the slots of its players,
//! its shards of the pool, and its scratch buffers. A worker runs only the fast path. Players that the fast path does
//! not finish are deferred together with their rows, and captured afterwards by one thread, in the order of a serial
//! capture. Episode numbers and rows are therefore independent of the number of threads.

mod partition;

pub(in crate::episode::recorder) use partition::GROUP_PLAYERS;

use super::{
    fast_path::{ChunkCursor, FastPath, FastPathScratch, StepInputs},
    slow_path::SlowPath,
};
use crate::{
    capture::{CapturedPlayer, EncodeScratch, EncodedBlock, RowEncoder, RowParts},
    episode::player_table::PlayerTable,
    player::Reward,
};
use bevy_ecs::{entity::Entity, world::World};
use bevy_tasks::{ComputeTaskPool, available_parallelism};
use experience_buffer::pool::PoolPart;
use partition::{Chunk, Partition};
use std::sync::LazyLock;

/// Minimum number of players per thread.
const MIN_PLAYERS_PER_THREAD: usize = 4096;

/// The parallel capture of one recording, with buffers that are reused across captures.
#[derive(Default)]
pub(super) struct ParallelCapture {
    /// Number of players above which captures are parallel.
    threshold: usize,
    workers: Vec<Worker>,
    partition: Partition,
    /// The deferred players of all workers, in the order of a serial capture: (visit, worker, index in the worker's
    /// `deferred`).
    deferred: Vec<(usize, usize, usize)>,
    /// Estimated number of slots that are not in capture order.
    misplaced: usize,
}

/// The buffers of one worker, and the results of its last capture.
struct Worker {
    encoder_scratch: EncodeScratch,
    fast_path_scratch: FastPathScratch,
    /// Number of players that were captured completely.
    captured: usize,
    deferred: Vec<Deferred>,
    /// The row of each deferred player.
    deferred_rows: Vec<u64>,
}

/// A player that a worker did not finish.
struct Deferred {
    /// The player's index in the order of a serial capture.
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

/// Inputs of the workers that encode players at one capture.
#[derive(Clone, Copy)]
pub(super) struct EncodeInputs<'a> {
    pub(super) world: &'a World,
    pub(super) parts: RowParts,
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

    /// The number of threads for a capture of this many players; 1 for a serial capture.
    pub(super) fn threads(&self, players: usize) -> usize {
        // If many slots are misplaced, a serial capture reorders them.
        if players <= self.threshold || self.misplaced > players / 32 {
            return 1;
        }
        // On one processor, parallel tasks would only be interleaved.
        static PROCESSORS: LazyLock<usize> = LazyLock::new(available_parallelism);
        let Some(pool) = ComputeTaskPool::try_get().filter(|_| *PROCESSORS > 1) else {
            return 1;
        };
        // The calling thread is also a worker.
        let threads = pool.thread_num() + 1;
        let min_players = (self.threshold / 4).clamp(GROUP_PLAYERS, MIN_PLAYERS_PER_THREAD);
        threads.min(players / min_players).max(1)
    }

    /// A serial capture has sorted all slots into capture order.
    pub(super) fn mark_slots_ordered(&mut self) {
        self.misplaced = 0;
    }

    /// A player joined or left, which may have moved a slot.
    pub(super) fn mark_slot_moved(&mut self) {
        self.misplaced += 1;
    }

    /// Captures all players on `threads` threads. Returns the number of players found that have a slot.
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

    /// Captures the deferred players. Returns the number of them that have a slot.
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
            let is_captured = slow_path.capture(slot, CapturedPlayer { entity, row, reward });
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

/// Defers the players of a block that the fast path did not finish. `first_visit` is the visit of the block's first
/// player.
fn defer(
    block: &mut EncodedBlock<'_>,
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

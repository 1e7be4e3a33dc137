//! The pass of a capture over all players: chooses how they are captured, and runs it.
//!
//! All ways write the same rows:
//! - `fast_path`: one more transition of an open episode, a block of players at a time; by one thread, or by several in
//!   `parallel_capture`;
//! - `slow_path`: everything else, one player at a time;
//! - `change_scan`: the slow path, except that players without changes are not encoded, if change ticks are trusted.

mod change_scan;
mod fast_path;
mod parallel_capture;
mod slow_path;

pub(super) use parallel_capture::GROUP_PLAYERS;

use super::Recorder;
use crate::{capture::Parts, episode::context::RecordingContext};
use bevy_ecs::{change_detection::Tick, world::World};
use change_scan::ChangeScan;
use fast_path::{FastPath, FastPathScratch, SlotCursor, StepInputs, TableCursor};
use parallel_capture::{EncodeInputs, ParallelCapture};
use slow_path::SlowPath;

/// What the pass keeps between captures.
pub(super) struct CapturePass {
    fast_path: FastPath,
    fast_path_scratch: FastPathScratch,
    parallel: ParallelCapture,
    /// The world's change tick at the last capture by one thread.
    last_read_tick: Option<Tick>,
}

impl CapturePass {
    /// More players than `parallel_above` are captured in parallel. `is_recording` is false if recording is disabled.
    pub(super) fn new(context: &RecordingContext, is_recording: bool, parallel_above: usize) -> Self {
        let fast_path = FastPath::new(context, is_recording);
        Self {
            fast_path_scratch: fast_path.scratch(),
            fast_path,
            parallel: ParallelCapture::new(parallel_above),
            last_read_tick: None,
        }
    }

    /// A player joined or left, which may have moved a slot.
    pub(super) fn note_moved(&mut self) {
        self.parallel.note_moved();
    }
}

impl Recorder {
    /// Reads and captures every player. Returns how many of those found have a slot.
    pub(super) fn capture_players(&mut self, world: &World) -> usize {
        // The capture that pauses reads players once more: open episodes end at what it reads.
        let reads_players = self.enabled && !(self.context.paused && self.context.was_paused);
        let parts = Parts {
            seen: reads_players,
            acted: reads_players && !self.context.rules.acts_early,
        };
        if self.encoder.prepare(world, parts) {
            return self.run_pass(world, parts);
        }
        if let Some(resource) = self.encoder.missing_resource()
            && self.warnings.missing_resource.fire()
        {
            tracing::warn!(
                "recording `{}` reads the resource `{resource}`, which does not exist: no player is recorded until it is \
                 inserted",
                self.name()
            );
        }
        0
    }

    fn run_pass(&mut self, world: &World, parts: Parts) -> usize {
        let Self {
            context,
            encoder,
            players,
            capture_pass,
            reward_terms,
            capture_count,
            joining,
            ..
        } = self;
        let CapturePass {
            fast_path,
            fast_path_scratch,
            parallel,
            last_read_tick,
        } = capture_pass;
        let (context, capture) = (&*context, *capture_count);
        let uses_fast_path = fast_path.applies(context);
        let mut slow_path = SlowPath {
            context,
            capture,
            reward_terms,
            joining,
        };

        if uses_fast_path {
            let threads = parallel.threads(players.len());
            if threads > 1 {
                let inputs = EncodeInputs {
                    world,
                    parts,
                    encoder,
                    fast_path,
                };
                return parallel.capture(threads, inputs, players, &mut slow_path);
            }
        }
        // From here on one thread visits all players, and puts the slots in the order of the visit.
        parallel.note_ordered();

        let last_read = last_read_tick.replace(world.read_change_tick());
        let can_skip_reads = parts == Parts::ALL && context.rules.can_skip_reads() && !context.paused;
        let mut cursor = TableCursor::new(players);
        if let Some(last_read) = last_read.filter(|_| can_skip_reads) {
            let mut scan = ChangeScan::new(cursor, slow_path);
            encoder.encode_changed(world, parts, last_read, &mut scan);
            return scan.captured();
        }

        let mut captured = 0;
        if !uses_fast_path {
            encoder.encode_all(world, parts, |mut block| {
                for player in block.iter_mut() {
                    cursor.prefetch();
                    let slot = cursor.advance_to(player.entity).map(|(_, slot)| slot);
                    captured += usize::from(slow_path.capture(slot, player));
                }
            });
            return captured;
        }

        // The lock is kept from block to block: releasing it waits until the rows have left the store buffers.
        let mut pool = None;
        encoder.encode_all(world, parts, |mut block| {
            let inputs = StepInputs {
                context,
                capture,
                reward_terms: &*slow_path.reward_terms,
            };
            let writer = &mut **pool.get_or_insert_with(|| context.pool_writer());
            captured += fast_path.step_block(&mut block, fast_path_scratch, inputs, &mut cursor, writer);
            for &index in fast_path_scratch.slow.iter().chain(&fast_path_scratch.unmatched) {
                // The slow path takes the lock itself.
                pool = None;
                let slot = cursor.players.get_mut(block.entity(index));
                captured += usize::from(slow_path.capture(slot, block.player_mut(index)));
            }
        });
        captured
    }
}

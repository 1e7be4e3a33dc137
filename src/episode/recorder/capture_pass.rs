//! Capture pass: one iteration over all players, which selects the path by which each is captured.
//!
//! All paths write the same rows:
//! - `fast_path`: one more transition of an open episode, a block of players at a time, on one thread, or on several in
//!   `parallel_capture`;
//! - `slow_path`: all other players, one at a time;
//! - `change_scan`: the slow path, but players without changes are not encoded, if change ticks are trusted.

mod change_scan;
mod fast_path;
mod parallel_capture;
mod slow_path;

pub(super) use parallel_capture::GROUP_PLAYERS;
pub(super) use slow_path::has_other_agent_id;

use super::Recorder;
use crate::{
    capture::RowParts,
    episode::{ActionRead, context::RecordingContext},
};
use bevy_ecs::{change_detection::Tick, world::World};
use change_scan::ChangeScan;
use fast_path::{FastPath, FastPathScratch, SlotCursor, StepInputs, TableCursor};
use parallel_capture::{EncodeInputs, ParallelCapture};
use slow_path::SlowPath;

/// State of the pass that persists between captures.
pub(super) struct CapturePass {
    fast_path: FastPath,
    fast_path_scratch: FastPathScratch,
    parallel: ParallelCapture,
    /// The world's change tick at the last capture by one thread.
    last_read_tick: Option<Tick>,
}

impl CapturePass {
    /// Captures are parallel above `parallel_above` players. `is_recording` is false if recording is disabled.
    pub(super) fn new(context: &RecordingContext, is_recording: bool, parallel_above: usize) -> Self {
        let fast_path = FastPath::new(context, is_recording);
        Self {
            fast_path_scratch: fast_path.scratch(),
            fast_path,
            parallel: ParallelCapture::new(parallel_above),
            last_read_tick: None,
        }
    }

    /// The rules have changed.
    pub(super) fn update_rules(&mut self, context: &RecordingContext, is_recording: bool) {
        self.fast_path = FastPath::new(context, is_recording);
        self.fast_path_scratch = self.fast_path.scratch();
    }

    /// A player joined or left, which may have moved a slot.
    pub(super) fn mark_slot_moved(&mut self) {
        self.parallel.mark_slot_moved();
    }
}

impl Recorder {
    /// Reads and captures every player. Returns the number of players found that have a slot.
    pub(super) fn capture_players(&mut self, world: &World) -> usize {
        // The capture that pauses reads players once more: open episodes end at that observation.
        let reads_players = if self.context.rules.decides_on_demand {
            let pauses = self.context.paused && !self.context.was_paused;
            if pauses {
                self.note_written_actions(world);
            }
            pauses
        } else {
            !(self.context.paused && self.context.was_paused)
        };
        let reads_players = self.enabled && reads_players;
        let parts = RowParts {
            observation: reads_players,
            action: reads_players && self.context.rules.action_read == ActionRead::AtCapture,
        };
        let is_available = self.encoder.prepare(world, parts);
        self.has_prepared_observation = is_available && parts.observation;
        // Without the action of this tick, its transition cannot be closed.
        let has_unread_actions = self.has_unread_actions;
        // Actions that are kept are missing until the next read.
        self.has_unread_actions &= self.context.rules.keeps_actions();
        if !has_unread_actions && is_available {
            return self.run_pass(world, parts);
        }
        self.warn_unavailable();
        0
    }

    fn run_pass(&mut self, world: &World, parts: RowParts) -> usize {
        let Self {
            context,
            encoder,
            players,
            capture_pass,
            reward_terms,
            capture_count,
            joining,
            has_credited_rewards,
            ..
        } = self;
        let CapturePass {
            fast_path,
            fast_path_scratch,
            parallel,
            last_read_tick,
        } = capture_pass;
        let (context, capture) = (&*context, *capture_count);
        let uses_fast_path = fast_path.applies(context) && !*has_credited_rewards;
        let mut slow_path = SlowPath {
            world,
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
        // Below, one thread visits all players, which sorts the slots into capture order.
        parallel.mark_slots_ordered();

        let last_read = last_read_tick.replace(world.read_change_tick());
        let can_skip_reads = parts == RowParts::ALL && context.rules.can_skip_reads() && !context.paused;
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

        // The lock is held across blocks, because releasing it waits for the store buffers to drain.
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

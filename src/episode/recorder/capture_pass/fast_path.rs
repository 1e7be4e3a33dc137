//! Fast path of a capture: players with an open episode, no pending end, a decision per tick, and finite values.
//!
//! Nearly every player is in this case at nearly every capture. The fast path closes the transition of such players, a
//! block at a time, and leaves all others to the slow path. It writes the same rows as [`PlayerSlot::capture`] would.

mod finite_scan;
mod pool_run_writer;
mod slot_cursor;
mod uniform_block;

pub(super) use pool_run_writer::PoolRunWriter;
pub(super) use slot_cursor::{ChunkCursor, SlotCursor, TableCursor};

use crate::{
    capture::{EncodedBlock, PREFIX_WORDS},
    episode::{
        ActionRead, NonFinite, RecordMode,
        context::RecordingContext,
        player_slot::{PlayerSlot, RowOutput},
        recorder::reward_terms::RewardTerms,
    },
    player::Reward,
};
use core::ops::Range;
use experience_buffer::{
    BlockWriter,
    pool::{LINKS, Run},
};
use experience_core::transition::StepHeader;
use finite_scan::FiniteScan;

// A block is encoded in the layout of pool cells, so that rows of neighbours in one shard are written in one copy.
const _: () = assert!(PREFIX_WORDS == LINKS);

/// The fast path of one recording.
pub(super) struct FastPath {
    /// Whether the recording's rules allow the fast path.
    is_enabled: bool,
    /// Detects values that must be finite and are not. `None` if non-finite values are kept, or nothing is recorded.
    finite_scan: Option<FiniteScan>,
    /// The reward term columns of a row, in units of `f32`.
    term_columns: Range<usize>,
}

/// Read-only inputs of one capture.
#[derive(Clone, Copy)]
pub(super) struct StepInputs<'a> {
    pub(super) context: &'a RecordingContext,
    pub(super) capture: u32,
    pub(super) reward_terms: &'a RewardTerms,
}

/// Scratch buffers of one thread, and the players that [`FastPath::step_block`] did not finish, as indices into the
/// block.
#[derive(Default)]
pub(super) struct FastPathScratch {
    term_sums: Vec<f64>,
    /// Players with dedicated buffers: the position of the slot, and the index in the block.
    dedicated: Vec<(usize, usize)>,
    /// Players that need the slow path.
    pub(super) slow: Vec<usize>,
    /// Players whose slot the cursor did not find. They may need the slow path, or have no slot.
    pub(super) unmatched: Vec<usize>,
    /// Players whose transition was closed, and whose row belongs to a shard that the [`PoolRunWriter`] does not have.
    pub(super) other_shard: Vec<usize>,
}

impl FastPath {
    /// `is_recording` is false if recording is disabled.
    pub(super) fn new(context: &RecordingContext, is_recording: bool) -> Self {
        let rules = &context.rules;
        let requires_finite = match rules.non_finite {
            NonFinite::Keep => false,
            NonFinite::EndEpisode | NonFinite::Replace(_) => true,
        };
        let term_bytes = context.layout().reward_terms();
        Self {
            is_enabled: rules.decision_interval == 1
                && rules.mode == RecordMode::EveryTick
                && rules.action_read == ActionRead::AtCapture
                && !rules.decides_on_demand,
            finite_scan: (is_recording && requires_finite).then(|| FiniteScan::new(&context.schema)),
            term_columns: term_bytes.start / size_of::<f32>()..term_bytes.end / size_of::<f32>(),
        }
    }

    pub(super) fn scratch(&self) -> FastPathScratch {
        FastPathScratch {
            term_sums: vec![0.0; self.term_columns.len()],
            ..FastPathScratch::default()
        }
    }

    /// Whether the fast path can be used at this capture.
    pub(super) fn applies(&self, context: &RecordingContext) -> bool {
        self.is_enabled && !context.paused && context.outcome_log.is_none()
    }

    /// Closes and writes the transition of each player of the block that is in the common case. Lists the others in
    /// `scratch`. Returns the number of players captured, excluding those in `scratch.other_shard`.
    #[inline]
    pub(super) fn step_block(
        &self,
        block: &mut EncodedBlock<'_>,
        scratch: &mut FastPathScratch,
        inputs: StepInputs<'_>,
        cursor: &mut impl SlotCursor,
        writer: &mut impl PoolRunWriter,
    ) -> usize {
        scratch.dedicated.clear();
        scratch.slow.clear();
        scratch.unmatched.clear();
        scratch.other_shard.clear();
        // Usually true. Otherwise each row is scanned separately.
        let all_finite = self.is_finite(block.rows(), block.stride());
        if all_finite
            && let Some(captured) = self.step_uniform_block(block, &mut scratch.term_sums, inputs, cursor, writer)
        {
            return captured;
        }
        self.step_mixed_block(block, scratch, inputs, all_finite, cursor, writer)
            + push_dedicated(block, scratch, inputs.context, cursor)
    }

    /// The general case of a block. Writes the rows of players that share the pool. Returns the number of these
    /// players, plus the players without an output.
    #[inline(never)]
    fn step_mixed_block(
        &self,
        block: &mut EncodedBlock<'_>,
        scratch: &mut FastPathScratch,
        inputs: StepInputs<'_>,
        all_finite: bool,
        cursor: &mut impl SlotCursor,
        writer: &mut impl PoolRunWriter,
    ) -> usize {
        let StepInputs {
            context,
            capture,
            reward_terms,
        } = inputs;
        let row_words = block.row_words();
        let mut run = Run::default();
        let mut captured = 0;
        for index in 0..block.len() {
            cursor.prefetch();
            let Some((position, slot)) = cursor.advance_to(block.entity(index)) else {
                scratch.unmatched.push(index);
                continue;
            };
            let reward = block.reward(index);
            let row = block.row_mut(index);
            if !slot.can_fast_step(&context.rules) || !slot.stays_in_match(&context.rules, StepHeader::of(row)) {
                scratch.slow.push(index);
                continue;
            }
            let columns = &mut bytemuck::cast_slice_mut(row)[self.term_columns.clone()];
            let Some(reward) = sum_reward(reward, reward_terms, &mut scratch.term_sums, columns) else {
                scratch.slow.push(index);
                continue;
            };
            if !self.accepts(&reward) || !(all_finite || self.is_finite(row, row_words)) {
                scratch.slow.push(index);
                continue;
            }
            slot.mark_captured(capture);
            match slot.fast_step(context.time, reward.total, StepHeader::of_mut(row)) {
                Some(RowOutput::Pooled { handle, .. }) => {
                    if !run.takes(handle, index) {
                        if !writer.has_shard_of(handle) {
                            scratch.other_shard.push(index);
                            continue;
                        }
                        captured += push_run(&run, block, context, writer);
                        run = writer.begin_run(handle, index);
                    }
                    block.set_prefix(index, run.add(handle));
                }
                Some(RowOutput::Dedicated(writer)) => {
                    // The buffers are far apart in memory.
                    writer.prefetch();
                    scratch.dedicated.push((position, index));
                }
                None => captured += 1,
            }
        }
        captured + push_run(&run, block, context, writer)
    }

    /// Whether all values that must be finite are finite, in rows `stride` words apart.
    #[inline(never)]
    fn is_finite(&self, rows: &[u64], stride: usize) -> bool {
        self.finite_scan
            .as_ref()
            .is_none_or(|scan| scan.is_finite(rows, stride))
    }

    #[inline]
    fn accepts(&self, reward: &SummedReward) -> bool {
        reward.is_finite || self.finite_scan.is_none()
    }
}

/// Counts and writes the rows of a run. Returns their number.
fn push_run(run: &Run, block: &EncodedBlock<'_>, context: &RecordingContext, writer: &mut impl PoolRunWriter) -> usize {
    if !run.is_empty() {
        count_recorded(context, run.len());
        writer.push_run(run, block.cells());
    }
    run.len()
}

/// Counts transitions. Called before their rows are pushed, so that `exported` never exceeds `recorded`.
#[inline]
fn count_recorded(context: &RecordingContext, transitions: usize) {
    context.counters.recorded.add_shared(transitions as u64);
}

/// Writes the rows of players with dedicated buffers. Returns their number.
#[inline(never)]
fn push_dedicated(
    block: &mut EncodedBlock<'_>,
    scratch: &FastPathScratch,
    context: &RecordingContext,
    cursor: &mut impl SlotCursor,
) -> usize {
    if scratch.dedicated.is_empty() {
        return 0;
    }
    count_recorded(context, scratch.dedicated.len());
    let mut writers = BlockWriter::default();
    let (mut rest, mut first) = (cursor.slots_mut(), 0);
    // In ascending order of the positions.
    for &(position, index) in &scratch.dedicated {
        let Some((slot, after)) = rest.get_mut(position - first..).and_then(<[_]>::split_first_mut) else {
            break;
        };
        (rest, first) = (after, position + 1);
        push_row(slot, &mut writers, block.row_mut(index));
    }
    scratch.dedicated.len()
}

/// Writes a row to the slot's dedicated buffer.
#[inline(always)]
fn push_row<'a>(slot: &'a mut PlayerSlot, writers: &mut BlockWriter<'a>, row: &[u64]) {
    if let Some(writer) = slot.dedicated_writer() {
        // An error means that the buffer is closed. Only `PlayerSlot::close_output` closes it, and it takes the output.
        let _ = writers.push(writer, row);
    }
}

/// The reward of one transition.
struct SummedReward {
    total: f64,
    /// Whether the total and the columns are finite.
    is_finite: bool,
}

/// Sums a player's reward, and writes the columns of the declared terms. `None` if a term's name is not cached yet.
#[inline]
fn sum_reward(
    reward: Option<&Reward>,
    reward_terms: &RewardTerms,
    term_sums: &mut [f64],
    columns: &mut [f32],
) -> Option<SummedReward> {
    let mut total = 0.0;
    term_sums.fill(0.0);
    if let Some(reward) = reward.filter(|reward| !reward.has_no_terms()) {
        let is_complete = reward_terms.try_for_each_amount(reward, |term, amount| {
            total += amount;
            if let Some(term) = term {
                term_sums[term] += amount;
            }
        });
        if !is_complete {
            return None;
        }
    }
    let mut is_finite = total.is_finite();
    for (column, sum) in columns.iter_mut().zip(term_sums) {
        *column = *sum as f32;
        is_finite &= column.is_finite();
    }
    Some(SummedReward { total, is_finite })
}

//! Fast path for uniform blocks, in which all players qualify for the fast path and write to the same shard, or all to
//! dedicated buffers.
//!
//! Nearly all blocks of a large recording are uniform. All players are checked before any row is written, so the write
//! loop has no branches for other cases.

use super::{FastPath, PoolRunWriter, SlotCursor, StepInputs, count_recorded, push_row, sum_reward};
use crate::{
    capture::{EncodedBlock, PREFIX_WORDS},
    episode::player_slot::{PlayerSlot, RowOutput},
};
use experience_buffer::{BlockWriter, prefetch};
use experience_core::transition::StepHeader;

impl FastPath {
    /// Closes and writes a transition for each player of the block, whose values are known to be finite. Returns their
    /// number. `None` if the block is not uniform; no player is modified then.
    #[inline(never)]
    pub(super) fn step_uniform_block(
        &self,
        block: &mut EncodedBlock<'_>,
        term_sums: &mut [f64],
        inputs: StepInputs<'_>,
        cursor: &mut impl SlotCursor,
        writer: &mut impl PoolRunWriter,
    ) -> Option<usize> {
        let StepInputs {
            context,
            capture,
            reward_terms,
        } = inputs;
        let (rules, time, players) = (&context.rules, context.time, block.len());
        let (slots, after) = cursor.peek(players);
        let first = slots.first()?;
        let shard = match first.output()? {
            RowOutput::Pooled { handle, .. } if writer.has_shard_of(handle) => Some(handle.shard()),
            RowOutput::Pooled { .. } => return None,
            RowOutput::Dedicated(_) => None,
        };
        let mut is_uniform = slots.len() == players;
        for (index, slot) in slots.iter().enumerate() {
            prefetch(after, index);
            is_uniform &= slot.entity == block.entity(index) && slot.can_fast_step(rules) && slot.writes_to(shard);
        }
        if rules.has_match_id {
            let rows = block.rows().chunks(block.stride());
            is_uniform &= slots
                .iter()
                .zip(rows)
                .all(|(slot, row)| slot.stays_in_match(rules, StepHeader::of(row)));
        }
        if !is_uniform {
            return None;
        }
        // Without any reward, the term columns need not be written, and the totals are 0.
        let has_rewards = block.has_rewards() || !term_sums.is_empty();
        if has_rewards {
            for index in 0..players {
                let reward = block.reward(index);
                let row = block.row_mut(index);
                let columns = &mut bytemuck::cast_slice_mut(row)[self.term_columns.clone()];
                let reward = sum_reward(reward, reward_terms, term_sums, columns)?;
                if !self.accepts(&reward) {
                    return None;
                }
                StepHeader::of_mut(row).reward = reward.total;
            }
        }
        let total = |header: &StepHeader| if has_rewards { header.reward } else { 0.0 };
        count_recorded(context, players);
        if let (Some(_), Some(RowOutput::Pooled { handle, .. })) = (shard, first.output()) {
            let mut run = writer.begin_run(handle, 0);
            for (slot, cell) in slots.iter_mut().zip(block.cells_mut()) {
                let (prefix, row) = cell.split_at_mut(PREFIX_WORDS);
                let header = StepHeader::of_mut(row);
                slot.mark_captured(capture);
                let total = total(header);
                if let Some(RowOutput::Pooled { handle, .. }) = slot.fast_step(time, total, header) {
                    prefix.copy_from_slice(&run.add(handle));
                }
            }
            writer.push_run(&run, block.cells());
        } else {
            let mut ahead = BlockWriter::default();
            for (slot, cell) in slots.iter_mut().zip(block.cells_mut()) {
                let header = StepHeader::of_mut(&mut cell[PREFIX_WORDS..]);
                slot.mark_captured(capture);
                let total = total(header);
                if let Some(RowOutput::Dedicated(writer)) = slot.fast_step(time, total, header) {
                    // The buffers are far apart in memory.
                    ahead.prefetch(writer);
                }
            }
            let row = PREFIX_WORDS..PREFIX_WORDS + block.row_words();
            let mut writers = BlockWriter::default();
            for (slot, cell) in slots.iter_mut().zip(block.cells_mut()) {
                push_row(slot, &mut writers, &cell[row.clone()]);
            }
        }
        cursor.skip(players);
        Some(players)
    }
}

/// Prefetches the slot at `index` among those after this block.
#[inline(always)]
fn prefetch(after: &[PlayerSlot], index: usize) {
    if let Some(slot) = after.get(index) {
        prefetch::line(core::ptr::from_ref(slot).cast());
    }
}

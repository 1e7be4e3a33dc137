//! Blocks of players who are all alike: each takes a step, and all write to one shard, or all to buffers of their own.
//!
//! Nearly all blocks of a crowd are. First everybody is asked, and then everybody written, so that neither loop has a way out of
//! the ordinary to keep open.

use super::{
    Context,
    steady::{Lives, Shards, Steady, sum_up},
    terms::Terms,
};
use crate::{
    capture::{Block, LEAD},
    episode::life::{Life, Output},
};
use experience_buffer::prefetch;
use experience_core::transition::StepHeader;

impl Steady {
    /// Writes a step for each player of the block, whose values are finite. How many there are; `None` where they are not alike:
    /// then nothing has happened.
    #[inline(never)]
    pub(super) fn step_alike(
        &self,
        block: &mut Block<'_>,
        sums: &mut [f64],
        (context, captures): (&Context, u32),
        terms: &Terms,
        lives: &mut impl Lives,
        shards: &mut impl Shards,
    ) -> Option<usize> {
        let (rules, clock, players) = (&context.rules, context.clock, block.len());
        let (now, after) = lives.next(players);
        let mut shard = None;
        let first = now.first()?;
        match first.output() {
            Some(Output::Shared { handle, .. }) if shards.has(handle) => shard = Some(handle.shard()),
            Some(Output::Own(_)) => {}
            Some(Output::Shared { .. }) | None => return None,
        }
        let mut alike = now.len() == players;
        for (index, life) in now.iter().enumerate() {
            prefetch(after, index);
            alike &= life.entity == block.entity(index) && life.goes_on(rules) && life.writes_to(shard);
        }
        if !alike {
            return None;
        }
        let given = block.has_rewards() || !sums.is_empty();
        if given {
            for index in 0..players {
                let reward = block.reward(index).filter(|reward| !reward.is_untouched());
                let row = block.row_mut(index);
                let columns = &mut bytemuck::cast_slice_mut(row)[self.terms()];
                let (reward, is_finite) = sum_up(reward, terms, sums, columns)?;
                if !is_finite && self.wants_finite() {
                    return None;
                }
                StepHeader::of_mut(row).reward = reward;
            }
        }
        // Before the rows: whoever sees one exported sees it recorded.
        shards.count(&context.counters, players);
        if let (Some(_), Some(Output::Shared { handle, .. })) = (shard, first.output()) {
            let mut run = shards.begin_run(handle, 0);
            for (life, cell) in now.iter_mut().zip(block.cells_mut()) {
                let (lead, row) = cell.split_at_mut(LEAD);
                let header = StepHeader::of_mut(row);
                life.see(captures);
                let reward = if given { header.reward } else { 0.0 };
                if let Some(Output::Shared { handle, .. }) = life.step(clock, reward, header) {
                    lead.copy_from_slice(&run.add(handle));
                }
            }
            shards.push_run(&run, block.cells());
        } else {
            for (life, cell) in now.iter_mut().zip(block.cells_mut()) {
                let header = StepHeader::of_mut(&mut cell[LEAD..]);
                life.see(captures);
                let reward = if given { header.reward } else { 0.0 };
                if let Some(Output::Own(buffer)) = life.step(clock, reward, header) {
                    // They lie far from each other.
                    buffer.writer.prefetch();
                }
            }
            for (index, life) in now.iter_mut().enumerate() {
                if let Some(buffer) = life.own_buffer() {
                    // Only `close_buffer` closes, and it takes the buffer away.
                    let _ = buffer.writer.push(block.row_mut(index));
                }
            }
        }
        lives.pass(players);
        Some(players)
    }
}

/// Has the life at place `index` of those that come after this block brought near.
#[inline(always)]
fn prefetch(after: &[Life], index: usize) {
    if let Some(life) = after.get(index) {
        prefetch::line(core::ptr::from_ref(life).cast());
    }
}

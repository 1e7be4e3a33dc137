//! Players to whom nothing happens but another step: nearly all of them, nearly always.
//!
//! A [`Life`](super::Life) knows every case. This knows one, for a block of players at a time: an episode is open, nobody
//! ended it, every tick is a decision and all values are finite. It writes what the life would have written, and leaves
//! everybody else to their lives.

use super::{Clock, Context, floats::Floats, terms::Terms};
use crate::{
    buffer::pool::PoolWriter,
    capture::{Block, Captured},
    episode::{NonFinite, RecordMode, roster::Roster},
};
use core::ops::Range;

/// Writes the steps of such players.
///
/// A block goes through in passes, each of which does one thing for all of its players: so the few values that it needs
/// stay in registers, and memory that it waits for is waited for together.
pub(super) struct Steady {
    /// Whether the recording's rules leave any.
    applies: bool,
    /// The values of a row that must be finite. `None` where none must.
    finite: Option<Floats>,
    /// Where the terms of the reward lie in a row, in halves of words.
    terms: Range<usize>,
    sums: Vec<f64>,
    steps: Vec<Step>,
    /// The places in the block of those who are left to their lives.
    others: Vec<usize>,
}

/// A player of the block for whom a step is all there is to write.
#[derive(Clone, Copy)]
struct Step {
    /// Its place in the roster.
    life: usize,
    /// Its place in the block.
    index: usize,
    reward: f64,
}

impl Steady {
    pub(super) fn new(context: &Context) -> Self {
        let (rules, schema) = (&context.rules, &*context.schema);
        Self {
            applies: rules.every == 1 && rules.mode == RecordMode::EveryTick && !rules.acts_early,
            finite: match rules.non_finite {
                NonFinite::Keep => None,
                NonFinite::EndEpisode | NonFinite::Replace(_) => Some(Floats::new(schema)),
            },
            terms: {
                let bytes = schema.layout().reward_terms();
                bytes.start / 4..bytes.end / 4
            },
            sums: vec![0.0; schema.reward_terms().len()],
            steps: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Writes a step for each player of the block for whom that is all there is to do, and gives the others to `rest`.
    /// For how many it wrote one.
    pub(super) fn take(
        &mut self,
        mut block: Block<'_>,
        context: &Context,
        roster: &mut Roster,
        terms: &mut Terms,
        captures: u32,
        mut rest: impl FnMut(&mut Roster, &mut Terms, Captured<'_>),
    ) -> usize {
        self.find(&block, context, roster);
        self.fill_rewards(&mut block, terms);
        self.leave_non_finite(&mut block);
        for &index in &self.others {
            rest(roster, terms, block.player_mut(index));
        }
        // Before the rows: whoever sees one exported sees it recorded.
        context.counters.recorded.add(self.steps.len() as u64);
        self.write(&mut block, context.clock, roster, &mut context.pool(), captures);
        self.steps.len()
    }

    /// Finds those for whom a step is all there is to do, if their values are finite.
    #[inline(never)]
    fn find(&mut self, block: &Block<'_>, context: &Context, roster: &mut Roster) {
        self.steps.clear();
        self.others.clear();
        if !self.applies || context.paused {
            self.others.extend(0..block.len());
            return;
        }
        // A crowd is more than the caches hold, and its buffers lie far from each other.
        for entity in block.next() {
            roster.prefetch(entity);
        }
        let rules = &context.rules;
        for (index, entity) in block.players().enumerate() {
            match roster.find(entity) {
                Some((life, found)) if found.goes_on(rules) => {
                    found.prefetch();
                    let reward = 0.0;
                    self.steps.push(Step { life, index, reward });
                }
                _ => self.others.push(index),
            }
        }
    }

    /// Sums up the rewards, and fills in their terms.
    #[inline(never)]
    fn fill_rewards(&mut self, block: &mut Block<'_>, terms: &mut Terms) {
        let Self { steps, sums, .. } = self;
        for step in steps {
            let reward = block.reward(step.index).filter(|reward| !reward.is_untouched());
            if reward.is_none() && sums.is_empty() {
                continue;
            }
            for sum in &mut *sums {
                *sum = 0.0;
            }
            if let Some(reward) = reward {
                terms.amounts(reward, |term, amount| {
                    step.reward += amount;
                    if let Some(term) = term {
                        sums[term] += amount;
                    }
                });
            }
            let row: &mut [f32] = bytemuck::cast_slice_mut(block.row_mut(step.index));
            for (term, sum) in row[self.terms.clone()].iter_mut().zip(&*sums) {
                *term = *sum as f32;
            }
        }
    }

    /// Leaves those to their lives whose values are not finite.
    #[inline(never)]
    fn leave_non_finite(&mut self, block: &mut Block<'_>) {
        let Some(floats) = &self.finite else { return };
        let row_words = block.row_words();
        let rewards = self.steps.iter().fold(0.0, |sum, step| sum + 0.0 * step.reward);
        if rewards == 0.0 && floats.are_finite(block.rows(), row_words) {
            return;
        }
        let others = &mut self.others;
        self.steps.retain(|step| {
            let finite = step.reward.is_finite() && floats.are_finite(block.row_mut(step.index), row_words);
            if !finite {
                others.push(step.index);
            }
            finite
        });
    }

    #[inline(never)]
    fn write(&self, block: &mut Block<'_>, clock: Clock, roster: &mut Roster, pool: &mut PoolWriter, captures: u32) {
        let lives = roster.lives_mut();
        for step in &self.steps {
            let life = &mut lives[step.life];
            life.seen = captures;
            life.step(clock, step.reward, block.row_mut(step.index), pool);
        }
    }
}

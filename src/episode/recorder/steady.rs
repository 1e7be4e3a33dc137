//! Players to whom nothing happens but another step: nearly all of them, nearly always.
//!
//! A [`Life`](super::Life) knows every case. This knows one, for a block of players at a time: an episode is open, nobody
//! ended it, every tick is a decision and all values are finite. It writes what the life would have written, and leaves
//! everybody else to their lives.

use super::{Context, floats::Floats, terms::Terms};
use crate::{
    buffer::pool::{LINKS, PoolWriter, Run},
    capture::{Block, Captured, LEAD},
    episode::{NonFinite, RecordMode, life::Output, roster::Roster},
    player::Reward,
    transition::StepHeader,
};
use core::ops::Range;

// A block's rows are put together as they will lie in a pool.
const _: () = assert!(LEAD == LINKS);

/// Writes the steps of such players.
///
/// The rows of a block are put together where they were encoded; those of players who share a buffer, and are neighbours
/// there as here, go there in one copy.
pub(super) struct Steady {
    /// Whether the recording's rules leave any.
    applies: bool,
    /// The values of a row that must be finite. `None` where none must.
    finite: Option<Floats>,
    /// Where the terms of the reward lie in a row, in halves of words.
    terms: Range<usize>,
    sums: Vec<f64>,
    /// How many lives this capture met so far: the roster's first ones.
    met: usize,
    /// Those in the block who have buffers of their own: their places in the roster, and in the block.
    own: Vec<(usize, usize)>,
    /// The places in the block of those who are left to their lives.
    others: Vec<usize>,
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
            met: 0,
            own: Vec::new(),
            others: Vec::new(),
        }
    }

    /// A capture begins.
    pub(super) fn begin(&mut self) {
        self.met = 0;
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
        self.own.clear();
        self.others.clear();
        let mut steps = 0;
        if self.applies && !context.paused {
            steps += self.step_all(&mut block, context, roster, terms, captures);
            steps += self.push_own(&mut block, context, roster);
        } else {
            self.others.extend(0..block.len());
        }
        for &index in &self.others {
            rest(roster, terms, block.player_mut(index));
        }
        steps
    }

    /// Puts together the rows of those for whom a step is all there is to do, and writes those of players who share a buffer.
    /// For how many it wrote one.
    #[inline(never)]
    fn step_all(
        &mut self,
        block: &mut Block<'_>,
        context: &Context,
        roster: &mut Roster,
        terms: &mut Terms,
        captures: u32,
    ) -> usize {
        /// How many lives ahead one is brought near: a crowd is more than the caches hold.
        const AHEAD: usize = 16;
        let Self {
            finite,
            terms: columns,
            sums,
            met,
            own,
            others,
            ..
        } = self;
        let (rules, clock, row_words) = (&context.rules, context.clock, block.row_words());
        let finite = finite.as_ref();
        // Nearly always all are. Where not, each is asked.
        let all_finite = are_finite(finite, block.rows(), block.stride());
        let mut guard = context.pool();
        let pool = &mut *guard;
        let mut run = Run::default();
        let mut steps = 0;
        let mut push = |run: &Run, block: &Block<'_>, pool: &mut PoolWriter| {
            // Before the rows: whoever sees one exported sees it recorded.
            context.counters.recorded.add(run.len() as u64);
            steps += run.len();
            // Only `close_buffer` closes, and it takes the output away.
            let _ = pool.push_run(run, block.cells());
        };
        for index in 0..block.len() {
            let place = *met;
            roster.prefetch(place + AHEAD);
            let Some(life) = roster.meet(place, block.entity(index)) else {
                others.push(index);
                continue;
            };
            *met = place + 1;
            if !life.goes_on(rules) {
                others.push(index);
                continue;
            }
            let reward = block.reward(index).filter(|reward| !reward.is_untouched());
            let row = block.row_mut(index);
            let (reward, mut is_finite) = if reward.is_some() || !sums.is_empty() {
                sum_up(reward, terms, sums, &mut bytemuck::cast_slice_mut(row)[columns.clone()])
            } else {
                (0.0, true)
            };
            is_finite &= all_finite || are_finite(finite, row, row_words);
            if finite.is_some() && !is_finite {
                others.push(index);
                continue;
            }
            life.seen = captures;
            match life.step(clock, reward, StepHeader::of_mut(row)) {
                Some(Output::Shared { handle, .. }) => {
                    if !run.takes(handle, index) {
                        if !run.is_empty() {
                            push(&run, block, pool);
                        }
                        run = pool.begin_run(handle, index);
                    }
                    block.put_lead(index, run.add(handle));
                }
                Some(Output::Own(buffer)) => {
                    // They lie far from each other.
                    buffer.writer.prefetch();
                    own.push((place, index));
                }
                None => {}
            }
        }
        if !run.is_empty() {
            push(&run, block, pool);
        }
        steps
    }

    /// Writes the rows of those who have buffers of their own. For how many it did.
    #[inline(never)]
    fn push_own(&self, block: &mut Block<'_>, context: &Context, roster: &mut Roster) -> usize {
        context.counters.recorded.add(self.own.len() as u64);
        let lives = roster.lives_mut();
        for &(life, index) in &self.own {
            if let Some(buffer) = lives[life].own_buffer() {
                // Only `close_buffer` closes, and it takes the buffer away.
                let _ = buffer.writer.push(block.row_mut(index));
            }
        }
        self.own.len()
    }
}

/// What a player was given, and whether that and its terms are finite. Fills in the terms' columns.
fn sum_up(reward: Option<&Reward>, terms: &mut Terms, sums: &mut [f64], columns: &mut [f32]) -> (f64, bool) {
    let mut total = 0.0;
    sums.fill(0.0);
    if let Some(reward) = reward {
        terms.amounts(reward, |term, amount| {
            total += amount;
            if let Some(term) = term {
                sums[term] += amount;
            }
        });
    }
    let mut finite = total.is_finite();
    for (column, sum) in columns.iter_mut().zip(sums) {
        *column = *sum as f32;
        finite &= column.is_finite();
    }
    (total, finite)
}

/// Whether all values of these rows are finite that must be.
#[inline(never)]
fn are_finite(floats: Option<&Floats>, rows: &[u64], stride: usize) -> bool {
    floats.is_none_or(|floats| floats.are_finite(rows, stride))
}

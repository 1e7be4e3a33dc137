//! Players to whom nothing happens but another step: nearly all of them, nearly always.
//!
//! A [`Life`](super::Life) knows every case. This knows one, for a block of players at a time: an episode is open, nobody
//! ended it, every tick is a decision and all values are finite. It writes what the life would have written, and leaves
//! everybody else to their lives.

use super::{Context, terms::Terms};
use crate::{
    capture::{Block, Captured},
    episode::{NonFinite, RecordMode, roster::Roster},
    player::Reward,
    schema::{DType, Schema},
};
use core::ops::Range;

/// Writes the steps of such players.
pub(super) struct Steady {
    /// Whether the recording's rules leave any.
    applies: bool,
    /// The values of a row that must be finite. `None` where none must.
    finite: Option<Floats>,
    /// The bytes of the reward's terms.
    terms: Range<usize>,
    sums: Vec<f64>,
    /// Whose rows are ready: their places in the roster and in the block.
    ready: Vec<(usize, usize)>,
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
            terms: schema.layout().reward_terms(),
            sums: vec![0.0; schema.reward_terms().len()],
            ready: Vec::new(),
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
        captures: u64,
        mut rest: impl FnMut(&mut Roster, &mut Terms, Captured<'_>),
    ) -> usize {
        self.ready.clear();
        for (index, player) in block.iter_mut().enumerate() {
            if self.applies
                && let Some((place, life)) = roster.find(player.entity)
                && life.goes_on(&context.rules)
                && let Some(reward) = self.fill(player.row, terms, player.reward)
            {
                life.seen = captures;
                life.step(context.clock, reward, player.row);
                self.ready.push((place, index));
            } else {
                rest(roster, terms, player);
            }
        }
        // Before the rows: whoever sees a row exported sees it recorded.
        context.counters.recorded.add(self.ready.len() as u64);
        let mut pool = context.pool();
        // Players' buffers lie far from each other, and are long out of the caches.
        for &(place, _) in &self.ready {
            roster.lives()[place].prefetch(&pool);
        }
        // The headers are written by now: a copy that follows at their heels would wait for them.
        for &(place, index) in &self.ready {
            roster.lives_mut()[place].write(&mut pool, block.row_mut(index));
        }
        self.ready.len()
    }

    /// Fills in the terms of the reward, and gives its sum. `None` where a value of the row is not finite.
    #[inline]
    fn fill(&mut self, row: &mut [u64], terms: &mut Terms, reward: Option<&Reward>) -> Option<f64> {
        let mut sum = 0.0;
        self.sums.fill(0.0);
        if let Some(reward) = reward {
            terms.amounts(reward, |term, amount| {
                sum += amount;
                if let Some(term) = term {
                    self.sums[term] += amount;
                }
            });
        }
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut bytes[self.terms.clone()]);
        for (term, sum) in out.iter_mut().zip(&self.sums) {
            *term = *sum as f32;
        }
        let finite = |floats: &Floats| sum.is_finite() && floats.are_finite(bytes);
        self.finite.as_ref().is_none_or(finite).then_some(sum)
    }
}

/// Where the floats of a row lie, in bytes.
#[derive(Default)]
struct Floats {
    singles: Vec<Range<usize>>,
    doubles: Vec<Range<usize>>,
}

impl Floats {
    fn new(schema: &Schema) -> Self {
        let layout = schema.layout();
        let mut floats = Self::default();
        append(&mut floats.singles, layout.observation());
        for (column, &start) in schema.action().iter().zip(layout.action_offsets()) {
            let bytes = start..start + column.width() * column.dtype.size();
            match column.dtype {
                DType::F32 => append(&mut floats.singles, bytes),
                DType::F64 => append(&mut floats.doubles, bytes),
                _ => {}
            }
        }
        append(&mut floats.singles, layout.reward_terms());
        floats
    }

    #[inline]
    fn are_finite(&self, row: &[u8]) -> bool {
        // A float is finite unless all bits of its exponent are set, which are those of infinity. No loop stops early:
        // so it is vectorised, and nearly always there is nothing to find.
        const SINGLE: u32 = f32::INFINITY.to_bits();
        const DOUBLE: u64 = f64::INFINITY.to_bits();
        let mut found = false;
        for range in &self.singles {
            let values: &[u32] = bytemuck::cast_slice(&row[range.clone()]);
            found |= values
                .iter()
                .fold(0, |found, value| found | u32::from(value & SINGLE == SINGLE))
                != 0;
        }
        for range in &self.doubles {
            let values: &[u64] = bytemuck::cast_slice(&row[range.clone()]);
            found |= values
                .iter()
                .fold(0, |found, value| found | u64::from(value & DOUBLE == DOUBLE))
                != 0;
        }
        !found
    }
}

/// Adds bytes to `ranges`, in one with those before if they are neighbours.
fn append(ranges: &mut Vec<Range<usize>>, bytes: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == bytes.start => last.end = bytes.end,
        _ if bytes.is_empty() => {}
        _ => ranges.push(bytes),
    }
}

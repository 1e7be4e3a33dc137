//! Players to whom nothing happens but another step: nearly all of them, nearly always.
//!
//! A [`Life`](super::Life) knows every case. This knows one, for a block of players at a time: an episode is open, nobody
//! ended it, every tick is a decision and all values are finite. It writes what the life would have written, and leaves
//! everybody else to their lives.

use super::{Clock, Context, terms::Terms};
use crate::{
    buffer::pool::PoolWriter,
    capture::{Block, Captured},
    episode::{NonFinite, RecordMode, roster::Roster},
    schema::{Column, DType, Schema},
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
        if !self.applies {
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

/// The floats of a row.
#[derive(Default)]
struct Floats {
    /// Many words, for which a loop with vectors is worth its beginning and its end.
    runs: Vec<(Range<usize>, Floating<1>)>,
    /// So many words at once, because that takes a few instructions.
    eights: Vec<Floating<8>>,
    ones: Vec<Floating<1>>,
}

/// `N` words of a row, with floats in the same places of each.
struct Floating<const N: usize> {
    /// The first of them.
    word: usize,
    /// The bits of the floats' exponents.
    exponents: u64,
    /// The lowest bit of each exponent. Added to an exponent whose bits are all set, and to no other, it sets the bit
    /// above, which is that of the sign.
    lowest: u64,
}

/// The sign bits of two singles, or of a double and one that no double has.
const SIGNS: u64 = 1 << 63 | 1 << 31;

impl<const N: usize> Floating<N> {
    fn new(word: usize, exponents: u64) -> Self {
        Self {
            word,
            exponents,
            lowest: exponents & !(exponents << 1),
        }
    }

    /// Sets a sign bit where one of the floats in the word is infinite or no number.
    #[inline(always)]
    fn carry(&self, word: u64) -> u64 {
        (word & self.exponents).wrapping_add(self.lowest)
    }

    /// The same for all words of these rows.
    #[inline(always)]
    fn carries(&self, rows: &[u64], row_words: usize) -> u64 {
        let words = |row: &[u64]| row[self.word..].first_chunk::<N>().copied().unwrap_or([0; N]);
        rows.chunks_exact(row_words).fold(0, |carries, row| {
            words(row)
                .iter()
                .fold(carries, |carries, &word| carries | self.carry(word))
        })
    }
}

impl Floats {
    fn new(schema: &Schema) -> Self {
        const LOW: u64 = f32::INFINITY.to_bits() as u64;
        const DOUBLE: u64 = f64::INFINITY.to_bits();
        let layout = schema.layout();
        let mut exponents = vec![0; layout.row_words()];
        let mut singles = |bytes: Range<usize>| {
            for half in bytes.start / 4..bytes.end / 4 {
                exponents[half / 2] |= if half % 2 == usize::from(cfg!(target_endian = "little")) {
                    LOW << 32
                } else {
                    LOW
                };
            }
        };
        singles(layout.observation());
        singles(layout.reward_terms());
        let action = || schema.action().iter().zip(layout.action_offsets());
        let bytes = |column: &Column, start: usize| start..start + column.width() * column.dtype.size();
        for (column, &start) in action().filter(|(column, _)| column.dtype == DType::F32) {
            singles(bytes(column, start));
        }
        for (column, &start) in action().filter(|(column, _)| column.dtype == DType::F64) {
            let bytes = bytes(column, start);
            exponents[bytes.start / 8..bytes.end / 8].fill(DOUBLE);
        }
        /// Words that are many.
        const MANY: usize = 64;
        let mut floats = Self::default();
        let mut word = 0;
        while word < exponents.len() {
            let here = exponents[word];
            let same = exponents[word..].iter().take_while(|&&next| next == here).count();
            if here != 0 && same >= MANY {
                floats.runs.push((word..word + same, Floating::new(word, here)));
                word += same;
            } else if here != 0 && exponents[word..].starts_with(&[here; 8]) {
                floats.eights.push(Floating::new(word, here));
                word += 8;
            } else {
                if here != 0 {
                    floats.ones.push(Floating::new(word, here));
                }
                word += 1;
            }
        }
        floats
    }

    /// Whether all of them are finite in all of these rows, which a float is unless all bits of its exponent are set.
    /// Nothing ends early: nearly always there is nothing to find.
    #[inline]
    fn are_finite(&self, rows: &[u64], row_words: usize) -> bool {
        let mut carries = 0;
        for (words, floats) in &self.runs {
            for row in rows.chunks_exact(row_words) {
                for &word in &row[words.clone()] {
                    carries |= floats.carry(word);
                }
            }
        }
        let eights = self.eights.iter().map(|floats| floats.carries(rows, row_words));
        let ones = self.ones.iter().map(|floats| floats.carries(rows, row_words));
        eights.chain(ones).fold(carries, |all, carries| all | carries) & SIGNS == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Space;

    #[test]
    fn every_float_of_a_row_is_looked_at_and_nothing_else() {
        let column = |name, dtype| Column::scalar(name, dtype, Space::unbounded());
        for features in [1, 2, 3, 16, 17, 40, 127, 200] {
            let schema = Schema::new("test")
                .with_observation((0..features).map(|n| Column::feature(format!("x{n}"))))
                .with_action_mask(40)
                .with_action([
                    column("a", DType::F32),
                    column("b", DType::I64),
                    column("c", DType::F64),
                    column("d", DType::I32),
                ])
                .with_reward_terms(["e"]);
            let layout = schema.layout();
            let (floats, words) = (Floats::new(&schema), layout.row_words());
            let singles: Vec<usize> = layout
                .observation()
                .step_by(4)
                .chain([layout.action_offsets()[0], layout.reward_terms().start])
                .collect();
            let double = layout.action_offsets()[2];
            let row = |at: usize, value: &[u8]| {
                let mut row = vec![0_u64; layout.row_words()];
                bytemuck::cast_slice_mut::<_, u8>(&mut row)[at..at + value.len()].copy_from_slice(value);
                row
            };
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
                for at in (0..layout.row_bytes()).step_by(4) {
                    let found = !floats.are_finite(&row(at, &value.to_ne_bytes()), words);
                    // The upper half of a double is an infinite single's bits when it is large, which is no error.
                    assert_eq!(found, singles.contains(&at), "{features} {at}");
                }
            }
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!floats.are_finite(&row(double, &value.to_ne_bytes()), words));
            }
            for value in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0] {
                assert!(
                    singles
                        .iter()
                        .all(|&at| floats.are_finite(&row(at, &value.to_ne_bytes()), words))
                );
            }
            for value in [f64::MAX, f64::MIN, -0.0] {
                assert!(floats.are_finite(&row(double, &value.to_ne_bytes()), words));
            }
        }
    }
}

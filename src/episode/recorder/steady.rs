//! Players to whom nothing happens but another step: nearly all of them, nearly always.
//!
//! A [`Life`](super::Life) knows every case. This knows one, for a block of players at a time: an episode is open, nobody
//! ended it, every tick is a decision and all values are finite. It writes what the life would have written, and leaves
//! everybody else to their lives.

use super::{Context, floats::Floats, terms::Terms};
use crate::{
    capture::{Block, LEAD},
    episode::{
        NonFinite, RecordMode,
        life::{Life, Output},
        roster::Roster,
    },
    player::Reward,
};
use bevy_ecs::entity::Entity;
use core::ops::Range;
use experience_buffer::pool::{LINKS, PoolHandle, PoolWriter, Run};
use experience_core::{account::Counters, transition::StepHeader};

// A block's rows are put together as they will lie in a pool.
const _: () = assert!(LEAD == LINKS);

/// Writes the steps of such players.
///
/// The rows of a block are put together where they were encoded; those of players who share a buffer, and are neighbours
/// there as here, go there in one copy.
pub(super) struct Steady {
    /// Whether the recording's rules leave any.
    applies: bool,
    /// Whether values must be finite.
    wants_finite: bool,
    /// The values of a row that must be. `None` where none must, or none are read.
    finite: Option<Floats>,
    /// Where the terms of the reward lie in a row, in halves of words.
    terms: Range<usize>,
    /// How many there are.
    sums: usize,
}

/// What whoever writes needs for itself: one for each who does at the same time.
#[derive(Default)]
pub(super) struct Hand {
    sums: Vec<f64>,
    /// Those in the block who have buffers of their own: their places among the lives, and in the block.
    own: Vec<(usize, usize)>,
    /// The places in the block of those who are left to their lives.
    pub(super) others: Vec<usize>,
    /// The places of those whose lives were not met.
    pub(super) strays: Vec<usize>,
    /// Those who took their step, and whose rows belong to a shard that is not at hand: their places in the block.
    pub(super) foreign: Vec<usize>,
}

/// Lives in the order in which a capture meets their players.
pub(super) trait Lives {
    /// Has lives brought near that will be met soon.
    fn prefetch(&self);
    /// The life of the entity that is met now, and its place. `None` where it has none, or that is not at hand.
    fn meet(&mut self, entity: Entity) -> Option<(usize, &mut Life)>;
    fn at(&mut self, place: usize) -> Option<&mut Life>;
    /// The lives of the next so many players, if they stand in order, and those after them. There may be fewer.
    fn next(&mut self, players: usize) -> (&mut [Life], &[Life]);
    /// The next so many players have been met.
    fn pass(&mut self, players: usize);
}

/// Where rows of players go who share a pool.
pub(super) trait Shards {
    /// Whether the player's shard is at hand.
    fn has(&self, player: &PoolHandle) -> bool;
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run;
    fn push_run(&mut self, run: &Run, cells: &[u64]);
    /// Counts transitions. Before they are pushed: whoever sees one exported sees it recorded.
    fn count(&self, counters: &Counters, transitions: usize);
}

/// How many lives ahead one is brought near: a crowd is more than the caches hold.
pub(super) const AHEAD: usize = 16;

/// All lives. One that stands elsewhere is moved.
pub(super) struct All<'a> {
    pub(super) roster: &'a mut Roster,
    /// How many this capture met so far: the roster's first ones.
    pub(super) met: usize,
}

impl Lives for All<'_> {
    #[inline(always)]
    fn prefetch(&self) {
        self.roster.prefetch(self.met + AHEAD);
    }

    #[inline(always)]
    fn meet(&mut self, entity: Entity) -> Option<(usize, &mut Life)> {
        let place = self.met;
        let life = self.roster.meet(place, entity)?;
        self.met = place + 1;
        Some((place, life))
    }

    #[inline(always)]
    fn at(&mut self, place: usize) -> Option<&mut Life> {
        self.roster.lives_mut().get_mut(place)
    }

    #[inline(always)]
    fn next(&mut self, players: usize) -> (&mut [Life], &[Life]) {
        let rest = &mut self.roster.lives_mut()[self.met..];
        let (now, after) = rest.split_at_mut(players.min(rest.len()));
        (now, after)
    }

    #[inline(always)]
    fn pass(&mut self, players: usize) {
        self.met += players;
    }
}

impl Shards for PoolWriter {
    #[inline(always)]
    fn has(&self, _: &PoolHandle) -> bool {
        true
    }

    #[inline(always)]
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.begin_run(player, cell)
    }

    #[inline(always)]
    fn push_run(&mut self, run: &Run, cells: &[u64]) {
        // Only `close_buffer` closes, and it takes the output away.
        let _ = self.push_run(run, cells);
    }

    #[inline(always)]
    fn count(&self, counters: &Counters, transitions: usize) {
        counters.recorded.add(transitions as u64);
    }
}

impl Steady {
    /// For a recorder that is `enabled`, or for one that reads nothing of anybody.
    pub(super) fn new(context: &Context, enabled: bool) -> Self {
        let (rules, schema) = (&context.rules, &*context.schema);
        let wants_finite = match rules.non_finite {
            NonFinite::Keep => false,
            NonFinite::EndEpisode | NonFinite::Replace(_) => true,
        };
        Self {
            applies: rules.every == 1 && rules.mode == RecordMode::EveryTick && !rules.acts_early,
            wants_finite,
            finite: (enabled && wants_finite).then(|| Floats::new(schema)),
            terms: {
                let bytes = schema.layout().reward_terms();
                bytes.start / 4..bytes.end / 4
            },
            sums: schema.reward_terms().len(),
        }
    }

    /// Whether there are such players at this capture.
    pub(super) fn applies(&self, context: &Context) -> bool {
        self.applies && !context.paused
    }

    /// Where the terms of the reward lie in a row, in halves of words.
    pub(super) fn terms(&self) -> Range<usize> {
        self.terms.clone()
    }

    /// Whether values must be finite.
    pub(super) fn wants_finite(&self) -> bool {
        self.wants_finite
    }

    pub(super) fn hand(&self) -> Hand {
        Hand {
            sums: vec![0.0; self.sums],
            ..Hand::default()
        }
    }

    /// Takes a step for each player of the block for whom that is all there is to do, and says in `hand` who the others are. How
    /// many took one.
    #[inline]
    pub(super) fn take(
        &self,
        block: &mut Block<'_>,
        hand: &mut Hand,
        (context, captures): (&Context, u32),
        terms: &Terms,
        lives: &mut impl Lives,
        shards: &mut impl Shards,
    ) -> usize {
        hand.own.clear();
        hand.others.clear();
        hand.strays.clear();
        hand.foreign.clear();
        // Nearly always all are. Where not, each is asked.
        let all_finite = are_finite(self.finite.as_ref(), block.rows(), block.stride());
        if all_finite
            && let Some(steps) = self.step_alike(block, &mut hand.sums, (context, captures), terms, lives, shards)
        {
            return steps;
        }
        self.step_all(block, hand, (context, captures), terms, all_finite, lives, shards)
            + push_own(block, hand, context, lives, shards)
    }

    /// Puts together the rows of those for whom a step is all there is to do, and writes those of players who share a buffer.
    /// How many those are, and those whose steps nobody writes.
    #[expect(clippy::too_many_arguments, reason = "it is the one place where all of these meet")]
    #[inline(never)]
    fn step_all(
        &self,
        block: &mut Block<'_>,
        hand: &mut Hand,
        (context, captures): (&Context, u32),
        terms: &Terms,
        all_finite: bool,
        lives: &mut impl Lives,
        shards: &mut impl Shards,
    ) -> usize {
        let Hand {
            sums,
            own,
            others,
            strays,
            foreign,
        } = hand;
        let (rules, clock, row_words) = (&context.rules, context.clock, block.row_words());
        let finite = self.finite.as_ref();
        let mut run = Run::default();
        let (mut steps, mut unwritten) = (0, 0);
        let mut push = |run: &Run, block: &Block<'_>, shards: &mut _| {
            Shards::count(shards, &context.counters, run.len());
            steps += run.len();
            Shards::push_run(shards, run, block.cells());
        };
        for index in 0..block.len() {
            lives.prefetch();
            let Some((place, life)) = lives.meet(block.entity(index)) else {
                strays.push(index);
                continue;
            };
            if !life.goes_on(rules) {
                others.push(index);
                continue;
            }
            let reward = block.reward(index).filter(|reward| !reward.is_untouched());
            let row = block.row_mut(index);
            let (reward, mut is_finite) = if reward.is_some() || !sums.is_empty() {
                let columns = &mut bytemuck::cast_slice_mut(row)[self.terms.clone()];
                let Some(summed) = sum_up(reward, terms, sums, columns) else {
                    others.push(index);
                    continue;
                };
                summed
            } else {
                (0.0, true)
            };
            is_finite &= all_finite || are_finite(finite, row, row_words);
            if self.wants_finite && !is_finite {
                others.push(index);
                continue;
            }
            life.see(captures);
            match life.step(clock, reward, StepHeader::of_mut(row)) {
                Some(Output::Shared { handle, .. }) => {
                    if !run.takes(handle, index) {
                        if !shards.has(handle) {
                            foreign.push(index);
                            continue;
                        }
                        if !run.is_empty() {
                            push(&run, block, shards);
                        }
                        run = shards.begin_run(handle, index);
                    }
                    block.put_lead(index, run.add(handle));
                }
                Some(Output::Own(buffer)) => {
                    // They lie far from each other.
                    buffer.writer.prefetch();
                    own.push((place, index));
                }
                None => unwritten += 1,
            }
        }
        if !run.is_empty() {
            push(&run, block, shards);
        }
        steps + unwritten
    }
}

/// Writes the rows of those who have buffers of their own. For how many it did.
#[inline(never)]
fn push_own(
    block: &mut Block<'_>,
    hand: &Hand,
    context: &Context,
    lives: &mut impl Lives,
    shards: &impl Shards,
) -> usize {
    if hand.own.is_empty() {
        return 0;
    }
    shards.count(&context.counters, hand.own.len());
    for &(place, index) in &hand.own {
        if let Some(buffer) = lives.at(place).and_then(Life::own_buffer) {
            // Only `close_buffer` closes, and it takes the buffer away.
            let _ = buffer.writer.push(block.row_mut(index));
        }
    }
    hand.own.len()
}

/// What a player was given, and whether that and its terms are finite. Fills in the terms' columns. `None` where there is a
/// term under a name that was not met before.
#[inline]
pub(super) fn sum_up(
    reward: Option<&Reward>,
    terms: &Terms,
    sums: &mut [f64],
    columns: &mut [f32],
) -> Option<(f64, bool)> {
    let mut total = 0.0;
    sums.fill(0.0);
    if let Some(reward) = reward {
        let known = terms.known_amounts(reward, |term, amount| {
            total += amount;
            if let Some(term) = term {
                sums[term] += amount;
            }
        });
        if !known {
            return None;
        }
    }
    let mut finite = total.is_finite();
    for (column, sum) in columns.iter_mut().zip(sums) {
        *column = *sum as f32;
        finite &= column.is_finite();
    }
    Some((total, finite))
}

/// Whether all values of these rows are finite that must be.
#[inline(never)]
fn are_finite(floats: Option<&Floats>, rows: &[u64], stride: usize) -> bool {
    floats.is_none_or(|floats| floats.are_finite(rows, stride))
}

//! Whole episodes, as sinks receive them and as datasets give them back.

use super::{EndReason, Outcome, RunId, StepHeader, StepKind};
use crate::schema::{DType, Schema};
use core::fmt;
use std::sync::Arc;

/// One encoded row, read through its schema.
#[derive(Clone, Copy)]
pub struct StepBytes<'a> {
    schema: &'a Schema,
    row: &'a [u64],
}

impl<'a> StepBytes<'a> {
    /// Reads `row` as `schema` lays it out.
    ///
    /// # Panics
    /// When `row` is not exactly one row of the schema.
    #[must_use]
    pub fn new(schema: &'a Schema, row: &'a [u64]) -> Self {
        assert_eq!(row.len(), schema.layout().row_words(), "a row of another schema");
        Self { schema, row }
    }

    fn bytes(self) -> &'a [u8] {
        bytemuck::cast_slice(self.row)
    }

    /// The fixed part.
    #[must_use]
    pub fn header(self) -> &'a StepHeader {
        StepHeader::of(self.row)
    }

    /// The observation, `[N]`.
    #[must_use]
    pub fn observation(self) -> &'a [f32] {
        bytemuck::cast_slice(&self.bytes()[self.schema.layout().observation()])
    }

    /// The packed bits of the action mask, lowest bit first; empty where there is no mask.
    #[must_use]
    pub fn mask_bits(self) -> &'a [u8] {
        &self.bytes()[self.schema.layout().mask()]
    }

    /// Whether the mask allows the alternative `index`.
    ///
    /// # Panics
    /// When `index` is not less than the mask's width.
    #[must_use]
    pub fn allows(self, index: usize) -> bool {
        assert!(
            index < self.schema.action_mask_width(),
            "alternative {index} is beyond the mask"
        );
        self.mask_bits()[index / 8] >> (index % 8) & 1 == 1
    }

    /// The bytes of the action column `index`.
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn action_bytes(self, index: usize) -> &'a [u8] {
        let column = &self.schema.action()[index];
        let start = self.schema.layout().action_offsets()[index];
        &self.bytes()[start..start + column.width() * column.dtype.size()]
    }

    /// The action's values in order, each converted to `f64` (exact for all but 64-bit integers beyond 2⁵³).
    pub fn action(self) -> impl Iterator<Item = f64> + 'a {
        self.schema
            .action()
            .iter()
            .enumerate()
            .flat_map(move |(index, column)| values(column.dtype, self.action_bytes(index)))
    }

    /// The bytes of the info column `index`.
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn info_bytes(self, index: usize) -> &'a [u8] {
        let column = &self.schema.info()[index];
        let start = self.schema.layout().info_offsets()[index];
        &self.bytes()[start..start + column.width() * column.dtype.size()]
    }

    /// The values of the info column called `name`, converted to `f64`; `None` where there is no such column.
    #[must_use]
    pub fn info(self, name: &str) -> Option<Vec<f64>> {
        let index = self.schema.info().iter().position(|column| column.name == name)?;
        Some(values(self.schema.info()[index].dtype, self.info_bytes(index)).collect())
    }

    /// The reward's terms, in the schema's order.
    #[must_use]
    pub fn reward_terms(self) -> &'a [f32] {
        bytemuck::cast_slice(&self.bytes()[self.schema.layout().reward_terms()])
    }
}

impl fmt::Debug for StepBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        f.debug_struct("StepBytes")
            .field("kind", &header.kind())
            .field("tick", &header.tick)
            .field("observation", &self.observation())
            .field("action", &self.action().collect::<Vec<_>>())
            .field("reward", &header.reward)
            .field("outcome", &header.outcome())
            .finish_non_exhaustive()
    }
}

/// The values of a column's bytes as `f64`. Trailing bytes that are no whole value are left out.
pub fn values(dtype: DType, bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
    macro_rules! read {
        ($type:ty, $chunk:ident) => {
            <$type>::from_ne_bytes($chunk.try_into().expect("chunks are one value long")) as f64
        };
    }
    bytes.chunks_exact(dtype.size()).map(move |chunk| match dtype {
        DType::F32 => read!(f32, chunk),
        DType::F64 => read!(f64, chunk),
        DType::I8 => read!(i8, chunk),
        DType::I16 => read!(i16, chunk),
        DType::I32 => read!(i32, chunk),
        DType::I64 => read!(i64, chunk),
        DType::U8 => read!(u8, chunk),
        DType::U16 => read!(u16, chunk),
        DType::U32 => read!(u32, chunk),
        DType::U64 => read!(u64, chunk),
        DType::Bool => f64::from(u8::from(chunk[0] != 0)),
    })
}

/// Who lived an episode, where and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeInfo {
    /// Unique across runs and merges; see [`RunId::episode_id`].
    pub episode_id: i64,
    /// Whose episode it is.
    pub agent_id: i64,
    /// The process that recorded it.
    pub run: RunId,
    /// The episode that this one was split from.
    pub continues: Option<i64>,
}

/// A whole episode: T transitions and T + 1 observations, ended.
#[derive(Clone)]
pub struct Episode {
    schema: Arc<Schema>,
    info: EpisodeInfo,
    /// T + 1 rows: one `Begin`, then `Transition`s.
    rows: Vec<u64>,
    outcome: Outcome,
    reason: EndReason,
}

impl Episode {
    /// Makes an episode of encoded rows.
    ///
    /// `rows` holds whole rows: the first observation, then at least one transition. Their own kinds and flags are
    /// overruled by their places and by `outcome`.
    ///
    /// # Panics
    /// When `rows` is not a whole number of rows, or fewer than two.
    #[must_use]
    pub fn new(
        schema: Arc<Schema>,
        info: EpisodeInfo,
        mut rows: Vec<u64>,
        outcome: Outcome,
        reason: EndReason,
    ) -> Self {
        let words = schema.layout().row_words();
        assert!(rows.len().is_multiple_of(words), "rows of another schema");
        assert!(rows.len() >= 2 * words, "an episode has at least one transition");
        for (index, row) in rows.chunks_exact_mut(words).enumerate() {
            let header = StepHeader::of_mut(row);
            header.set_kind(if index == 0 {
                StepKind::Begin
            } else {
                StepKind::Transition
            });
            header.set_outcome(None, 0);
        }
        Self {
            schema,
            info,
            rows,
            outcome,
            reason,
        }
    }

    /// The schema of its rows.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Who, where and when.
    #[must_use]
    pub fn info(&self) -> &EpisodeInfo {
        &self.info
    }

    /// Whether the world ended it, or watching stopped.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> &EndReason {
        &self.reason
    }

    /// The number of transitions, T; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an episode is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len() / self.schema.layout().row_words() - 1
    }

    /// All T + 1 rows, one after the other.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Row `index` of T + 1.
    ///
    /// # Panics
    /// When `index` is greater than T.
    #[must_use]
    pub fn row(&self, index: usize) -> StepBytes<'_> {
        let words = self.schema.layout().row_words();
        StepBytes::new(&self.schema, &self.rows[index * words..(index + 1) * words])
    }

    /// Transition `step` of T.
    ///
    /// # Panics
    /// When `step` is not less than T.
    #[must_use]
    pub fn transition(&self, step: usize) -> Transition<'_> {
        Transition {
            episode: self,
            step,
            before: self.row(step),
            after: self.row(step + 1),
        }
    }

    /// All transitions, in order.
    pub fn transitions(&self) -> impl ExactSizeIterator<Item = Transition<'_>> {
        (0..self.len()).map(|step| self.transition(step))
    }

    /// The sum of all rewards.
    #[must_use]
    pub fn total_reward(&self) -> f64 {
        self.transitions().map(Transition::reward).sum()
    }
}

impl fmt::Debug for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Episode")
            .field("info", &self.info)
            .field("transitions", &self.transitions().collect::<Vec<_>>())
            .field("outcome", &self.outcome)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// One transition of an [`Episode`].
#[derive(Clone, Copy)]
pub struct Transition<'a> {
    episode: &'a Episode,
    step: usize,
    before: StepBytes<'a>,
    after: StepBytes<'a>,
}

impl<'a> Transition<'a> {
    /// The episode that it belongs to.
    #[must_use]
    pub fn episode(self) -> &'a Episode {
        self.episode
    }

    /// Its place in the episode, counted from 0.
    #[must_use]
    pub fn step(self) -> usize {
        self.step
    }

    /// The tick of its observation.
    #[must_use]
    pub fn tick(self) -> i64 {
        self.before.header().tick
    }

    /// How many ticks it lasted.
    #[must_use]
    pub fn ticks(self) -> u32 {
        self.after.header().ticks
    }

    /// Seconds from the start of the run to its observation.
    #[must_use]
    pub fn timestamp(self) -> f64 {
        self.before.header().timestamp
    }

    /// The match that the player was in.
    #[must_use]
    pub fn match_id(self) -> Option<i64> {
        self.before.header().match_id()
    }

    /// What was seen before acting, `[N]`.
    #[must_use]
    pub fn observation(self) -> &'a [f32] {
        self.before.observation()
    }

    /// What was seen after, `[N]`.
    #[must_use]
    pub fn next_observation(self) -> &'a [f32] {
        self.after.observation()
    }

    /// The row that the transition started from: its observation and mask.
    #[must_use]
    pub fn before(self) -> StepBytes<'a> {
        self.before
    }

    /// The row that the transition led to: its action, reward and info, the next observation and the next mask.
    #[must_use]
    pub fn after(self) -> StepBytes<'a> {
        self.after
    }

    /// The action's values, converted to `f64`.
    pub fn action(self) -> impl Iterator<Item = f64> + 'a {
        self.after.action()
    }

    /// What came of it.
    #[must_use]
    pub fn reward(self) -> f64 {
        self.after.header().reward
    }

    /// The reward's terms, in the schema's order.
    #[must_use]
    pub fn reward_terms(self) -> &'a [f32] {
        self.after.reward_terms()
    }

    /// Whether this is the episode's last transition.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.step + 1 == self.episode.len()
    }

    /// Whether the world ended the episode at the next observation.
    #[must_use]
    pub fn terminated(self) -> bool {
        self.is_last() && self.episode.outcome == Outcome::Terminated
    }

    /// Whether watching stopped at the next observation.
    #[must_use]
    pub fn truncated(self) -> bool {
        self.is_last() && self.episode.outcome == Outcome::Truncated
    }

    /// Why the episode ended, on its last transition.
    #[must_use]
    pub fn end_reason(self) -> Option<&'a EndReason> {
        self.is_last().then_some(&self.episode.reason)
    }

    /// Whether feature `index` of the next observation differs from the observation's, bit by bit.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn changed(self, index: usize) -> bool {
        self.observation()[index].to_bits() != self.next_observation()[index].to_bits()
    }
}

impl fmt::Debug for Transition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transition")
            .field("step", &self.step)
            .field("tick", &self.tick())
            .field("ticks", &self.ticks())
            .field("observation", &self.observation())
            .field("action", &self.action().collect::<Vec<_>>())
            .field("reward", &self.reward())
            .field("next_observation", &self.next_observation())
            .field("terminated", &self.terminated())
            .field("truncated", &self.truncated())
            .finish_non_exhaustive()
    }
}

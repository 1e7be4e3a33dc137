//! [`Episode`] and `Transition`: whole episodes, as sinks receive them and as datasets return them.

use super::{EndReason, Outcome, RunId, StepBytes, StepHeader, StepKind, WordTable};
use crate::schema::Schema;
use core::fmt;
use std::sync::Arc;

/// The ids of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeInfo {
    /// Unique across runs, see [`RunId::episode_id`].
    pub episode_id: i64,
    /// The agent whose transitions these are.
    pub agent_id: i64,
    /// The run that recorded it.
    pub run: RunId,
    /// The id of the episode that this one continues, after a split or a gap.
    pub continues: Option<i64>,
}

/// A finished episode: T transitions, T + 1 observations, and how it ended.
#[derive(Clone)]
pub struct Episode {
    schema: Arc<Schema>,
    info: EpisodeInfo,
    /// T + 1 rows: one `Begin`, then `Transition`s.
    rows: Vec<u64>,
    outcome: Outcome,
    reason: EndReason,
    /// The labels of the controller codes in the rows.
    controllers: Arc<[(u16, Box<str>)]>,
}

impl Episode {
    /// Builds an episode from T + 1 encoded rows.
    ///
    /// The kinds and outcomes in the rows' headers are overwritten: the first row becomes the `Begin`, and `outcome`
    /// and `reason` replace the flags. The codes of controllers have no labels before
    /// [`with_controllers`](Self::with_controllers) or [`with_words`](Self::with_words).
    ///
    /// # Panics
    /// When `rows` is not a whole number of the schema's rows, or fewer than two.
    #[must_use]
    pub fn new(
        schema: Arc<Schema>,
        info: EpisodeInfo,
        mut rows: Vec<u64>,
        outcome: Outcome,
        reason: EndReason,
    ) -> Self {
        let words = schema.layout().row_words();
        assert!(
            rows.len().is_multiple_of(words),
            "`rows` is not a whole number of the schema's rows"
        );
        assert!(
            rows.len() >= 2 * words,
            "`rows` has no transition: an episode has at least two rows"
        );
        for (index, row) in rows.chunks_exact_mut(words).enumerate() {
            let header = StepHeader::of_mut(row);
            if index > 0 {
                header.set_kind(StepKind::Transition);
            } else if header.kind() != StepKind::Begin {
                // The row after a gap, which has the controller of an action that was lost.
                header.set_kind(StepKind::Begin);
                header.set_continues(None);
            }
            header.set_outcome(None, 0);
        }
        Self {
            schema,
            info,
            rows,
            outcome,
            reason,
            controllers: Arc::default(),
        }
    }

    /// Sets the labels of the controller codes in the rows.
    #[must_use]
    pub fn with_controllers(mut self, labels: impl IntoIterator<Item = (u16, Box<str>)>) -> Self {
        self.controllers = labels.into_iter().collect();
        self
    }

    /// Sets the labels of the controller codes in the rows from the table of their recording. A code that it lacks is
    /// `unknown`.
    #[must_use]
    pub fn with_words(self, words: &WordTable) -> Self {
        let mut labels: Vec<(u16, Box<str>)> = Vec::new();
        let mut last = 0;
        for row in self.rows.chunks_exact(self.schema.layout().row_words()) {
            let code = StepHeader::of(row).controller();
            if code != 0 && code != last && labels.iter().all(|(known, _)| *known != code) {
                let label = words.word(code);
                labels.push((code, label.as_deref().unwrap_or("unknown").into()));
            }
            last = code;
        }
        self.with_controllers(labels)
    }

    /// The labels of the controller codes in the rows.
    #[must_use]
    pub fn controllers(&self) -> &[(u16, Box<str>)] {
        &self.controllers
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The ids of the episode.
    #[must_use]
    pub fn info(&self) -> &EpisodeInfo {
        &self.info
    }

    /// How the episode ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Why the episode ended.
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

    /// All T + 1 rows, contiguous, `row_words` each.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Row `index` of 0 to T.
    ///
    /// # Panics
    /// When `index` is greater than T.
    #[must_use]
    pub fn row(&self, index: usize) -> StepBytes<'_> {
        let words = self.schema.layout().row_words();
        StepBytes::new(&self.schema, &self.rows[index * words..(index + 1) * words])
    }

    /// Transition `step` of 0 to T - 1.
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

    /// The sum of all rewards, undiscounted.
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
    /// The episode that the transition belongs to.
    #[must_use]
    pub fn episode(self) -> &'a Episode {
        self.episode
    }

    /// Its index in the episode, from 0.
    #[must_use]
    pub fn step(self) -> usize {
        self.step
    }

    /// The tick of the observation.
    #[must_use]
    pub fn tick(self) -> i64 {
        self.before.header().tick
    }

    /// The length of the transition in ticks.
    #[must_use]
    pub fn ticks(self) -> u32 {
        self.after.header().ticks
    }

    /// Seconds from the start of the run to the observation.
    #[must_use]
    pub fn timestamp(self) -> f64 {
        self.before.header().timestamp
    }

    /// The match that the player was in at the observation.
    #[must_use]
    pub fn match_id(self) -> Option<i64> {
        self.before.header().match_id()
    }

    /// The observation that the action was taken in, `[observation_width]`.
    #[must_use]
    pub fn observation(self) -> &'a [f32] {
        self.before.observation()
    }

    /// The observation that the action led to, `[observation_width]`.
    #[must_use]
    pub fn next_observation(self) -> &'a [f32] {
        self.after.observation()
    }

    /// Image `index` of the observation, in C order of `[height, width, channels]`.
    ///
    /// # Panics
    /// When the schema has no such image.
    #[must_use]
    pub fn image(self, index: usize) -> &'a [u8] {
        self.before.image(index)
    }

    /// Image `index` of the next observation.
    ///
    /// # Panics
    /// When the schema has no such image.
    #[must_use]
    pub fn next_image(self, index: usize) -> &'a [u8] {
        self.after.image(index)
    }

    /// The row of the observation, which also has the mask of the action.
    #[must_use]
    pub fn before(self) -> StepBytes<'a> {
        self.before
    }

    /// The row of the next observation, which also has the action, its reward and info, and the next mask.
    #[must_use]
    pub fn after(self) -> StepBytes<'a> {
        self.after
    }

    /// What controlled the player when the action was read: `person`, `script:<name>` or `policy:<name>@<version>`. `None`
    /// where the game has not said so.
    #[must_use]
    pub fn controller(self) -> Option<&'a str> {
        let code = self.after.header().controller();
        let mut labels = self.episode.controllers.iter();
        labels.find(|(known, _)| *known == code).map(|(_, label)| &**label)
    }

    /// All elements of the action, `[action_width]`, converted to `f64`.
    pub fn action(self) -> impl Iterator<Item = f64> + 'a {
        self.after.action()
    }

    /// The reward of the action.
    #[must_use]
    pub fn reward(self) -> f64 {
        self.after.header().reward
    }

    /// The reward terms, in the schema's order.
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

    /// Whether recording stopped at the next observation.
    #[must_use]
    pub fn truncated(self) -> bool {
        self.is_last() && self.episode.outcome == Outcome::Truncated
    }

    /// Why the episode ended; `None` before its last transition.
    #[must_use]
    pub fn end_reason(self) -> Option<&'a EndReason> {
        self.is_last().then_some(&self.episode.reason)
    }

    /// Whether the bits of feature `index` differ between the observation and the next one.
    ///
    /// # Panics
    /// When the observation has no such feature.
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
            .field("controller", &self.controller())
            .field("reward", &self.reward())
            .field("next_observation", &self.next_observation())
            .field("terminated", &self.terminated())
            .field("truncated", &self.truncated())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Column;

    fn episode(first: StepKind, controllers: &[u16]) -> Episode {
        let schema = Schema::new("test")
            .with_observation([Column::feature("x")])
            .into_shared();
        let words = schema.layout().row_words();
        let mut rows = vec![0_u64; (controllers.len() + 1) * words];
        for (index, row) in rows.chunks_exact_mut(words).enumerate() {
            let header = StepHeader::of_mut(row);
            header.set_kind(if index == 0 { first } else { StepKind::Transition });
            header.set_controller(index.checked_sub(1).map_or(3, |index| controllers[index]));
        }
        let run = RunId::from_bits(1);
        let info = EpisodeInfo {
            episode_id: 1,
            agent_id: 7,
            run,
            continues: None,
        };
        Episode::new(schema, info, rows, Outcome::Terminated, EndReason::DEATH)
    }

    #[test]
    fn the_controller_belongs_to_the_action_of_its_row() {
        let words = WordTable::default();
        let [person, bot] = ["person", "script:bot"].map(|label| {
            words
                .controller_code(|known| known == label, || label.to_owned())
                .unwrap()
        });
        let episode = episode(StepKind::Begin, &[0, bot, bot, person, WordTable::MAX_CODE]).with_words(&words);
        let found: Vec<_> = episode.transitions().map(Transition::controller).collect();
        let expected = [
            None,
            Some("script:bot"),
            Some("script:bot"),
            Some("person"),
            Some("unknown"),
        ];
        assert_eq!(found, expected);
        assert_eq!(StepHeader::of(episode.rows()).continues(), Some(2));
    }

    #[test]
    fn a_row_that_begins_an_episode_after_a_gap_continues_none_by_its_controller() {
        let episode = episode(StepKind::Transition, &[0]);
        assert_eq!(StepHeader::of(episode.rows()).continues(), None);
    }
}

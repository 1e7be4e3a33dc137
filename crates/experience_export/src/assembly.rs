//! Assembler of rows into whole episodes.
//!
//! An internal module of the `bevy_experience` crates: the exporter assembles the rows of live buffers, and the recovery of a
//! dataset those in a journal and in files of rings. Its API may change in any release.

mod episode_builder;
mod part_rows;
mod stored_episode;

pub use episode_builder::EpisodeBuilder;
pub(crate) use stored_episode::StoredEpisode;

use core::sync::atomic::{AtomicU32, Ordering};
use experience_core::{
    schema::Schema,
    transition::{EndReason, Outcome, RunId, StepHeader, StepKind, WordTable},
};
use std::sync::Arc;

/// Shared inputs of all assemblies of one recording.
pub struct AssemblyContext {
    /// Schema of the rows.
    pub schema: Arc<Schema>,
    /// The run that recorded them.
    pub run: RunId,
    /// Words of the codes in the rows.
    pub words: Arc<WordTable>,
    /// Number of the run's next episode. An episode that begins after a gap takes one.
    pub episodes: Arc<AtomicU32>,
    /// Whether builders give out transitions before their episode ends.
    pub gives_parts: bool,
}

impl AssemblyContext {
    fn begin(&self, episode_id: i64, continues: Option<i64>, row: &[u64]) -> EpisodeBuilder {
        let builder = EpisodeBuilder::begin(episode_id, continues, row);
        if self.gives_parts {
            builder.with_parts(row)
        } else {
            builder
        }
    }
}

/// Transitions that will be in no episode.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LossCounts {
    /// Transitions whose row, or whose first observation, was overwritten.
    pub lost: u64,
    /// Transitions of discarded episodes.
    pub discarded: u64,
    /// The discarded episodes that the journal holds, by the number under which they were captured.
    pub(crate) withdrawn: Vec<u32>,
    /// The ids of the discarded episodes of which a part was given out.
    pub(crate) withdrawn_parts: Vec<i64>,
}

/// Assembles the rows of one buffer into episodes.
///
/// Its only input is the rows. Each carries its episode and the buffer's count of transitions, from which the number of
/// transitions missing before a row follows exactly.
#[derive(Default)]
pub struct Assembly {
    open: Option<EpisodeBuilder>,
    /// Count of transitions in the last row.
    ordinal: u32,
}

impl Assembly {
    /// Resumes the assembly of another process: its open episode, and the count of transitions in its last row.
    pub fn resume(open: Option<EpisodeBuilder>, ordinal: u32) -> Self {
        Self { open, ordinal }
    }

    /// The number under which the open episode was captured.
    pub fn open_captured_as(&self) -> Option<u32> {
        self.open.as_ref().map(EpisodeBuilder::captured_as)
    }

    /// The open episode, without ending it.
    pub fn into_open(self) -> Option<EpisodeBuilder> {
        self.open
    }

    /// Adds the next row. Episodes that it ends are appended to `finished`.
    pub fn push_row(
        &mut self,
        context: &AssemblyContext,
        row: &[u64],
        finished: &mut Vec<EpisodeBuilder>,
        losses: &mut LossCounts,
    ) {
        let header = *StepHeader::of(row);
        let passed = header.ordinal.wrapping_sub(self.ordinal);
        self.ordinal = header.ordinal;
        match header.kind() {
            StepKind::Begin => {
                losses.lost += u64::from(passed);
                self.finish(Outcome::Truncated, EndReason::GAP, finished);
                let run = context.run;
                let continues = header.continues().map(|from| run.episode_id(from));
                self.open = Some(context.begin(run.episode_id(header.episode), continues, row));
            }
            StepKind::Transition => {
                if passed == 1
                    && let Some(open) = self.open.as_mut().filter(|open| open.captured_as() == header.episode)
                {
                    open.push(row);
                    self.finish_if_ended(context, &header, finished);
                } else {
                    // The previous observation is lost, and this transition with it. The row's own observation begins a
                    // new episode.
                    losses.lost += u64::from(passed);
                    let before = self.finish(Outcome::Truncated, EndReason::GAP, finished);
                    if header.outcome().is_none() {
                        let continues = before.filter(|&(captured_as, _)| captured_as == header.episode);
                        let episode = context.episodes.fetch_add(1, Ordering::Relaxed);
                        let id = context.run.episode_id(episode);
                        self.open = Some(context.begin(id, continues.map(|(_, id)| id), row));
                    }
                }
            }
            StepKind::End => {
                losses.lost += u64::from(passed);
                match self.open.as_mut().filter(|open| open.captured_as() == header.episode) {
                    Some(open) if passed == 0 => {
                        open.add_end(context.schema.layout(), row);
                        self.finish_if_ended(context, &header, finished);
                    }
                    _ => {
                        self.finish(Outcome::Truncated, EndReason::GAP, finished);
                    }
                }
            }
            StepKind::Discard => {
                losses.lost += u64::from(passed);
                if let Some(open) = self.open.take() {
                    if open.captured_as() == header.episode {
                        losses.discarded += open.transitions();
                        losses
                            .withdrawn
                            .extend(open.is_in_journal().then_some(open.captured_as()));
                        losses
                            .withdrawn_parts
                            .extend(open.has_given_parts().then_some(open.episode_id()));
                    } else {
                        self.open = Some(open);
                        self.finish(Outcome::Truncated, EndReason::GAP, finished);
                    }
                }
            }
        }
    }

    /// Number of transitions that were pushed after the last row and never stored. The buffer is closed and drained, and
    /// `total` transitions were pushed to it, modulo 2³².
    pub(crate) fn missing_at_end(&mut self, total: u32) -> u64 {
        u64::from(total.wrapping_sub(core::mem::replace(&mut self.ordinal, total)))
    }

    /// Ends the open episode and appends it to `finished`. Returns its captured number and its id; `None` when no episode
    /// with a transition was open.
    pub(crate) fn finish(
        &mut self,
        outcome: Outcome,
        reason: EndReason,
        finished: &mut Vec<EpisodeBuilder>,
    ) -> Option<(u32, i64)> {
        let mut open = self.open.take()?;
        if open.transitions() == 0 {
            return None;
        }
        let ids = (open.captured_as(), open.episode_id());
        open.close(outcome, reason);
        finished.push(open);
        Some(ids)
    }

    /// The open episode.
    pub(crate) fn open_mut(&mut self) -> Option<&mut EpisodeBuilder> {
        self.open.as_mut()
    }

    fn finish_if_ended(&mut self, context: &AssemblyContext, header: &StepHeader, finished: &mut Vec<EpisodeBuilder>) {
        if let Some(outcome) = header.outcome() {
            let reason = context.words.reason(header.reason);
            self.finish(outcome, reason.unwrap_or_else(|| EndReason::from("unknown")), finished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::{
        schema::Column,
        transition::{Episode, EpisodePart},
    };

    /// The rows of one buffer. The observation of each row is its index.
    struct Rows {
        context: AssemblyContext,
        rows: Vec<Vec<u64>>,
        ordinal: u32,
        episode: u32,
    }

    impl Rows {
        fn new() -> Self {
            Self {
                context: AssemblyContext {
                    schema: Schema::new("test")
                        .with_observation([Column::feature("x")])
                        .with_reward_terms(["a"])
                        .into_shared(),
                    run: RunId::from_bits(7),
                    words: Arc::default(),
                    episodes: Arc::new(AtomicU32::new(1000)),
                    gives_parts: false,
                },
                rows: Vec::new(),
                ordinal: 0,
                episode: 0,
            }
        }

        fn push(&mut self, kind: StepKind, outcome: Option<Outcome>) -> &mut Self {
            if kind == StepKind::Transition {
                self.ordinal = self.ordinal.wrapping_add(1);
            }
            if kind == StepKind::Begin {
                self.episode += 1;
            }
            let layout = self.context.schema.layout();
            let mut row = vec![0; layout.row_words()];
            let header = StepHeader::of_mut(&mut row);
            header.set_kind(kind);
            header.ordinal = self.ordinal;
            header.episode = self.episode;
            header.reward = 1.0;
            header.agent_id = 5;
            header.set_outcome(outcome, self.context.words.reason_code(&EndReason::DEATH));
            let index = self.rows.len() as f32;
            bytemuck::cast_slice_mut::<_, f32>(&mut row)[layout.observation().start / 4] = index;
            self.rows.push(row);
            self
        }

        fn episode(&mut self, length: usize) -> &mut Self {
            self.push(StepKind::Begin, None);
            for step in 0..length {
                self.push(
                    StepKind::Transition,
                    (step + 1 == length).then_some(Outcome::Terminated),
                );
            }
            self
        }

        /// Assembles all rows except those at the indices `missing`.
        fn assemble(&self, missing: impl Fn(usize) -> bool) -> (Vec<Episode>, LossCounts) {
            let mut assembly = Assembly::default();
            let (mut finished, mut losses) = (Vec::new(), LossCounts::default());
            for (_, row) in self.rows.iter().enumerate().filter(|&(index, _)| !missing(index)) {
                assembly.push_row(&self.context, row, &mut finished, &mut losses);
            }
            assembly.finish(Outcome::Truncated, EndReason::SHUTDOWN, &mut finished);
            let whole = |builder: EpisodeBuilder| {
                builder
                    .into_episode(&self.context.schema, self.context.run, &self.context.words, None)
                    .unwrap()
            };
            (finished.into_iter().map(whole).collect(), losses)
        }
    }

    #[test]
    fn rows_without_a_gap_are_the_recorded_episodes() {
        let mut rows = Rows::new();
        rows.episode(3).episode(1).push(StepKind::Begin, None);
        let (episodes, losses) = rows.assemble(|_| false);
        assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(losses, LossCounts::default());
        assert_eq!(episodes[0].transition(1).observation(), [1.0]);
        assert_eq!(episodes[0].transition(1).next_observation(), [2.0]);
        assert!(episodes[0].transition(2).terminated());
        assert_eq!(episodes[0].reason(), &EndReason::DEATH);
        assert_eq!(episodes[0].info().agent_id, 5);
    }

    #[test]
    fn parts_are_the_transitions_of_the_episodes_with_the_last_one_of_an_open_episode_held_back() {
        let mut rows = Rows::new();
        rows.context.gives_parts = true;
        rows.episode(4)
            .push(StepKind::Begin, None)
            .push(StepKind::Transition, None)
            .push(StepKind::Transition, None)
            .push(StepKind::End, Some(Outcome::Terminated))
            .episode(5);
        let mut assembly = Assembly::default();
        let (mut finished, mut losses) = (Vec::new(), LossCounts::default());
        let mut parts: Vec<EpisodePart> = Vec::new();
        for row in &rows.rows {
            assembly.push_row(&rows.context, row, &mut finished, &mut losses);
            parts.extend(
                finished
                    .iter_mut()
                    .filter_map(|builder| builder.take_part(&rows.context)),
            );
            if let Some(open) = assembly.open_mut() {
                parts.extend(open.take_part(&rows.context));
                let given: usize = parts
                    .iter()
                    .filter(|part| part.info().episode_id == open.episode_id())
                    .map(EpisodePart::len)
                    .sum();
                assert_eq!(given as u64, open.transitions().saturating_sub(1));
            }
        }
        let (episodes, _) = rows.assemble(|_| false);
        for episode in &episodes {
            let own: Vec<_> = parts.iter().filter(|part| part.info() == episode.info()).collect();
            assert!(own.len() > 1);
            let given = own.iter().flat_map(|part| {
                part.rows()
                    .transitions()
                    .map(|transition| (part.first_step() + transition.step(), transition))
            });
            for ((step, found), expected) in given.zip(episode.transitions()) {
                assert_eq!((step, found.reward()), (expected.step(), expected.reward()));
                assert_eq!(found.observation(), expected.observation());
                assert_eq!(found.next_observation(), expected.next_observation());
            }
            assert_eq!(own.iter().map(|part| part.len()).sum::<usize>(), episode.len());
            let (last, others) = own.split_last().unwrap();
            assert_eq!(last.end(), Some((episode.outcome(), episode.reason())));
            assert!(others.iter().all(|part| part.end().is_none()));
        }
    }

    #[test]
    fn a_gap_ends_the_episode_at_its_last_transition_with_a_real_successor() {
        let mut rows = Rows::new();
        rows.episode(6);
        let (episodes, losses) = rows.assemble(|index| index == 3);
        assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [2, 2]);
        // The transition whose row is lost, and the one whose first observation is.
        assert_eq!(losses.lost, 2);
        assert!(episodes[0].transition(1).truncated());
        assert_eq!(episodes[0].reason(), &EndReason::GAP);
        assert_eq!(episodes[1].info().continues, Some(episodes[0].info().episode_id));
        assert_eq!(episodes[1].transition(0).observation(), [4.0]);
        assert!(episodes[1].transition(1).terminated());
    }

    #[test]
    fn a_gap_over_an_end_joins_no_two_episodes() {
        let mut rows = Rows::new();
        rows.episode(3).episode(3);
        let (episodes, losses) = rows.assemble(|index| (2..=5).contains(&index));
        assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(losses.lost, 4);
        assert_eq!(episodes[0].reason(), &EndReason::GAP);
        assert_eq!(episodes[1].info().continues, None);
    }

    #[test]
    fn every_transition_is_in_an_episode_or_counted_whatever_is_missing() {
        let mut rows = Rows::new();
        rows.episode(2).episode(0).episode(3).episode(1);
        let total = 6;
        for gaps in 0_u32..1 << (rows.rows.len() - 1) {
            // The newest row is never overwritten.
            let (episodes, losses) = rows.assemble(|index| gaps >> index & 1 == 1);
            let whole: usize = episodes.iter().map(Episode::len).sum();
            assert_eq!(whole as u64 + losses.lost, total, "gaps {gaps:b}");
            for episode in &episodes {
                for transition in episode.transitions() {
                    assert_eq!(transition.observation()[0] + 1.0, transition.next_observation()[0]);
                }
            }
        }
    }

    #[test]
    fn an_end_between_ticks_adds_its_flags_and_its_reward_to_the_last_transition() {
        let mut rows = Rows::new();
        rows.push(StepKind::Begin, None)
            .push(StepKind::Transition, None)
            .push(StepKind::End, Some(Outcome::Terminated));
        let (episodes, losses) = rows.assemble(|_| false);
        assert_eq!(losses, LossCounts::default());
        assert_eq!(episodes.len(), 1);
        assert_eq!(episodes[0].len(), 1);
        assert!(episodes[0].transition(0).terminated());
        assert_eq!(episodes[0].transition(0).reward(), 2.0);
    }

    #[test]
    fn a_discarded_episode_is_counted_and_not_written() {
        let mut rows = Rows::new();
        rows.push(StepKind::Begin, None)
            .push(StepKind::Transition, None)
            .push(StepKind::Discard, None)
            .episode(1);
        let (episodes, losses) = rows.assemble(|_| false);
        assert_eq!(episodes.len(), 1);
        let expected = LossCounts {
            discarded: 1,
            ..LossCounts::default()
        };
        assert_eq!(losses, expected);
    }
}

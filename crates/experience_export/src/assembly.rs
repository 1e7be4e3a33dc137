//! Rows to whole episodes.

mod draft;

pub use draft::Draft;

use core::sync::atomic::{AtomicU32, Ordering};
use experience_core::{
    schema::Schema,
    transition::{EndReason, Outcome, ReasonTable, RunId, StepHeader, StepKind},
};
use std::sync::Arc;

/// What the assemblies of one recording share.
pub struct Shop {
    pub schema: Arc<Schema>,
    pub run: RunId,
    pub reasons: Arc<ReasonTable>,
    pub episodes: Arc<AtomicU32>,
}

/// What became of rows that will be in no episode.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// Transitions that are gone, or whose first observation is.
    pub lost: u64,
    /// Transitions of episodes that were thrown away.
    pub discarded: u64,
    /// The numbers, as they were captured, of those of these episodes that the journal knows.
    pub(crate) withdrawn: Vec<u32>,
}

/// Puts the rows of one buffer together.
///
/// It trusts the rows alone. Each carries its episode and the buffer's count of transitions, and that is enough to
/// see, at any row, exactly how many transitions are missing before it.
#[derive(Default)]
pub struct Assembly {
    open: Option<Draft>,
    ordinal: u32,
}

impl Assembly {
    /// Goes on with what another process left: the episode that was open, and the count of transitions of the last row.
    pub fn resume(open: Option<Draft>, ordinal: u32) -> Self {
        Self { open, ordinal }
    }

    /// The episode that is open, as it stands.
    pub fn into_open(self) -> Option<Draft> {
        self.open
    }

    /// Takes the next row.
    pub fn take(&mut self, shop: &Shop, row: &[u64], finished: &mut Vec<Draft>, toll: &mut Toll) {
        let header = *StepHeader::of(row);
        let passed = header.ordinal.wrapping_sub(self.ordinal);
        self.ordinal = header.ordinal;
        match header.kind() {
            StepKind::Begin => {
                toll.lost += u64::from(passed);
                self.finish(Outcome::Truncated, EndReason::GAP, finished);
                let continues = header.continues.checked_sub(1).map(|from| shop.run.episode_id(from));
                self.open = Some(Draft::begin(shop.run.episode_id(header.episode), continues, row));
            }
            StepKind::Transition => {
                if passed == 1
                    && let Some(open) = self.open.as_mut().filter(|open| open.captured_as() == header.episode)
                {
                    open.push(row);
                    self.finish_if_ended(shop, &header, finished);
                } else {
                    // The observation before is gone, and with it this transition; what it led to is a beginning.
                    toll.lost += u64::from(passed);
                    let before = self.finish(Outcome::Truncated, EndReason::GAP, finished);
                    if header.outcome().is_none() {
                        let continues = before.filter(|&(captured_as, _)| captured_as == header.episode);
                        self.open = Some(Draft::begin(
                            shop.run.episode_id(shop.episodes.fetch_add(1, Ordering::Relaxed)),
                            continues.map(|(_, id)| id),
                            row,
                        ));
                    }
                }
            }
            StepKind::End => {
                toll.lost += u64::from(passed);
                match self.open.as_mut().filter(|open| open.captured_as() == header.episode) {
                    Some(open) if passed == 0 => {
                        open.end(shop.schema.layout(), row);
                        self.finish_if_ended(shop, &header, finished);
                    }
                    _ => {
                        self.finish(Outcome::Truncated, EndReason::GAP, finished);
                    }
                }
            }
            StepKind::Discard => {
                toll.lost += u64::from(passed);
                if let Some(open) = self.open.take() {
                    if open.captured_as() == header.episode {
                        toll.discarded += open.transitions();
                        toll.withdrawn
                            .extend(open.is_in_journal().then_some(open.captured_as()));
                    } else {
                        self.open = Some(open);
                        self.finish(Outcome::Truncated, EndReason::GAP, finished);
                    }
                }
            }
        }
    }

    /// The buffer is closed and drained: how many of the `total` transitions pushed to it came after the last row.
    pub(crate) fn settle(&mut self, total: u32) -> u64 {
        u64::from(total.wrapping_sub(core::mem::replace(&mut self.ordinal, total)))
    }

    /// Ends what is open: nothing more will come.
    pub(crate) fn finish(
        &mut self,
        outcome: Outcome,
        reason: EndReason,
        finished: &mut Vec<Draft>,
    ) -> Option<(u32, i64)> {
        let mut open = self.open.take()?;
        if open.transitions() == 0 {
            return None;
        }
        let whose = (open.captured_as(), open.episode_id());
        open.close(outcome, reason);
        finished.push(open);
        Some(whose)
    }

    /// The episode that is open.
    pub(crate) fn open_mut(&mut self) -> Option<&mut Draft> {
        self.open.as_mut()
    }

    fn finish_if_ended(&mut self, shop: &Shop, header: &StepHeader, finished: &mut Vec<Draft>) {
        if let Some(outcome) = header.outcome() {
            let reason = shop.reasons.reason(header.reason);
            self.finish(outcome, reason.unwrap_or_else(|| EndReason::from("unknown")), finished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::{schema::Column, transition::Episode};

    /// A buffer's worth of rows: the observation of each row is its place.
    struct Rows {
        shop: Shop,
        rows: Vec<Vec<u64>>,
        ordinal: u32,
        episode: u32,
    }

    impl Rows {
        fn new() -> Self {
            Self {
                shop: Shop {
                    schema: Schema::new("test")
                        .with_observation([Column::feature("x")])
                        .with_reward_terms(["a"])
                        .into_shared(),
                    run: RunId::from_bits(7),
                    reasons: Arc::default(),
                    episodes: Arc::new(AtomicU32::new(1000)),
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
            let layout = self.shop.schema.layout();
            let mut row = vec![0; layout.row_words()];
            let header = StepHeader::of_mut(&mut row);
            header.set_kind(kind);
            header.ordinal = self.ordinal;
            header.episode = self.episode;
            header.reward = 1.0;
            header.agent_id = 5;
            header.set_outcome(outcome, self.shop.reasons.code(&EndReason::DEATH));
            let place = self.rows.len() as f32;
            bytemuck::cast_slice_mut::<_, f32>(&mut row)[layout.observation().start / 4] = place;
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

        /// Assembles all rows but those in `missing`.
        fn assemble(&self, missing: impl Fn(usize) -> bool) -> (Vec<Episode>, Toll) {
            let mut assembly = Assembly::default();
            let (mut finished, mut toll) = (Vec::new(), Toll::default());
            for (_, row) in self.rows.iter().enumerate().filter(|&(place, _)| !missing(place)) {
                assembly.take(&self.shop, row, &mut finished, &mut toll);
            }
            assembly.finish(Outcome::Truncated, EndReason::SHUTDOWN, &mut finished);
            let whole = |draft: Draft| draft.into_episode(&self.shop.schema, self.shop.run, None).unwrap();
            (finished.into_iter().map(whole).collect(), toll)
        }
    }

    #[test]
    fn rows_without_a_hole_are_the_episodes_that_were_lived() {
        let mut rows = Rows::new();
        rows.episode(3).episode(1).push(StepKind::Begin, None);
        let (episodes, toll) = rows.assemble(|_| false);
        assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(toll, Toll::default());
        assert_eq!(episodes[0].transition(1).observation(), [1.0]);
        assert_eq!(episodes[0].transition(1).next_observation(), [2.0]);
        assert!(episodes[0].transition(2).terminated());
        assert_eq!(episodes[0].reason(), &EndReason::DEATH);
        assert_eq!(episodes[0].info().agent_id, 5);
    }

    #[test]
    fn a_hole_ends_the_episode_at_its_last_transition_with_a_real_successor() {
        let mut rows = Rows::new();
        rows.episode(6);
        let (episodes, toll) = rows.assemble(|place| place == 3);
        assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [2, 2]);
        // The transition whose row is gone, and the one whose first observation is.
        assert_eq!(toll.lost, 2);
        assert!(episodes[0].transition(1).truncated());
        assert_eq!(episodes[0].reason(), &EndReason::GAP);
        assert_eq!(episodes[1].info().continues, Some(episodes[0].info().episode_id));
        assert_eq!(episodes[1].transition(0).observation(), [4.0]);
        assert!(episodes[1].transition(1).terminated());
    }

    #[test]
    fn a_hole_over_an_end_joins_no_two_episodes() {
        let mut rows = Rows::new();
        rows.episode(3).episode(3);
        let (episodes, toll) = rows.assemble(|place| (2..=5).contains(&place));
        assert_eq!(episodes.iter().map(Episode::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(toll.lost, 4);
        assert_eq!(episodes[0].reason(), &EndReason::GAP);
        assert_eq!(episodes[1].info().continues, None);
    }

    #[test]
    fn every_transition_is_in_an_episode_or_counted_whatever_is_missing() {
        let mut rows = Rows::new();
        rows.episode(2).episode(0).episode(3).episode(1);
        let total = 6;
        for holes in 0_u32..1 << (rows.rows.len() - 1) {
            // The newest row is never overwritten.
            let (episodes, toll) = rows.assemble(|place| holes >> place & 1 == 1);
            let whole: usize = episodes.iter().map(Episode::len).sum();
            assert_eq!(whole as u64 + toll.lost, total, "holes {holes:b}");
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
        let (episodes, toll) = rows.assemble(|_| false);
        assert_eq!(toll, Toll::default());
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
        let (episodes, toll) = rows.assemble(|_| false);
        assert_eq!(episodes.len(), 1);
        let expected = Toll {
            discarded: 1,
            ..Toll::default()
        };
        assert_eq!(toll, expected);
    }
}

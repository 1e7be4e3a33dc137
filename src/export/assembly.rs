//! Rows to whole episodes.

use crate::{
    schema::{RowLayout, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, ReasonTable, RunId, StepHeader, StepKind},
};
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// What the assemblies of one recording share.
pub(super) struct Shop {
    pub(super) schema: Arc<Schema>,
    pub(super) run: RunId,
    pub(super) reasons: Arc<ReasonTable>,
    pub(super) episodes: Arc<AtomicU32>,
}

/// An episode that is whole.
pub(super) struct Finished {
    /// The run's number of the episode that it was captured as. The pieces of an episode with gaps share it.
    pub(super) captured_as: u32,
    pub(super) episode: Episode,
}

/// What became of rows that will be in no episode.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Toll {
    /// Transitions that are gone, or whose first observation is.
    pub(super) lost: u64,
    /// Transitions of episodes that were thrown away.
    pub(super) discarded: u64,
}

struct Open {
    captured_as: u32,
    episode_id: i64,
    continues: Option<i64>,
    rows: Vec<u64>,
}

/// Puts the rows of one buffer together.
///
/// It trusts the rows alone. Each carries its episode and the buffer's count of transitions, and that is enough to
/// see, at any row, exactly how many transitions are missing before it.
#[derive(Default)]
pub(super) struct Assembly {
    open: Option<Open>,
    ordinal: u32,
}

impl Assembly {
    /// Takes the next row.
    pub(super) fn take(&mut self, shop: &Shop, row: &[u64], finished: &mut Vec<Finished>, toll: &mut Toll) {
        let header = *StepHeader::of(row);
        let passed = header.ordinal.wrapping_sub(self.ordinal);
        self.ordinal = header.ordinal;
        match header.kind() {
            StepKind::Begin => {
                toll.lost += u64::from(passed);
                self.finish(shop, Outcome::Truncated, EndReason::GAP, finished);
                self.open = Some(Open {
                    captured_as: header.episode,
                    episode_id: shop.run.episode_id(header.episode),
                    continues: header.continues.checked_sub(1).map(|from| shop.run.episode_id(from)),
                    rows: row.to_vec(),
                });
            }
            StepKind::Transition => {
                if passed == 1
                    && let Some(open) = self.open.as_mut().filter(|open| open.captured_as == header.episode)
                {
                    open.rows.extend_from_slice(row);
                    self.finish_if_ended(shop, &header, finished);
                } else {
                    // The observation before is gone, and with it this transition; what it led to is a beginning.
                    toll.lost += u64::from(passed);
                    let before = self.finish(shop, Outcome::Truncated, EndReason::GAP, finished);
                    if header.outcome().is_none() {
                        self.open = Some(Open {
                            captured_as: header.episode,
                            episode_id: shop.run.episode_id(shop.episodes.fetch_add(1, Ordering::Relaxed)),
                            continues: before
                                .filter(|&(captured_as, _)| captured_as == header.episode)
                                .map(|(_, id)| id),
                            rows: row.to_vec(),
                        });
                    }
                }
            }
            StepKind::End => {
                toll.lost += u64::from(passed);
                match self.open.as_mut().filter(|open| open.captured_as == header.episode) {
                    Some(open) if passed == 0 => {
                        add_reward(shop.schema.layout(), row, &mut open.rows);
                        self.finish_if_ended(shop, &header, finished);
                    }
                    _ => {
                        self.finish(shop, Outcome::Truncated, EndReason::GAP, finished);
                    }
                }
            }
            StepKind::Discard => {
                toll.lost += u64::from(passed);
                if let Some(open) = self.open.take() {
                    if open.captured_as == header.episode {
                        toll.discarded += transitions(shop, &open);
                    } else {
                        self.open = Some(open);
                        self.finish(shop, Outcome::Truncated, EndReason::GAP, finished);
                    }
                }
            }
        }
    }

    /// The buffer is closed and drained: how many of the `total` transitions pushed to it came after the last row.
    pub(super) fn settle(&mut self, total: u32) -> u64 {
        u64::from(total.wrapping_sub(core::mem::replace(&mut self.ordinal, total)))
    }

    /// Ends what is open: nothing more will come.
    pub(super) fn finish(
        &mut self,
        shop: &Shop,
        outcome: Outcome,
        reason: EndReason,
        finished: &mut Vec<Finished>,
    ) -> Option<(u32, i64)> {
        let open = self.open.take()?;
        if transitions(shop, &open) == 0 {
            return None;
        }
        let info = EpisodeInfo {
            episode_id: open.episode_id,
            agent_id: StepHeader::of(&open.rows).agent_id,
            run: shop.run,
            continues: open.continues,
        };
        finished.push(Finished {
            captured_as: open.captured_as,
            episode: Episode::new(shop.schema.clone(), info, open.rows, outcome, reason),
        });
        Some((open.captured_as, info.episode_id))
    }

    fn finish_if_ended(&mut self, shop: &Shop, header: &StepHeader, finished: &mut Vec<Finished>) {
        if let Some(outcome) = header.outcome() {
            let reason = shop.reasons.reason(header.reason);
            self.finish(
                shop,
                outcome,
                reason.unwrap_or_else(|| EndReason::from("unknown")),
                finished,
            );
        }
    }
}

fn transitions(shop: &Shop, open: &Open) -> u64 {
    (open.rows.len() / shop.schema.layout().row_words() - 1) as u64
}

/// Adds the reward of an `End` row, given after the last transition had been closed, to that transition.
fn add_reward(layout: &RowLayout, end: &[u64], rows: &mut [u64]) {
    let words = layout.row_words();
    if rows.len() == words {
        return;
    }
    let last = rows.len() - words;
    let last = &mut rows[last..];
    StepHeader::of_mut(last).reward += StepHeader::of(end).reward;
    let end: &[f32] = bytemuck::cast_slice(&bytemuck::cast_slice::<_, u8>(end)[layout.reward_terms()]);
    let last: &mut [f32] =
        bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(last)[layout.reward_terms()]);
    for (sum, term) in last.iter_mut().zip(end) {
        *sum += term;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Column;

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
            assembly.finish(&self.shop, Outcome::Truncated, EndReason::SHUTDOWN, &mut finished);
            (finished.into_iter().map(|finished| finished.episode).collect(), toll)
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
        assert_eq!(toll, Toll { lost: 0, discarded: 1 });
    }
}

//! [`OutcomeLog`]: what the rows of a recording say of a policy's players since its last decision.
//!
//! Only a policy that [needs it](experience_policy::PolicyModel::needs_outcomes) has one. It reads the rows on their way to the
//! buffers, so a policy is told what is recorded, bit by bit. Its memory is bounded by the number of players and by
//! [`OutcomeBatch::MAX_ENDS`].

use super::context::RecordingContext;
use experience_core::transition::{Outcome, RunId, StepHeader, StepKind, WordTable};
use experience_policy::{EpisodeOutcome, OutcomeBatch, PolicyLayout, Progress};
use std::{
    borrow::Cow,
    collections::HashMap,
    mem,
    sync::{Arc, MutexGuard, PoisonError},
};

/// Sums over the transitions of each player that a policy acts for, and the ends of their episodes.
pub(super) struct OutcomeLog {
    run: RunId,
    /// By agent.
    players: HashMap<i64, PlayerProgress>,
    ends: OutcomeBatch,
    /// The number of the decision whose observations are collected.
    decision: u64,
    terms: Vec<f32>,
}

/// A player that the policy has observed in its open episode.
struct PlayerProgress {
    episode: u32,
    progress: Progress,
    terms: Box<[f32]>,
    /// The last decision that it was observed for.
    decision: u64,
}

impl OutcomeLog {
    pub(super) fn new(run: RunId, layout: Arc<PolicyLayout>) -> Self {
        Self {
            run,
            players: HashMap::new(),
            terms: vec![0.0; layout.reward_terms().len()],
            ends: OutcomeBatch::new(layout),
            decision: 0,
        }
    }

    /// Reads a row that is pushed.
    fn note(&mut self, context: &RecordingContext, row: &[u64]) {
        let header = StepHeader::of(row);
        let Some(player) = self.players.get_mut(&header.agent_id) else {
            return;
        };
        if player.episode != header.episode {
            return;
        }
        let layout = context.layout();
        let bytes: &[u8] = bytemuck::cast_slice(row);
        let is_transition = header.kind() == StepKind::Transition;
        if is_transition {
            player.progress.transitions += 1;
            player.progress.step += 1;
            player.progress.ticks = player.progress.ticks.saturating_add(header.ticks);
        }
        if matches!(header.kind(), StepKind::Transition | StepKind::End) {
            player.progress.reward += header.reward;
            let terms: &[f32] = bytemuck::cast_slice(&bytes[layout.reward_terms()]);
            for (sum, term) in player.terms.iter_mut().zip(terms) {
                *sum += term;
            }
        }
        let end = match header.kind() {
            StepKind::Discard => Some((Outcome::Truncated, Cow::Borrowed("discarded"))),
            _ => header
                .outcome()
                .map(|outcome| (outcome, word(&context.words, header.reason))),
        };
        let Some((outcome, reason)) = end else { return };
        let end = EpisodeOutcome {
            agent_id: header.agent_id,
            progress: player.progress,
            outcome,
            reason,
            has_observation: is_transition,
        };
        let (features, mask) = (&bytes[layout.observation()], &bytes[layout.mask()]);
        let is_held = self.ends.push(end, &player.terms, bytemuck::cast_slice(features), mask);
        if is_held && is_transition {
            for (image, &offset) in layout.image_offsets().iter().enumerate() {
                let width = context.schema.images()[image].width();
                self.ends.set_image(image, &bytes[offset..offset + width]);
            }
        }
        self.players.remove(&header.agent_id);
    }

    /// Begins to collect the observations of a decision, and moves the ends to `ends`, unless it has some that were not delivered.
    pub(super) fn begin_decision(&mut self, ends: &mut OutcomeBatch) {
        self.decision += 1;
        if ends.is_empty() && !self.ends.is_empty() {
            mem::swap(ends, &mut self.ends);
        }
    }

    /// What a player has got since the last decision that was delivered for it. `open` is the number of its open episode, and the
    /// number of its transitions.
    pub(super) fn progress(&mut self, agent_id: i64, open: Option<(u32, u32)>) -> (Progress, &[f32]) {
        let Some((episode, step)) = open else {
            self.terms.fill(0.0);
            return (Progress::default(), &self.terms);
        };
        let new = |terms: usize| PlayerProgress {
            episode,
            progress: Progress {
                episode: Some(self.run.episode_id(episode)),
                step,
                ..Progress::default()
            },
            terms: vec![0.0; terms].into_boxed_slice(),
            decision: 0,
        };
        let terms = self.terms.len();
        let player = self.players.entry(agent_id).or_insert_with(|| new(terms));
        if player.episode != episode {
            *player = new(terms);
        }
        player.decision = self.decision;
        (player.progress, &player.terms)
    }

    /// The observations that were collected last have been delivered: the sums of their players begin anew.
    pub(super) fn confirm(&mut self) {
        for player in self.players.values_mut() {
            if player.decision == self.decision {
                let Progress { episode, step, .. } = player.progress;
                player.progress = Progress {
                    episode,
                    step,
                    ..Progress::default()
                };
                player.terms.fill(0.0);
            }
        }
    }
}

impl RecordingContext {
    /// The log of outcomes, if a policy needs it.
    pub(super) fn outcome_log(&self) -> Option<MutexGuard<'_, OutcomeLog>> {
        let log = self.outcome_log.as_ref()?;
        Some(log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes a row that is pushed to the log of outcomes.
    #[inline]
    pub(super) fn note_outcome(&self, row: &[u64]) {
        if let Some(mut log) = self.outcome_log() {
            log.note(self, row);
        }
    }
}

fn word(words: &WordTable, code: u16) -> Cow<'static, str> {
    words.word(code).unwrap_or(Cow::Borrowed("unknown"))
}

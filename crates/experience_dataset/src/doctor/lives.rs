//! What only several episodes together show: torn, repeated, and reset too early.

use super::{Diagnosis, Severity, Symptom};
use core::hash::Hasher;
use experience_core::transition::{EndReason, Episode, Outcome, StepBytes};
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, HashMap};

/// Shorter episodes are alike by chance: a player who falls at once falls as the one before.
const LONG_ENOUGH: usize = 8;
/// So many pairs of neighbouring episodes say something.
const ENOUGH_PAIRS: u64 = 5;

#[derive(Default)]
pub(super) struct Lives {
    /// The first episode with each content.
    contents: HashMap<u64, i64>,
    duplicates: Vec<String>,
    /// By run and agent: what the last episode's final observation was, where the world ended it.
    finals: HashMap<(i64, i64), Option<u64>>,
    pairs: u64,
    same: u64,
    /// Episodes that ended by a gap, and all, by agent.
    gaps: BTreeMap<i64, (u64, u64)>,
}

impl Lives {
    pub(super) fn add(&mut self, episode: &Episode) {
        let info = episode.info();
        if episode.len() >= LONG_ENOUGH {
            let first = *self.contents.entry(content(episode)).or_insert(info.episode_id);
            if first != info.episode_id {
                self.duplicates
                    .push(format!("episode {} is episode {first}", info.episode_id));
            }
        }
        let began = observation(episode.row(0));
        let ended = observation(episode.row(episode.len()));
        let key = (info.run.get(), info.agent_id);
        if let Some(Some(before)) = self.finals.get(&key) {
            self.pairs += 1;
            self.same += u64::from(*before == began);
        }
        // An episode in which nothing moves says nothing of when it was reset.
        let told = episode.outcome() == Outcome::Terminated && began != ended;
        self.finals.insert(key, told.then_some(ended));
        let (gaps, all) = self.gaps.entry(info.agent_id).or_default();
        *gaps += u64::from(*episode.reason() == EndReason::GAP);
        *all += 1;
    }

    pub(super) fn find(self, found: &mut Diagnosis) {
        if self.pairs >= ENOUGH_PAIRS && 2 * self.same > self.pairs {
            found.find(
                Symptom::ResetTooEarly,
                Severity::Error,
                format!(
                    "{} of {} final observations are what the player's next episode begins with",
                    self.same, self.pairs
                ),
                Vec::new(),
                "the player was reset before `EndEpisode` was applied, so the true final observation is lost: reset in an \
                 observer of `EpisodeEnded`",
            );
        }
        if !self.duplicates.is_empty() {
            found.find(
                Symptom::Duplicates,
                Severity::Warning,
                format!("{} episodes repeat another, step for step", self.duplicates.len()),
                self.duplicates,
                "the same seed was played twice with the same bots, or a folder was copied into the dataset twice; a \
                 validation split then contains what was trained on",
            );
        }
        let mut torn: Vec<_> = self.gaps.into_iter().filter(|(_, (gaps, _))| *gaps > 0).collect();
        if torn.is_empty() {
            return;
        }
        torn.sort_by_key(|(_, (gaps, _))| core::cmp::Reverse(*gaps));
        let episodes: u64 = torn.iter().map(|(_, (gaps, _))| gaps).sum();
        found.find(
            Symptom::Gaps,
            Severity::Warning,
            format!("{episodes} episodes of {} agents end where rows were lost", torn.len()),
            torn.iter().map(|(agent, (gaps, all))| format!("agent {agent}: {gaps} of {all} episodes")).collect(),
            "buffers overflowed before the exporter came: raise `BufferSettings::capacity`, or take `Overflow::Block` in headless runs",
        );
    }
}

/// Everything that was seen, done and given, without names and times.
fn content(episode: &Episode) -> u64 {
    let layout = episode.schema().layout();
    let mut hasher = SipHasher24::new();
    for row in episode.rows().chunks_exact(layout.row_words()) {
        let bytes: &[u8] = bytemuck::cast_slice(row);
        hasher.write(&bytes[layout.observation().start..layout.action().end]);
        hasher.write_u64(StepBytes::new(episode.schema(), row).header().reward.to_bits());
    }
    hasher.finish()
}

fn observation(row: StepBytes<'_>) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytemuck::cast_slice(row.observation()));
    hasher.finish()
}

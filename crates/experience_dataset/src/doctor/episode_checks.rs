//! Checks across episodes: duplicates, gaps, and players that are reset before their episode ends.

use super::{Diagnosis, Severity, Symptom};
use core::hash::Hasher;
use experience_core::transition::{EndReason, Episode, Outcome, StepBytes};
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, HashMap};

/// Shorter episodes are not compared, because they may be equal by chance.
const MIN_STEPS: usize = 8;
/// With fewer pairs of consecutive episodes, early resets are not reported.
const MIN_PAIRS: u64 = 5;

#[derive(Default)]
pub(super) struct EpisodeChecks {
    /// The first episode with each content hash.
    contents: HashMap<u64, i64>,
    duplicates: Vec<String>,
    /// The hash of the last final observation by run and agent, if that episode was terminated.
    final_observations: HashMap<(i64, i64), Option<u64>>,
    pairs: u64,
    equal_pairs: u64,
    /// Episodes that ended by a gap, and all episodes, by agent.
    gaps: BTreeMap<i64, (u64, u64)>,
}

impl EpisodeChecks {
    pub(super) fn add(&mut self, episode: &Episode) {
        let info = episode.info();
        if episode.len() >= MIN_STEPS {
            let original = *self.contents.entry(content_hash(episode)).or_insert(info.episode_id);
            if original != info.episode_id {
                self.duplicates
                    .push(format!("episode {} equals episode {original}", info.episode_id));
            }
        }
        let first = observation_hash(episode.row(0));
        let last = observation_hash(episode.row(episode.len()));
        let key = (info.run.get(), info.agent_id);
        if let Some(Some(before)) = self.final_observations.get(&key) {
            self.pairs += 1;
            self.equal_pairs += u64::from(*before == first);
        }
        // If no feature changes, an early reset cannot be detected.
        let is_usable = episode.outcome() == Outcome::Terminated && first != last;
        self.final_observations.insert(key, is_usable.then_some(last));
        let (gaps, all) = self.gaps.entry(info.agent_id).or_default();
        *gaps += u64::from(*episode.reason() == EndReason::GAP);
        *all += 1;
    }

    pub(super) fn report(self, diagnosis: &mut Diagnosis) {
        if self.pairs >= MIN_PAIRS && 2 * self.equal_pairs > self.pairs {
            diagnosis.add(
                Symptom::ResetTooEarly,
                Severity::Error,
                format!(
                    "{} of {} final observations equal the first observation of the player's next episode",
                    self.equal_pairs, self.pairs
                ),
                Vec::new(),
                "the player was reset before `EndEpisode` was applied, so the true final observation is lost: reset in an \
                 observer of `EpisodeEnded`",
            );
        }
        if !self.duplicates.is_empty() {
            diagnosis.add(
                Symptom::Duplicates,
                Severity::Warning,
                format!("{} episodes equal another in every step", self.duplicates.len()),
                self.duplicates,
                "the same seed was played twice with the same bots, or a folder was copied into the dataset twice; a \
                 validation split then contains what was trained on",
            );
        }
        let mut agents: Vec<_> = self.gaps.into_iter().filter(|(_, (gaps, _))| *gaps > 0).collect();
        if agents.is_empty() {
            return;
        }
        agents.sort_by_key(|(_, (gaps, _))| core::cmp::Reverse(*gaps));
        let episodes: u64 = agents.iter().map(|(_, (gaps, _))| gaps).sum();
        diagnosis.add(
            Symptom::Gaps,
            Severity::Warning,
            format!("{episodes} episodes of {} agents end because rows were lost", agents.len()),
            agents.iter().map(|(agent, (gaps, all))| format!("agent {agent}: {gaps} of {all} episodes")).collect(),
            "buffers overflowed before the exporter drained them: raise `BufferSettings::capacity`, or use `Overflow::Block` in headless runs",
        );
    }
}

/// A hash of the observations, actions and rewards of an episode, without ids and times.
fn content_hash(episode: &Episode) -> u64 {
    let layout = episode.schema().layout();
    let mut hasher = SipHasher24::new();
    for row in episode.rows().chunks_exact(layout.row_words()) {
        let bytes: &[u8] = bytemuck::cast_slice(row);
        hasher.write(&bytes[layout.observation().start..layout.action().end]);
        hasher.write_u64(StepBytes::new(episode.schema(), row).header().reward.to_bits());
    }
    hasher.finish()
}

fn observation_hash(row: StepBytes<'_>) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytemuck::cast_slice(row.observation()));
    for image in 0..row.schema().images().len() {
        hasher.write(row.image(image));
    }
    hasher.finish()
}

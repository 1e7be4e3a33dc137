//! Checks across episodes: duplicates and gaps.

use super::{Diagnosis, MAX_PLACES, Severity, Symptom};
use core::hash::Hasher;
use experience_core::transition::{EndReason, Episode, StepBytes};
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;

/// Shorter episodes are not compared, because they may be equal by chance.
const MIN_STEPS: usize = 8;

/// Takes 16 bytes an episode.
#[derive(Default)]
pub(super) struct EpisodeChecks {
    /// The hash of the content and the id of each episode.
    contents: Vec<(u64, i64)>,
    /// Episodes that ended by a gap, by agent.
    gaps: BTreeMap<i64, u64>,
}

impl EpisodeChecks {
    pub(super) fn add(&mut self, episode: &Episode) {
        let info = episode.info();
        if episode.len() >= MIN_STEPS {
            self.contents.push((content_hash(episode), info.episode_id));
        }
        if *episode.reason() == EndReason::GAP {
            *self.gaps.entry(info.agent_id).or_default() += 1;
        }
    }

    pub(super) fn report(mut self, diagnosis: &mut Diagnosis) {
        self.report_duplicates(diagnosis);
        self.report_gaps(diagnosis);
    }

    fn report_duplicates(&mut self, diagnosis: &mut Diagnosis) {
        self.contents.sort_unstable();
        let (mut duplicates, mut places) = (0, Vec::new());
        for equal in self.contents.chunk_by(|(a, _), (b, _)| a == b) {
            let (_, original) = equal[0];
            // An episode may be in two files.
            let copies = equal.iter().map(|(_, id)| *id).filter(|id| *id != original);
            for id in copies {
                duplicates += 1;
                if places.len() < MAX_PLACES {
                    places.push(format!("episode {id} equals episode {original}"));
                }
            }
        }
        if duplicates > 0 {
            diagnosis.add(
                Symptom::Duplicates,
                Severity::Warning,
                format!("{duplicates} episodes equal another in every step"),
                places,
                "the same seed was played twice with the same bots, or a folder was copied into the dataset twice; a \
                 validation split then contains what was trained on",
            );
        }
    }

    fn report_gaps(&self, diagnosis: &mut Diagnosis) {
        let mut agents: Vec<_> = self.gaps.iter().collect();
        if agents.is_empty() {
            return;
        }
        agents.sort_by_key(|(_, gaps)| core::cmp::Reverse(**gaps));
        let episodes: u64 = self.gaps.values().sum();
        diagnosis.add(
            Symptom::Gaps,
            Severity::Warning,
            format!("{episodes} episodes of {} agents end because rows were lost", agents.len()),
            agents.iter().take(MAX_PLACES).map(|(agent, gaps)| format!("agent {agent}: {gaps} episodes")).collect(),
            "buffers overflowed before the exporter drained them: raise `BufferSettings::capacity`, or use `Overflow::Block` in headless \
             runs; or the journal of a process that died was damaged there",
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
        let step = StepBytes::new(episode.schema(), row);
        hasher.write_u64(step.header().reward.to_bits());
        for image in 0..episode.schema().images().len() {
            hasher.write(step.image(image));
        }
    }
    hasher.finish()
}

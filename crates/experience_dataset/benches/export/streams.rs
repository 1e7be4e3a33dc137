//! The rows of a workload as capture pushes them: with ordinals, step kinds and outcomes.

use crate::workload::Workload;
use experience_core::transition::{StepHeader, StepKind};
use std::collections::BTreeMap;

/// The rows of each player, in the order in which capture pushes them to the player's buffer.
pub fn streams(workload: &Workload) -> Vec<Vec<u64>> {
    let words = workload.schema.layout().row_words();
    let mut streams = BTreeMap::<i64, (u32, Vec<u64>)>::new();
    for (number, episode) in (0_u32..).zip(&workload.episodes) {
        let (ordinal, stream) = streams.entry(episode.info().agent_id).or_default();
        for (index, row) in episode.rows().chunks_exact(words).enumerate() {
            let start = stream.len();
            stream.extend_from_slice(row);
            let header = StepHeader::of_mut(&mut stream[start..]);
            header.set_kind(if index == 0 {
                StepKind::Begin
            } else {
                StepKind::Transition
            });
            *ordinal += u32::from(index > 0);
            header.ordinal = *ordinal;
            header.episode = number;
            if index == episode.len() {
                header.set_outcome(Some(episode.outcome()), 1);
            }
        }
    }
    streams.into_values().map(|(_, stream)| stream).collect()
}

//! What capture would push.

use crate::lives::Lives;
use experience_core::transition::{StepHeader, StepKind};
use std::collections::BTreeMap;

/// Each player's rows as capture pushes them to its buffer.
pub fn streams(lives: &Lives) -> Vec<Vec<u64>> {
    let words = lives.schema.layout().row_words();
    let mut streams = BTreeMap::<i64, (u32, Vec<u64>)>::new();
    for (number, episode) in (0_u32..).zip(&lives.episodes) {
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

//! Collector of the transitions that sinks receive before the end of their episode.

use crate::{
    assembly::{AssemblyContext, EpisodeBuilder},
    sink::PartBatch,
};
use experience_core::transition::EpisodePart;

/// The parts of episodes that became final since the last batch was sent.
#[derive(Default)]
pub(super) struct PartCollector {
    /// Each with the number under which its episode was captured.
    parts: Vec<(u32, EpisodePart)>,
    /// Bytes of the rows in `parts`.
    bytes: usize,
    /// Ids of discarded episodes.
    withdrawn: Vec<i64>,
}

impl PartCollector {
    /// Takes from `builder` the transitions that are final.
    pub(super) fn collect(&mut self, context: &AssemblyContext, builder: &mut EpisodeBuilder) {
        if let Some(part) = builder.take_part(context) {
            self.bytes += size_of_val(part.rows().rows());
            self.parts.push((builder.captured_as(), part));
        }
    }

    /// Notes that an episode is discarded.
    pub(super) fn withdraw(&mut self, episode_id: i64) {
        self.withdrawn.push(episode_id);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.withdrawn.is_empty()
    }

    /// The next batch, without the episodes that are discarded.
    pub(super) fn take(&mut self, is_discarded: impl Fn(u32) -> bool) -> PartBatch {
        self.bytes = 0;
        let withdrawn = &mut self.withdrawn;
        let parts = self.parts.drain(..).filter_map(|(captured_as, part)| {
            if !is_discarded(captured_as) {
                return Some(part);
            }
            // The pieces of an episode with gaps have ids of their own.
            let id = part.info().episode_id;
            if !withdrawn.contains(&id) {
                withdrawn.push(id);
            }
            None
        });
        let parts = parts.collect();
        PartBatch {
            parts,
            withdrawn: core::mem::take(&mut self.withdrawn),
            ..PartBatch::default()
        }
    }
}

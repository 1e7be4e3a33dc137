//! Transitions as they happen, on their way to the sinks that take them.

use super::RecordingPipeline;
use crate::exporter::part_collector::PartCollector;

impl RecordingPipeline {
    /// Takes the last transitions of the finished episodes from number `from` on. Sends what was taken so far if that is more than
    /// `limit` bytes.
    pub(super) fn collect_finished_parts(&mut self, from: usize, limit: usize) {
        let Some(parts) = &mut self.parts else { return };
        for builder in &mut self.finished[from..] {
            parts.collect(&self.context, builder);
        }
        if parts.bytes() >= limit {
            self.send_parts();
        }
    }

    /// Sends the transitions that have become final to the sinks that take them.
    pub(super) fn send_parts(&mut self) {
        if self.parts.as_ref().is_none_or(PartCollector::is_empty) {
            return;
        }
        // Before the parts, so that a player who has opted out is in none of them.
        self.drop_unwanted();
        let Some(parts) = &mut self.parts else { return };
        let batch = parts.take(|episode| self.unwanted.contains_key(&episode));
        for sink in &mut self.sinks {
            sink.send_parts(&batch);
        }
    }
}

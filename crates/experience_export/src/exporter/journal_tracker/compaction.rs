//! Compaction of the journal: open episodes are rewritten so that the segments before them can be deleted.

use super::JournalTracker;
use crate::assembly::EpisodeBuilder;

impl JournalTracker {
    /// Rewrites long open episodes at the end of the journal where they keep old segments that hold little else of use.
    ///
    /// An open episode keeps every segment since it began, with all other episodes in them. At most a quarter of
    /// the bytes that can then be deleted is rewritten, and about one segment at a time. All of `builders` were written, as
    /// far as that was possible.
    pub(in crate::exporter) fn compact(&mut self, builders: &mut [&mut EpisodeBuilder]) {
        /// Bytes deleted for each byte rewritten, at least.
        const WORTH: u64 = 4;
        if self.is_failing || self.cannot_compact {
            return;
        }
        let undurable = self.oldest_undurable();
        let (Some(journal), Some(segments)) = (&mut self.journal, &mut self.segments) else {
            return;
        };
        // From this segment on, the journal is needed for more than open episodes.
        let needed = builders
            .iter()
            .filter(|builder| builder.is_closed() || builder.has_unwritten());
        let needed = needed.filter_map(|builder| builder.segment());
        let end = needed.fold(undurable.min(journal.segment()), u32::min);
        let all = journal.bytes_before(end);
        if all < WORTH * journal.segment_limit() {
            return;
        }
        let is_long = |builder: &EpisodeBuilder| builder.segment().is_some_and(|segment| segment < end);
        let mut long: Vec<_> = builders.iter_mut().filter(|builder| is_long(builder)).collect();
        let useful: u64 = long.iter().map(|builder| builder.bytes_in_journal()).sum();
        if useful * WORTH > all {
            return;
        }
        long.sort_by_key(|builder| builder.segment());
        let mut rewritten = 0;
        let mut result = Ok(());
        for builder in long {
            if result.is_err() || rewritten >= journal.segment_limit() {
                break;
            }
            rewritten += builder.bytes_in_journal();
            result = builder.rewrite(journal, segments);
            self.is_unsynced_rewrite = true;
        }
        if let Err(error) = result {
            self.cannot_compact = true;
            tracing::warn!(
                "cannot compact {}: {error}; it keeps every segment since its open episodes began",
                self.name
            );
        }
    }
}

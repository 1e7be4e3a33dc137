//! Account changes in the journal: tick rates and tags, which a recovery must not lose though no sink has stored them yet.

use crate::{
    exporter::sink_context::StoredChanges,
    journal::{Journal, Record},
};
use experience_core::account::{Counters, EpisodeTag, TagChange};
use std::io;

/// Which account changes the last segment of the journal holds.
///
/// A segment holds all changes that were not stored elsewhere when the first of them was written to it, so that older segments can
/// be deleted.
#[derive(Debug, Default)]
pub(super) struct AccountChanges {
    /// The segment. `None` before the first change.
    segment: Option<u32>,
    /// The number of tick rates that it or a sink holds.
    tick_rates: usize,
    /// The number of tag changes that it or a sink holds.
    tags: u64,
}

impl AccountChanges {
    /// Whether the journal is needed for a change that is not stored elsewhere.
    pub(super) fn is_needed(&self, counters: &Counters, stored: StoredChanges) -> bool {
        counters.tick_rates().len() > stored.tick_rates || counters.tag_changes() > stored.tags
    }

    /// Writes the changes that the last segment lacks, in a frame of their own. Returns whether the segment is another one than that
    /// of the changes before: it must be synced before that one is deleted.
    ///
    /// # Errors
    /// If the file system refuses. The call can be repeated.
    pub(super) fn write(
        &mut self,
        journal: &mut Journal,
        counters: &Counters,
        stored: StoredChanges,
    ) -> io::Result<bool> {
        let (mut tick_rates, mut tags) = self.held_by(journal, stored);
        if counters.tick_rates().len() <= tick_rates && counters.tag_changes() <= tags {
            return Ok(false);
        }
        journal.begin()?;
        // The frame may hold reasons, which every version reads.
        journal.commit()?;
        journal.begin()?;
        if self.segment != Some(journal.segment()) {
            (tick_rates, tags) = self.held_by(journal, stored);
        }
        let rates = counters.tick_rates();
        for rate in rates.iter().skip(tick_rates) {
            journal.put(&Record::TickRate {
                from_tick: rate.from_tick,
                ticks_per_second: rate.ticks_per_second,
            });
        }
        let new = counters.tag_changes_since(tags);
        for change in &new.changes {
            if journal.frame_bytes_left() == 0 {
                journal.commit()?;
                journal.begin()?;
            }
            journal.put(&record(change));
        }
        journal.commit()?;
        let before = self.segment;
        *self = Self {
            segment: Some(journal.segment()),
            tick_rates: rates.len(),
            tags: new.total,
        };
        Ok(before.is_some() && before != self.segment)
    }

    /// The numbers of tick rates and tag changes that the last segment of `journal` or a sink holds.
    fn held_by(&self, journal: &Journal, stored: StoredChanges) -> (usize, u64) {
        if self.segment == Some(journal.segment()) {
            return (self.tick_rates, self.tags);
        }
        (stored.tick_rates, stored.tags)
    }
}

fn record(change: &TagChange) -> Record<'_> {
    match change {
        TagChange::Added(EpisodeTag {
            episode_id,
            agent_id,
            tag,
        }) => Record::Tag {
            episode_id: *episode_id,
            agent_id: *agent_id,
            tag,
        },
        TagChange::Removed { removed } => Record::Untag { episode_id: *removed },
    }
}

//! Account changes in the journal: tick rates, tags and failures, which a recovery must not lose though no sink has stored them yet.

use crate::{
    exporter::sink_context::{SinkAccounts, StoredChanges},
    journal::{Journal, Record},
};
use experience_core::account::{Counters, EpisodeTag, TagChange};
use std::io;

/// Which account changes the last segment of the journal holds.
///
/// A segment holds all tick rates, the failures, and all tag changes that were not stored elsewhere when the first of them was
/// written to it, so that older segments can be deleted. The number of tags has no bound, so those that are stored are not restated.
#[derive(Debug, Default)]
pub(super) struct AccountChanges {
    /// The segment. `None` before the first change.
    segment: Option<u32>,
    held: HeldChanges,
}

/// The account changes that a segment holds. Those of tags may be stored elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct HeldChanges {
    tick_rates: usize,
    tags: u64,
    failures: u64,
}

impl HeldChanges {
    fn lacks(self, counters: &Counters, failures: u64) -> bool {
        counters.tick_rates().len() > self.tick_rates || counters.tag_changes() > self.tags || failures > self.failures
    }
}

impl AccountChanges {
    /// Whether the journal is needed for a change that is not stored elsewhere.
    pub(super) fn is_needed(&self, counters: &Counters, accounts: SinkAccounts) -> bool {
        let stored = HeldChanges {
            tick_rates: accounts.stored.tick_rates,
            tags: accounts.stored.tags,
            failures: accounts.stored_failures,
        };
        stored.lacks(counters, accounts.failures)
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
        accounts: SinkAccounts,
    ) -> io::Result<bool> {
        let SinkAccounts { stored, failures, .. } = accounts;
        let mut held = self.held_by(journal, stored);
        if !held.lacks(counters, failures) {
            return Ok(false);
        }
        journal.begin()?;
        // The frame may hold reasons, which every version reads.
        journal.commit()?;
        journal.begin()?;
        if self.segment != Some(journal.segment()) {
            held = self.held_by(journal, stored);
        }
        let rates = counters.tick_rates();
        for rate in rates.iter().skip(held.tick_rates) {
            journal.put(&Record::TickRate {
                from_tick: rate.from_tick,
                ticks_per_second: rate.ticks_per_second,
            });
        }
        if failures > held.failures {
            journal.put(&Record::Failures { failures });
        }
        let new = counters.tag_changes_since(held.tags);
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
            held: HeldChanges {
                tick_rates: rates.len(),
                tags: new.total,
                failures,
            },
        };
        Ok(before.is_some() && before != self.segment)
    }

    /// The changes that the last segment of `journal` holds, and the tags that are stored elsewhere.
    fn held_by(&self, journal: &Journal, stored: StoredChanges) -> HeldChanges {
        if self.segment == Some(journal.segment()) {
            return self.held;
        }
        HeldChanges {
            tags: stored.tags,
            ..HeldChanges::default()
        }
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

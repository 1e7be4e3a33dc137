//! What retention deletes from a run: the pending deletions of its account, and the totals of what is gone.

use super::{PendingDeletion, RunAccount, is_zero};
use crate::{
    sink::{
        layout,
        retired_episodes::{self, RetiredEpisodes, RetiredFile},
        segment_account::SegmentAccount,
        shard_account::ShardAccount,
        shard_name::ShardName,
    },
    store::source,
};
use experience_export::journal;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Totals of the shards and segments of a run that retention deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Deleted shards.
    pub shards: u64,
    /// Deleted segments.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub segments: u64,
    /// Whole episodes in them.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The deleted episodes and transitions of each agent, in accounts that version 0.1.0 wrote; empty in all others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<i64, AgentCounts>,
}

/// Deleted episodes and transitions of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCounts {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
}

impl Retired {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, deleted: &ShardAccount) {
        self.shards = self.shards.saturating_add(1);
        self.episodes = self.episodes.saturating_add(deleted.episodes);
        self.transitions = self.transitions.saturating_add(deleted.transitions);
    }

    fn add_segment(&mut self, deleted: &SegmentAccount) {
        self.segments = self.segments.saturating_add(1);
        self.episodes = self.episodes.saturating_add(deleted.episodes);
        self.transitions = self.transitions.saturating_add(deleted.transitions);
    }
}

impl RunAccount {
    /// Notes which `episodes` begin in a file that is about to be deleted, if the run has a journal, and forgets those that the
    /// journal does not hold any more.
    pub(in crate::sink) fn note_episodes(
        &mut self,
        recording: &Path,
        file: RetiredFile,
        episodes: impl FnOnce() -> BTreeSet<i64>,
    ) {
        retired_episodes::forget_released(&mut self.retired_episodes, recording, self.run);
        self.retired_episodes.retain(|retired| !retired.is_of(file));
        let noted = RetiredEpisodes::new(recording, self.run, file, episodes);
        self.retired_episodes.extend(noted);
    }

    /// Whether retention has deleted an episode of which the journal may have the rows.
    #[cfg(feature = "parquet")]
    pub(in crate::sink) fn deleted_episodes(&self, recording: &Path) -> impl Fn(i64) -> bool + use<> {
        retired_episodes::deleted_episodes(&self.retired_episodes, recording, self.run)
    }

    /// Moves a shard to the pending deletions.
    pub(crate) fn begin_deletion(&mut self, name: ShardName) {
        let file = name.to_string();
        if let Some(index) = self.shards.iter().position(|shard| shard.file == file) {
            let shard = self.shards.remove(index);
            self.retiring.push(PendingDeletion { shard });
        }
    }

    /// Moves a segment to the pending deletions.
    pub(in crate::sink) fn begin_segment_deletion(&mut self, segment: u32) {
        let moved = self.segments.extract_if(.., |listed| listed.segment == segment);
        self.retiring_segments.extend(moved);
    }

    /// Removes the totals by agent that version 0.1.0 wrote: those of deleted shards are no longer known.
    pub(super) fn forget_agents(&mut self) {
        self.account.agents.clear();
        self.retired.agents.clear();
    }

    /// Whether deletions of shards are pending.
    pub(crate) fn has_pending_deletions(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// The segments whose deletion is pending.
    pub(in crate::sink) fn pending_segment_deletions(&self) -> impl Iterator<Item = u32> {
        self.retiring_segments.iter().map(|pending| pending.segment)
    }

    /// The shards whose deletion is pending. Text that is not the name of a shard of the run is left out.
    pub(crate) fn pending_deletions(&self) -> impl Iterator<Item = ShardName> {
        self.retiring.iter().filter_map(|pending| pending.shard.name(self.run))
    }

    /// Resolves the pending deletions: shards and segments that are gone are added to `retired`, and the others are listed again.
    pub(crate) fn resolve_deletions(&mut self, recording: &Path) {
        for pending in core::mem::take(&mut self.retiring) {
            match pending.shard.name(self.run) {
                Some(name) if !source::exists(&name.path(recording)) => {
                    self.retired.add(&pending.shard);
                    self.forget_agents();
                }
                // A shard that does not exist under a name that is none stays listed, so that `validate` reports it.
                _ => self.shards.push(pending.shard),
            }
        }
        self.sort_shards();
        let folder = layout::segments_folder(recording, self.run);
        for pending in core::mem::take(&mut self.retiring_segments) {
            if journal::segment_path(&folder, pending.segment).exists() {
                self.segments.push(pending);
            } else {
                self.retired.add_segment(&pending);
            }
        }
        self.segments.sort_by_key(|listed| listed.segment);
    }

    /// Counts the shards as deleted whose deletion was pending.
    #[cfg(feature = "object_store")]
    pub(crate) fn retire_pending(&mut self) {
        for pending in core::mem::take(&mut self.retiring) {
            self.retired.add(&pending.shard);
        }
        self.forget_agents();
    }
}

//! Tags of episodes, and the bounded log of their changes from which sinks store them.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of tag changes that [`Counters`](super::Counters) keep for sinks. A sink that is further behind misses the oldest.
const TAG_CHANGES: usize = 1 << 14;

/// The number of tag changes from which [`RunReport::tags`](super::RunReport::tags) is made.
const REPORTED_TAG_CHANGES: usize = 1 << 10;

/// The tag of an episode that was discarded after it had ended. Its rows may be in a shard, so readers skip it, until a tool
/// writes the shard without it.
pub const DISCARDED_TAG: &str = "discarded";

/// A tag of an episode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeTag {
    /// The tagged episode.
    pub episode_id: i64,
    /// The agent of the episode.
    pub agent_id: i64,
    /// The tag.
    pub tag: String,
}

/// A change of the tags of episodes. One line of JSON in a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TagChange {
    /// An episode was tagged. It may have had the tag already.
    Added(EpisodeTag),
    /// All earlier tags of an episode were removed, because it was discarded.
    Removed {
        /// The episode.
        removed: i64,
    },
}

/// The tags that remain after `changes`, in ascending order of episode id.
#[must_use]
pub fn remaining_tags(changes: impl IntoIterator<Item = TagChange>) -> Vec<EpisodeTag> {
    let mut tags = BTreeMap::<i64, BTreeSet<EpisodeTag>>::new();
    for change in changes {
        match change {
            TagChange::Added(tag) => {
                tags.entry(tag.episode_id).or_default().insert(tag);
            }
            TagChange::Removed { removed } => {
                tags.remove(&removed);
            }
        }
    }
    tags.into_values().flatten().collect()
}

/// The last [`TAG_CHANGES`] tag changes.
#[derive(Debug, Default)]
pub(super) struct TagLog {
    changes: VecDeque<TagChange>,
    /// The number of older changes, which are no longer kept.
    forgotten: u64,
}

impl TagLog {
    pub(super) fn push(&mut self, change: TagChange) {
        if self.changes.len() == TAG_CHANGES {
            self.changes.pop_front();
            self.forgotten += 1;
        }
        self.changes.push_back(change);
    }

    /// The number of all changes so far.
    pub(super) fn total(&self) -> u64 {
        self.forgotten + self.changes.len() as u64
    }

    /// The changes from which reports are made.
    pub(super) fn reported(&self) -> impl Iterator<Item = &TagChange> {
        let skipped = self.changes.len().saturating_sub(REPORTED_TAG_CHANGES);
        self.changes.range(skipped..)
    }

    /// The changes after the first `total`.
    pub(super) fn since(&self, total: u64) -> NewTagChanges {
        let known = usize::try_from(total.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        NewTagChanges {
            changes: self.changes.range(known.min(self.changes.len())..).cloned().collect(),
            forgotten: self.forgotten.saturating_sub(total),
            total: self.total(),
        }
    }
}

/// Tag changes that a sink has not received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTagChanges {
    /// The changes, in the order in which they were made.
    pub changes: Vec<TagChange>,
    /// The number of changes before them that are no longer kept.
    pub forgotten: u64,
    /// The number of all changes so far, for the next call of [`Counters::tag_changes_since`](super::Counters::tag_changes_since).
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Counters;

    #[test]
    fn changes_reach_a_sink_once_and_those_that_are_forgotten_are_counted() {
        let recording = Counters::default();
        recording.add_tag(1, 7, "a".to_owned());
        let first = recording.tag_changes_since(0);
        assert_eq!((first.changes.len(), first.forgotten, first.total), (1, 0, 1));
        recording.remove_tags(1);
        let second = recording.tag_changes_since(first.total);
        assert_eq!(second.changes, [TagChange::Removed { removed: 1 }]);
        assert_eq!(recording.tags(), []);
        for episode in 0..TAG_CHANGES as i64 {
            recording.add_tag(episode, 7, "a".to_owned());
        }
        let third = recording.tag_changes_since(0);
        assert_eq!(
            (third.changes.len(), third.forgotten, third.total),
            (TAG_CHANGES, 2, TAG_CHANGES as u64 + 2)
        );
        assert_eq!(recording.tag_changes_since(third.total).changes, []);
        assert_eq!(recording.tags().len(), REPORTED_TAG_CHANGES);
    }

    #[test]
    fn changes_are_lines_of_json() {
        let recording = Counters::default();
        recording.add_tag(1, 7, "a".to_owned());
        recording.remove_tags(1);
        for change in recording.tag_changes_since(0).changes {
            let line = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<TagChange>(&line).unwrap(), change, "{line}");
        }
    }
}

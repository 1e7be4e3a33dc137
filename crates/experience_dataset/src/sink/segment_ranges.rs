//! [`SegmentRanges`]: which segments hold the episodes that a `JournalSink` has accepted.

use super::segment_account::SegmentAccount;
use experience_export::MissingEpisodes;
use std::collections::BTreeSet;

/// Episodes whose rows are in the same segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentRange {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) episodes: u64,
    pub(super) transitions: u64,
    /// When the first of them was accepted; see [`SegmentAccount::committed`].
    pub(super) committed: u64,
}

impl SegmentRange {
    fn is_whole(&self, found: &BTreeSet<u32>) -> bool {
        (self.first..=self.last).all(|segment| found.contains(&segment))
    }
}

/// The accepted episodes of a run, by the segments that hold them, in the order of the first. Their number depends on that of the
/// segments, and not on that of the episodes.
#[derive(Debug, Default)]
pub(super) struct SegmentRanges(Vec<SegmentRange>);

impl SegmentRanges {
    /// Adds episodes that were accepted after all others.
    pub(super) fn add(&mut self, range: SegmentRange) {
        match self.0.last_mut() {
            Some(last) if (last.first, last.last) == (range.first, range.last) => {
                last.episodes += range.episodes;
                last.transitions += range.transitions;
            }
            _ => self.0.push(range),
        }
    }

    /// Removes the episodes that begin in a segment up to `last`, which retention deletes.
    pub(super) fn remove_until(&mut self, last: u32) {
        self.0.retain(|range| range.first > last);
    }

    /// The episodes that are not complete in the segments `found`.
    pub(super) fn missing(&self, found: &BTreeSet<u32>) -> MissingEpisodes {
        let mut missing = MissingEpisodes::default();
        for range in self.0.iter().filter(|range| !range.is_whole(found)) {
            missing.episodes += range.episodes;
            missing.transitions += range.transitions;
        }
        missing
    }

    /// The segments `found` with the episodes that begin in them.
    pub(super) fn accounts(&self, found: &BTreeSet<u32>) -> Vec<SegmentAccount> {
        let mut ranges = self.0.iter().peekable();
        let mut committed = self.0.first().map_or(0, |range| range.committed);
        let accounts = found.iter().map(|&segment| {
            let mut account = SegmentAccount {
                segment,
                episodes: 0,
                transitions: 0,
                committed,
            };
            while let Some(range) = ranges.next_if(|range| range.first <= segment) {
                committed = range.committed;
                if range.first == segment && range.is_whole(found) {
                    account.episodes += range.episodes;
                    account.transitions += range.transitions;
                }
            }
            // A segment without the beginning of an episode is as old as the one before.
            account.committed = committed;
            account
        });
        accounts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, last: u32, episodes: u64) -> SegmentRange {
        SegmentRange {
            first,
            last,
            episodes,
            transitions: 10 * episodes,
            committed: 100 + u64::from(first),
        }
    }

    fn summary(accounts: &[SegmentAccount]) -> Vec<(u32, u64, u64)> {
        let summary = accounts
            .iter()
            .map(|account| (account.segment, account.episodes, account.committed));
        summary.collect()
    }

    #[test]
    fn episodes_belong_to_the_segment_that_they_begin_in() {
        let mut ranges = SegmentRanges::default();
        for added in [range(0, 0, 2), range(0, 0, 1), range(0, 3, 1), range(3, 3, 4)] {
            ranges.add(added);
        }
        let all = BTreeSet::from([0, 1, 2, 3]);
        assert_eq!(
            summary(&ranges.accounts(&all)),
            [(0, 4, 100), (1, 0, 100), (2, 0, 100), (3, 4, 103)]
        );
        assert_eq!(ranges.missing(&all), MissingEpisodes::default());
        let without = BTreeSet::from([0, 1, 3]);
        assert_eq!(
            summary(&ranges.accounts(&without)),
            [(0, 3, 100), (1, 0, 100), (3, 4, 103)],
            "an episode that is not complete is missing, and in no segment"
        );
        assert_eq!(
            (ranges.missing(&without).episodes, ranges.missing(&without).transitions),
            (1, 10)
        );
        ranges.remove_until(0);
        assert_eq!(summary(&ranges.accounts(&BTreeSet::from([3]))), [(3, 4, 103)]);
    }
}

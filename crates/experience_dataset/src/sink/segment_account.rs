//! [`SegmentAccount`]: a segment of a `JournalSink` in the account of its run.

use serde::{Deserialize, Serialize};

/// A segment of a [`JournalSink`](crate::JournalSink), as the account of its run lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentAccount {
    /// The number in the name of the file in the run's folder of segments.
    pub segment: u32,
    /// Whole episodes that begin in it. A long one may end in a later segment.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// When its first episode was accepted, in milliseconds since 1970 (UTC), by the clock of
    /// [`ShardAccount::committed`](crate::ShardAccount::committed).
    pub committed: u64,
}

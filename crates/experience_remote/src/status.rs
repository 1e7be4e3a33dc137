//! [`RemoteStatus`]: counts of a remote policy.

use core::time::Duration;

/// Counts of a remote policy since it was made: [`RemotePolicy::status`](crate::RemotePolicy::status).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// Whether there is a connection.
    pub is_connected: bool,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Decisions that were asked for.
    pub requests: u64,
    /// Answers that were used.
    pub answers: u64,
    /// Decisions whose answer was late.
    pub late: u64,
    /// Decisions that were not asked for, because an earlier answer was still awaited.
    pub skipped: u64,
    /// Answers that were refused.
    pub refused: u64,
    /// Decisions without a connection.
    pub disconnected: u64,
    /// The time from the last request to its answer.
    pub round_trip: Duration,
    /// The last failure. Empty if there was none.
    pub last_error: String,
}

//! [`PolicyStatus`]: counts of a policy, and what it acts by.

use core::time::Duration;

/// Counts of a policy since the app started: [`Experience::policies`](crate::plugin::Experience::policies).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// The name of the policy.
    pub name: String,
    /// What the model is: its file, or that it is a function.
    pub model: String,
    /// The version of the model, as in `info.policy_version`.
    pub version: i64,
    /// The players of the last decision.
    pub players: usize,
    /// Calls of the model.
    pub decisions: u64,
    /// Actions that were written.
    pub actions: u64,
    /// Calls that returned an error or panicked.
    pub failed: u64,
    /// Calls that took longer than the time limit, and decisions that were left out because a call was in progress.
    pub late: u64,
    /// Players for which an output was missing or NaN.
    pub undecided: u64,
    /// Players whose action could not be written.
    pub not_written: u64,
    /// Elements for which the model gave all probability to alternatives that the mask forbids; another was chosen.
    pub forbidden: u64,
    /// Elements for which the mask allowed no alternative, so that it was not applied.
    pub unmasked: u64,
    /// Elements whose value was outside of the bounds, and was clamped.
    pub clamped: u64,
    /// Files that were loaded while the game ran.
    pub reloads: u64,
    /// Files that were refused while the game ran.
    pub refused: u64,
    /// The duration of the last call of the model.
    pub last_call: Duration,
}

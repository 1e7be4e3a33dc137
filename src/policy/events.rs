//! [`PolicyFailed`]: a policy made no decision.

use bevy_ecs::event::Event;

/// A policy made no decision, or its file could not be loaded again. Players keep their actions.
///
/// Triggered after the decision, for observers: once for each kind of failure until a decision of the policy succeeds.
///
/// ```
/// # use bevy_app::prelude::*;
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_observer(|failed: On<PolicyFailed>| {
///     println!("{} of {}: {}", failed.policy, failed.recording, failed.error);
/// });
/// ```
#[derive(Event, Clone, Debug, PartialEq, Eq)]
pub struct PolicyFailed {
    /// The name of the recording.
    pub recording: String,
    /// The name of the policy.
    pub policy: String,
    /// What failed, and what to do.
    pub error: String,
    /// The kind of failure.
    pub failure: PolicyFailure,
}

/// What a policy failed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyFailure {
    /// The model returned an error. It is asked again at the next decision.
    Model,
    /// The model panicked. It is not asked again until its file is loaded anew.
    Panicked,
    /// An output was missing or NaN for some players.
    Undecided,
    /// The decision came after the time limit, and was not used.
    Late,
    /// A component of the action could not be written for some players.
    NotWritten,
    /// The observation could not be read.
    NotObserved,
    /// A player lacks a component that the recording reads.
    Incomplete,
    /// A player names a policy that does not exist.
    UnknownPolicy,
    /// The policy cannot act in the speculative ticks of a game with rollback.
    Speculative,
    /// The file changed, and the new one was refused. The model before stays.
    Reload,
}

impl PolicyFailure {
    /// The number of kinds.
    pub(super) const COUNT: usize = Self::Reload as usize + 1;

    /// The kinds that the next good decision ends.
    pub(super) const OF_DECISIONS: [Self; 5] = [
        Self::Model,
        Self::Panicked,
        Self::Undecided,
        Self::Late,
        Self::NotWritten,
    ];
}

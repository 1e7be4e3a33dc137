//! [`PolicySetupError`]: why a policy cannot be added.

use experience_policy::ModelError;

/// Why a policy cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicySetupError {
    /// `ExperiencePlugin` was not added before.
    #[error("a policy for recording `{0}` was added to an app without `ExperiencePlugin`: add the plugin first")]
    NoPlugin(String),
    /// There is no such recording.
    #[error(
        "a policy was added for recording `{recording}`, which does not exist: {}",
        known(recordings)
    )]
    UnknownRecording {
        /// The recording.
        recording: String,
        /// The recordings that exist.
        recordings: Vec<String>,
    },
    /// The recording has another marker.
    #[error(
        "a policy for recording `{recording}` is of `{found}`, and its players have the marker `{expected}`: use `Policy::<{expected}>`"
    )]
    Marker {
        /// The recording.
        recording: String,
        /// The marker of the recording.
        expected: &'static str,
        /// The marker of the policy.
        found: &'static str,
    },
    /// The policy has no model.
    #[error(
        "the policy `{policy}` of recording `{recording}` has no model: give it one with `model`, `random`, `file` or `onnx`"
    )]
    NoModel {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
    },
    /// Another policy of the recording has this name.
    #[error("recording `{recording}` has a policy `{policy}` already: give each a name with `named`")]
    DuplicateName {
        /// The recording.
        recording: String,
        /// The name.
        policy: String,
    },
    /// Another policy of the recording is told what became of its actions, which one can be.
    #[error(
        "recording `{0}` has a remote policy already: let one server decide for all players, or give each kind of player a recording"
    )]
    SecondRemote(String),
    /// The recording has no action.
    #[error("recording `{0}` records no action, so a policy has nothing to decide: add `act::<T>()` to the recording")]
    NoAction(String),
    /// Columns of the action that cannot be written.
    #[error(
        "the policy `{policy}` of recording `{recording}` cannot write the action {}: the recording computes it from a value, and \
         the way back is not known; add `Policy::write_with` or `Policy::write_resource_with` with these names, or record the \
         fields with `act::<T>()`",
        columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
    )]
    NoInverse {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// A component of the action is immutable.
    #[error(
        "the policy `{policy}` of recording `{recording}` cannot write `{component}`, which is an immutable component: derive \
         `Component` without `immutable`"
    )]
    Immutable {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
        /// The name of the component type.
        component: &'static str,
    },
    /// Names given to `write_with` or `write_resource_with` that are not columns of the action, or are written twice.
    #[error("the policy `{policy}` of recording `{recording}` writes the action `{column}`, {problem}")]
    Column {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
        /// The name.
        column: String,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// The schedule of `act_before` is neither in the main loop nor in the fixed loop.
    #[error(
        "the policy `{policy}` of recording `{recording}` acts before `{schedule}`, which is neither in the main loop nor in the \
         fixed loop: name a schedule of one of them, and add the plugin that adds it before the policy"
    )]
    Schedule {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
        /// The schedule.
        schedule: String,
    },
    /// The temperature is not a number above 0.
    #[error(
        "the policy `{policy}` of recording `{recording}` samples with the temperature {temperature}: give a number above 0"
    )]
    Temperature {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
        /// The temperature.
        temperature: f32,
    },
    /// The model cannot act for the recording.
    #[error("the policy `{policy}` of recording `{recording}`: {source}")]
    Model {
        /// The recording.
        recording: String,
        /// The policy.
        policy: String,
        /// What differs, and what to do.
        source: Box<ModelError>,
    },
}

fn known(recordings: &[String]) -> String {
    if recordings.is_empty() {
        return "add the recording before the policy".to_owned();
    }
    let names: Vec<_> = recordings.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "the recordings are {}; add a recording before its policy",
        names.join(", ")
    )
}

//! Why a recording cannot be set up, and what to do.

use crate::reflect::FieldError;
use core::fmt;
use experience_buffer::BufferError;
use experience_export::SinkError;

/// Why a recording cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A pool keeps the newest steps of all players together, and nothing else.
    #[error(
        "recording `{0}` asks for a pool, which drops the oldest steps: leave `buffer` and `overflow` as they are, or do not ask \
         for a pool"
    )]
    Pool(String),
    /// There is no plugin to give the recording to.
    #[error("recording `{0}` was added before `ExperiencePlugin`: add the plugin first")]
    NoPlugin(String),
    /// Captures have begun.
    #[error("recording `{0}` was added after the first capture: add recordings while the app is being set up")]
    TooLate(String),
    /// The name is taken, or empty.
    #[error("there is a recording `{0}` already: give each recording a name of its own")]
    DuplicateName(String),
    /// The name is empty.
    #[error("a recording needs a name: it names the folder of its data")]
    NoName,
    /// Nothing is observed.
    #[error("recording `{0}` observes nothing: add `observe::<T>()` for what its players see")]
    NoObservation(String),
    /// Two columns have one name.
    #[error(
        "recording `{recording}` has two columns `{column}`: observe one of them with `observe_with`, which names its own"
    )]
    DuplicateColumn {
        /// The recording.
        recording: String,
        /// The name.
        column: String,
    },
    /// Bounds were stated for a column that does not exist.
    #[error("recording `{recording}` states bounds for `{column}`, which is none of its columns: {known}")]
    UnknownColumn {
        /// The recording.
        recording: String,
        /// The name.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// A field cannot be recorded.
    #[error("recording `{recording}`: {source}")]
    Field {
        /// The recording.
        recording: String,
        /// Which field, why, and what to do.
        source: FieldError,
    },
    /// The match is not one integer.
    #[error("recording `{recording}`: `match_id` takes a component with one integer, and `{component}` is not one")]
    MatchId {
        /// The recording.
        recording: String,
        /// The component's name.
        component: String,
    },
    /// `act_in` names a schedule that is neither of the main nor of the fixed loop.
    #[error(
        "recording `{recording}`: `act_in` takes a schedule of the main or the fixed loop, and `{schedule}` is neither"
    )]
    Schedule {
        /// The recording.
        recording: String,
        /// The schedule.
        schedule: String,
    },
    /// Buffers of this size cannot be made.
    #[error("recording `{recording}`: {source}")]
    Buffer {
        /// The recording.
        recording: String,
        /// What is wrong, and what to do.
        source: BufferError,
    },
    /// The buffers of all recordings would take more memory than they may.
    #[error(
        "recording `{recording}` does not fit the memory budget:{arithmetic}\nThat is {} together, and the budget is {}: \
         {remedy} or set `ExperiencePlugin::memory_budget` to {together} or more",
        Mib(*together),
        Mib(*budget)
    )]
    OverBudget {
        /// The recording that is too much.
        recording: String,
        /// Bytes that all recordings' buffers would take.
        together: usize,
        /// Bytes that they may take.
        budget: usize,
        /// What each recording needs, a line each.
        arithmetic: String,
        /// What else would fit.
        remedy: String,
    },
    /// A sink says that it cannot work.
    #[error("recording `{recording}`: {source}")]
    Sink {
        /// The recording.
        recording: String,
        /// What is wrong, and what to do.
        source: SinkError,
    },
}

/// Bytes, as one reads them.
pub(super) struct Mib(pub(super) usize);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

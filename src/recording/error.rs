//! [`SetupError`]: why a recording cannot be set up.

use crate::reflect::FieldError;
use core::fmt;
use experience_buffer::BufferError;
use experience_export::SinkError;

/// Why a recording cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A pool was requested, and the buffer settings do not allow one: a pool overwrites the oldest steps.
    #[error(
        "recording `{0}` sets `pool_above` or `pool` of `PlayerScaling`, and a pool overwrites the oldest steps: leave `kind` and \
         `overflow` of `BufferSettings` at their defaults, or leave `pool_above` and `pool` unset"
    )]
    Pool(String),
    /// `ExperiencePlugin` was not added before.
    #[error("recording `{0}` was added to an app without `ExperiencePlugin`: add the plugin first")]
    NoPlugin(String),
    /// The first capture has already run.
    #[error("recording `{0}` was added after the first capture: add recordings while the app is being set up")]
    TooLate(String),
    /// Another recording has this name.
    #[error("there is a recording `{0}` already: give each recording a unique name")]
    DuplicateName(String),
    /// The name is empty.
    #[error("a recording needs a name: it names the folder of its data")]
    NoName,
    /// The observation is empty.
    #[error(
        "recording `{0}` observes nothing: add `observe::<T>()` or `observe_image::<T>()` for a component of its players"
    )]
    NoObservation(String),
    /// An image has no pixel, or too many.
    #[error(
        "recording `{recording}`: the image `{image}` has the shape {shape:?}: give `ImageShape` a height, a width and channels \
         above 0, and at most 32 MiB together"
    )]
    Image {
        /// The recording.
        recording: String,
        /// The image.
        image: String,
        /// Its height, width and channels.
        shape: Vec<usize>,
    },
    /// Two columns have the same name.
    #[error("recording `{recording}` has two columns `{column}`: {remedy}")]
    DuplicateColumn {
        /// The recording.
        recording: String,
        /// The name.
        column: String,
        /// How to rename one, which depends on the part of the row.
        remedy: String,
    },
    /// Bounds of a column that are not an interval.
    #[error(
        "recording `{recording}` sets the bounds of `{column}` to {low} and {high}: give two numbers with `low <= high`"
    )]
    Bounds {
        /// The recording.
        recording: String,
        /// The column.
        column: String,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Bounds for a column that does not exist.
    #[error("recording `{recording}` sets the bounds of `{column}`, which is not one of its columns: {known}")]
    UnknownColumn {
        /// The recording.
        recording: String,
        /// The name.
        column: String,
        /// The names of the columns, separated by commas.
        known: String,
    },
    /// Labels of the choices of an action that do not fit it.
    #[error("recording `{recording}` sets the labels of the choices of `{column}`, {problem}")]
    ChoiceLabels {
        /// The recording.
        recording: String,
        /// The column.
        column: String,
        /// What is wrong with them, and the remedy.
        problem: String,
    },
    /// A field cannot be recorded.
    #[error("recording `{recording}`: {source}")]
    Field {
        /// The recording.
        recording: String,
        /// The field, the reason and the remedy.
        source: FieldError,
    },
    /// A resource was to be read as a component of players.
    #[error(
        "recording `{recording}` reads `{resource}` as a component, and it is a resource, which no player has: {remedy}"
    )]
    Resource {
        /// The recording.
        recording: String,
        /// The name of the resource type.
        resource: String,
        /// The methods for resources.
        remedy: String,
    },
    /// A system cannot compute values of rows.
    #[error("recording `{recording}`: the system `{system}` {problem}")]
    System {
        /// The recording.
        recording: String,
        /// The name of the system.
        system: String,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// An entity list that cannot be recorded.
    #[error("recording `{recording}`: the entity list `{list}` {problem}")]
    EntityList {
        /// The recording.
        recording: String,
        /// The name of the list.
        list: String,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// The component of the match id does not hold exactly one integer.
    #[error("recording `{recording}`: `match_id` takes a component with one integer, and `{component}` is not one")]
    MatchId {
        /// The recording.
        recording: String,
        /// The type path of the component.
        component: String,
    },
    /// The schedule of `read_actions_after` is neither in the main loop nor in the fixed loop.
    #[error(
        "recording `{recording}`: `read_actions_after` takes a schedule of the main loop or the fixed loop, and `{schedule}` is \
         in neither: name another, or add the plugin that adds it to a loop before the recording"
    )]
    Schedule {
        /// The recording.
        recording: String,
        /// The schedule.
        schedule: String,
    },
    /// A setting that conflicts with [`decision_on_demand`](super::Recording::decision_on_demand).
    #[error(
        "recording `{recording}`: `decision_on_demand` ends a step at the next request, so `{setting}` has no meaning: {remedy}"
    )]
    DecisionOnDemand {
        /// The recording.
        recording: String,
        /// The other setting.
        setting: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Buffers with these settings cannot be created.
    #[error("recording `{recording}`: {source}")]
    Buffer {
        /// The recording.
        recording: String,
        /// The reason and the remedy.
        source: BufferError,
    },
    /// The buffers of all recordings together exceed the memory budget.
    #[error(
        "recording `{recording}` does not fit the memory budget:{arithmetic}\nThat is {} together, and the budget is {}: \
         {remedy} or set `ExperiencePlugin::memory_budget` to {together} or more",
        Mib(*together),
        Mib(*budget)
    )]
    OverBudget {
        /// The recording that exceeds it.
        recording: String,
        /// Bytes of the buffers of all recordings.
        together: usize,
        /// Bytes of the budget.
        budget: usize,
        /// The estimate of each recording, one per line.
        arithmetic: String,
        /// Settings that would fit.
        remedy: String,
    },
    /// A sink refused the recording.
    #[error("recording `{recording}`: {source}")]
    Sink {
        /// The recording.
        recording: String,
        /// The reason and the remedy.
        source: SinkError,
    },
}

/// Displays a number of bytes in MiB.
pub(super) struct Mib(pub(super) usize);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

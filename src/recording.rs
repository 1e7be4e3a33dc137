//! [`Recording`]: declares the observations, actions, rewards, rules and sinks of one stream of transitions.

mod action_columns;
mod actions;
mod build;
mod episode_rules;
mod error;
mod images;

mod lists;
mod memory_estimate;
mod observations;
mod rules;
mod scaling;
mod sources;
mod timing;

pub use crate::reflect::{ColumnBounds, ColumnName, snake_case};
pub(crate) use build::{BuildContext, BuiltRecording};
pub use episode_rules::EpisodeRules;
pub use error::SetupError;
pub(crate) use memory_estimate::MemoryEstimate;
pub use scaling::PlayerScaling;
pub(crate) use timing::GivenTiming;

use crate::{
    episode::{DecisionTick, RecordMode},
    plugin::TeamPlan,
};
use bevy_ecs::{component::Component, schedule::InternedScheduleLabel};
use core::marker::PhantomData;
use experience_buffer::BufferSettings;
use experience_export::Sink;
use lists::ListDeclaration;
use sources::{MatchPlan, SourcePlan};

/// Builder of a recording of all entities with the marker component `P`, its players.
///
/// A recording is one stream of transitions with one schema, like a table of Reverb, a behavior of ML-Agents or a
/// module of RLlib. Columns of the observation are in the order of the calls.
///
/// Pass it to [`add_recording`](crate::plugin::ExperienceAppExt::add_recording), which rejects a field that cannot be
/// recorded with its path and the remedy.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_reflect::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component)] struct Fighter;
/// # #[derive(Component, Reflect)] struct Health(f32);
/// # #[derive(Component, Reflect)] struct Intent { turn: f32, shoot: bool }
/// let recording = Recording::<Fighter>::new("fighter")
///     .observe::<Health>()
///     .act::<Intent>()
///     .reward_terms(["alive", "hit"])
///     .sink(MemorySink::default());
/// ```
///
/// # Names and bounds of columns
/// A component can name its columns and state their bounds with [`ColumnName`] and
/// [`ColumnBounds`], as attributes of `Reflect`. [`bounds`](Self::bounds) overrides
/// them for one recording.
///
/// # Settings
/// [`episodes`](Self::episodes) sets the rules of episodes, [`buffers`](Self::buffers) the settings of each buffer, and
/// [`scaling`](Self::scaling) the number of players to prepare for. Each call replaces all settings of its kind.
#[must_use = "a recording does nothing until it is given to `App::add_recording`"]
pub struct Recording<P> {
    spec: RecordingSpec,
    marker: PhantomData<fn() -> P>,
}

/// A [`Recording`] without the type of its marker.
pub(crate) struct RecordingSpec {
    pub(crate) name: String,
    version: Option<String>,
    observation: Vec<SourcePlan>,
    images: Vec<SourcePlan>,
    lists: Vec<ListDeclaration>,
    mask: Option<SourcePlan>,
    action: Vec<SourcePlan>,
    info: Vec<SourcePlan>,
    match_id: Option<MatchPlan>,
    reward_terms: Vec<String>,
    team: Option<TeamPlan>,
    bounds: Vec<(String, f64, f64)>,
    action_bounds: Vec<(String, f64, f64)>,
    choice_labels: Vec<(String, Vec<String>)>,
    allows_lossy: bool,
    mode: RecordMode,
    decision_interval: u32,
    decision_tick: DecisionTick,
    decides_on_demand: bool,
    trusts_change_ticks: bool,
    episodes: EpisodeRules,
    capture_after: Option<InternedScheduleLabel>,
    read_actions_after: Option<InternedScheduleLabel>,
    buffers: BufferSettings,
    scaling: PlayerScaling,
    sinks: Vec<Box<dyn Sink>>,
}

impl<P: Component> Recording<P> {
    /// A recording without columns. Its name must be unique in the app, and names the folder of its dataset.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            spec: RecordingSpec {
                name: name.into(),
                version: None,
                observation: Vec::new(),
                images: Vec::new(),
                lists: Vec::new(),
                mask: None,
                action: Vec::new(),
                info: Vec::new(),
                match_id: None,
                reward_terms: Vec::new(),
                team: None,
                bounds: Vec::new(),
                action_bounds: Vec::new(),
                choice_labels: Vec::new(),
                allows_lossy: false,
                mode: RecordMode::default(),
                decision_interval: 1,
                decision_tick: DecisionTick::default(),
                decides_on_demand: false,
                trusts_change_ticks: false,
                episodes: EpisodeRules::default(),
                capture_after: None,
                read_actions_after: None,
                buffers: BufferSettings::default(),
                scaling: PlayerScaling::default(),
                sinks: Vec::new(),
            },
            marker: PhantomData,
        }
    }

    /// The name that was given to [`new`](Self::new), for extensions that add methods to recordings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub(crate) fn into_spec(self) -> RecordingSpec {
        self.spec
    }

    fn edit(mut self, change: impl FnOnce(&mut RecordingSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Adds a source of observations.
    fn observed(self, plan: SourcePlan) -> Self {
        self.edit(|spec| spec.observation.push(plan))
    }

    /// Adds a source of actions.
    fn acted(self, plan: SourcePlan) -> Self {
        self.edit(|spec| spec.action.push(plan))
    }

    /// Adds a sink. Each sink of a recording receives every episode.
    pub fn sink(self, sink: impl Sink) -> Self {
        self.edit(|spec| spec.sinks.push(Box::new(sink)))
    }
}

//! [`Recording`]: declares the observations, actions, rewards, rules and sinks of one stream of transitions.

mod build;
mod episode_rules;
mod error;
mod memory_estimate;
mod scaling;
mod sources;

pub use crate::reflect::{ColumnBounds, ColumnName};
pub(crate) use build::{BuildContext, BuiltRecording};
pub use episode_rules::EpisodeRules;
pub use error::SetupError;
pub(crate) use memory_estimate::MemoryEstimate;
pub use scaling::PlayerScaling;

use crate::{
    capture::{Nearest, RowPart},
    episode::{DecisionTick, RecordMode},
    reflect::root_name,
};
use bevy_ecs::{
    component::Component,
    resource::Resource,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_reflect::{Reflect, TypeInfo, TypePath, Typed};
use core::marker::PhantomData;
use experience_buffer::BufferSettings;
use experience_core::schema::{Column, DType, Space};
use experience_export::Sink;
use sources::{MatchPlan, SourcePlan, custom_plan, fields_plan, match_plan, nearest_plan, resource_plan};

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
    mask: Option<SourcePlan>,
    action: Vec<SourcePlan>,
    info: Vec<SourcePlan>,
    match_id: Option<MatchPlan>,
    reward_terms: Vec<String>,
    bounds: Vec<(String, f64, f64)>,
    allows_lossy: bool,
    mode: RecordMode,
    decision_interval: u32,
    decision_tick: DecisionTick,
    trusts_change_ticks: bool,
    episodes: EpisodeRules,
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
                mask: None,
                action: Vec::new(),
                info: Vec::new(),
                match_id: None,
                reward_terms: Vec::new(),
                bounds: Vec::new(),
                allows_lossy: false,
                mode: RecordMode::default(),
                decision_interval: 1,
                decision_tick: DecisionTick::default(),
                trusts_change_ticks: false,
                episodes: EpisodeRules::default(),
                read_actions_after: None,
                buffers: BufferSettings::default(),
                scaling: PlayerScaling::default(),
                sinks: Vec::new(),
            },
            marker: PhantomData,
        }
    }

    pub(crate) fn into_spec(self) -> RecordingSpec {
        self.spec
    }

    fn edit(mut self, change: impl FnOnce(&mut RecordingSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Observes every leaf of the component `T`.
    pub fn observe<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| {
            spec.observation
                .push(fields_plan::<T>(RowPart::Observation, root_name::<T>(), None));
        })
    }

    /// Observes the given fields of the component `T`, in this order. A field is a path such as `"translation.x"`, of
    /// the names that the Rust fields have; a path to a struct selects all of its leaves.
    pub fn observe_fields<T: Component + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let fields = fields.into_iter().map(Into::into).collect();
        self.edit(|spec| {
            spec.observation
                .push(fields_plan::<T>(RowPart::Observation, root_name::<T>(), Some(fields)));
        })
    }

    /// Observes values that `encode` computes from the component `T`, one per name. For types that reflection cannot
    /// flatten. `encode` gets a slice with one element per name, whose initial contents are unspecified.
    pub fn observe_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let columns = names.into_iter().map(Column::feature).collect();
        self.edit(|spec| {
            spec.observation
                .push(custom_plan::<T>(RowPart::Observation, columns, move |value, bytes| {
                    encode(value, bytemuck::cast_slice_mut(bytes));
                }));
        })
    }

    /// Observes every leaf of the resource `R`, with the same values for all players.
    pub fn observe_resource<R: Resource + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.observation.push(resource_plan::<R>()))
    }

    /// Observes the `count` nearest other entities with the component `T` within a distance of `within`: columns
    /// `present`, `dx`, `dy` and `dz` for each. [`Nearest`] has settings for the plane and further fields.
    pub fn observe_nearest<T: Component + TypePath>(self, count: usize, within: f32) -> Self {
        self.observe_nearest_with(Nearest::<T>::new(count, within))
    }

    /// Observes the nearest other entities with the settings of `nearest`.
    pub fn observe_nearest_with<T: Component + TypePath>(self, nearest: Nearest<T>) -> Self {
        self.edit(|spec| spec.observation.push(nearest_plan(nearest)))
    }

    /// Records every leaf of the component `T` as part of the action. Numbers keep their types; a fieldless enum, or a
    /// `bool`, is a discrete choice.
    pub fn act<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| {
            spec.action
                .push(fields_plan::<T>(RowPart::Action, root_name::<T>(), None));
        })
    }

    /// Records values that `encode` computes from the component `T`, one per name, as a continuous part of the action.
    pub fn act_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let columns = names.into_iter().map(Column::feature).collect();
        self.edit(|spec| {
            spec.action
                .push(custom_plan::<T>(RowPart::Action, columns, move |value, bytes| {
                    encode(value, bytemuck::cast_slice_mut(bytes));
                }));
        })
    }

    /// Records the choice that `choose` computes from the component `T` as a discrete part of the action: in `0..n`.
    pub fn act_discrete_with<T: Component>(
        self,
        name: impl Into<String>,
        n: u64,
        choose: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) -> Self {
        let space = Space::Discrete { n, labels: Vec::new() };
        let columns = vec![Column::scalar(name, DType::I64, space)];
        self.edit(|spec| {
            spec.action
                .push(custom_plan::<T>(RowPart::Action, columns, move |value, bytes| {
                    bytes.copy_from_slice(&choose(value).to_ne_bytes());
                }));
        })
    }

    /// Reads actions and info right after `schedule` instead of at capture. For games that clear the intent when they
    /// consume it, or write the next one before the capture.
    ///
    /// `schedule` is a schedule of the main loop or the fixed loop, such as `FixedPreUpdate`.
    pub fn read_actions_after(self, schedule: impl ScheduleLabel) -> Self {
        self.edit(|spec| spec.read_actions_after = Some(schedule.intern()))
    }

    /// Records which choices of the discrete action are valid: every leaf of `T` is a `bool`, in the order of the
    /// choices.
    pub fn action_mask<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.mask = Some(fields_plan::<T>(RowPart::Mask, root_name::<T>(), None)))
    }

    /// Records every leaf of `T` in addition to the action, such as `behavior_logp` or `policy_version`. Columns of a
    /// struct have the names of its fields, without the name of the struct.
    pub fn info<T: Component + Reflect + Typed>(self) -> Self {
        let root = match T::type_info() {
            TypeInfo::Struct(_) => String::new(),
            _ => root_name::<T>(),
        };
        self.edit(|spec| spec.info.push(fields_plan::<T>(RowPart::Info, root, None)))
    }

    /// Records the match that a player is in: the one integer in the component `T`.
    ///
    /// An episode is of one match. When the id of a player changes, or it gets or loses the component, its episode is split:
    /// it ends `truncated` with the reason `split`, and the next one
    /// [`continues`](experience_core::transition::EpisodeInfo::continues) it.
    pub fn match_id<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.match_id = Some(match_plan::<T>()))
    }

    /// Declares terms of the reward. Each gets a column in addition to the column of the sum.
    pub fn reward_terms(self, terms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.edit(|spec| spec.reward_terms.extend(terms.into_iter().map(Into::into)))
    }

    /// Sets the bounds of the column `name` in the spaces of a dataset, in place of those of its type or of its
    /// [`ColumnBounds`]. An infinite bound means unbounded. Values are not clamped.
    ///
    /// A column that does not exist, `low > high` and NaN are rejected at set-up.
    pub fn bounds(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.edit(|spec| spec.bounds.push((name.into(), low, high)))
    }

    /// Allows `f64` and 64-bit integers in observations. They are rounded to `f32`.
    pub fn allow_lossy(self) -> Self {
        self.edit(|spec| spec.allows_lossy = true)
    }

    /// Sets the number of ticks per decision, 1 by default. A transition lasts this many ticks and sums their rewards.
    ///
    /// # Panics
    /// When `ticks` is 0.
    #[track_caller]
    pub fn decision_interval(self, ticks: u32) -> Self {
        assert!(
            ticks > 0,
            "a decision takes at least one tick: `decision_interval(1)` decides at every tick"
        );
        self.edit(|spec| spec.decision_interval = ticks)
    }

    /// Sets the tick of a decision interval that provides the action.
    pub fn decision_tick(self, tick: DecisionTick) -> Self {
        self.edit(|spec| spec.decision_tick = tick)
    }

    /// Sets which captures write a row.
    pub fn mode(self, mode: RecordMode) -> Self {
        self.edit(|spec| spec.mode = mode)
    }

    /// Skips reading a player when no component of it was accessed mutably since the last capture, by Bevy's change
    /// ticks. The player counts as unchanged. Applies if [`mode`](Self::mode) is [`OnChange`](RecordMode::OnChange).
    ///
    /// Rows are the same as without it as long as change ticks report every change. They do not report
    ///
    /// - writes through
    ///   [`bypass_change_detection`](bevy_ecs::change_detection::DetectChangesMut::bypass_change_detection), and unsafe
    ///   code that does not set ticks;
    /// - writes through a shared reference: atomics, cells, locks;
    /// - inputs of a function given to [`observe_with`](Self::observe_with) or similar other than the component.
    ///
    /// Such a change is recorded late, with the next change that ticks report.
    ///
    /// A player that was missing at the last capture is always read. All players are read when an
    /// [observed resource](Self::observe_resource) has changed, and always with
    /// [`observe_nearest`](Self::observe_nearest). Has no effect with [`decision_interval`](Self::decision_interval),
    /// with [`read_actions_after`](Self::read_actions_after), or if every tick writes a row.
    pub fn trust_change_ticks(self) -> Self {
        self.edit(|spec| spec.trusts_change_ticks = true)
    }

    /// Sets when episodes start, end and are split.
    ///
    /// # Panics
    /// When `max_steps` is 0.
    #[track_caller]
    pub fn episodes(self, rules: EpisodeRules) -> Self {
        assert!(
            rules.max_steps > 0,
            "an episode has at least one step: set `EpisodeRules::max_steps` to 1 or more"
        );
        self.edit(|spec| spec.episodes = rules)
    }

    /// Sets the kind, capacity, memory and overflow policy of each player's buffer.
    ///
    /// # Panics
    /// When `capacity` is 0.
    #[track_caller]
    pub fn buffers(self, settings: BufferSettings) -> Self {
        assert!(
            settings.capacity > 0,
            "a buffer holds at least one step: set `BufferSettings::capacity` to 1 or more"
        );
        self.edit(|spec| spec.buffers = settings)
    }

    /// Sets the expected number of players, and the numbers above which they share a pool and are captured in parallel.
    ///
    /// # Panics
    /// When `expected_players` is 0.
    #[track_caller]
    pub fn scaling(self, scaling: PlayerScaling) -> Self {
        assert!(
            scaling.expected_players > 0,
            "a recording has at least one player: set `PlayerScaling::expected_players` to 1 or more"
        );
        self.edit(|spec| spec.scaling = scaling)
    }

    /// Sets the version of the columns' semantics, which is part of the schema's hash. Change it when the same columns
    /// get a new meaning.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.edit(|spec| spec.version = Some(version.into()))
    }

    /// Adds a sink. Each sink of a recording receives every episode.
    pub fn sink(self, sink: impl Sink) -> Self {
        self.edit(|spec| spec.sinks.push(Box::new(sink)))
    }
}

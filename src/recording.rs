//! What to record about which players.

mod build;
mod crowd;
mod error;
mod need;

pub(crate) use build::{BuildContext, Built};
pub use error::SetupError;
pub(crate) use need::Need;

use crate::{
    capture::{Nearest, Part},
    episode::{CaptureRules, DecisionTick, EpisodeStart, FinalObservation, NonFinite, RecordMode},
    reflect::root_name,
};
use bevy_ecs::{
    component::Component,
    resource::Resource,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_reflect::{Reflect, TypeInfo, TypePath, Typed};
use build::{Plan, custom_plan, fields_plan, match_plan, nearest_plan, resource_plan};
use core::marker::PhantomData;
use experience_buffer::{BufferKind, BufferSettings, Memory, Overflow, pool::PoolSettings};
use experience_core::{
    schema::{Column, DType, Space},
    transition::Outcome,
};
use experience_export::Sink;

/// Everything that is recorded about players marked by the component `P`.
///
/// A recording is one stream of alike players with one schema: Reverb's table, ML-Agents' behaviour, RLlib's module. The
/// columns of an observation stand in the order of the calls.
///
/// Give it to [`add_recording`](crate::plugin::ExperienceAppExt::add_recording), which refuses what cannot be recorded, by name and with
/// the remedy.
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
#[must_use = "a recording does nothing until it is given to `App::add_recording`"]
pub struct Recording<P> {
    spec: Spec,
    of: PhantomData<fn() -> P>,
}

/// A recording whose marker is not written in its type any more.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) observation: Vec<Plan>,
    pub(crate) mask: Option<Plan>,
    pub(crate) action: Vec<Plan>,
    pub(crate) info: Vec<Plan>,
    pub(crate) match_id: Option<build::MatchPlan>,
    pub(crate) reward_terms: Vec<String>,
    pub(crate) bounds: Vec<(String, f64, f64)>,
    pub(crate) narrow: bool,
    pub(crate) rules: CaptureRules,
    pub(crate) act_in: Option<InternedScheduleLabel>,
    pub(crate) buffers: BufferSettings,
    pub(crate) pool_above: Option<usize>,
    pub(crate) pool: Option<PoolSettings>,
    pub(crate) parallel_above: Option<usize>,
    pub(crate) players: usize,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
}

/// The longest episode, in transitions, unless `max_episode_steps` says otherwise.
const MAX_EPISODE_STEPS: u32 = 65_536;

/// Players expected at once, unless `players` says otherwise.
const PLAYERS: usize = 16;

impl<P: Component> Recording<P> {
    /// An empty recording. Names must be unique in an app; they name the folder of a dataset.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            spec: Spec {
                name: name.into(),
                version: None,
                observation: Vec::new(),
                mask: None,
                action: Vec::new(),
                info: Vec::new(),
                match_id: None,
                reward_terms: Vec::new(),
                bounds: Vec::new(),
                narrow: false,
                rules: CaptureRules {
                    mode: RecordMode::default(),
                    every: 1,
                    decision: DecisionTick::default(),
                    non_finite: NonFinite::default(),
                    on_despawn: Outcome::Truncated,
                    start: EpisodeStart::default(),
                    final_observation: FinalObservation::default(),
                    max_episode_steps: MAX_EPISODE_STEPS,
                    acts_early: false,
                    trusts_ticks: false,
                },
                act_in: None,
                buffers: BufferSettings::default(),
                pool_above: None,
                pool: None,
                parallel_above: None,
                players: PLAYERS,
                sinks: Vec::new(),
            },
            of: PhantomData,
        }
    }

    pub(crate) fn into_spec(self) -> Spec {
        self.spec
    }

    fn edit(mut self, change: impl FnOnce(&mut Spec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Observes every leaf of the component `T`.
    pub fn observe<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| {
            spec.observation
                .push(fields_plan::<T>(Part::Observation, root_name::<T>(), None));
        })
    }

    /// Observes these fields of the component `T`, in this order: `"translation.x"`; a path to a struct takes all of its
    /// leaves.
    pub fn observe_fields<T: Component + Reflect + Typed>(
        self,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let fields = fields.into_iter().map(Into::into).collect();
        self.edit(|spec| {
            spec.observation
                .push(fields_plan::<T>(Part::Observation, root_name::<T>(), Some(fields)));
        })
    }

    /// Observes what `encode` makes of the component `T`: as many values as there are names. The way out for types that
    /// reflection cannot flatten. The slice holds zeros, or what was written to it before.
    pub fn observe_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let columns = names.into_iter().map(Column::feature).collect();
        self.edit(|spec| {
            spec.observation
                .push(custom_plan::<T>(Part::Observation, columns, move |value, bytes| {
                    encode(value, bytemuck::cast_slice_mut(bytes));
                }));
        })
    }

    /// Observes every leaf of the resource `R`, the same for all players.
    pub fn observe_resource<R: Resource + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.observation.push(resource_plan::<R>()))
    }

    /// Observes the `count` nearest others with the component `T` at most `within` units away: `present`, `dx`, `dy`, `dz`
    /// for each. See [`Nearest`] for planes and fields.
    pub fn observe_nearest<T: Component + TypePath>(self, count: usize, within: f32) -> Self {
        self.observe_nearest_with(Nearest::<T>::new(count, within))
    }

    /// Observes the nearest others, as described by `nearest`.
    pub fn observe_nearest_with<T: Component + TypePath>(self, nearest: Nearest<T>) -> Self {
        self.edit(|spec| spec.observation.push(nearest_plan(nearest)))
    }

    /// Records every leaf of the component `T` as part of the action. Numbers keep their types; a fieldless enum, or a
    /// `bool`, is a discrete choice.
    pub fn act<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.action.push(fields_plan::<T>(Part::Action, root_name::<T>(), None)))
    }

    /// Records what `encode` makes of the component `T` as a continuous part of the action.
    pub fn act_with<T: Component>(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
        encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let columns = names.into_iter().map(Column::feature).collect();
        self.edit(|spec| {
            spec.action
                .push(custom_plan::<T>(Part::Action, columns, move |value, bytes| {
                    encode(value, bytemuck::cast_slice_mut(bytes));
                }));
        })
    }

    /// Records what `choose` makes of the component `T` as a discrete part of the action: one of `n`, counted from 0.
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
                .push(custom_plan::<T>(Part::Action, columns, move |value, bytes| {
                    bytes.copy_from_slice(&choose(value).to_ne_bytes());
                }));
        })
    }

    /// Reads actions and info at the end of `schedule`, not at capture: for games that clear the intent when they use it,
    /// or write the next one early.
    ///
    /// `schedule` is one of the main loop or of the fixed loop, such as `FixedPreUpdate`.
    pub fn act_in(self, schedule: impl ScheduleLabel) -> Self {
        self.edit(|spec| {
            spec.act_in = Some(schedule.intern());
            spec.rules.acts_early = true;
        })
    }

    /// Records which of the discrete alternatives were allowed: every leaf of `T` is a `bool`, in the order of the
    /// alternatives.
    pub fn action_mask<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.mask = Some(fields_plan::<T>(Part::Mask, root_name::<T>(), None)))
    }

    /// Records every leaf of `T` beside the action: `behavior_logp`, `policy_version`. Fields of a struct are named by
    /// their own names alone.
    pub fn info<T: Component + Reflect + Typed>(self) -> Self {
        let root = match T::type_info() {
            TypeInfo::Struct(_) => String::new(),
            _ => root_name::<T>(),
        };
        self.edit(|spec| spec.info.push(fields_plan::<T>(Part::Info, root, None)))
    }

    /// Says which match of the process a player is in: the one integer in the component `T`.
    pub fn match_id<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.match_id = Some(match_plan::<T>()))
    }

    /// Declares the terms of the reward, which get columns of their own beside the sum.
    pub fn reward_terms(self, terms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.edit(|spec| spec.reward_terms.extend(terms.into_iter().map(Into::into)))
    }

    /// States the bounds of the column called `name`, for the spaces of a dataset. Values are not clamped.
    pub fn bounds(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.edit(|spec| spec.bounds.push((name.into(), low, high)))
    }

    /// Allows `f64` and 64-bit integers in observations, rounded to `f32`.
    pub fn narrow(self) -> Self {
        self.edit(|spec| spec.narrow = true)
    }

    /// Decides every `ticks` ticks: transitions last so long, their rewards sum, and the action is the first tick's.
    ///
    /// # Panics
    /// When `ticks` is 0.
    #[track_caller]
    pub fn every(self, ticks: u32) -> Self {
        assert!(
            ticks > 0,
            "a decision takes at least one tick: `every(1)` is every tick"
        );
        self.edit(|spec| spec.rules.every = ticks)
    }

    /// Which tick of a decision gives the action.
    pub fn decision_tick(self, tick: DecisionTick) -> Self {
        self.edit(|spec| spec.rules.decision = tick)
    }

    /// Which captures write a row.
    pub fn mode(self, mode: RecordMode) -> Self {
        self.edit(|spec| spec.rules.mode = mode)
    }

    /// Leaves a player unread whose components nobody accessed mutably since the last capture, by Bevy's change ticks, where
    /// [`mode`](Self::mode) is [`OnChange`](RecordMode::OnChange): what is left unread counts as unchanged. The rows are the
    /// same as without, as long as ticks tell of every change. They do not tell of
    ///
    /// - writes through [`bypass_change_detection`](bevy_ecs::change_detection::DetectChangesMut::bypass_change_detection), and
    ///   unsafe code that leaves ticks alone;
    /// - values behind a shared reference: atomics, cells, locks;
    /// - what a function given to [`observe_with`](Self::observe_with) or the like reads besides the component.
    ///
    /// Such a change is recorded late, with the next one that ticks tell of.
    ///
    /// A player who was not seen at the last capture is read in any case. So are all where a resource that is
    /// [observed](Self::observe_resource) has changed, and always where [others](Self::observe_nearest) are. With
    /// [`every`](Self::every) or [`act_in`](Self::act_in), and where every tick writes a row, this changes nothing.
    pub fn trust_change_ticks(self) -> Self {
        self.edit(|spec| spec.rules.trusts_ticks = true)
    }

    /// What is done with values that are NaN or infinite.
    pub fn non_finite(self, rule: NonFinite) -> Self {
        self.edit(|spec| spec.rules.non_finite = rule)
    }

    /// Whether a despawn in mid-episode truncates it (the player left) or terminates it (the player died).
    pub fn on_despawn(self, outcome: Outcome) -> Self {
        self.edit(|spec| spec.rules.on_despawn = outcome)
    }

    /// When the next episode of a player begins.
    pub fn start(self, start: EpisodeStart) -> Self {
        self.edit(|spec| spec.rules.start = start)
    }

    /// When the final observation is read.
    pub fn final_observation(self, when: FinalObservation) -> Self {
        self.edit(|spec| spec.rules.final_observation = when)
    }

    /// The longest episode, in transitions; longer ones are split, and linked by `continues`. 65,536 if not set.
    ///
    /// # Panics
    /// When `steps` is 0.
    #[track_caller]
    pub fn max_episode_steps(self, steps: u32) -> Self {
        assert!(steps > 0, "an episode has at least one step");
        self.edit(|spec| spec.rules.max_episode_steps = steps)
    }

    /// Names what the columns mean now, as part of the schema's hash: change it when the same columns get a new meaning.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.edit(|spec| spec.version = Some(version.into()))
    }

    /// Which implementation each player's buffer has.
    pub fn buffer(self, kind: BufferKind) -> Self {
        self.edit(|spec| spec.buffers.kind = kind)
    }

    /// How many steps each player's buffer holds; rounded up to a power of two.
    ///
    /// # Panics
    /// When `steps` is 0.
    #[track_caller]
    pub fn capacity(self, steps: usize) -> Self {
        assert!(steps > 0, "a buffer holds at least one step");
        self.edit(|spec| spec.buffers.capacity = steps)
    }

    /// How many players have buffers of their own; 4,096 if not set. Players who join when there are that many share a
    /// [pool](experience_buffer::pool), which is made for the first of them: it takes the same memory for any number of players,
    /// and keeps the newest steps of all of them together. With 0 all players share.
    ///
    /// A pool drops the oldest: recordings with another [`overflow`](Self::overflow) or [`buffer`](Self::buffer) have none.
    pub fn pool_above(self, players: usize) -> Self {
        self.edit(|spec| spec.pool_above = Some(players))
    }

    /// How large the pool is that players [share](Self::pool_above), and where it lies; 256 MiB, where the buffers lie, if
    /// not set.
    pub fn pool(self, settings: PoolSettings) -> Self {
        self.edit(|spec| spec.pool = Some(settings))
    }

    /// How many players are captured one after the other; if not set 20,000, or 600 where they
    /// [see the nearest others](Self::observe_nearest), which takes longer than all else. When there are more, the threads of the
    /// [`ComputeTaskPool`](bevy_tasks::ComputeTaskPool) share them out, and the rows are the same. With `usize::MAX` one thread
    /// captures all.
    ///
    /// Where there is no such pool, or one processor, one thread does in any case; and where a recording does not write a row
    /// of every player at every tick, because it has [`every`](Self::every), [`mode`](Self::mode) or
    /// [`act_in`](Self::act_in), or because it is paused. When very many players come, go or move between archetypes at once,
    /// one thread does for a capture. A thread that captures allocates a fixed number of times for it.
    ///
    /// Functions given to [`observe_with`](Self::observe_with) and the like are called by several threads at once.
    pub fn parallel_above(self, players: usize) -> Self {
        self.edit(|spec| spec.parallel_above = Some(players))
    }

    /// How many players are expected at once; 16 if not set.
    ///
    /// The buffers of so many, of all recordings together, must fit
    /// [`memory_budget`](crate::plugin::ExperiencePlugin::memory_budget), or the recording is refused. More may join: those
    /// for whom nothing is left are not recorded, and counted. Above [`pool_above`](Self::pool_above), players share.
    ///
    /// If so many share, their pool is made while the app is set up, on huge pages where the system has some, and all of its
    /// memory is taken at once. A crowd that nobody expected is captured more slowly: its pool is made when it is there, on
    /// ordinary pages, and the game waits a little for each when it is first written.
    ///
    /// # Panics
    /// When `players` is 0.
    #[track_caller]
    pub fn players(self, players: usize) -> Self {
        assert!(players > 0, "a recording is of at least one player");
        self.edit(|spec| spec.players = players)
    }

    /// What happens when a buffer is full of steps that the exporter has not taken yet.
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.edit(|spec| spec.buffers.overflow = overflow)
    }

    /// Where each player's buffer lies: on the heap, near a processor, or in a file that survives the death of the process.
    pub fn memory(self, memory: Memory) -> Self {
        self.edit(|spec| spec.buffers.memory = memory)
    }

    /// Asks the system for transparent huge pages, for buffers of 2 MiB and more. Whoever writes such a page first waits until
    /// the system has cleared it, and has room for it: that can take longer than a tick. A pool for players who are
    /// [expected](Self::players) lies on huge pages anyway, and nobody waits for those.
    pub fn huge_pages(self) -> Self {
        self.edit(|spec| spec.buffers.huge_pages = true)
    }

    /// Adds a sink. Every sink gets every episode.
    pub fn sink(self, sink: impl Sink) -> Self {
        self.edit(|spec| spec.sinks.push(Box::new(sink)))
    }
}

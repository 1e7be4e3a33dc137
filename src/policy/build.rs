//! [`Policy`]: declares a policy of a recording.

use super::{
    error::PolicySetupError,
    slot::PolicySlot,
    source::{LoadFn, ModelSource},
    write::{ActionWriters, CustomWriter},
};
use crate::capture::ActionWriter;
use bevy_ecs::{
    component::{Component, Mutable},
    resource::Resource,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use core::{marker::PhantomData, time::Duration};
use experience_core::schema::Schema;
use experience_policy::{ModelError, PolicyLayout, PolicyModel, RandomModel, Sampling};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Builder of a policy, which acts for players with the marker component `P`.
///
/// Pass it to [`add_policy`](crate::plugin::ExperienceAppExt::add_policy), after the recording that it names. See the
/// [module](crate::policy).
#[must_use = "a policy does nothing until it is given to `App::add_policy`"]
pub struct Policy<P> {
    spec: PolicySpec,
    marker: PhantomData<fn() -> P>,
}

/// A [`Policy`] without the type of its marker.
pub(crate) struct PolicySpec {
    pub(crate) recording: String,
    pub(crate) name: String,
    source: Option<ModelSource>,
    version: Option<i64>,
    sampling: Option<Sampling>,
    seed: u64,
    time_limit: Option<Duration>,
    reload_interval: Duration,
    pub(crate) act_before: Option<InternedScheduleLabel>,
    writers: Vec<CustomWriter>,
}

impl<P: Component> Policy<P> {
    /// A policy for the players of a recording, without a model.
    pub fn for_recording(recording: impl Into<String>) -> Self {
        Self {
            spec: PolicySpec {
                recording: recording.into(),
                name: "policy".to_owned(),
                source: None,
                version: None,
                sampling: None,
                seed: 0,
                time_limit: None,
                reload_interval: Duration::from_millis(500),
                act_before: None,
                writers: Vec::new(),
            },
            marker: PhantomData,
        }
    }

    pub(crate) fn into_spec(self) -> PolicySpec {
        self.spec
    }

    fn edit(mut self, change: impl FnOnce(&mut PolicySpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Sets the name, `policy` by default: players act by it with [`PolicyControlled::by`](super::PolicyControlled::by), where a
    /// recording has several policies.
    pub fn named(self, name: impl Into<String>) -> Self {
        self.edit(|spec| spec.name = name.into())
    }

    /// Acts by a model: a closure, or a type of the game's own.
    pub fn model(self, model: impl PolicyModel) -> Self {
        self.edit(|spec| spec.source = Some(ModelSource::Model(Box::new(model))))
    }

    /// Acts by a process that listens at an address, such as a trainer in Python: see [`RemotePolicy`](super::RemotePolicy).
    #[cfg(feature = "remote")]
    pub fn remote(self, remote: super::RemotePolicy) -> Self {
        self.model(remote)
    }

    /// Acts at random, for smoke tests: all alternatives that the mask allows, and all numbers within the bounds, with equal
    /// probability.
    pub fn random(self) -> Self {
        self.edit(|spec| {
            spec.source = Some(ModelSource::Model(Box::new(RandomModel::new(spec.seed))));
            spec.sampling.get_or_insert(Sampling::Stochastic { temperature: 1.0 });
        })
    }

    /// Acts by the model in an ONNX file, such as `bevy-experience train` writes: see [`OnnxModel`](super::OnnxModel). The file is
    /// loaded again when it changes, between two ticks; one that is refused is reported, and the model before stays.
    #[cfg(feature = "policy_onnx")]
    pub fn onnx(self, path: impl Into<PathBuf>) -> Self {
        self.file(path, |path, layout| {
            Ok(Box::new(experience_policy::OnnxModel::load(path, layout)?))
        })
    }

    /// Acts by the model that `load` reads from a file, again when the file changes. `load` runs on a thread of its own then.
    pub fn file(
        self,
        path: impl Into<PathBuf>,
        load: impl Fn(&Path, &PolicyLayout) -> Result<Box<dyn PolicyModel>, ModelError> + Send + Sync + 'static,
    ) -> Self {
        let (path, load): (PathBuf, LoadFn) = (path.into(), Arc::new(load));
        self.edit(|spec| spec.source = Some(ModelSource::File { path, load }))
    }

    /// Sets how often the file is checked for a change, every 500 ms by default. Zero never loads it again.
    pub fn reload_interval(self, interval: Duration) -> Self {
        self.edit(|spec| spec.reload_interval = interval)
    }

    /// Sets the version in the data, a number above 0, in place of that of the model: 1 for a function, and a hash of the content
    /// for a file whose metadata has none.
    ///
    /// # Panics
    /// When `version` is below 1, which stands for no policy.
    #[track_caller]
    pub fn version(self, version: i64) -> Self {
        assert!(version > 0, "a version is above 0: 0 stands for no policy");
        self.edit(|spec| spec.version = Some(version))
    }

    /// Sets how actions are chosen from the outputs of the model: [`Sampling::Greedy`] by default.
    pub fn sampling(self, sampling: Sampling) -> Self {
        self.edit(|spec| spec.sampling = Some(sampling))
    }

    /// Sets the seed of samples, 0 by default. The same seed, agent and tick give the same sample, so that a game with a seed can
    /// be repeated.
    pub fn seed(self, seed: u64) -> Self {
        self.edit(|spec| spec.seed = seed)
    }

    /// Sets how long the game waits for a decision. The model is called on a thread of its own then. A decision that comes later
    /// is not used: players keep their actions, and the model is asked again once it has answered.
    ///
    /// Without a limit, which is the default, the game's thread calls the model and waits as long as it takes. With a limit, the
    /// world depends on the speed of the machine.
    pub fn time_limit(self, limit: Duration) -> Self {
        self.edit(|spec| spec.time_limit = Some(limit))
    }

    /// Sets the schedule before which the actions are written: a schedule of the loop in which the recording is captured.
    ///
    /// By default it is `FixedPreUpdate` for a recording of fixed ticks and `PreUpdate` for one of frames, or the begin of the tick
    /// if actions are read before that.
    pub fn act_before(self, schedule: impl ScheduleLabel) -> Self {
        self.edit(|spec| spec.act_before = Some(schedule.intern()))
    }

    /// Writes the given columns of the action to the component `T`: the way back from what
    /// [`act_with`](crate::recording::Recording::act_with), [`act_discrete_with`](crate::recording::Recording::act_discrete_with)
    /// or [`act_system`](crate::recording::Recording::act_system) compute. `write` gets the values of the columns, in this order;
    /// a choice is its index.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// # #[derive(Component)] struct Place(f32);
    /// #[derive(Component)]
    /// struct Heading {
    ///     radians: f32,
    /// }
    ///
    /// let recording = Recording::<Fighter>::new("fighter")
    ///     .observe_with::<Place>(["place"], |place, out| out[0] = place.0)
    ///     .act_with::<Heading>(["cos", "sin"], |heading, out| {
    ///         (out[1], out[0]) = heading.radians.sin_cos();
    ///     });
    /// let policy = Policy::<Fighter>::for_recording("fighter")
    ///     .random()
    ///     .write_with::<Heading>(["cos", "sin"], |heading, values| {
    ///         heading.radians = f64::atan2(values[1], values[0]) as f32;
    ///     });
    /// ```
    pub fn write_with<T: Component<Mutability = Mutable>>(
        self,
        columns: impl IntoIterator<Item = impl Into<String>>,
        write: impl Fn(&mut T, &[f64]) + Send + Sync + 'static,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        self.edit(|spec| spec.writers.push(CustomWriter::component(columns, write)))
    }

    /// Writes the given columns of the action to the resource `R`, as [`write_with`](Self::write_with) to a component: for games
    /// with one local player, whose input is a resource. Of several players that act by the policy, the last one counts.
    pub fn write_resource_with<R: Resource + Component<Mutability = Mutable>>(
        self,
        columns: impl IntoIterator<Item = impl Into<String>>,
        write: impl Fn(&mut R, &[f64]) + Send + Sync + 'static,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        self.edit(|spec| spec.writers.push(CustomWriter::resource(columns, write)))
    }
}

impl PolicySpec {
    /// Loads the model, and assigns the columns of the action to writers.
    ///
    /// # Errors
    /// When the policy cannot act for the recording.
    pub(crate) fn build(
        self,
        schema: &Schema,
        fields: impl Iterator<Item = ActionWriter>,
    ) -> Result<PolicySlot, PolicySetupError> {
        let (recording, policy) = (self.recording, self.name);
        if schema.action().is_empty() {
            return Err(PolicySetupError::NoAction(recording));
        }
        if let Some(Sampling::Stochastic { temperature }) = self.sampling
            && !(temperature.is_finite() && temperature > 0.0)
        {
            return Err(PolicySetupError::Temperature {
                recording,
                policy,
                temperature,
            });
        }
        let Some(source) = self.source else {
            return Err(PolicySetupError::NoModel { recording, policy });
        };
        let layout = Arc::new(PolicyLayout::of(schema));
        let writers = ActionWriters::new(&policy, &layout, fields, self.writers)?;
        let opened = source.open(schema, &layout, self.reload_interval);
        let model_error = |source| PolicySetupError::Model {
            recording: recording.clone(),
            policy: policy.clone(),
            source: Box::new(source),
        };
        let (model, watcher) = opened.map_err(model_error)?;
        if model.needs_outcomes() && self.time_limit.is_some() {
            return Err(model_error(ModelError::Other(format!(
                "{} has a time limit of its own: use `RemotePolicy::deadline` in place of `Policy::time_limit`",
                model.describe()
            ))));
        }
        if layout.mask_width() > 0 && !layout.applies_mask() {
            tracing::warn!(
                "the policy `{policy}` of recording `{recording}` is not restricted by the action mask, which does not have one bit \
                 for each alternative of the action: give the component of `action_mask` one `bool` for each, in their order"
            );
        }
        let slot = PolicySlot::new(
            policy.clone(),
            layout,
            (model, watcher),
            self.version,
            self.time_limit,
            writers,
        );
        let mut slot = slot.map_err(|error| {
            model_error(ModelError::Other(format!(
                "no thread can be started for `time_limit`: {error}"
            )))
        })?;
        slot.sampling = self.sampling.unwrap_or_default();
        slot.seed = self.seed;
        slot.act_before = self.act_before;
        Ok(slot)
    }
}

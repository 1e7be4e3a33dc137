//! [`PolicySlot`]: a policy with its batches, its model and its counts.

use super::{
    PolicyControlled,
    decision::DecisionWatch,
    events::{PolicyFailed, PolicyFailure},
    runner::{CallOutcome, ModelRunner},
    status::PolicyStatus,
    write::ActionWriters,
};
use crate::player::Controller;
use bevy_ecs::{entity::Entity, schedule::InternedScheduleLabel, world::World};
use bevy_platform::cell::SyncCell;
use core::time::Duration;
use experience_core::schema::RowLayout;
use experience_policy::{
    ActionBatch, ModelRequests, ModelWatcher, ObservationBatch, PolicyError, PolicyLayout, PolicyModel, Sampling,
};
use std::{io, sync::Arc};

/// A policy of a recording.
pub(crate) struct PolicySlot {
    layout: Arc<PolicyLayout>,
    runner: SyncCell<ModelRunner>,
    watcher: Option<SyncCell<ModelWatcher>>,
    /// The model is told what becomes of its actions.
    pub(super) needs_outcomes: bool,
    /// What was collected of players for the last decision has not reached the model.
    pub(super) is_undelivered: bool,
    pub(super) requests: Option<Arc<ModelRequests>>,
    /// The reset that the model has asked for, with its seed.
    pub(super) reset: Option<Option<u64>>,
    /// The model has another version since the players were labelled.
    pub(super) has_new_version: bool,
    /// In place of that of the model.
    given_version: Option<i64>,
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(crate) act_before: Option<InternedScheduleLabel>,
    writers: ActionWriters,
    /// What the actions are labelled with.
    controller: Controller,
    /// The players of `observations`, in their order.
    players: Vec<Entity>,
    acted: Vec<Entity>,
    pub(super) observations: ObservationBatch,
    actions: ActionBatch,
    /// The game's number of the speculative tick that it was asked to decide last, since the last capture.
    speculative_tick: Option<i64>,
    /// The game does not say which speculative tick begins, so it does not act.
    is_unsure_of_tick: bool,
    status: PolicyStatus,
    /// The kinds of failure that were reported since the last decision without one.
    has_reported: [bool; PolicyFailure::COUNT],
    /// The kinds of failure that were logged.
    has_logged: [bool; PolicyFailure::COUNT],
    /// Events that have not been triggered yet.
    failures: Vec<PolicyFailed>,
}

impl PolicySlot {
    /// # Errors
    /// When no thread can be started for the time limit.
    pub(super) fn new(
        name: String,
        layout: Arc<PolicyLayout>,
        (model, watcher): (Box<dyn PolicyModel>, Option<ModelWatcher>),
        given_version: Option<i64>,
        time_limit: Option<Duration>,
        writers: ActionWriters,
    ) -> io::Result<Self> {
        let (observations, actions) = (ObservationBatch::new(layout.clone()), ActionBatch::new(layout.clone()));
        let status = PolicyStatus {
            name,
            model: model.describe(),
            version: given_version.unwrap_or_else(|| model.version()),
            ..Default::default()
        };
        Ok(Self {
            controller: Controller::policy(status.name.clone(), status.version),
            needs_outcomes: model.needs_outcomes(),
            is_undelivered: false,
            requests: model.requests(),
            reset: None,
            has_new_version: false,
            runner: SyncCell::new(ModelRunner::new(model, time_limit, (&observations, &actions))?),
            watcher: watcher.map(SyncCell::new),
            given_version,
            sampling: Sampling::Greedy,
            seed: 0,
            act_before: None,
            writers,
            players: Vec::new(),
            acted: Vec::new(),
            observations,
            actions,
            speculative_tick: None,
            is_unsure_of_tick: false,
            status,
            has_reported: [false; PolicyFailure::COUNT],
            has_logged: [false; PolicyFailure::COUNT],
            failures: Vec::new(),
            layout,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.status.name
    }

    pub(crate) fn status(&self) -> &PolicyStatus {
        &self.status
    }

    pub(crate) fn layout(&self) -> &Arc<PolicyLayout> {
        &self.layout
    }

    /// Forgets the observations that were not acted on, and begins to collect those of a tick.
    pub(crate) fn begin_tick(&mut self, tick: i64) {
        self.players.clear();
        self.observations.clear();
        self.observations.set_tick(tick);
    }

    /// Sets the tick of observations that are collected between two ticks.
    pub(crate) fn set_tick(&mut self, tick: i64) {
        self.observations.set_tick(tick);
    }

    /// Begins a speculative tick, with the game's number of it.
    pub(crate) fn begin_speculative(&mut self, simulated: i64) {
        self.speculative_tick = Some(simulated);
    }

    /// Compares the tick that it has decided with that of a speculative capture. A sample depends on the number of the tick, so a
    /// policy that does not know it would decide otherwise when the tick is simulated again.
    pub(crate) fn end_speculative(&mut self, simulated: i64, has_players: bool) {
        let decided = self.speculative_tick.take();
        let problem = match decided {
            Some(decided) if decided == simulated => return,
            Some(decided) => format!("it has decided for tick {decided}, and tick {simulated} is captured"),
            None if has_players => "no tick has begun for it".to_owned(),
            None => return,
        };
        self.is_unsure_of_tick = true;
        self.fail(PolicyFailure::Speculative, || {
            format!(
                "{problem}, so it does not act any more: insert `SpeculativeTicks` and run `ExperienceTick` at the begin of each \
                 simulated tick, as well as before `ExperienceCapture`"
            )
        });
    }

    /// The players that were observed, for which it acts next.
    pub(crate) fn players(&self) -> &[Entity] {
        &self.players
    }

    /// What the actions are labelled with.
    pub(crate) fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The players whose actions the last call of [`act`](Self::act) has written.
    pub(crate) fn acted(&self) -> &[Entity] {
        &self.acted
    }

    /// Collects the observation of a player: features, images and mask of a row.
    pub(crate) fn observe(
        &mut self,
        player: Entity,
        agent_id: i64,
        row: &mut [u64],
        layout: &RowLayout,
        replacement: Option<f32>,
    ) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
        if let Some(replacement) = replacement {
            let features: &mut [f32] = bytemuck::cast_slice_mut(&mut bytes[layout.observation()]);
            for value in features.iter_mut().filter(|value| !value.is_finite()) {
                *value = replacement;
            }
        }
        self.players.push(player);
        let features = bytemuck::cast_slice(&bytes[layout.observation()]);
        self.observations.push(agent_id, features, &bytes[layout.mask()]);
        for (image, &offset) in layout.image_offsets().iter().enumerate() {
            let pixels = self.layout.images()[image].width();
            self.observations.push_image(image, &bytes[offset..offset + pixels]);
        }
    }

    /// Decides the actions of the players that were observed, and writes them. The decision for the player of `watch` is kept there.
    pub(crate) fn act(&mut self, world: &mut World, watch: Option<&mut DecisionWatch>) {
        self.acted.clear();
        if self.is_unsure_of_tick {
            self.begin_tick(self.observations.tick());
        }
        // Without players nothing is told of them, even if ends are.
        let has_players = !self.players.is_empty();
        self.is_undelivered = true;
        if !has_players && self.observations.outcomes().is_empty() {
            return;
        }
        self.is_undelivered = false;
        let _span = tracing::debug_span!("experience_act", policy = self.status.name).entered();
        self.status.players = self.players.len();
        let watched = watch.and_then(|watch| watch.find(&self.players).map(|index| (watch, index)));
        let tick = self.observations.tick();
        self.actions.begin(self.players.len());
        let (outcome, duration) = self.runner.get().call(&mut self.observations, &mut self.actions);
        self.status.last_call = duration;
        let problem = match outcome {
            CallOutcome::Decided => None,
            CallOutcome::Late => {
                self.status.late += 1;
                Some((PolicyFailure::Late, format!("no decision within {duration:?}")))
            }
            CallOutcome::Failed(error @ (PolicyError::Late(_) | PolicyError::Busy)) => {
                self.status.late += 1;
                self.is_undelivered = error == PolicyError::Busy;
                Some((PolicyFailure::Late, error.to_string()))
            }
            CallOutcome::Failed(error) => {
                self.status.failed += 1;
                let failure = match error {
                    PolicyError::Panicked(_) => PolicyFailure::Panicked,
                    _ => PolicyFailure::Model,
                };
                // Not formatted at each decision.
                Some((
                    failure,
                    if self.has_reported[failure as usize] {
                        String::new()
                    } else {
                        error.to_string()
                    },
                ))
            }
        };
        match problem {
            None => {
                self.status.decisions += 1;
                self.update_version();
                self.decide_and_write(world);
                if let Some((watch, index)) = watched {
                    self.keep_decision(world, watch, index);
                }
            }
            Some((failure, error)) => {
                if let Some((watch, _)) = watched {
                    watch.fail((&self.status.name, self.status.version), self.sampling, tick, failure);
                }
                for &player in &self.players {
                    if let Some(mut controlled) = world.get_mut::<PolicyControlled>(player) {
                        controlled.clear_decision();
                    }
                }
                self.fail(failure, || error);
            }
        }
        if !self.is_undelivered {
            self.observations.outcomes_mut().clear();
        }
        self.is_undelivered |= !has_players;
        self.players.clear();
        self.observations.clear();
    }

    /// Takes over the version that the model has set for a decision.
    fn update_version(&mut self) {
        let version = self.actions.version().filter(|_| self.given_version.is_none());
        if let Some(version) = version.filter(|&version| version != self.status.version) {
            self.status.version = version;
            self.controller = Controller::policy(self.status.name.clone(), version);
            self.has_new_version = true;
        }
    }

    /// Keeps the decision for the player with this index, after its action was written.
    fn keep_decision(&self, world: &World, watch: &mut DecisionWatch, index: usize) {
        let player = self.players[index];
        let is_controlled = world
            .get::<PolicyControlled>(player)
            .is_some_and(|controlled| controlled.is_by(&self.status.name));
        if !is_controlled {
            watch.clear();
            return;
        }
        let failure = if !self.actions.is_decided(index) {
            Some(PolicyFailure::Undecided)
        } else if !self.acted.contains(&player) {
            Some(PolicyFailure::NotWritten)
        } else {
            None
        };
        let policy = (&*self.status.name, self.status.version);
        watch.keep(
            policy,
            self.sampling,
            index,
            (&self.observations, &self.actions),
            failure,
        );
    }

    fn decide_and_write(&mut self, world: &mut World) {
        let counts = self.actions.decide(&self.observations, self.sampling, self.seed);
        self.status.undecided += counts.undecided as u64;
        self.status.forbidden += counts.forbidden as u64;
        self.status.unmasked += counts.unmasked as u64;
        self.status.clamped += counts.clamped as u64;
        let mut unwritten = None;
        for (index, &player) in self.players.iter().enumerate() {
            let Ok(mut entity) = world.get_entity_mut(player) else {
                continue;
            };
            let name = &self.status.name;
            let Some(controlled) = entity
                .get::<PolicyControlled>()
                .filter(|controlled| controlled.is_by(name))
            else {
                // It was taken over since the capture.
                continue;
            };
            let has_decision = controlled.version().is_some();
            let written = self
                .actions
                .is_decided(index)
                .then(|| self.writers.write(&mut entity, self.actions.values(index)));
            match written {
                Some(Ok(())) => {
                    self.status.actions += 1;
                    self.acted.push(player);
                    let (version, log_prob) = (self.status.version, self.actions.log_prob(index));
                    if let Some(mut controlled) = entity.get_mut::<PolicyControlled>() {
                        controlled.set_decision(version, log_prob);
                    }
                    continue;
                }
                Some(Err(component)) => {
                    self.status.not_written += 1;
                    unwritten = Some((player, component));
                }
                None => {}
            }
            if has_decision && let Some(mut controlled) = entity.get_mut::<PolicyControlled>() {
                controlled.clear_decision();
            }
        }
        if counts.undecided > 0 {
            let players = counts.undecided;
            self.fail(PolicyFailure::Undecided, || {
                format!("an output of the model is missing or NaN for {players} players, which keep their actions")
            });
        }
        if let Some((player, component)) = unwritten {
            self.fail(PolicyFailure::NotWritten, || {
                format!("`{component}` of {player} cannot be written: the player lacks it, or a field does not accept its value")
            });
        }
        if counts.undecided == 0 && unwritten.is_none() {
            for failure in PolicyFailure::OF_DECISIONS {
                self.has_reported[failure as usize] = false;
            }
        }
    }

    /// Takes a model that was loaded since the last decision. Called before each.
    pub(crate) fn poll_file(&mut self) {
        let Some(loaded) = self.watcher.as_mut().and_then(|watcher| watcher.get().poll()) else {
            return;
        };
        match loaded {
            Ok(model) => {
                self.status.reloads += 1;
                self.status.version = self.given_version.unwrap_or_else(|| model.version());
                self.status.model = model.describe();
                self.controller = Controller::policy(self.status.name.clone(), self.status.version);
                self.has_reported = [false; PolicyFailure::COUNT];
                tracing::info!(
                    "the policy `{}` of recording `{}` acts by {} from now on, version {}",
                    self.status.name,
                    self.layout.recording(),
                    self.status.model,
                    self.status.version
                );
                self.runner.get().replace(model);
            }
            Err(error) => {
                self.status.refused += 1;
                self.has_reported[PolicyFailure::Reload as usize] = false;
                self.fail(PolicyFailure::Reload, || format!("{error}; the model before stays"));
            }
        }
    }

    /// The observation of players could not be read.
    pub(crate) fn note_unobserved(&mut self) {
        self.fail(PolicyFailure::NotObserved, || {
            "a source of the observation is not available, so no player acts; the log of the recording names it"
                .to_owned()
        });
    }

    /// A player with [`PolicyControlled`] lacks components that the recording reads.
    pub(crate) fn note_incomplete(&mut self, missing: &[&'static str]) {
        self.fail(PolicyFailure::Incomplete, || {
            let names: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "a player with `PolicyControlled` lacks {}, so it is not observed and does not act: insert it on the player",
                names.join(", ")
            )
        });
    }

    /// Speculative ticks with a decision interval: when an interval begins is known only once its ticks are confirmed.
    pub(crate) fn note_speculative_interval(&mut self) {
        self.fail(PolicyFailure::Speculative, || {
            "it does not act in speculative ticks with `decision_interval`, because the begin of an interval is not known before its \
             ticks are confirmed: record without `decision_interval`, and let the model repeat its action"
                .to_owned()
        });
    }

    /// A player names a policy that does not exist.
    pub(crate) fn note_unknown_policy(&mut self, controlled: &PolicyControlled) {
        let own = self.status.name.clone();
        self.fail(PolicyFailure::UnknownPolicy, || {
            format!(
                "a player has `PolicyControlled::by(\"{}\")`, and there is no policy of this name: it does not act; the first policy \
                 of the recording is `{own}`",
                controlled.policy()
            )
        });
    }

    fn fail(&mut self, failure: PolicyFailure, error: impl FnOnce() -> String) {
        if core::mem::replace(&mut self.has_reported[failure as usize], true) {
            return;
        }
        let failed = PolicyFailed {
            recording: self.layout.recording().to_owned(),
            policy: self.status.name.clone(),
            error: error(),
            failure,
        };
        // A refused file is a new one each time.
        if !core::mem::replace(&mut self.has_logged[failure as usize], true) || failure == PolicyFailure::Reload {
            tracing::warn!(
                "the policy `{}` of recording `{}`: {}",
                failed.policy,
                failed.recording,
                failed.error
            );
        }
        self.failures.push(failed);
    }

    /// The failures since the last call.
    pub(crate) fn take_failure(&mut self) -> Option<PolicyFailed> {
        self.failures.pop()
    }
}

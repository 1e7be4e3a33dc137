//! Policies in the loops: when their observations are collected, and when their actions are written.

use super::{
    experience::Experience,
    refs::{PlayerRef, RecordingRef},
    schedules::{self, Loop, tick_label},
    speculative::SpeculativeTicks,
    state::{RecorderState, RecordingSlot, component_id},
    systems::recorder_scope,
};
use crate::{
    episode::Recorder,
    player::AgentId,
    policy::{
        DecisionWatch, Policy, PolicyControlled, PolicyDecision, PolicySetupError, PolicySlot, PolicySpec, PolicyStatus,
    },
};
use bevy_app::{App, AppExit, FixedPreUpdate, PreUpdate};
use bevy_ecs::{
    component::Component,
    entity::Entity,
    schedule::{InternedScheduleLabel, ScheduleLabel},
    world::World,
};
use core::any::{TypeId, type_name};

impl RecorderState {
    /// Collects the observations of policies after the capture of the recordings of a point.
    pub(super) fn observe_for_policies(&mut self, world: &World) {
        if self.slots.iter().all(|slot| slot.policies.is_empty()) {
            return;
        }
        let Some(controlled) = component_id::<PolicyControlled>(world) else {
            return;
        };
        for index in 0..self.slots.len() {
            let point = self.slots[index].point;
            let is_speculative =
                world.contains_resource::<SpeculativeTicks>() && self.points[point].can_be_speculative();
            if !self.slots[index].policies.is_empty() && self.is_reached(point) && !is_speculative {
                let next_tick = self.points[point].next_tick + 1;
                let slot = &mut self.slots[index];
                slot.recorder
                    .observe_for_policies(world, controlled, next_tick, &mut slot.policies);
            }
        }
    }

    /// Collects the observations of the policies of a recording again, if its ticks are speculative.
    fn observe_speculative(&mut self, world: &World, index: usize) {
        let (slot, points) = (&mut self.slots[index], &self.points);
        let point = &points[slot.point];
        let Some(ticks) = world
            .get_resource::<SpeculativeTicks>()
            .filter(|_| point.can_be_speculative())
        else {
            return;
        };
        let Some(controlled) = component_id::<PolicyControlled>(world) else {
            return;
        };
        let first = point
            .first_speculative_tick
            .unwrap_or(point.next_tick - ticks.simulated);
        let tick = (first + ticks.simulated, ticks.simulated);
        slot.recorder
            .observe_speculative(world, controlled, tick, &mut slot.policies);
    }

    /// Lets the policies act that act before `schedule`.
    fn act_before(&mut self, world: &mut World, schedule: InternedScheduleLabel) {
        for index in 0..self.slots.len() {
            if self.slots[index].policies.is_empty() {
                continue;
            }
            let Some(parent) = self.points[self.slots[index].point].parent_loop else {
                continue;
            };
            let default = self.default_act(parent, &self.slots[index]);
            let acts = |policy: &PolicySlot| policy.act_before.unwrap_or(default) == schedule;
            if self.slots[index].policies.iter().any(acts) {
                self.observe_speculative(world, index);
            }
            let slot = &mut self.slots[index];
            for policy in &mut slot.policies {
                if acts(policy) {
                    act(world, &mut slot.recorder, policy, slot.decision_watch.as_deref_mut());
                }
            }
        }
    }

    /// Lets the policies act whose captures the game runs itself.
    fn act_in_own_tick(&mut self, world: &mut World) {
        for index in 0..self.slots.len() {
            if self.points[self.slots[index].point].parent_loop.is_none() {
                self.observe_speculative(world, index);
                let slot = &mut self.slots[index];
                for policy in &mut slot.policies {
                    act(world, &mut slot.recorder, policy, slot.decision_watch.as_deref_mut());
                }
            }
        }
    }

    /// The schedule before which the policies of a recording act, unless they name another: the first in which games decide, or
    /// the begin of the tick if actions are read earlier.
    fn default_act(&self, parent: Loop, slot: &RecordingSlot) -> InternedScheduleLabel {
        let usual = match parent {
            Loop::Fixed => FixedPreUpdate.intern(),
            Loop::Main => PreUpdate.intern(),
        };
        let labels = self.orders.of(parent);
        let position = |label: InternedScheduleLabel| labels.iter().position(|&known| known == label);
        let Some(usual_position) = position(usual) else {
            return tick_label(parent);
        };
        match slot.read_actions_after {
            Some(read) if read == tick_label(parent) => tick_label(parent),
            Some(read) if position(read).is_some_and(|read| read < usual_position) => tick_label(parent),
            _ => usual,
        }
    }
}

impl Experience {
    /// The counts of each policy of a recording, in the order in which they were added.
    pub fn policies<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> impl Iterator<Item = &PolicyStatus> {
        let slot = self.slot(recording.into());
        slot.into_iter()
            .flat_map(|slot| slot.policies.iter().map(PolicySlot::status))
    }

    /// The last decision of a policy for a player, with the probabilities and means that it was chosen from. `None` until the first
    /// decision after this was called for the player, and if there is no such player.
    ///
    /// Made for what shows a player while the game runs: call it once a frame. The decisions of one player of a recording are kept,
    /// from the first call on until 256 decisions after the last one. Without a call, a decision keeps nothing.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// fn show(mut experience: ResMut<Experience>) {
    ///     if let Some(decision) = experience.policy_decision("fighter", AgentId(7)) {
    ///         println!("{:?}", decision.heads[0].probabilities);
    ///     }
    /// }
    /// ```
    pub fn policy_decision<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
    ) -> Option<&PolicyDecision> {
        let slot = self.slot_mut(recording.into())?;
        if slot.policies.is_empty() {
            return None;
        }
        let player = match player.into() {
            PlayerRef::Entity(entity) => entity,
            PlayerRef::Agent(AgentId(id)) => slot.recorder.agent_entity(id)?,
        };
        let is_on_demand = slot.recorder.decides_on_demand();
        let watch = &mut slot.decision_watch;
        if watch.as_ref().is_none_or(|watch| watch.player() != player) {
            *watch = Some(Box::new(DecisionWatch::new(player, is_on_demand)));
        }
        watch.as_mut()?.renew()
    }
}

/// The system that lets policies act right before `schedule`.
pub(super) fn act_before(schedule: InternedScheduleLabel) -> impl FnMut(&mut World) + Send + Sync + 'static {
    move |world| {
        recorder_scope(world, |world, state| state.act_before(world, schedule));
        emit_failures(world);
    }
}

/// The system that lets policies act at the begin of a tick that the game runs itself.
pub(super) fn act_in_own_tick(world: &mut World) {
    recorder_scope(world, |world, state| state.act_in_own_tick(world));
    emit_failures(world);
}

/// Collects the observation of a player that was asked for a decision, for the policy that acts for it. Returns false if there is
/// none.
pub(super) fn observe_request(world: &World, slots: &mut [RecordingSlot], player: Entity) -> bool {
    let Some(controlled) = world.get::<PolicyControlled>(player) else {
        return false;
    };
    let experience = world.get_resource::<Experience>();
    let mut acts = false;
    for slot in slots.iter_mut().filter(|slot| slot.recorder.decides_on_demand()) {
        let tick = experience.map_or(0, |experience| experience.state().points[slot.point].next_tick);
        let policy = slot.policies.iter_mut().find(|policy| controlled.is_by(policy.name()));
        if let Some(policy) = policy {
            acts |= slot.recorder.observe_one_for_policy(world, player, tick, policy);
        }
    }
    acts
}

/// Labels the players that a policy acts for, and lets it act.
fn act(world: &mut World, recorder: &mut Recorder, policy: &mut PolicySlot, watch: Option<&mut DecisionWatch>) {
    policy.poll_file();
    recorder.label_policy(world, policy, policy.players());
    policy.act(world, watch);
    if policy.take_new_version() {
        recorder.label_policy(world, policy, policy.acted());
    }
    if policy.needs_outcomes() && policy.has_delivered() {
        recorder.confirm_outcomes();
    }
    if policy.take_requests() {
        tracing::info!(
            "the game exits, because the model of the policy `{}` asks for it",
            policy.name()
        );
        world.write_message(AppExit::Success);
    }
}

/// Lets policies act for the players that were asked for a decision.
pub(super) fn act_on_requests(world: &mut World) {
    recorder_scope(world, |world, state| {
        for slot in &mut state.slots {
            if !slot.recorder.decides_on_demand() {
                continue;
            }
            for policy in &mut slot.policies {
                act(world, &mut slot.recorder, policy, slot.decision_watch.as_deref_mut());
                for &player in policy.acted() {
                    slot.recorder.note_policy_decision(world, player);
                }
            }
        }
    });
    emit_failures(world);
}

/// Triggers an event for each failure, outside of the scope of the recorders, because it runs observers.
fn emit_failures(world: &mut World) {
    loop {
        let mut experience = world.get_resource_mut::<Experience>();
        let state = experience.as_mut().map(|experience| experience.state_mut());
        let failure = state.and_then(|state| {
            let mut policies = state.slots.iter_mut().flat_map(|slot| &mut slot.policies);
            policies.find_map(PolicySlot::take_failure)
        });
        match failure {
            Some(failure) => world.trigger(failure),
            None => return,
        }
    }
}

/// Adds a policy to its recording.
///
/// # Errors
/// When it cannot act for the recording.
pub(super) fn add<P: Component>(app: &mut App, policy: Policy<P>) -> Result<(), PolicySetupError> {
    let spec = policy.into_spec();
    let (recording, name) = (spec.recording.clone(), spec.name.clone());
    let world = app.world_mut();
    world.register_component::<PolicyControlled>();
    let Some(experience) = world.get_resource::<Experience>() else {
        return Err(PolicySetupError::NoPlugin(recording));
    };
    let state = experience.state();
    let run = state.run;
    let Some(id) = state.find(&recording) else {
        return Err(PolicySetupError::UnknownRecording {
            recording,
            recordings: state.slots.iter().map(|slot| slot.recorder.name().to_owned()).collect(),
        });
    };
    let Some(slot) = state.recording(id) else {
        return Err(PolicySetupError::NoPlugin(recording));
    };
    if slot.marker_type != TypeId::of::<P>() {
        return Err(PolicySetupError::Marker {
            recording,
            expected: slot.marker_name,
            found: type_name::<P>(),
        });
    }
    if slot.policies.iter().any(|policy| policy.name() == name) {
        return Err(PolicySetupError::DuplicateName {
            recording,
            policy: name,
        });
    }
    let built = build(spec, slot)?;
    if built.needs_outcomes() && slot.policies.iter().any(PolicySlot::needs_outcomes) {
        return Err(PolicySetupError::SecondRemote(recording));
    }
    if let Some(schedule) = built.act_before {
        if !schedules::is_in_a_loop(world, schedule) {
            return Err(PolicySetupError::Schedule {
                recording,
                policy: name,
                schedule: format!("{schedule:?}"),
            });
        }
        schedules::add_act(world, schedule);
    }
    for parent in [Loop::Fixed, Loop::Main] {
        schedules::add_act(world, tick_label(parent));
    }
    schedules::add_act(world, FixedPreUpdate.intern());
    schedules::add_act(world, PreUpdate.intern());
    let mut experience = world.resource_mut::<Experience>();
    if let Some(slot) = experience.state_mut().recording_mut(id) {
        slot.recorder.set_has_policy();
        if built.needs_outcomes() {
            slot.recorder.log_outcomes(run, &built);
        }
        slot.policies.push(built);
    }
    Ok(())
}

fn build(spec: PolicySpec, slot: &RecordingSlot) -> Result<PolicySlot, PolicySetupError> {
    let schema = slot.recorder.schema();
    let is_labelled = schema.info().iter().any(|column| column.name == "policy_version");
    if !is_labelled && slot.has_sinks {
        tracing::warn!(
            "recording `{}` does not say which transitions a policy acted in: add `policy_info()` to the recording",
            spec.recording
        );
    }
    spec.build(schema, slot.recorder.action_writers())
}

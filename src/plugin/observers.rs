//! Observers of [`EndEpisode`], [`BeginEpisode`], [`DiscardEpisode`], despawns, marker removals and [`DoNotRecord`]. They stage episode
//! boundaries, which the next capture publishes, and discard the episodes of players that opt out.

use super::{
    experience::Experience,
    final_observations::has_stage_systems,
    speculative::is_speculative,
    state::{RecorderState, RecordingSlot, component_id},
};
use crate::{
    episode::{BeginEpisode, DiscardEpisode, DiscardedEpisode, EndDisposition, EndEpisode, EndRequest, EpisodeEnded},
    player::DoNotRecord,
};
use bevy_app::App;
use bevy_ecs::{
    component::Component,
    entity::Entity,
    hierarchy::ChildOf,
    lifecycle::{Add, Despawn, Remove},
    observer::On,
    world::DeferredWorld,
};
use experience_core::transition::EndReason;

pub(super) fn add(app: &mut App) {
    app.add_observer(end_episode)
        .add_observer(begin_episode)
        .add_observer(discard_episode)
        .add_observer(opt_out);
}

/// Adds observers of players with the marker `P` that leave: by a despawn, which is observed while all components are
/// present, or by removal of the marker.
pub(super) fn add_leaving<P: Component>(app: &mut App) {
    app.add_observer(|despawn: On<Despawn, P>, world: DeferredWorld| leave::<P>(despawn.entity, world));
    app.add_observer(|remove: On<Remove, P>, world: DeferredWorld| leave::<P>(remove.entity, world));
}

/// Guard that takes the recordings out of [`Experience`], so that their recorders can be mutated while they read the
/// world, because a [`DeferredWorld`] has no `resource_scope`. They are put back on drop, also during unwinding.
pub(super) struct TakenSlots<'w> {
    pub(super) world: DeferredWorld<'w>,
    pub(super) slots: Vec<RecordingSlot>,
}

impl<'w> TakenSlots<'w> {
    /// `None` if there is no [`Experience`].
    pub(super) fn new(mut world: DeferredWorld<'w>) -> Option<Self> {
        let mut experience = world.get_resource_mut::<Experience>()?;
        let slots = core::mem::take(&mut experience.state_mut().slots);
        Some(Self { world, slots })
    }
}

impl Drop for TakenSlots<'_> {
    fn drop(&mut self) {
        if let Some(mut experience) = self.world.get_resource_mut::<Experience>() {
            experience.state_mut().slots = core::mem::take(&mut self.slots);
        }
    }
}

/// Whether no tick has begun since the last capture at a point.
fn is_between_ticks(world: &DeferredWorld, point: usize) -> bool {
    let experience = world.get_resource::<Experience>();
    experience.is_some_and(|experience| experience.state().is_between_ticks(point))
}

fn end_episode(end: On<EndEpisode>, mut world: DeferredWorld) {
    let mut request = EndRequest {
        entity: end.entity,
        outcome: end.outcome,
        reason: end.reason.clone(),
        between_ticks: false,
    };
    let mut ended = false;
    let mut waits_for_capture = false;
    let mut is_player = false;
    {
        let Some(mut taken) = TakenSlots::new(world.reborrow()) else {
            return;
        };
        let TakenSlots { world, slots } = &mut taken;
        // Without recordings, no warning is logged.
        is_player |= slots.is_empty();
        for slot in slots {
            if end.recording.is_some_and(|only| only != slot.recorder.name()) {
                continue;
            }
            request.between_ticks = is_between_ticks(world, slot.point);
            let staged = if is_speculative(world, slot.point) {
                slot.recorder.hold_end(world, &request)
            } else {
                slot.recorder.stage_end(world, &request)
            };
            is_player |= staged != EndDisposition::NotAPlayer;
            // Players that are not recorded also get `EpisodeEnded`, so that the game resets them.
            ended |= matches!(
                staged,
                EndDisposition::Staged | EndDisposition::StagedForCapture | EndDisposition::NotRecorded
            );
            waits_for_capture |= staged == EndDisposition::StagedForCapture;
        }
    }
    if !is_player {
        let place = player_above(&world, end.entity);
        if let Some(mut experience) = world.get_resource_mut::<Experience>() {
            experience.state_mut().warn_stray_end(&end, place);
        }
    }
    if ended {
        let ended = EpisodeEnded {
            entity: end.entity,
            outcome: end.outcome,
            reason: end.reason.clone(),
            recording: end.recording,
        };
        if waits_for_capture {
            let has_stage_systems = has_stage_systems(&world);
            if let Some(mut experience) = world.get_resource_mut::<Experience>() {
                let state = experience.state_mut();
                state.has_stage_systems = has_stage_systems.unwrap_or(state.has_stage_systems);
                state.ends_at_capture.push(ended);
            }
        } else {
            world.commands().trigger(ended);
        }
    }
}

fn begin_episode(begin: On<BeginEpisode>, mut world: DeferredWorld) {
    let Some(mut taken) = TakenSlots::new(world.reborrow()) else {
        return;
    };
    let TakenSlots { world: players, slots } = &mut taken;
    let entity = players.get_entity(begin.entity).ok();
    // Without recordings, no warning is logged.
    let mut is_player = slots.is_empty();
    for slot in slots {
        if entity.is_some_and(|entity| entity.contains_id(slot.recorder.marker())) {
            is_player = true;
            if is_speculative(players, slot.point) {
                slot.recorder.hold_begin(players, begin.entity);
            } else {
                slot.recorder.stage_begin(begin.entity);
            }
        }
    }
    drop(taken);
    if !is_player {
        let place = player_above(&world, begin.entity);
        if let Some(mut experience) = world.get_resource_mut::<Experience>() {
            experience.state_mut().warn_stray_begin(begin.entity, place);
        }
    }
}

/// The nearest player among the parents of an entity: the player that an event on a child is probably meant for.
pub(super) fn player_above(world: &DeferredWorld, entity: Entity) -> Option<Entity> {
    let slots = &world.get_resource::<Experience>()?.state().slots;
    let is_player = |entity: Entity| {
        let entity = world.get_entity(entity);
        entity.is_ok_and(|entity| slots.iter().any(|slot| entity.contains_id(slot.recorder.marker())))
    };
    let parents = core::iter::successors(world.get::<ChildOf>(entity), |child| {
        world.get::<ChildOf>(child.parent())
    });
    // Limited, in case the relationships form a cycle.
    parents.take(32).map(ChildOf::parent).find(|&parent| is_player(parent))
}

fn discard_episode(discard: On<DiscardEpisode>, mut world: DeferredWorld) {
    let Some(mut experience) = world.get_resource_mut::<Experience>() else {
        return;
    };
    let entity = discard.entity;
    let has_player = |slot: &&RecordingSlot| slot.recorder.agent_id(entity).is_some();
    let is_wanted = |slot: &&RecordingSlot| discard.recording.is_none_or(|only| only == slot.recorder.name());
    let slots = experience.state().slots.iter();
    let names: Vec<String> = slots
        .filter(is_wanted)
        .filter(has_player)
        .map(|slot| slot.recorder.name().to_owned())
        .collect();
    if names.is_empty() && !experience.state().slots.is_empty() {
        tracing::warn!(
            "`DiscardEpisode` for {entity}, which is not a recorded player: trigger it for the entity with the marker"
        );
    }
    for name in names {
        let discarded = match discard.which {
            DiscardedEpisode::Running => experience.discard_episode(name.as_str(), entity),
            DiscardedEpisode::Last => experience.discard_last_episode(name.as_str(), entity),
        };
        match discarded {
            Ok(episode) => tracing::info!("episode {episode} of `{name}` is discarded"),
            Err(error) => tracing::warn!("no episode of `{name}` is discarded: {error}"),
        }
    }
}

fn opt_out(opt_out: On<Add, DoNotRecord>, mut world: DeferredWorld) {
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        let state = experience.state_mut();
        let mut has_discarded = false;
        for slot in &mut state.slots {
            if let Some(episode) = slot.recorder.opt_out(opt_out.entity) {
                has_discarded = true;
                slot.recorder.counters().remove_tags(state.run.episode_id(episode));
            }
        }
        if has_discarded && let Some(exporter) = &state.exporter {
            // The journal may hold the beginning of the episode, which a recovery would find there.
            exporter.wake();
        }
    }
}

fn leave<P: Component>(entity: Entity, world: DeferredWorld) {
    let marker = component_id::<P>(&world);
    let Some(mut taken) = TakenSlots::new(world) else {
        return;
    };
    let TakenSlots { world, slots } = &mut taken;
    for slot in slots {
        if Some(slot.recorder.marker()) == marker {
            if is_speculative(world, slot.point) {
                slot.recorder.hold_leave(world, entity);
            } else {
                let between_ticks = is_between_ticks(world, slot.point);
                slot.recorder.stage_leave(world, entity, between_ticks);
                slot.remember_team(world, entity);
            }
        }
    }
}

impl RecorderState {
    /// Warns once about an [`EndEpisode`] whose entity is not a player of any recording that it is for. `player` is the player
    /// that the entity is a child of.
    fn warn_stray_end(&mut self, end: &EndEpisode, player: Option<Entity>) {
        if core::mem::replace(&mut self.warned_stray_end, true) {
            return;
        }
        let reason: &EndReason = &end.reason;
        let event = format!("`EndEpisode` (`{reason}`)");
        match end.recording {
            Some(only) if self.find(only).is_none() => tracing::warn!(
                "{event} is for the recording `{only}`, which does not exist; the recordings are {}",
                self.recording_names()
            ),
            Some(only) => warn_stray(&event, end.entity, &format!("`{only}`"), player),
            None => warn_stray(&event, end.entity, &self.recording_names(), player),
        }
    }

    /// Warns once about a [`BeginEpisode`] whose entity is not a player of any recording.
    fn warn_stray_begin(&mut self, entity: Entity, player: Option<Entity>) {
        if !core::mem::replace(&mut self.warned_stray_begin, true) {
            warn_stray("`BeginEpisode`", entity, &self.recording_names(), player);
        }
    }

    /// The names of all recordings, separated by commas.
    pub(super) fn recording_names(&self) -> String {
        let names = self.slots.iter().map(|slot| format!("`{}`", slot.recorder.name()));
        names.collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn warn_stray(event: &str, entity: Entity, recordings: &str, player: Option<Entity>) {
    match player {
        Some(player) => tracing::warn!(
            "{event} was triggered on {entity}, which is a child of the player {player}: trigger it on the player"
        ),
        None => tracing::warn!(
            "{event} was triggered on {entity}, which is not a player of {recordings}: insert the marker of the recording, \
             or trigger it before the player is despawned"
        ),
    }
}

//! Ends whose final observation is read at the capture: [`EpisodeEnded`] is triggered after that, and before the capture reads the
//! first observation of the next episode.

use super::{
    experience::Experience,
    schedules::{ExperienceCapture, ExperienceSystems},
    systems::recorder_scope,
};
use crate::episode::EpisodeEnded;
use bevy_ecs::{
    schedule::{Schedules, SystemSet},
    world::World,
};

/// Reads the final observations of ends that wait for this capture, and triggers [`EpisodeEnded`] for each.
pub(super) fn trigger_ends(world: &mut World) {
    // Observers can end episodes of other players. A player has one end until it is published, so this ends.
    while let Some(mut ends) = take_ends(world) {
        recorder_scope(world, |world, state| {
            let has_stage_systems = state.has_stage_systems;
            for slot in &mut state.slots {
                for end in &ends {
                    slot.recorder
                        .read_final_observation(world, end.entity, has_stage_systems);
                }
            }
        });
        for end in ends.drain(..) {
            // Not for players that were despawned since.
            if world.get_entity(end.entity).is_ok() {
                world.trigger(end);
            }
        }
        world.flush();
    }
}

/// The ends of players that are captured now. `None` if there are none.
fn take_ends(world: &mut World) -> Option<Vec<EpisodeEnded>> {
    let state = world.get_resource::<Experience>()?.state();
    if state.ends_at_capture.is_empty() {
        return None;
    }
    let is_captured = |end: &EpisodeEnded| {
        let mut reached = state.slots.iter().filter(|slot| state.is_reached(slot.point));
        world
            .get_entity(end.entity)
            .is_ok_and(|player| reached.any(|slot| player.contains_id(slot.recorder.marker())))
    };
    let exists = |end: &EpisodeEnded| world.get_entity(end.entity).is_ok();
    let ends = state.ends_at_capture.iter().filter(|end| exists(end));
    let (now, later): (Vec<_>, Vec<_>) = ends.cloned().partition(is_captured);
    world.resource_mut::<Experience>().state_mut().ends_at_capture = later;
    (!now.is_empty()).then_some(now)
}

/// Whether the game has systems in [`ExperienceSystems::Stage`]. `None` while they run.
///
/// They have run when the players are reset, so the first observation of the next episode has to wait for the next capture.
pub(super) fn has_stage_systems(world: &World) -> Option<bool> {
    let capture = world.get_resource::<Schedules>()?.get(ExperienceCapture)?;
    let stage = capture.graph().systems_in_set(ExperienceSystems::Stage.intern());
    Some(stage.is_ok_and(|stage| !stage.is_empty()))
}

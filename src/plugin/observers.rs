//! What the game tells us between captures. Observers only note; captures publish.

use super::{
    experience::Experience,
    works::{Works, component_id},
};
use crate::episode::{BeginEpisode, EndDisposition, EndEpisode, EndRequest, EpisodeEnded};
use bevy_app::App;
use bevy_ecs::{
    component::Component,
    entity::Entity,
    lifecycle::{Despawn, Remove},
    observer::On,
    world::{DeferredWorld, World},
};
use experience_core::transition::EndReason;

pub(super) fn add(app: &mut App) {
    app.add_observer(end_episode).add_observer(begin_episode);
}

/// Observers for players of the marker `P` who leave. `Despawn` comes before every component is gone; `Remove` tells of
/// a marker that is taken off.
pub(super) fn add_leaving<P: Component>(app: &mut App) {
    app.add_observer(|despawn: On<Despawn, P>, world: DeferredWorld| leave::<P>(despawn.entity, world));
    app.add_observer(|remove: On<Remove, P>, world: DeferredWorld| leave::<P>(remove.entity, world));
}

/// Does something with the recorders while the world can be read. They are out of their resource meanwhile, so whatever
/// `work` may set off finds nobody at home, and nothing is locked.
fn with_works<T>(world: &mut DeferredWorld, work: impl FnOnce(&mut Works, &World) -> T) -> Option<T> {
    let mut works = world.get_resource_mut::<Experience>()?.borrow()?;
    let result = work(&mut works, world);
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        experience.give_back(works);
    }
    Some(result)
}

fn end_episode(end: On<EndEpisode>, mut world: DeferredWorld) {
    let request = EndRequest {
        entity: end.entity,
        outcome: end.outcome,
        reason: end.reason.clone(),
        between_ticks: false,
    };
    let ended = with_works(&mut world, |works, world| {
        let request = EndRequest {
            between_ticks: works.is_between_ticks(),
            ..request
        };
        let mut ended = false;
        let mut is_player = false;
        for slot in works.slots_mut() {
            if end.recording.is_some_and(|only| only != slot.recorder.name()) {
                continue;
            }
            let staged = slot.recorder.stage_end(world, &request);
            is_player |= staged != EndDisposition::NotAPlayer;
            // A player who is kept out of the data must be reset like any other.
            ended |= matches!(staged, EndDisposition::Staged | EndDisposition::NotRecorded);
        }
        if !is_player && !works.slots().is_empty() {
            works.warn_stray_end(&end);
        }
        ended
    });
    if ended == Some(true) {
        world.commands().trigger(EpisodeEnded {
            entity: end.entity,
            outcome: end.outcome,
            reason: end.reason.clone(),
            recording: end.recording,
        });
    }
}

fn begin_episode(begin: On<BeginEpisode>, mut world: DeferredWorld) {
    with_works(&mut world, |works, _| {
        for slot in works.slots_mut() {
            slot.recorder.stage_begin(begin.entity);
        }
    });
}

fn leave<P: Component>(entity: Entity, mut world: DeferredWorld) {
    with_works(&mut world, |works, world| {
        let marker = component_id::<P>(world);
        let between_ticks = works.is_between_ticks();
        for slot in works.slots_mut() {
            if Some(slot.recorder.marker()) == marker {
                slot.recorder.stage_leave(world, entity, between_ticks);
            }
        }
    });
}

impl Works {
    fn warn_stray_end(&mut self, end: &EndEpisode) {
        if self.said_stray_end() {
            return;
        }
        let names: Vec<_> = self
            .slots()
            .iter()
            .map(|slot| format!("`{}`", slot.recorder.name()))
            .collect();
        let reason: &EndReason = &end.reason;
        match end.recording {
            Some(only) if self.recording(only).is_none() => tracing::warn!(
                "`EndEpisode` (`{reason}`) is for the recording `{only}`, which does not exist; there are: {}",
                names.join(", ")
            ),
            _ => tracing::warn!(
                "`EndEpisode` (`{reason}`) was triggered on {}, which is no player of {}: insert the recording's marker, or \
                 trigger it before the player is despawned",
                end.entity,
                names.join(", ")
            ),
        }
    }
}

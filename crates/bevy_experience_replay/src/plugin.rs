//! [`ReplayPlugin`]: writes the rows of replays to their ghosts.

use crate::{
    replay::{Replay, ReplayState},
    report::ReplayReport,
};
use bevy_app::{App, Plugin, PreUpdate};
use bevy_ecs::{
    change_detection::DetectChangesMut,
    entity::Entity,
    event::EntityEvent,
    lifecycle::Remove,
    observer::On,
    query::{QueryState, With},
    schedule::{IntoScheduleConfigs, SystemSet},
    system::{Commands, Local, Query},
    world::World,
};
use bevy_experience::{
    player::DoNotRecord,
    plugin::Experience,
    restore::{EpisodeRestorer, RestoreError},
};
use bevy_time::{Time, Virtual};

/// Plays the episodes of entities with [`Replay`].
///
/// The app also needs [`ExperiencePlugin`](bevy_experience::plugin::ExperiencePlugin), enabled or not, and the recording of the episodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayPlugin;

/// The systems of [`ReplayPlugin`], in [`PreUpdate`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplaySystems {
    /// Advances replays and writes their rows.
    Play,
}

/// A replay has been played to its last step, whose row its ghost has. It is paused.
#[derive(EntityEvent, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayEnded {
    /// The ghost.
    pub entity: Entity,
}

impl Plugin for ReplayPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(PreUpdate, play.in_set(ReplaySystems::Play))
            .add_observer(keep_out_of_recordings);
    }
}

/// Advances all replays, and writes the rows of those whose step has changed.
fn play(world: &mut World, replays: &mut QueryState<Entity, With<Replay>>, mut found: Local<Vec<Entity>>) {
    let delta = world.get_resource::<Time<Virtual>>().map_or(0.0, Time::delta_secs_f64);
    found.clear();
    found.extend(replays.iter(world));
    for &ghost in &*found {
        // Observers of an earlier one may have removed it.
        let Some(mut replay) = world.get_mut::<Replay>(ghost) else {
            continue;
        };
        let has_ended = replay.bypass_change_detection().advance(delta);
        show(world, ghost);
        if has_ended {
            world.trigger(ReplayEnded { entity: ghost });
        }
    }
}

/// Writes the row of the current step to the ghost, if it has another one.
fn show(world: &mut World, ghost: Entity) {
    let Some(mut replay) = world.get_mut::<Replay>(ghost) else {
        return;
    };
    let step = replay.step();
    if replay.shown == Some(step) {
        return;
    }
    replay.shown = Some(step);
    let mut restorer = match core::mem::replace(&mut replay.state, ReplayState::New) {
        ReplayState::Ready(restorer) => restorer,
        failed @ ReplayState::Failed(_) => {
            replay.state = failed;
            return;
        }
        ReplayState::New => match open(world, ghost) {
            Some(restorer) => restorer,
            None => return,
        },
    };
    let missing = match world.get_entity_mut(ghost) {
        Ok(mut ghost) => restorer.write(&mut ghost, step).to_vec(),
        Err(_) => return,
    };
    // Hooks and observers of components that were inserted may have replaced it.
    let Some(mut replay) = world
        .get_mut::<Replay>(ghost)
        .filter(|replay| matches!(replay.state, ReplayState::New))
    else {
        return;
    };
    replay.state = ReplayState::Ready(restorer);
    if let Some(report) = replay.report.as_mut() {
        let new = report.add_missing(&missing);
        for component in new {
            tracing::warn!(
                "the ghost {ghost} of episode {} of `{}` has no `{component}`, or one that does not accept a recorded value, so it is \
                 not restored: insert it, and for a component that comes and goes register its type with its default",
                report.episode,
                report.recording
            );
        }
    }
}

/// Makes the restorer of a new replay, and logs what it restores. `None` if it cannot be restored.
fn open(world: &mut World, ghost: Entity) -> Option<Box<EpisodeRestorer>> {
    let replay = world.get::<Replay>(ghost)?;
    let (episode, writes_actions) = (replay.episode().clone(), replay.writes_actions());
    let opened = match world.get_resource::<Experience>() {
        Some(experience) => experience.restorer(episode, writes_actions),
        None => Err(RestoreError::UnknownRecording {
            recording: episode.schema().name().to_owned(),
            known: Vec::new(),
        }),
    };
    let mut replay = world.get_mut::<Replay>(ghost)?;
    match opened {
        Ok(restorer) => {
            let report = ReplayReport::new(&restorer);
            tracing::info!("replay on {ghost}: {report}");
            replay.report = Some(report);
            Some(Box::new(restorer))
        }
        Err(error) => {
            tracing::error!("{error}");
            replay.state = ReplayState::Failed(error);
            None
        }
    }
}

/// Inserts [`DoNotRecord`] again where it is removed from a ghost.
fn keep_out_of_recordings(removed: On<Remove, DoNotRecord>, ghosts: Query<(), With<Replay>>, mut commands: Commands) {
    let ghost = removed.entity;
    if !ghosts.contains(ghost) {
        return;
    }
    commands.queue(move |world: &mut World| {
        // Neither where the replay is removed with it, nor where the entity is despawned.
        if let Ok(mut entity) = world.get_entity_mut(ghost)
            && entity.contains::<Replay>()
        {
            entity.insert(DoNotRecord);
            tracing::warn!(
                "`DoNotRecord` was removed from {ghost}, which replays an episode, and is inserted again: a ghost is not recorded; remove \
                 `Replay` first"
            );
        }
    });
}

//! Fixtures that the tests share: apps after a number of ticks, fighters by agent id, and closing a recording.

use std::time::Duration;

use arena::{AgentSlots, world_hash};
use bevy_app::App;
use bevy_ecs::{component::Mutable, prelude::*};
use bevy_experience::{prelude::*, transition::Episode};

/// How long the exporter may take before a test fails or a buffer drops rows, so that a slow disk or machine loses
/// nothing.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs `count` updates. In a headless arena, the first update plays no tick, and every later one plays one.
pub fn update(app: &mut App, count: u64) {
    for _ in 0..count {
        app.update();
    }
}

/// The world hash of a new headless arena after `ticks` ticks.
pub fn hash_after(ticks: u64, app: &mut App) -> u64 {
    update(app, ticks + 1);
    world_hash(app.world_mut())
}

/// The fighter of an agent that is present.
#[track_caller]
pub fn fighter_of(app: &App, agent: i64) -> Entity {
    let slots = app.world().resource::<AgentSlots>();
    slots.entity(agent).expect("the agent is present")
}

/// A component of an entity.
#[track_caller]
pub fn get<T: Component + Copy>(app: &App, entity: Entity) -> T {
    *app.world().get::<T>(entity).expect("the entity has the component")
}

/// Replaces a component of an entity.
#[track_caller]
pub fn set<T: Component<Mutability = Mutable>>(app: &mut App, entity: Entity, value: T) {
    *app.world_mut()
        .get_mut::<T>(entity)
        .expect("the entity has the component") = value;
}

/// Closes the recording and returns the episodes of its sink, by agent and then by tick.
#[track_caller]
pub fn close(app: &mut App, sink: &MemorySink) -> Vec<Episode> {
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(EXPORT_TIMEOUT), "the exporter did not finish");
    let mut episodes = sink.episodes();
    episodes.sort_by_key(|episode| (episode.info().agent_id, episode.row(0).header().tick));
    episodes
}

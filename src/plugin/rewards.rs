//! Maintenance of the [`Reward`] components of players: inserted where missing, cleared after each capture.

use crate::player::Reward;
use bevy_ecs::{
    archetype::ArchetypeEntity,
    change_detection::DetectChangesMut,
    component::ComponentId,
    entity::Entity,
    query::QueryState,
    world::{DeferredWorld, World},
};

/// Inserts a [`Reward`] on those of `players` that have none.
pub(super) fn insert_missing(world: &mut World, players: Vec<Entity>) {
    for player in players {
        // An observer of an earlier insertion may have despawned the player.
        if let Ok(mut player) = world.get_entity_mut(player)
            && !player.contains::<Reward>()
        {
            player.insert(Reward::default());
        }
    }
}

/// The entities with the component `marker` that have no [`Reward`].
pub(super) fn missing(world: &World, marker: ComponentId) -> impl Iterator<Item = Entity> {
    let reward = world.components().component_id::<Reward>();
    let archetypes = world
        .archetypes()
        .iter()
        .filter(move |archetype| archetype.contains(marker) && reward.is_none_or(|reward| !archetype.contains(reward)));
    archetypes.flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
}

/// Warns once about a reward that was given with `Reward::add_to` to a recording for which `exists` is false.
pub(super) fn check_recordings(
    rewards: &mut QueryState<&'static mut Reward>,
    world: &mut World,
    exists: impl Fn(&str) -> bool,
    has_warned: &mut bool,
) {
    /// Players that are checked at one time, so that the check takes no noticeable time.
    const PLAYERS: usize = 256;
    if *has_warned {
        return;
    }
    for reward in rewards.iter_mut(world).take(PLAYERS) {
        let Some((recording, term)) = reward.terms_of_recordings().find(|&(recording, _)| !exists(recording)) else {
            continue;
        };
        *has_warned = true;
        tracing::warn!(
            "a reward was given for the term `{term}` in the recording `{recording}`, which does not exist, so it is in no \
             data: give `Reward::add_to` the name of a recording"
        );
        return;
    }
}

/// Sets all rewards to zero, without triggering change detection of the game.
pub(super) fn clear(rewards: &mut QueryState<&'static mut Reward>, world: &mut World) {
    for mut reward in rewards.iter_mut(world) {
        reward.bypass_change_detection().clear();
    }
}

/// Sets the rewards of one player to zero, without triggering change detection.
pub(super) fn clear_player<'w>(player: Entity, world: impl Into<DeferredWorld<'w>>) {
    if let Some(mut reward) = world.into().get_mut::<Reward>(player) {
        reward.bypass_change_detection().clear();
    }
}

//! Maintenance of the [`Reward`] components of players: inserted where missing, cleared after each capture.

use super::{
    experience::Experience,
    state::{RecordingSlot, component_id},
};
use crate::player::Reward;
use bevy_ecs::{
    archetype::ArchetypeEntity,
    change_detection::DetectChangesMut,
    entity::Entity,
    query::QueryState,
    world::{DeferredWorld, World},
};

/// Inserts a [`Reward`] on players that have none. The first capture checks all players, later ones only those whose
/// marker does not require it.
pub(super) fn insert_missing(world: &mut World) {
    let Some(experience) = world.get_resource::<Experience>() else {
        return;
    };
    let state = experience.state();
    let is_first = !state.is_frozen();
    let slots = state
        .slots
        .iter()
        .filter(|slot| is_first || !slot.marker_requires_reward);
    // Nearly always empty, in which case it does not allocate.
    let mut players = Vec::new();
    for slot in slots {
        players.extend(without_reward(world, slot));
    }
    for player in players {
        // An observer of an earlier insertion may have despawned the player.
        if let Ok(mut player) = world.get_entity_mut(player)
            && !player.contains::<Reward>()
        {
            player.insert(Reward::default());
        }
    }
}

/// The players of a recording that have no [`Reward`].
fn without_reward<'w>(world: &'w World, slot: &RecordingSlot) -> impl Iterator<Item = Entity> + 'w {
    let marker = slot.recorder.marker();
    let reward = component_id::<Reward>(world);
    let archetypes = world
        .archetypes()
        .iter()
        .filter(move |archetype| archetype.contains(marker) && reward.is_none_or(|reward| !archetype.contains(reward)));
    archetypes.flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
}

/// Warns once about a reward that was given with `Reward::add_to` to a recording that does not exist.
pub(super) fn check_recordings(
    rewards: &mut QueryState<&'static mut Reward>,
    world: &mut World,
    slots: &[RecordingSlot],
    has_warned: &mut bool,
) {
    /// Players that are checked at one time, so that the check takes no noticeable time.
    const PLAYERS: usize = 256;
    if *has_warned {
        return;
    }
    let exists = |name: &str| slots.iter().any(|slot| slot.recorder.name() == name);
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
pub(super) fn clear_player(player: Entity, world: &mut World) {
    if let Some(mut reward) = world.get_mut::<Reward>(player) {
        reward.bypass_change_detection().clear();
    }
}

/// As [`clear_player`], in an observer.
pub(super) fn clear_deferred(player: Entity, world: &mut DeferredWorld) {
    if let Some(mut reward) = world.get_mut::<Reward>(player) {
        reward.bypass_change_detection().clear();
    }
}

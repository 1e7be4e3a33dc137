//! Sources that read more of the world than the player's own components.

use super::source::RowPart;
use crate::restore::Unrestored;
use bevy_ecs::{
    archetype::{ArchetypeEntity, ArchetypeId},
    change_detection::Tick,
    component::ComponentId,
    entity::Entity,
    storage::Table,
    world::World,
};

/// A source whose values come from anywhere in the world: resources, other entities, functions.
///
/// At each capture [`prepare`](Self::prepare) is called once, then [`encode`](Self::encode) for each block of players; in a
/// parallel capture from several threads at once.
pub(crate) trait WorldSource: Send + Sync {
    /// Reads what does not depend on the player. Returns false if the source cannot be read: no player can be encoded then.
    fn prepare(&mut self, world: &World, players: Players<'_>) -> bool;

    /// Encodes players into rows that are `stride` bytes apart. Called only after [`prepare`](Self::prepare) for these
    /// players.
    fn encode(&self, players: TableRun<'_>, rows: &mut [u8], stride: usize);

    /// Whether rows of players can differ from those at the last call although no component of these players changed.
    fn may_have_changed(&mut self) -> bool {
        true
    }

    /// Whether what it reads for `player` was added or accessed mutably after the change tick `since`. `None` if no change ticks
    /// tell it.
    fn is_written(&self, _world: &World, _player: Entity, _since: Tick) -> Option<bool> {
        None
    }

    /// Why its values cannot be written back to a player.
    fn unrestored(&self) -> Unrestored;

    /// The id and the name of each component type that it reads, as far as they are known.
    fn components(&self) -> Vec<(ComponentId, &'static str)>;

    /// The components that each player must have.
    fn required_components(&self) -> Vec<(ComponentId, &'static str)> {
        Vec::new()
    }

    /// Why the source could not be read, and the remedy. `None` if it could.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// A warning about what the source read since the last call.
    fn take_warning(&mut self) -> Option<String> {
        None
    }

    /// What the source never found, and the remedy. `None` if it found something.
    fn never_found(&self) -> Option<String> {
        None
    }
}

/// A [`WorldSource`] with the part of the row that it fills.
pub(crate) struct PlacedWorldSource {
    pub(crate) part: RowPart,
    pub(crate) source: Box<dyn WorldSource>,
}

/// The players that are encoded after a call of [`WorldSource::prepare`].
#[derive(Clone, Copy)]
pub(crate) enum Players<'a> {
    /// All entities of these archetypes.
    All(&'a [ArchetypeId]),
    /// One player, whose episode ends.
    One(Entity),
}

/// Players in neighbouring rows of a table, in the order of their archetype.
#[derive(Clone, Copy)]
pub(crate) struct TableRun<'a> {
    pub(crate) world: &'a World,
    pub(crate) table: &'a Table,
    pub(crate) players: &'a [ArchetypeEntity],
}

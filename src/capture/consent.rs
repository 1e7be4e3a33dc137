//! Which entities may appear in the rows of players: contract, consent.

use super::excluded_components;
use bevy_ecs::{
    archetype::{Archetype, ArchetypeEntity, ArchetypeGeneration, ArchetypeId},
    component::ComponentId,
    entity::Entity,
    hierarchy::ChildOf,
    world::{EntityRef, World},
};

/// Ancestors beyond this depth are ignored. Relations of entities can form a cycle, which Bevy does not reject.
const MAX_DEPTH: usize = 1024;

/// Excludes entities with [`DoNotRecord`](crate::player::DoNotRecord) or below an ancestor that has it, and entities with
/// `Disabled`.
pub(super) struct ConsentFilter {
    do_not_record: ComponentId,
    disabled: ComponentId,
    /// Some entity has `DoNotRecord`. Otherwise no ancestor is looked at.
    has_excluded: bool,
}

impl ConsentFilter {
    pub(super) fn new(world: &mut World) -> Self {
        let [do_not_record, disabled] = excluded_components(world);
        Self {
            do_not_record,
            disabled,
            has_excluded: true,
        }
    }

    /// Call this once per capture.
    pub(super) fn prepare(&mut self, world: &World) {
        let archetypes = world.archetypes().component_index().get(&self.do_not_record);
        self.has_excluded = archetypes.is_some_and(|archetypes| {
            let mut ids = archetypes.keys();
            ids.any(|&id| !world.archetypes()[id].is_empty())
        });
    }

    /// Whether any entity has `DoNotRecord`, so that ancestors matter.
    pub(super) fn has_excluded(&self) -> bool {
        self.has_excluded
    }

    /// Whether `entity` may appear in the row of `player`, or in all rows. What is below the player belongs to the player,
    /// so its ancestors are looked at up to the player only.
    pub(super) fn allows(&self, world: &World, entity: EntityRef<'_>, player: Option<Entity>) -> bool {
        if entity.contains_id(self.do_not_record) || entity.contains_id(self.disabled) {
            return false;
        }
        if !self.has_excluded {
            return true;
        }
        let mut ancestor = entity.get::<ChildOf>().map(ChildOf::parent);
        for _ in 0..MAX_DEPTH {
            let Some(id) = ancestor.filter(|&id| Some(id) != player) else {
                return true;
            };
            let Ok(found) = world.get_entity(id) else {
                return true;
            };
            if found.contains_id(self.do_not_record) {
                return false;
            }
            ancestor = found.get::<ChildOf>().map(ChildOf::parent);
        }
        true
    }
}

/// The archetypes with given components and without those of excluded entities, updated incrementally.
pub(super) struct EntityArchetypes {
    components: Vec<ComponentId>,
    excluded: [ComponentId; 2],
    checked: ArchetypeGeneration,
    found: Vec<ArchetypeId>,
}

impl EntityArchetypes {
    pub(super) fn new(world: &mut World, components: Vec<ComponentId>) -> Self {
        Self {
            components,
            excluded: excluded_components(world),
            checked: ArchetypeGeneration::initial(),
            found: Vec::new(),
        }
    }

    /// Archetypes are never removed from a world, so only those created since the last call are checked.
    pub(super) fn update(&mut self, world: &World) {
        let archetypes = world.archetypes();
        if self.checked == archetypes.generation() {
            return;
        }
        for archetype in &archetypes[self.checked..] {
            let has_all = self.components.iter().all(|&id| archetype.contains(id));
            if has_all && !self.excluded.iter().any(|&id| archetype.contains(id)) {
                self.found.push(archetype.id());
            }
        }
        self.checked = archetypes.generation();
    }

    /// The archetypes, in the order in which they were created.
    pub(super) fn ids(&self) -> &[ArchetypeId] {
        &self.found
    }

    /// The entities of all archetypes. Those below an excluded ancestor are among them.
    pub(super) fn entities<'a>(&'a self, world: &'a World) -> impl Iterator<Item = EntityRef<'a>> + 'a {
        let archetypes = self.found.iter().map(|&id| &world.archetypes()[id]);
        let entities = archetypes.flat_map(Archetype::entities);
        entities
            .map(ArchetypeEntity::id)
            .filter_map(|entity| world.get_entity(entity).ok())
    }
}

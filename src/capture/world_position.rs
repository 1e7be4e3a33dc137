//! World positions at the moment of a capture: local positions, transformed by the ancestors of an entity.
//!
//! `GlobalTransform` is not read, because Bevy computes it in `PostUpdate`: in the fixed loop it is that of the last frame.

use super::source::ComponentReader;
use crate::player::DoNotRecord;
use bevy_ecs::{archetype::ArchetypeEntity, entity::Entity, hierarchy::ChildOf, storage::Table, world::World};
use bevy_math::Vec3;
use bevy_transform::components::Transform;

/// Ancestors beyond this depth are ignored. Relations of entities can form a cycle, which Bevy does not reject.
const MAX_DEPTH: usize = 1024;

/// Reads positions in the axes and units of the world. Only entities with a parent cost more than their `Transform`.
pub(super) struct WorldPositions {
    local: ComponentReader<Transform>,
    parent: ComponentReader<ChildOf>,
}

/// An entity in the world, seen from its ancestors.
pub(super) struct Placed {
    pub(super) position: Vec3,
    /// Whether an ancestor has [`DoNotRecord`].
    pub(super) is_excluded: bool,
}

impl WorldPositions {
    pub(super) fn new(world: &mut World) -> Self {
        Self {
            local: ComponentReader::new(world),
            parent: ComponentReader::new(world),
        }
    }

    /// The component that an entity needs to have a position.
    pub(super) fn local(&self) -> &ComponentReader<Transform> {
        &self.local
    }

    /// The parents of `entities`, which are in neighbouring rows of `table`; `None` if they have none.
    pub(super) fn parents<'w>(&self, table: &'w Table, entities: &[ArchetypeEntity]) -> Option<&'w [ChildOf]> {
        self.parent.get_slice(table, entities)
    }

    /// The position of `entity`, which is in `table`; `None` if it has none.
    pub(super) fn of(&self, world: &World, table: &Table, entity: &ArchetypeEntity) -> Option<Placed> {
        let position = self.local.get(world, table, entity)?.translation;
        Some(match self.parent.get(world, table, entity) {
            Some(parent) => place_below(world, parent, position),
            None => Placed {
                position,
                is_excluded: false,
            },
        })
    }

    /// The position of any entity; `None` if it has none.
    pub(super) fn of_entity(&self, world: &World, entity: Entity) -> Option<Vec3> {
        let position = world.get::<Transform>(entity)?.translation;
        let parent = world.get::<ChildOf>(entity);
        Some(parent.map_or(position, |parent| place_below(world, parent, position).position))
    }
}

/// Transforms a position below `parent` by all ancestors. Those without a `Transform` leave it as it is.
pub(super) fn place_below(world: &World, parent: &ChildOf, local: Vec3) -> Placed {
    let mut placed = Placed {
        position: local,
        is_excluded: false,
    };
    let mut ancestor = Some(parent.parent());
    for _ in 0..MAX_DEPTH {
        let Some(entity) = ancestor.and_then(|ancestor| world.get_entity(ancestor).ok()) else {
            break;
        };
        if let Some(transform) = entity.get::<Transform>() {
            placed.position = transform.transform_point(placed.position);
        }
        placed.is_excluded |= entity.contains::<DoNotRecord>();
        ancestor = entity.get::<ChildOf>().map(ChildOf::parent);
    }
    placed
}

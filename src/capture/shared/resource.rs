//! The value of a resource.

use super::SharedValue;
use crate::capture::source::Source;
use crate::restore::Unrestored;
use bevy_ecs::{
    change_detection::Tick,
    component::ComponentId,
    world::{EntityRef, World},
};

/// A resource. Players are not recorded while it does not exist.
pub(crate) struct ResourceValue {
    /// The resource type, which Bevy stores as a component of an entity of its own.
    source: Source,
}

impl ResourceValue {
    /// The resource whose type `source` encodes.
    pub(crate) fn new(source: Source) -> Self {
        Self { source }
    }

    /// The entity that holds the resource.
    fn entity<'w>(&self, world: &'w World) -> Option<EntityRef<'w>> {
        let entity = world.resource_entities().get(self.source.component())?;
        world.get_entity(entity).ok()
    }
}

impl SharedValue for ResourceValue {
    fn encode(&mut self, world: &World, row: &mut [u8]) -> bool {
        self.source.compile_if_found(world);
        self.source.encode_entity(self.entity(world), row)
    }

    fn is_written(&self, world: &World, since: Tick) -> Option<bool> {
        let entity = self.entity(world);
        Some(entity.is_some_and(|entity| self.source.is_written(world, entity, since)))
    }

    fn unrestored(&self) -> Unrestored {
        Unrestored::Resource
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        vec![(self.source.component(), self.source.name())]
    }

    fn unavailable(&self) -> String {
        let name = self.source.name();
        format!("reads the resource `{name}`, which does not exist: no player is recorded until it is inserted")
    }
}

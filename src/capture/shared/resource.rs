//! The value of a resource.

use super::SharedValue;
use crate::capture::source::Source;
use crate::restore::Unrestored;
use bevy_ecs::{component::ComponentId, world::World};

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
}

impl SharedValue for ResourceValue {
    fn encode(&mut self, world: &World, row: &mut [u8]) -> bool {
        let entity = world.resource_entities().get(self.source.component());
        let entity = entity.and_then(|entity| world.get_entity(entity).ok());
        self.source.compile_if_found(world);
        self.source.encode_entity(entity, row)
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

//! The number of entities with a component.

use super::SharedValue;
use crate::capture::consent::{ConsentFilter, EntityArchetypes};
use crate::restore::Unrestored;
use bevy_ecs::{
    component::{Component, ComponentId},
    hierarchy::ChildOf,
    world::World,
};

/// How many entities have a component, from the lengths of archetypes.
pub(crate) struct CountValue {
    component: (ComponentId, &'static str),
    child_of: ComponentId,
    archetypes: EntityArchetypes,
    consent: ConsentFilter,
    /// The byte of a row at which the number is written, as an `f32`.
    offset: usize,
}

impl CountValue {
    /// The number of entities with the component `T`.
    pub(crate) fn new<T: Component>(world: &mut World, offset: usize) -> Self {
        let component = world.register_component::<T>();
        Self {
            component: (component, core::any::type_name::<T>()),
            child_of: world.register_component::<ChildOf>(),
            archetypes: EntityArchetypes::new(world, vec![component]),
            consent: ConsentFilter::new(world),
            offset,
        }
    }

    fn count(&self, world: &World) -> usize {
        let archetypes = self.archetypes.ids().iter().map(|&id| &world.archetypes()[id]);
        archetypes
            .map(|archetype| {
                if !self.consent.has_excluded() || !archetype.contains(self.child_of) {
                    return archetype.len() as usize;
                }
                let entities = archetype.entities().iter();
                let entities = entities.filter_map(|entity| world.get_entity(entity.id()).ok());
                entities
                    .filter(|&entity| self.consent.allows(world, entity, None))
                    .count()
            })
            .sum()
    }
}

impl SharedValue for CountValue {
    fn encode(&mut self, world: &World, row: &mut [u8]) -> bool {
        self.consent.prepare(world);
        self.archetypes.update(world);
        let count = self.count(world) as f32;
        row[self.offset..][..size_of::<f32>()].copy_from_slice(&count.to_ne_bytes());
        true
    }

    fn unrestored(&self) -> Unrestored {
        Unrestored::Count
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        vec![self.component]
    }

    fn never_found(&self) -> Option<String> {
        let name = self.component.1;
        let is_empty = self.archetypes.ids().is_empty();
        is_empty.then(|| {
            format!("no entity ever had `{name}`, so `observe_count` was always 0: insert it, or do not count it")
        })
    }
}

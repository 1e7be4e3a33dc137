//! The value of a unique entity.

use super::SharedValue;
use crate::capture::{
    consent::{ConsentFilter, EntityArchetypes},
    source::Source,
};
use crate::restore::Unrestored;
use bevy_ecs::{
    component::{Component, ComponentId},
    world::World,
};

/// A component of the only entity that has it together with a marker.
pub(crate) struct SingleValue {
    marker: (ComponentId, &'static str),
    source: Source,
    archetypes: EntityArchetypes,
    consent: ConsentFilter,
    several: Several,
}

/// Whether several entities were found where one is expected, which is reported once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Several {
    No,
    Found,
    Reported,
}

impl SingleValue {
    /// The component that `source` encodes, of the only entity with the component `M`.
    pub(crate) fn new<M: Component>(world: &mut World, source: Source) -> Self {
        let marker = world.register_component::<M>();
        Self {
            marker: (marker, core::any::type_name::<M>()),
            archetypes: EntityArchetypes::new(world, vec![marker, source.component()]),
            consent: ConsentFilter::new(world),
            source,
            several: Several::No,
        }
    }
}

impl SharedValue for SingleValue {
    fn encode(&mut self, world: &World, row: &mut [u8]) -> bool {
        self.consent.prepare(world);
        self.archetypes.update(world);
        self.source.compile_if_found(world);
        let consent = &self.consent;
        let entities = self.archetypes.entities(world);
        let mut entities = entities.filter(|&entity| consent.allows(world, entity, None));
        let first = entities.next();
        let is_only = entities.next().is_none();
        self.source.encode_entity(first.filter(|_| is_only), row);
        if !is_only && self.several == Several::No {
            self.several = Several::Found;
        }
        true
    }

    fn unrestored(&self) -> Unrestored {
        Unrestored::OtherEntity
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        vec![self.marker, (self.source.component(), self.source.name())]
    }

    fn take_warning(&mut self) -> Option<String> {
        if self.several != Several::Found {
            return None;
        }
        self.several = Several::Reported;
        let (marker, name) = (self.marker.1, self.source.name());
        Some(format!(
            "several entities have both `{marker}` and `{name}`, so `observe_single` records none of them: give the marker to \
             one entity, or use `observe_nearest`"
        ))
    }

    fn never_found(&self) -> Option<String> {
        let (marker, name) = (self.marker.1, self.source.name());
        self.archetypes.ids().is_empty().then(|| {
            format!(
                "no entity ever had both `{marker}` and `{name}`, so `observe_single` found nothing: insert both on the same \
                 entity"
            )
        })
    }
}

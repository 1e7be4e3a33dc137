//! Source of related entities: components of the entity that a relationship of the player leads to.

use super::{
    consent::ConsentFilter,
    source::{ComponentReader, Source},
    world_source::{Players, TableRun, WorldSource},
};
use crate::restore::Unrestored;
use bevy_ecs::{
    change_detection::Tick,
    component::{Component, ComponentId, Immutable, Mutable},
    entity::Entity,
    relationship::{Relationship, RelationshipTarget},
    world::{EntityRef, World},
};
use core::sync::atomic::{AtomicBool, Ordering};

/// Either end of a relationship: a [`Relationship`] such as [`ChildOf`](bevy_ecs::hierarchy::ChildOf), which leads to one
/// entity, or a [`RelationshipTarget`] such as [`Children`](bevy_ecs::hierarchy::Children), which leads to several.
///
/// Implemented for all of them. `#[derive(Component)]` makes the components of a [`Relationship`] immutable, by which the two
/// are told apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a `Relationship` nor a `RelationshipTarget`",
    note = "name a component such as `ChildOf`, which leads to the parent, or `Children`"
)]
pub trait Related: Component {
    /// Calls `visit` with each related entity, in the order of the relationship, until it returns false.
    #[doc(hidden)]
    fn visit_related(&self, visit: &mut dyn FnMut(Entity) -> bool);
}

impl<R: Component<Mutability: RelationshipEnd<R>>> Related for R {
    fn visit_related(&self, visit: &mut dyn FnMut(Entity) -> bool) {
        R::Mutability::visit_related(self, visit);
    }
}

/// Implemented for the mutability of the components at each end of a relationship.
#[doc(hidden)]
pub trait RelationshipEnd<R> {
    fn visit_related(relationship: &R, visit: &mut dyn FnMut(Entity) -> bool);
}

impl<R: Relationship> RelationshipEnd<R> for Immutable {
    fn visit_related(relationship: &R, visit: &mut dyn FnMut(Entity) -> bool) {
        visit(relationship.get());
    }
}

impl<R: RelationshipTarget> RelationshipEnd<R> for Mutable {
    fn visit_related(relationship: &R, visit: &mut dyn FnMut(Entity) -> bool) {
        let _ = relationship.iter().all(visit);
    }
}

/// A component of the first entity that a relationship of the player leads to and that has the component.
pub(crate) struct RelatedSource<R> {
    relationship: ComponentReader<R>,
    source: Source,
    consent: ConsentFilter,
    /// The method of `Recording` that declares the source.
    method: &'static str,
    has_found: AtomicBool,
    has_several: AtomicBool,
    has_reported_several: bool,
}

impl<R: Related> RelatedSource<R> {
    /// The component that `source` encodes, of the entity that `R` leads to.
    pub(crate) fn new(world: &mut World, source: Source, method: &'static str) -> Self {
        Self {
            relationship: ComponentReader::new(world),
            source,
            consent: ConsentFilter::new(world),
            method,
            has_found: AtomicBool::new(false),
            has_several: AtomicBool::new(false),
            has_reported_several: false,
        }
    }

    /// The first entity that `relationship` leads to and that has the component.
    fn find<'w>(&self, world: &'w World, relationship: &R, player: Entity) -> Option<EntityRef<'w>> {
        let mut found = None;
        relationship.visit_related(&mut |related| {
            let Ok(entity) = world.get_entity(related) else {
                return true;
            };
            if !entity.contains_id(self.source.component()) || !self.consent.allows(world, entity, Some(player)) {
                return true;
            }
            if found.is_some() {
                self.has_several.store(true, Ordering::Relaxed);
                return false;
            }
            found = Some(entity);
            true
        });
        found
    }
}

impl<R: Related> WorldSource for RelatedSource<R> {
    fn prepare(&mut self, world: &World, _: Players<'_>) -> bool {
        self.consent.prepare(world);
        self.source.compile_if_found(world);
        true
    }

    fn encode(&self, run: TableRun<'_>, rows: &mut [u8], stride: usize) {
        let TableRun { world, table, players } = run;
        let mut has_found = false;
        for (player, row) in players.iter().zip(rows.chunks_exact_mut(stride)) {
            let relationship = self.relationship.get(world, table, player);
            let related = relationship.and_then(|relationship| self.find(world, relationship, player.id()));
            has_found |= self.source.encode_entity(related, row);
        }
        if has_found {
            self.has_found.store(true, Ordering::Relaxed);
        }
    }

    fn is_written(&self, world: &World, player: Entity, since: Tick) -> Option<bool> {
        let relationship = world.get::<R>(player);
        let related = relationship.and_then(|relationship| self.find(world, relationship, player));
        Some(related.is_some_and(|related| self.source.is_written(world, related, since)))
    }

    fn unrestored(&self) -> Unrestored {
        Unrestored::OtherEntity
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        vec![
            (self.relationship.id(), core::any::type_name::<R>()),
            (self.source.component(), self.source.name()),
        ]
    }

    fn take_warning(&mut self) -> Option<String> {
        if self.has_reported_several || !self.has_several.load(Ordering::Relaxed) {
            return None;
        }
        self.has_reported_several = true;
        let (relationship, name, method) = (core::any::type_name::<R>(), self.source.name(), self.method);
        Some(format!(
            "several entities that `{relationship}` of a player leads to have `{name}`, and `{method}` records the first: give \
             the others another component, or use `observe_nearest` or `observe_system`"
        ))
    }

    fn never_found(&self) -> Option<String> {
        let (relationship, name, method) = (core::any::type_name::<R>(), self.source.name(), self.method);
        (!self.has_found.load(Ordering::Relaxed)).then(|| {
            format!(
                "`{relationship}` of a player never led to an entity with `{name}`, so `{method}` found nothing: insert it on \
                 the related entity"
            )
        })
    }
}

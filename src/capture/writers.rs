//! Writers of components: the inverse of the sources that record components by their fields.
#![expect(
    unsafe_code,
    reason = "components are written through erased pointers, so that one writer serves all component types"
)]

use crate::reflect::FieldWriter;
use bevy_ecs::{
    component::{Component, ComponentId, ComponentMutability},
    ptr::PtrMut,
    world::{EntityWorldMut, World, WorldId},
};
use bevy_reflect::{PartialReflect, Reflect};
use core::any::{Any, TypeId};
use experience_core::schema::Column;

/// Restores the type of an erased component that can be written.
type ReflectMutFn = for<'a> unsafe fn(PtrMut<'a>) -> &'a mut dyn PartialReflect;

/// Writes, takes and inserts components of one type, on entities of one world.
#[derive(Clone, Copy)]
pub(crate) struct ComponentAccess {
    world: WorldId,
    component: ComponentId,
    type_id: TypeId,
    /// Bevy keeps names only with its feature `debug`.
    name: &'static str,
    /// `None` for a component that is immutable, or is not recorded by its fields. Otherwise [`reflect_mut`] of the type with the id
    /// `component` in `world`.
    reflect_mut: Option<ReflectMutFn>,
    take: fn(&mut EntityWorldMut<'_>) -> Option<Box<dyn Any + Send + Sync>>,
    put: fn(&mut EntityWorldMut<'_>, Box<dyn Any>) -> bool,
}

impl ComponentAccess {
    pub(super) fn new<T: Component>(world: &mut World) -> Self {
        Self {
            world: world.id(),
            component: world.register_component::<T>(),
            type_id: TypeId::of::<T>(),
            name: core::any::type_name::<T>(),
            reflect_mut: None,
            take: |entity| Some(Box::new(entity.take::<T>()?)),
            put: |entity, value| {
                let Ok(value) = value.downcast::<T>() else {
                    return false;
                };
                entity.insert(*value);
                true
            },
        }
    }

    /// The access of `new`, which also writes in place if the component is mutable.
    pub(super) fn reflected<T: Component + Reflect>(self) -> Self {
        let is_mutable = <T::Mutability as ComponentMutability>::MUTABLE && self.type_id == TypeId::of::<T>();
        Self {
            reflect_mut: is_mutable.then_some(reflect_mut::<T> as ReflectMutFn),
            ..self
        }
    }

    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }

    pub(crate) fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// The name of the component type.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the component can be written in place.
    pub(crate) fn is_mutable(&self) -> bool {
        self.reflect_mut.is_some()
    }

    /// Whether `entity` exists, in the world of the component id.
    pub(crate) fn is_of_world(&self, entity: &EntityWorldMut<'_>) -> bool {
        !entity.is_despawned() && entity.world().id() == self.world
    }

    /// The component of `entity`, for writing. Change detection sees a write.
    pub(crate) fn get_mut<'a>(&self, entity: &'a mut EntityWorldMut<'_>) -> Option<&'a mut dyn PartialReflect> {
        if !self.is_of_world(entity) {
            return None;
        }
        let reflect_mut = self.reflect_mut?;
        let component = entity.get_mut_by_id(self.component).ok()?;
        // SAFETY: `reflect_mut` restores the type that has the id `component` in the world `world`, which is that of the entity.
        Some(unsafe { reflect_mut(component.into_inner()) })
    }

    pub(crate) fn is_on(&self, entity: &EntityWorldMut<'_>) -> bool {
        self.is_of_world(entity) && entity.contains_id(self.component)
    }

    /// Removes the component. `None` if there was none.
    pub(crate) fn take(&self, entity: &mut EntityWorldMut<'_>) -> Option<Box<dyn Any + Send + Sync>> {
        (self.take)(entity)
    }

    /// Inserts the component. Returns false if `value` is of another type.
    pub(crate) fn put(&self, entity: &mut EntityWorldMut<'_>, value: Box<dyn Any>) -> bool {
        (self.put)(entity, value)
    }
}

/// Writes the values of an action to a component of a player.
pub(crate) struct ActionWriter {
    access: ComponentAccess,
    /// The names of the columns that the component has in the action.
    columns: Vec<String>,
    fields: FieldWriter,
}

impl ActionWriter {
    pub(super) fn new(access: ComponentAccess, columns: &[Column], fields: FieldWriter) -> Self {
        Self {
            access,
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            fields,
        }
    }

    /// The name of the component type.
    pub(crate) fn name(&self) -> &'static str {
        self.access.name()
    }

    /// The names of the columns that it writes.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether the component can be written in place.
    pub(crate) fn is_mutable(&self) -> bool {
        self.access.is_mutable()
    }

    /// Writes the values of the columns, in order. Returns false if the player has no such component, or a field does not accept
    /// its value. Change detection sees a write in any case.
    pub(crate) fn write(&self, player: &mut EntityWorldMut<'_>, values: &[f64]) -> bool {
        self.access
            .get_mut(player)
            .is_some_and(|component| self.fields.write(component, values))
    }
}

/// Restores the type of an erased component.
///
/// # Safety
/// `component` points to a `T`.
unsafe fn reflect_mut<T: Reflect>(component: PtrMut<'_>) -> &mut dyn PartialReflect {
    // SAFETY: guaranteed by the caller.
    unsafe { component.deref_mut::<T>() }
}

//! Writers of actions: the inverse of the sources of an action that is recorded by its fields.
#![expect(
    unsafe_code,
    reason = "components are written through erased pointers, so that one writer serves all component types"
)]

use crate::reflect::FieldWriter;
use bevy_ecs::{component::ComponentId, ptr::PtrMut, world::EntityWorldMut};
use bevy_reflect::{PartialReflect, Reflect};
use experience_core::schema::Column;

/// Restores the type of an erased component that can be written.
pub(super) type ReflectMutFn = for<'a> unsafe fn(PtrMut<'a>) -> &'a mut dyn PartialReflect;

/// Writes the values of an action to a component of a player.
pub(crate) struct ActionWriter {
    component: ComponentId,
    name: &'static str,
    /// The names of the columns that the component has in the action.
    columns: Vec<String>,
    fields: FieldWriter,
    /// `None` for an immutable component.
    reflect_mut: Option<ReflectMutFn>,
}

impl ActionWriter {
    /// `reflect_mut` must be [`reflect_mut`] of the type with the id `component`.
    pub(super) fn new(
        component: ComponentId,
        name: &'static str,
        columns: &[Column],
        fields: FieldWriter,
        reflect_mut: Option<ReflectMutFn>,
    ) -> Self {
        Self {
            component,
            name,
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            fields,
            reflect_mut,
        }
    }

    /// The name of the component type.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The names of the columns that it writes.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether the component can be written in place.
    pub(crate) fn is_mutable(&self) -> bool {
        self.reflect_mut.is_some()
    }

    /// Writes the values of the columns, in order. Returns false if the player has no such component, or a field does not accept
    /// its value. Change detection sees a write in any case.
    pub(crate) fn write(&self, player: &mut EntityWorldMut<'_>, values: &[f64]) -> bool {
        let (Some(reflect_mut), Ok(component)) = (self.reflect_mut, player.get_mut_by_id(self.component)) else {
            return false;
        };
        // SAFETY: `reflect_mut` restores the type that has the id `component`, as `new` requires, in the world that the
        // recording was built for, which is the only one that it writes.
        let component = unsafe { reflect_mut(component.into_inner()) };
        self.fields.write(component, values)
    }
}

/// Restores the type of an erased component.
///
/// # Safety
/// `component` points to a `T`.
pub(super) unsafe fn reflect_mut<T: Reflect>(component: PtrMut<'_>) -> &mut dyn PartialReflect {
    // SAFETY: guaranteed by the caller.
    unsafe { component.deref_mut::<T>() }
}

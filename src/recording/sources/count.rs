//! The method of [`Recording`] that observes the number of entities with a component.

use super::{PlacedSource, PlannedSource, refuse_resource};
use crate::{
    capture::{CountValue, RowPart, SharedBytes, SharedSource},
    recording::Recording,
    reflect::root_name,
};
use bevy_ecs::component::Component;
use bevy_reflect::TypePath;
use experience_core::schema::{Column, DType, Space};

impl<P: Component> Recording<P> {
    /// Observes how many entities have the component `T`, with the same number for all players, in the column `brick.count`.
    ///
    /// Entities with [`DoNotRecord`](crate::player::DoNotRecord) or below one that has it, and entities with `Disabled`, do not
    /// count. Entities are counted by archetypes, so it costs the same for many entities as for one. Numbers beyond 2²⁴ are
    /// rounded.
    pub fn observe_count<T: Component + TypePath>(self) -> Self {
        self.observed(Box::new(|world, _| {
            refuse_resource::<T>(world, "there is at most one of it: use `observe_resource`")?;
            let space = Space::Box {
                low: Some(0.0),
                high: None,
            };
            let columns = vec![Column::scalar(format!("{}.count", root_name::<T>()), DType::F32, space)];
            Ok(PlannedSource {
                columns: columns.clone(),
                mask_width: 0,
                build: Box::new(move |world, offsets| {
                    let (bytes, local) = SharedBytes::place(&columns, offsets);
                    let count = CountValue::new::<T>(world, local.first().copied().unwrap_or(0));
                    PlacedSource::world(RowPart::Observation, SharedSource::new(bytes, count))
                }),
            })
        }))
    }
}

//! Source of match ids: reads the integer component that identifies an entity's match.

use super::source::{RowPart, Source};
use crate::reflect::FieldPlan;
use bevy_ecs::{archetype::ArchetypeEntity, component::Component, storage::Table, world::World};
use bevy_reflect::Reflect;
use experience_core::{schema::DType, transition::values};

/// Maximum number of match ids that are encoded at once.
const MAX_BATCH: usize = 64;

/// The component that holds an entity's match id.
pub(crate) struct MatchSource {
    source: Source,
    dtype: DType,
}

impl MatchSource {
    /// The one integer in the component `T`, which `plan` places at offset 0.
    pub(crate) fn new<T: Component + Reflect>(world: &mut World, plan: FieldPlan, dtype: DType) -> Self {
        Self {
            source: Source::fields::<T>(world, RowPart::Info, plan),
            dtype,
        }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Calls `each` with the index and the match id of each of `entities`, which are in neighbouring rows of `table`.
    /// The match id is `None` if an entity lacks the component.
    #[inline]
    pub(super) fn for_each(
        &self,
        world: &World,
        table: &Table,
        entities: &[ArchetypeEntity],
        mut each: impl FnMut(usize, Option<i64>),
    ) {
        let max_batch = if self.source.is_in_tables() { MAX_BATCH } else { 1 };
        let mut first = 0;
        for entities in entities.chunks(max_batch) {
            let mut encoded = [[0_u8; 8]; MAX_BATCH];
            let encoded = &mut encoded[..entities.len()];
            let has_component = self.source.has(world, table, &entities[0]);
            if has_component {
                self.source
                    .encode(world, table, entities, encoded.as_flattened_mut(), 8);
            }
            for (index, &bytes) in encoded.iter().enumerate() {
                each(first + index, has_component.then(|| self.number(bytes)));
            }
            first += entities.len();
        }
    }

    #[inline]
    fn number(&self, bytes: [u8; 8]) -> i64 {
        match self.dtype {
            // `f64` holds the values of all other integer types exactly.
            DType::I64 | DType::U64 => i64::from_ne_bytes(bytes),
            dtype => values(dtype, &bytes[..dtype.size()]).next().unwrap_or(0.0) as i64,
        }
    }
}

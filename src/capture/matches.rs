//! Which match a player, or anything else, is in.

use super::source::{Part, Source};
use crate::reflect::FieldPlan;
use bevy_ecs::{archetype::ArchetypeEntity, component::Component, storage::Table, world::World};
use bevy_reflect::Reflect;
use experience_core::{schema::DType, transition::values};

/// So many are read at once, at most.
const AT_ONCE: usize = 64;

/// The component that says which match an entity is in.
pub(crate) struct MatchSource {
    source: Source,
    dtype: DType,
}

impl MatchSource {
    /// The one integer in the component `T`, which `plan` places at offset 0.
    pub(crate) fn new<T: Component + Reflect>(world: &mut World, plan: FieldPlan, dtype: DType) -> Self {
        Self {
            source: Source::fields::<T>(world, Part::Info, plan),
            dtype,
        }
    }

    pub(super) fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Tells the match of each of `entities`, who stand in neighbouring rows of `table`; `None` where it has no such component.
    #[inline]
    pub(super) fn each(
        &self,
        world: &World,
        table: &Table,
        entities: &[ArchetypeEntity],
        mut tell: impl FnMut(usize, Option<i64>),
    ) {
        let most = if self.source.is_in_tables() { AT_ONCE } else { 1 };
        let mut first = 0;
        for entities in entities.chunks(most) {
            let mut found = [[0_u8; 8]; AT_ONCE];
            let found = &mut found[..entities.len()];
            let have_one = self.source.has(world, table, &entities[0]);
            if have_one {
                self.source.encode(world, table, entities, found.as_flattened_mut(), 8);
            }
            for (index, &bytes) in found.iter().enumerate() {
                tell(first + index, have_one.then(|| self.number(bytes)));
            }
            first += entities.len();
        }
    }

    #[inline]
    fn number(&self, bytes: [u8; 8]) -> i64 {
        match self.dtype {
            // The only integer types that `f64` does not hold exactly.
            DType::I64 | DType::U64 => i64::from_ne_bytes(bytes),
            dtype => values(dtype, &bytes[..dtype.size()]).next().unwrap_or(0.0) as i64,
        }
    }
}

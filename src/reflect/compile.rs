//! Plan compilation: builds ops from the memory locations of leaves in a live value.

use super::{
    FieldPlan, LeafEncoding,
    leaves::{LeafKind, LeafSet},
    locate,
    op::{self, LeafLocation, OpKind},
    path::PathStep,
    scalar::Scalar,
    variants::VariantTable,
};
use bevy_reflect::Reflect;
use core::any::{Any, TypeId};

impl FieldPlan {
    /// Locates the leaves in `instance`, a value of the plan's type, and builds the ops that read them there. Does
    /// nothing for a value of another type.
    ///
    /// # Panics
    /// When the columns have not been placed.
    pub(crate) fn compile(&mut self, instance: &dyn Reflect) {
        self.assert_placed();
        if (instance as &dyn Any).type_id() != self.type_id {
            return;
        }
        let mut locations: Vec<_> = self
            .leaf_sets
            .iter()
            .flat_map(|placed| locate::locate(instance, &placed.leaves))
            .collect();
        // Value and presence of an `Option` are two leaves with one location.
        let presences: Vec<_> = self
            .leaf_sets
            .iter()
            .filter(|placed| matches!(placed.leaves.kind, LeafKind::Presence(_)))
            .map(|placed| placed.first..placed.first + placed.leaves.count)
            .collect();
        for leaf in locate::overlapping(&locations, &presences) {
            locations[leaf] = None;
        }
        self.build_ops(&locations);
        self.is_compiled = true;
    }

    /// Builds the ops from the location of each leaf.
    pub(super) fn build_ops(&mut self, locations: &[Option<LeafLocation>]) {
        self.ops.clear();
        for index in 0..self.leaf_sets.len() {
            let placed = &self.leaf_sets[index];
            let (first, target) = (placed.first, (placed.target, placed.leaf_size));
            let locations = &locations[first..first + placed.leaves.count];
            let mut kind = op_kind(&placed.leaves, self.encoding);
            if let LeafKind::Variant { type_id, count, .. } = placed.leaves.kind {
                kind = OpKind::Variant {
                    size: locations.iter().flatten().next().map_or(0, |location| location.size),
                    table: self.variant_table(type_id, count),
                };
            }
            op::push(&mut self.ops, first, kind, target, locations);
        }
    }

    /// The number of the table for an enum, which is created if there is none.
    fn variant_table(&mut self, type_id: TypeId, variants: usize) -> usize {
        let known = self.variant_tables.iter().position(|(known, _)| *known == type_id);
        known.unwrap_or_else(|| {
            self.variant_tables.push((type_id, VariantTable::new(variants)));
            self.variant_tables.len() - 1
        })
    }
}

/// The op kind of leaves that have locations. Enums need a variant table, which the caller adds.
fn op_kind(leaves: &LeafSet, encoding: LeafEncoding) -> OpKind {
    let is_optional = leaves.path.last() == Some(&PathStep::Some);
    match (leaves.kind, encoding) {
        (LeafKind::Variant { .. } | LeafKind::Presence(None), _) => OpKind::Reflect,
        (LeafKind::Presence(Some(scalar)), _) => OpKind::OptionPresence(scalar),
        (LeafKind::Scalar(_), LeafEncoding::Mask) => OpKind::PackBits,
        (LeafKind::Scalar(scalar), LeafEncoding::Observation { .. }) if is_optional => OpKind::OptionValue(scalar),
        (LeafKind::Scalar(Scalar::F32), LeafEncoding::Observation { .. }) => OpKind::CopyStrided(Scalar::F32),
        (LeafKind::Scalar(scalar), LeafEncoding::Observation { .. }) => OpKind::ToF32(scalar),
        (LeafKind::Scalar(scalar @ (Scalar::Bool | Scalar::Usize | Scalar::Isize)), LeafEncoding::Exact) => {
            OpKind::Canonicalize(scalar)
        }
        (LeafKind::Scalar(scalar), LeafEncoding::Exact) => OpKind::CopyStrided(scalar),
    }
}

//! Plan compilation: builds ops from the memory locations of leaves in a live value.

use super::{
    FieldPlan, LeafEncoding, PlacedLeaves,
    fixed::Layouts,
    leaves::{LeafKind, LeafSet},
    locate::{self, Located},
    op::{self, Anchor, OpKind},
    path::PathStep,
    scalar::Scalar,
};
use bevy_reflect::Reflect;
use core::any::Any;

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
        let mut layouts = Layouts::default();
        let mut located: Vec<_> = self
            .leaf_sets
            .iter()
            .flat_map(|placed| (0..placed.leaves.count).map(move |index| (placed, index)))
            .map(|(placed, index)| locate::locate(instance, &placed.leaves, index, &mut layouts))
            .collect();
        let locations: Vec<_> = located
            .iter()
            .map(|leaf| leaf.as_ref().map(|leaf| leaf.location))
            .collect();
        // Value and presence of an `Option` are two leaves with one location.
        let presences: Vec<_> = self
            .leaf_sets
            .iter()
            .filter(|placed| matches!(placed.leaves.kind, LeafKind::Presence(_)))
            .map(|placed| placed.first..placed.first + placed.leaves.count)
            .collect();
        for leaf in locate::overlapping(&locations, &presences) {
            located[leaf] = None;
        }
        self.build_ops(&located);
        self.is_compiled = true;
    }

    /// Builds the ops from the location of each leaf.
    pub(super) fn build_ops(&mut self, located: &[Option<Located>]) {
        self.ops.clear();
        for placed in &self.leaf_sets {
            let located = &located[placed.first..placed.first + placed.leaves.count];
            let locations: Vec<_> = located
                .iter()
                .map(|leaf| leaf.as_ref().map(|leaf| leaf.location))
                .collect();
            op::push(
                &mut self.ops,
                placed.first,
                op_kind(&placed.leaves, self.encoding),
                (placed.target, placed.leaf_size),
                &locations,
            );
        }
        self.anchors = anchors(&self.leaf_sets, located);
        for op in self.ops.iter_mut().filter(|op| op.kind != OpKind::Reflect) {
            let start = self
                .anchors
                .partition_point(|anchor| anchor.leaves.end <= op.leaves.start);
            let end = self
                .anchors
                .partition_point(|anchor| anchor.leaves.start < op.leaves.end);
            op.anchors = start..end.max(start);
        }
    }
}

/// The anchors of located leaves, in the order of the leaves. Consecutive leaves in one part share an anchor.
fn anchors(leaf_sets: &[PlacedLeaves], located: &[Option<Located>]) -> Vec<Anchor> {
    let mut anchors: Vec<Anchor> = Vec::new();
    let mut last = None;
    for placed in leaf_sets {
        for index in 0..placed.leaves.count {
            let leaf = placed.first + index;
            let Some(found) = located[leaf].as_ref().and_then(|leaf| leaf.anchor) else {
                last = None;
                continue;
            };
            match anchors.last_mut().filter(|_| last == Some(found)) {
                Some(anchor) => anchor.leaves.end = leaf + 1,
                None => anchors.push(Anchor {
                    path: placed.leaves.path[..found.steps].into(),
                    index,
                    offset: found.offset,
                    type_id: found.type_id,
                    leaves: leaf..leaf + 1,
                }),
            }
            last = Some(found);
        }
    }
    anchors
}

/// The op kind of leaves that have locations.
fn op_kind(leaves: &LeafSet, encoding: LeafEncoding) -> OpKind {
    let is_optional = leaves.path.last() == Some(&PathStep::Some);
    match (leaves.kind, encoding) {
        (LeafKind::Variant { .. } | LeafKind::Time(_) | LeafKind::Presence(None), _) => OpKind::Reflect,
        (LeafKind::Presence(Some(scalar)), _) => OpKind::OptionPresence(scalar),
        (LeafKind::Scalar(_), LeafEncoding::Mask) => OpKind::PackBits,
        (LeafKind::Scalar(scalar), LeafEncoding::Observation { .. }) if is_optional => OpKind::OptionValue(scalar),
        (LeafKind::Scalar(Scalar::F32), LeafEncoding::Observation { .. }) => OpKind::CopyStrided(Scalar::F32),
        (LeafKind::Scalar(scalar), LeafEncoding::Observation { .. }) => OpKind::ToF32(scalar),
        (LeafKind::Scalar(scalar @ (Scalar::Bool | Scalar::Usize | Scalar::Isize)), LeafEncoding::Exact) => {
            OpKind::Canonicalize(scalar)
        }
        (LeafKind::Scalar(scalar), LeafEncoding::Exact | LeafEncoding::Image) => OpKind::CopyStrided(scalar),
    }
}

//! The inverse of a field plan: writes numbers to the leaves of a value of a reflected type.

use super::{
    FieldPlan, LeafEncoding,
    leaves::LeafKind,
    path::{PathStep, resolve_step_mut},
    scalar::Scalar,
};
use bevy_math::{BVec3A, BVec4A};
use bevy_reflect::{
    PartialReflect, ReflectMut,
    enums::{DynamicEnum, DynamicVariant},
};
use experience_core::schema::Space;

/// Writes the leaves that a plan with [`LeafEncoding::Exact`] encodes, through the setters of `Reflect`.
#[derive(Debug)]
pub(crate) struct FieldWriter {
    leaf_sets: Vec<WrittenLeaves>,
}

/// The leaves of one column.
#[derive(Debug)]
struct WrittenLeaves {
    path: Box<[PathStep]>,
    kind: WrittenKind,
    count: usize,
}

#[derive(Debug)]
enum WrittenKind {
    Scalar(Scalar),
    /// The value of each variant of a fieldless enum, made once because it has a name on the heap.
    Variant(Vec<DynamicEnum>),
}

impl FieldPlan {
    /// The inverse of the plan. `None` unless it encodes leaves in their own types.
    pub(crate) fn writer(&self) -> Option<FieldWriter> {
        if self.encoding != LeafEncoding::Exact {
            return None;
        }
        let leaf_sets = self.leaf_sets.iter().zip(&self.columns).map(|(placed, column)| {
            let kind = match (placed.leaves.kind, &column.space) {
                (LeafKind::Scalar(scalar), _) => WrittenKind::Scalar(scalar),
                (LeafKind::Variant { .. }, Space::Discrete { labels, .. }) => {
                    let variant = |(index, label): (usize, &String)| {
                        DynamicEnum::new_with_index(index, label, DynamicVariant::Unit)
                    };
                    WrittenKind::Variant(labels.iter().enumerate().map(variant).collect())
                }
                // Not in this encoding.
                (LeafKind::Variant { .. } | LeafKind::Time(_) | LeafKind::Presence(_), _) => return None,
            };
            Some(WrittenLeaves {
                path: placed.leaves.path.clone(),
                kind,
                count: placed.leaves.count,
            })
        });
        Some(FieldWriter {
            leaf_sets: leaf_sets.collect::<Option<_>>()?,
        })
    }
}

impl FieldWriter {
    /// Writes one number for each leaf, in the order of the columns: a variant is its index, a `bool` 0 or 1. A number outside
    /// of the range of an integer becomes the nearest one in it. Returns false if a leaf does not exist, or does not accept the
    /// value; the others are written. Does not allocate.
    pub(crate) fn write(&self, value: &mut dyn PartialReflect, numbers: &[f64]) -> bool {
        let mut numbers = numbers.iter();
        let mut is_complete = true;
        for leaves in &self.leaf_sets {
            for (index, &number) in (0..leaves.count).zip(numbers.by_ref()) {
                is_complete &= leaves.write(value, index, number);
            }
        }
        is_complete
    }
}

impl WrittenLeaves {
    fn write(&self, value: &mut dyn PartialReflect, index: usize, number: f64) -> bool {
        let mut place = value;
        for &step in &self.path {
            if let PathStep::Lane(lane) = step {
                return write_lane(place, lane, number != 0.0);
            }
            match resolve_step_mut(place, step, index) {
                Some(part) => place = part,
                None => return false,
            }
        }
        match &self.kind {
            WrittenKind::Scalar(scalar) => scalar.write(place, number),
            WrittenKind::Variant(variants) => write_variant(place, variants, number as usize),
        }
    }
}

fn write_variant(place: &mut dyn PartialReflect, variants: &[DynamicEnum], index: usize) -> bool {
    let ReflectMut::Enum(current) = place.reflect_mut() else {
        return false;
    };
    if current.variant_index() == index {
        return true;
    }
    let is_applied = variants
        .get(index)
        .is_some_and(|variant| place.try_apply(variant).is_ok());
    // A hand-written implementation can ignore what it does not know.
    is_applied && matches!(place.reflect_mut(), ReflectMut::Enum(current) if current.variant_index() == index)
}

fn write_lane(place: &mut dyn PartialReflect, lane: usize, set: bool) -> bool {
    if let Some(mask) = place.try_downcast_mut::<BVec3A>() {
        if lane < 3 {
            mask.set(lane, set);
        }
        return lane < 3;
    }
    let Some(mask) = place.try_downcast_mut::<BVec4A>() else {
        return false;
    };
    if lane < 4 {
        mask.set(lane, set);
    }
    lane < 4
}

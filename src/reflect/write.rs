//! The inverse of a field plan: writes numbers to the leaves of a value of a reflected type.

use super::{
    FieldPlan, LeafEncoding,
    leaves::LeafKind,
    path::{PathStep, resolve_step_mut},
    restore::{self, Inverse},
    scalar::{Number, Scalar},
    time::TimeLeaf,
};
use bevy_math::{BVec3A, BVec4A};
use bevy_reflect::{
    PartialReflect, ReflectMut,
    enums::{DynamicEnum, DynamicVariant},
};
use experience_core::schema::Space;

/// Writes the leaves that a plan encodes, through the setters of `Reflect`. A mask has no writer.
#[derive(Debug)]
pub(crate) struct FieldWriter {
    pub(super) leaf_sets: Vec<WrittenLeaves>,
}

/// The leaves of one column.
#[derive(Debug)]
pub(super) struct WrittenLeaves {
    pub(super) path: Box<[PathStep]>,
    pub(super) kind: WrittenKind,
    pub(super) count: usize,
    pub(super) inverse: Inverse,
}

#[derive(Debug)]
pub(super) enum WrittenKind {
    Scalar(Scalar),
    /// The value of each variant of a fieldless enum, made once because it has a name on the heap.
    Variant(Vec<DynamicEnum>),
    /// The one-hot of a fieldless enum with so many variants.
    OneHot(usize),
    Time(TimeLeaf),
    /// Whether an `Option` is `Some`, which is written with its value.
    Presence,
}

impl FieldPlan {
    /// The inverse of the plan. `None` for a mask.
    pub(crate) fn writer(&self) -> Option<FieldWriter> {
        if self.encoding == LeafEncoding::Mask {
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
                (LeafKind::Variant { count }, _) => WrittenKind::OneHot(count),
                (LeafKind::Time(leaf), _) => WrittenKind::Time(leaf),
                (LeafKind::Presence(_), _) => WrittenKind::Presence,
            };
            WrittenLeaves {
                path: placed.leaves.path.clone(),
                kind,
                count: placed.leaves.count,
                inverse: Inverse::of(placed.leaves.kind, self.encoding),
            }
        });
        let mut leaf_sets: Vec<_> = leaf_sets.collect();
        restore::join_options(&mut leaf_sets);
        Some(FieldWriter { leaf_sets })
    }
}

impl FieldWriter {
    /// Writes one number for each leaf of an action, in the order of the columns: a variant is its index, a `bool` 0 or 1. A number
    /// outside of the range of an integer becomes the nearest one in it. Returns false if a leaf does not exist, or does not accept
    /// the value; the others are written. Does not allocate.
    pub(crate) fn write(&self, value: &mut dyn PartialReflect, numbers: &[f64]) -> bool {
        let mut numbers = numbers.iter();
        let mut is_complete = true;
        for leaves in &self.leaf_sets {
            for (index, &number) in (0..leaves.count).zip(numbers.by_ref()) {
                is_complete &= leaves.write(value, index, Number::F64(number));
            }
        }
        is_complete
    }
}

impl WrittenLeaves {
    /// Writes one leaf. A one-hot is given as the index of its variant.
    pub(super) fn write(&self, value: &mut dyn PartialReflect, index: usize, number: Number) -> bool {
        let mut place = value;
        for &step in &self.path {
            if let PathStep::Lane(lane) = step {
                return write_lane(place, lane, number.to_f32() != 0.0);
            }
            match resolve_step_mut(place, step, index) {
                Some(part) => place = part,
                None => return false,
            }
        }
        self.write_to(place, number)
    }

    /// Writes the leaf at `place`.
    pub(super) fn write_to(&self, place: &mut dyn PartialReflect, number: Number) -> bool {
        match &self.kind {
            WrittenKind::Scalar(scalar) => scalar.write(place, number),
            WrittenKind::Variant(variants) => {
                let index = number.to_index();
                write_variant(place, index, variants.get(index))
            }
            WrittenKind::OneHot(_) => {
                let index = number.to_index();
                let variant = restore::unit_variant(place.get_represented_type_info(), index);
                write_variant(place, index, variant.as_ref())
            }
            WrittenKind::Time(leaf) => leaf.write(place, number),
            WrittenKind::Presence => false,
        }
    }
}

fn write_variant(place: &mut dyn PartialReflect, index: usize, variant: Option<&DynamicEnum>) -> bool {
    let ReflectMut::Enum(current) = place.reflect_mut() else {
        return false;
    };
    if current.variant_index() == index {
        return true;
    }
    let is_applied = variant.is_some_and(|variant| place.try_apply(variant).is_ok());
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

//! Leaf paths: steps from a value to a leaf, resolved through `Reflect` getters.

use bevy_math::{BVec3A, BVec4A};
use bevy_reflect::{PartialReflect, ReflectMut, ReflectRef, enums::Enum};

/// One step of a path, from a value to a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathStep {
    /// A field of a struct, a tuple struct or a tuple.
    Field(usize),
    /// An element of an array. Its index is `index / divisor % extent`, where `index` is the leaf's index in its leaf
    /// set.
    Element { extent: usize, divisor: usize },
    /// The value of an `Option`.
    Some,
    /// A lane of glam's SIMD masks, which are opaque to reflection.
    Lane(usize),
}

/// The result of resolving a path.
pub(super) enum Resolved<'a> {
    Value(&'a dyn PartialReflect),
    /// An `Option` on the path is `None`.
    Absent,
    /// The value does not have the structure that its type information describes.
    Mismatch,
}

impl<'a> From<Option<&'a dyn PartialReflect>> for Resolved<'a> {
    fn from(value: Option<&'a dyn PartialReflect>) -> Self {
        value.map_or(Self::Mismatch, Self::Value)
    }
}

/// Follows `path` from `root` to leaf `index` of its leaf set. Does not allocate.
pub(super) fn resolve<'a>(root: &'a dyn PartialReflect, path: &[PathStep], index: usize) -> Resolved<'a> {
    let mut value = root;
    for &step in path {
        match resolve_step(value, step, index) {
            Resolved::Value(part) => value = part,
            other => return other,
        }
    }
    Resolved::Value(value)
}

/// Follows one step.
pub(super) fn resolve_step(value: &dyn PartialReflect, step: PathStep, index: usize) -> Resolved<'_> {
    match (step, value.reflect_ref()) {
        (PathStep::Field(field), ReflectRef::Struct(value)) => value.field_at(field).into(),
        (PathStep::Field(field), ReflectRef::TupleStruct(value)) => value.field(field).into(),
        (PathStep::Field(field), ReflectRef::Tuple(value)) => value.field(field).into(),
        (PathStep::Element { extent, divisor }, ReflectRef::Array(value)) => value.get(index / divisor % extent).into(),
        (PathStep::Some, ReflectRef::Enum(value)) => match is_some(value) {
            Some(true) => value.field_at(0).into(),
            Some(false) => Resolved::Absent,
            None => Resolved::Mismatch,
        },
        (PathStep::Lane(lane), ReflectRef::Opaque(value)) => mask_lane(value, lane)
            .map(|set| -> &dyn PartialReflect {
                if set { &true } else { &false }
            })
            .into(),
        _ => Resolved::Mismatch,
    }
}

/// Follows one step to a place that can be written. `None` if it does not exist.
pub(super) fn resolve_step_mut(
    value: &mut dyn PartialReflect,
    step: PathStep,
    index: usize,
) -> Option<&mut dyn PartialReflect> {
    match (step, value.reflect_mut()) {
        (PathStep::Field(field), ReflectMut::Struct(value)) => value.field_at_mut(field),
        (PathStep::Field(field), ReflectMut::TupleStruct(value)) => value.field_mut(field),
        (PathStep::Field(field), ReflectMut::Tuple(value)) => value.field_mut(field),
        (PathStep::Element { extent, divisor }, ReflectMut::Array(value)) => value.get_mut(index / divisor % extent),
        _ => None,
    }
}

/// Whether an `Option` is `Some`; `None` if `value` is not an `Option`.
pub(super) fn is_some(value: &dyn Enum) -> Option<bool> {
    match value.variant_name() {
        "Some" => Some(true),
        "None" => Some(false),
        _ => None,
    }
}

fn mask_lane(value: &dyn PartialReflect, lane: usize) -> Option<bool> {
    if let Some(mask) = value.try_downcast_ref::<BVec3A>() {
        return (lane < 3).then(|| mask.test(lane));
    }
    let mask = value.try_downcast_ref::<BVec4A>()?;
    (lane < 4).then(|| mask.test(lane))
}

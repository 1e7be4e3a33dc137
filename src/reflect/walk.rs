//! From a value to one of its leaves, through `dyn Reflect`.

use bevy_math::{BVec3A, BVec4A};
use bevy_reflect::{PartialReflect, ReflectRef, enums::Enum};

/// One step from a value to a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The field of a struct, a tuple struct or a tuple.
    Field(usize),
    /// The element of an array. Which one follows from a leaf's place in its column: `place / divisor % extent`.
    Element { extent: usize, divisor: usize },
    /// The value of an `Option`.
    Some,
    /// A lane of glam's SIMD masks, which reflection does not look into.
    Lane(usize),
}

/// What stands at the end of a path.
pub(super) enum Reached<'a> {
    Value(&'a dyn PartialReflect),
    /// An `Option` on the way is `None`.
    Absent,
    /// The value is not what its type information said it is.
    Lost,
}

impl<'a> From<Option<&'a dyn PartialReflect>> for Reached<'a> {
    fn from(value: Option<&'a dyn PartialReflect>) -> Self {
        value.map_or(Self::Lost, Self::Value)
    }
}

/// Follows `steps` to the leaf at `place` of its column. Does not allocate.
pub(super) fn reach<'a>(root: &'a dyn PartialReflect, steps: &[Step], place: usize) -> Reached<'a> {
    let mut value = root;
    for &step in steps {
        match take(value, step, place) {
            Reached::Value(part) => value = part,
            other => return other,
        }
    }
    Reached::Value(value)
}

/// Takes one step.
pub(super) fn take(value: &dyn PartialReflect, step: Step, place: usize) -> Reached<'_> {
    match (step, value.reflect_ref()) {
        (Step::Field(index), ReflectRef::Struct(value)) => value.field_at(index).into(),
        (Step::Field(index), ReflectRef::TupleStruct(value)) => value.field(index).into(),
        (Step::Field(index), ReflectRef::Tuple(value)) => value.field(index).into(),
        (Step::Element { extent, divisor }, ReflectRef::Array(value)) => value.get(place / divisor % extent).into(),
        (Step::Some, ReflectRef::Enum(value)) => match presence(value) {
            Some(true) => value.field_at(0).into(),
            Some(false) => Reached::Absent,
            None => Reached::Lost,
        },
        (Step::Lane(lane), ReflectRef::Opaque(value)) => lane_of(value, lane)
            .map(|set| -> &dyn PartialReflect {
                if set { &true } else { &false }
            })
            .into(),
        _ => Reached::Lost,
    }
}

/// Whether an `Option` is `Some`; `None` where the value is no `Option`.
pub(super) fn presence(value: &dyn Enum) -> Option<bool> {
    match value.variant_name() {
        "Some" => Some(true),
        "None" => Some(false),
        _ => None,
    }
}

fn lane_of(value: &dyn PartialReflect, lane: usize) -> Option<bool> {
    if let Some(mask) = value.try_downcast_ref::<BVec3A>() {
        return (lane < 3).then(|| mask.test(lane));
    }
    let mask = value.try_downcast_ref::<BVec4A>()?;
    (lane < 4).then(|| mask.test(lane))
}

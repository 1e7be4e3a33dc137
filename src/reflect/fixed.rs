//! Fixed layouts: proves that every value of a type has initialised values of known types at the same offsets.
//!
//! The proof does not depend on type information, which safe code can forge. It is in the docs of the
//! [parent module](super#safety).

use super::{locate::MemoryRegion, scalar::Scalar};
use bevy_math::{Affine2, Affine3A, BVec2, BVec3, BVec4, Mat3A, Vec3A};
use bevy_reflect::{PartialReflect, Reflect, ReflectRef};
use bevy_transform::components::{GlobalTransform, Transform};
use core::any::TypeId;
use std::collections::HashMap;

/// What is known about all values of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Leaves have the same offsets in every value, and no bit pattern of their bytes is invalid. So a type that
    /// consists of such values has no place to tell variants apart.
    Dense,
    /// Leaves have the same offsets in every value. Some bit patterns are invalid, as those of a `bool` are, so the type
    /// around the value can use them to tell variants apart.
    Fixed,
    /// Nothing: leaves can be elsewhere in the next value, and their bytes uninitialised.
    Varying,
}

/// The layouts of the types that were met, by type.
#[derive(Default)]
pub(super) struct Layouts {
    by_type: HashMap<TypeId, Layout>,
}

impl Layouts {
    /// The layout of the type of `value`. [`Layout::Dense`] and [`Layout::Fixed`] hold for all of its values.
    pub(super) fn layout_of(&mut self, value: &dyn Reflect) -> Layout {
        let region = MemoryRegion::of(value);
        if let Some(&known) = self.by_type.get(&region.type_id) {
            return known;
        }
        // A getter can return its own container. While its parts are examined, a type counts as one that varies.
        self.by_type.insert(region.type_id, Layout::Varying);
        let layout = known_layout(region.type_id, region.size).unwrap_or_else(|| {
            if self.is_covered_by_dense_parts(value, &region) {
                Layout::Dense
            } else {
                Layout::Varying
            }
        });
        self.by_type.insert(region.type_id, layout);
        layout
    }

    /// Whether each byte of `value` belongs to exactly one part of a dense type.
    fn is_covered_by_dense_parts(&mut self, value: &dyn Reflect, region: &MemoryRegion) -> bool {
        let (mut parts, mut covered) = (Vec::new(), 0);
        for index in 0.. {
            let Some(part) = part(value, index).and_then(PartialReflect::try_as_reflect) else {
                break;
            };
            let inner = MemoryRegion::of(part);
            // A value has at most as many parts as bytes, apart from empty ones, of which there can be any number.
            let is_plausible = index <= region.size && region.contains(&inner);
            if !is_plausible || self.layout_of(part) != Layout::Dense {
                return false;
            }
            covered += inner.size;
            parts.push(inner.start..inner.start + inner.size);
        }
        parts.sort_unstable_by_key(|part| (part.start, part.end));
        covered == region.size && parts.is_sorted_by(|part, next| part.end <= next.start)
    }
}

/// Part `index` of a struct, a tuple struct, a tuple or an array.
fn part(value: &dyn Reflect, index: usize) -> Option<&dyn PartialReflect> {
    match value.reflect_ref() {
        ReflectRef::Struct(value) => value.field_at(index),
        ReflectRef::TupleStruct(value) => value.field(index),
        ReflectRef::Tuple(value) => value.field(index),
        ReflectRef::Array(value) => value.get(index),
        _ => None,
    }
}

/// The layout of a type that is known without looking at a value.
fn known_layout(id: TypeId, size: usize) -> Option<Layout> {
    // Of the types of Bevy and glam with fixed layouts, those with padding. The others are found to be dense.
    let is_padded = [
        TypeId::of::<Vec3A>(),
        TypeId::of::<Mat3A>(),
        TypeId::of::<Affine2>(),
        TypeId::of::<Affine3A>(),
        TypeId::of::<Transform>(),
        TypeId::of::<GlobalTransform>(),
    ]
    .contains(&id);
    let has_flags = [TypeId::of::<BVec2>(), TypeId::of::<BVec3>(), TypeId::of::<BVec4>()].contains(&id);
    match Scalar::of(id) {
        Some(Scalar::Bool) => Some(Layout::Fixed),
        Some(_) => Some(Layout::Dense),
        None if is_padded => Some(Layout::Dense),
        None if has_flags || Scalar::of_option(id).is_some() || is_bool_array(id, size) => Some(Layout::Fixed),
        None => None,
    }
}

/// Whether `id` is that of `[bool; len]`, for a length below 4,096.
fn is_bool_array(id: TypeId, len: usize) -> bool {
    let [low, middle, high] = [len & 15, len >> 4 & 15, len >> 8];
    BOOL_ARRAYS.get(high).is_some_and(|table| table[middle][low] == id)
}

/// Calls `$callback!` with one digit after the other, and the digits before.
macro_rules! for_each_digit {
    ($callback:ident $($prefix:literal)*) => {
        [
            $callback!($($prefix)* 0), $callback!($($prefix)* 1), $callback!($($prefix)* 2), $callback!($($prefix)* 3),
            $callback!($($prefix)* 4), $callback!($($prefix)* 5), $callback!($($prefix)* 6), $callback!($($prefix)* 7),
            $callback!($($prefix)* 8), $callback!($($prefix)* 9), $callback!($($prefix)* 10), $callback!($($prefix)* 11),
            $callback!($($prefix)* 12), $callback!($($prefix)* 13), $callback!($($prefix)* 14), $callback!($($prefix)* 15),
        ]
    };
}

macro_rules! bool_array {
    ($high:literal $middle:literal $low:literal) => {
        TypeId::of::<[bool; $high * 256 + $middle * 16 + $low]>()
    };
}

macro_rules! low_digits {
    ($high:literal $middle:literal) => {
        for_each_digit!(bool_array $high $middle)
    };
}

macro_rules! middle_digits {
    ($high:literal) => {
        for_each_digit!(low_digits $high)
    };
}

/// The types `[bool; N]` by the hexadecimal digits of N. A `TypeId` does not tell whether it is that of an array, so it
/// is compared with the one that an array of this size has.
static BOOL_ARRAYS: [[[TypeId; 16]; 16]; 16] = for_each_digit!(middle_digits);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_bools_are_known_by_their_length() {
        assert!(is_bool_array(TypeId::of::<[bool; 0]>(), 0));
        assert!(is_bool_array(TypeId::of::<[bool; 1]>(), 1));
        assert!(is_bool_array(TypeId::of::<[bool; 1600]>(), 1600));
        assert!(is_bool_array(TypeId::of::<[bool; 4095]>(), 4095));
        assert!(!is_bool_array(TypeId::of::<[bool; 4096]>(), 4096));
        assert!(!is_bool_array(TypeId::of::<[bool; 16]>(), 17));
        assert!(!is_bool_array(TypeId::of::<[u8; 16]>(), 16));
    }

    #[test]
    fn a_type_is_dense_if_numbers_cover_it() {
        let mut layouts = Layouts::default();
        assert_eq!(layouts.layout_of(&bevy_math::Vec3::ZERO), Layout::Dense);
        assert_eq!(layouts.layout_of(&[[Vec3A::ZERO; 3]; 2]), Layout::Dense);
        assert_eq!(layouts.layout_of(&(1_u8, 2_u8, [3_u16; 4])), Layout::Dense);
        assert_eq!(layouts.layout_of(&(1_u8, 2_u16)), Layout::Varying);
        assert_eq!(layouts.layout_of(&(true, false)), Layout::Varying);
        assert_eq!(layouts.layout_of(&Some(1.0_f32)), Layout::Fixed);
        assert_eq!(layouts.layout_of(&Some(bevy_math::Vec3::ZERO)), Layout::Varying);
        assert_eq!(layouts.layout_of(&vec![1.0_f32]), Layout::Varying);
    }
}

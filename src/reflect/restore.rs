//! Restores values from the columns of a recorded row, and says how far the columns determine them.

use super::{
    LeafEncoding,
    leaves::LeafKind,
    path::{PathStep, is_some, resolve_step_mut},
    scalar::{Number, Scalar},
    time::TimeLeaf,
    write::{FieldWriter, WrittenKind, WrittenLeaves},
};
use bevy_reflect::{
    PartialReflect, ReflectMut, TypeInfo,
    enums::{DynamicEnum, DynamicVariant, VariantInfo},
    tuple::DynamicTuple,
};
use core::ops::Range;
use experience_core::schema::DType;

/// The elements of one column of a row, in C order.
#[derive(Clone, Copy)]
pub(crate) struct ColumnValues<'a> {
    pub(crate) dtype: DType,
    /// In the byte order of the machine.
    pub(crate) bytes: &'a [u8],
}

impl ColumnValues<'_> {
    fn get(self, element: usize) -> Option<Number> {
        Number::from_bytes(self.dtype, self.bytes.get(element * self.dtype.size()..)?)
    }

    /// The only element of `range` that is not 0, if it is 1.
    fn hot(self, range: Range<usize>) -> Option<usize> {
        let start = range.start;
        let mut set = range.filter_map(|element| {
            let value = self.get(element)?.to_f32();
            (value != 0.0).then_some((element - start, value))
        });
        let (index, value) = set.next()?;
        (value == 1.0 && set.next().is_none()).then_some(index)
    }

    /// Whether an element is not 0.
    pub(crate) fn is_set(self, element: usize) -> bool {
        self.get(element).is_some_and(|number| number.to_f32() != 0.0)
    }
}

/// How far a column determines the leaves that it was encoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inverse {
    /// The leaves are restored bit by bit.
    Exact,
    /// As `Exact`, for the integers that `f32` represents: those below 2²⁴.
    SmallIntegers,
    /// As `Exact`, where one element of each one-hot is set, or none where an `Option` is `None`.
    OneHot,
    /// The leaves were rounded.
    Rounded,
    /// The leaf follows from others.
    Derived,
    /// The leaf is in an `Option` of several values, or not all of the `Option` is recorded.
    NestedOption,
}

impl Inverse {
    pub(super) fn of(kind: LeafKind, encoding: LeafEncoding) -> Self {
        let is_observed = matches!(encoding, LeafEncoding::Observation { .. });
        match kind {
            LeafKind::Scalar(Scalar::I32 | Scalar::U32 | Scalar::I64 | Scalar::U64 | Scalar::Isize | Scalar::Usize)
                if is_observed =>
            {
                Self::SmallIntegers
            }
            LeafKind::Scalar(Scalar::F64) if is_observed => Self::Rounded,
            LeafKind::Variant { .. } if is_observed => Self::OneHot,
            LeafKind::Time(TimeLeaf::Fraction) => Self::Derived,
            LeafKind::Time(TimeLeaf::Seconds | TimeLeaf::Elapsed) => Self::Rounded,
            LeafKind::Scalar(_) | LeafKind::Variant { .. } => Self::Exact,
            // Unless it is joined with its value.
            LeafKind::Presence(_) => Self::NestedOption,
        }
    }

    /// Whether the leaves are written.
    pub(crate) fn is_written(self) -> bool {
        matches!(self, Self::Exact | Self::SmallIntegers | Self::OneHot | Self::Rounded)
    }
}

/// Joins each `Option` of one value with its presence, which is the column after it.
pub(super) fn join_options(leaf_sets: &mut [WrittenLeaves]) {
    for index in 0..leaf_sets.len() {
        let path = &leaf_sets[index].path;
        let Some(some) = path.iter().position(|&step| step == PathStep::Some) else {
            continue;
        };
        let is_presence =
            |next: &&WrittenLeaves| matches!(next.kind, WrittenKind::Presence) && *next.path == path[..some];
        let is_joined = some + 1 == path.len() && leaf_sets.get(index + 1).filter(is_presence).is_some();
        if !is_joined {
            leaf_sets[index].inverse = Inverse::NestedOption;
        } else if leaf_sets[index].inverse.is_written() {
            leaf_sets[index + 1].inverse = Inverse::Exact;
        }
    }
}

impl FieldWriter {
    /// How far column `index` determines its leaves.
    pub(crate) fn inverse(&self, index: usize) -> Inverse {
        self.leaf_sets[index].inverse
    }

    /// Restores the leaves of the columns that `values` returns, given the index of a column. Returns false if a leaf does not exist,
    /// or does not accept the value; the others are written.
    pub(crate) fn restore<'a>(
        &self,
        value: &mut dyn PartialReflect,
        values: impl Fn(usize) -> Option<ColumnValues<'a>>,
    ) -> bool {
        let mut is_complete = true;
        for (index, leaves) in self.leaf_sets.iter().enumerate() {
            let is_written = leaves.inverse.is_written() && !matches!(leaves.kind, WrittenKind::Presence);
            let Some(own) = values(index).filter(|_| is_written) else {
                continue;
            };
            let presence = leaves.is_optional().then(|| values(index + 1)).flatten();
            for leaf in 0..leaves.count {
                is_complete &= leaves.restore(value, leaf, own, presence);
            }
        }
        is_complete
    }

    /// Whether the values of column `index` in one row determine its leaves as far as its [`Inverse`] says.
    pub(crate) fn is_determined(
        &self,
        index: usize,
        own: ColumnValues<'_>,
        presence: Option<ColumnValues<'_>>,
    ) -> bool {
        /// All integers below it are exact in `f32`.
        const LIMIT: f32 = (1_u32 << f32::MANTISSA_DIGITS) as f32;
        let leaves = &self.leaf_sets[index];
        let is_absent = |leaf| leaves.is_optional() && presence.is_some_and(|presence| !presence.is_set(leaf));
        match leaves.inverse {
            Inverse::SmallIntegers => {
                (0..leaves.count).all(|leaf| own.get(leaf).is_some_and(|number| number.to_f32().abs() < LIMIT))
            }
            Inverse::OneHot => (0..leaves.count).all(|leaf| leaves.number(own, leaf).is_some() || is_absent(leaf)),
            _ => true,
        }
    }

    /// Whether the column after column `index` is the presence of its values.
    pub(crate) fn is_optional(&self, index: usize) -> bool {
        self.leaf_sets[index].is_optional() && self.leaf_sets[index].inverse.is_written()
    }
}

impl WrittenLeaves {
    fn is_optional(&self) -> bool {
        self.path.last() == Some(&PathStep::Some)
    }

    /// The number of a leaf; the index of the variant for a one-hot.
    fn number(&self, values: ColumnValues<'_>, leaf: usize) -> Option<Number> {
        match self.kind {
            WrittenKind::OneHot(width) => {
                let hot = values.hot(leaf * width..(leaf + 1) * width)?;
                Some(Number::Unsigned(hot as u64))
            }
            _ => values.get(leaf),
        }
    }

    fn restore(
        &self,
        value: &mut dyn PartialReflect,
        leaf: usize,
        own: ColumnValues<'_>,
        presence: Option<ColumnValues<'_>>,
    ) -> bool {
        let Some((PathStep::Some, path)) = self.path.split_last() else {
            return self
                .number(own, leaf)
                .is_some_and(|number| self.write(value, leaf, number));
        };
        let mut place = value;
        for &step in path {
            match resolve_step_mut(place, step, leaf) {
                Some(part) => place = part,
                None => return false,
            }
        }
        if !presence.is_some_and(|presence| presence.is_set(leaf)) {
            return write_none(place);
        }
        self.number(own, leaf)
            .is_some_and(|number| self.write_some(place, number))
    }

    /// Sets the `Option` at `place` to `Some`.
    fn write_some(&self, place: &mut dyn PartialReflect, number: Number) -> bool {
        let ReflectMut::Enum(option) = place.reflect_mut() else {
            return false;
        };
        if is_some(option) == Some(true) {
            return option.field_at_mut(0).is_some_and(|value| self.write_to(value, number));
        }
        let Some(value) = self.boxed(place.get_represented_type_info(), number) else {
            return false;
        };
        let mut fields = DynamicTuple::default();
        fields.insert_boxed(value);
        place
            .try_apply(&DynamicEnum::new("Some", DynamicVariant::Tuple(fields)))
            .is_ok()
    }

    /// The value of an `Option` with this type information.
    fn boxed(&self, option: Option<&'static TypeInfo>, number: Number) -> Option<Box<dyn PartialReflect>> {
        match self.kind {
            WrittenKind::Scalar(scalar) => Some(scalar.boxed(number)),
            WrittenKind::OneHot(_) | WrittenKind::Variant(_) => {
                let Some(TypeInfo::Enum(option)) = option else {
                    return None;
                };
                let Some(VariantInfo::Tuple(some)) = option.variant("Some") else {
                    return None;
                };
                let variant = unit_variant(some.field_at(0)?.type_info(), number.to_index())?;
                Some(Box::new(variant))
            }
            WrittenKind::Time(TimeLeaf::Seconds) => {
                let mut value = core::time::Duration::ZERO;
                TimeLeaf::Seconds
                    .write(&mut value, number)
                    .then(|| -> Box<dyn PartialReflect> { Box::new(value) })
            }
            WrittenKind::Time(_) | WrittenKind::Presence => None,
        }
    }
}

/// Sets the `Option` at `place` to `None`.
fn write_none(place: &mut dyn PartialReflect) -> bool {
    let ReflectMut::Enum(option) = place.reflect_mut() else {
        return false;
    };
    is_some(option) == Some(false) || place.try_apply(&DynamicEnum::new("None", DynamicVariant::Unit)).is_ok()
}

/// The variant of a fieldless enum.
pub(super) fn unit_variant(info: Option<&'static TypeInfo>, index: usize) -> Option<DynamicEnum> {
    let Some(TypeInfo::Enum(info)) = info else {
        return None;
    };
    let name = info.variant_at(index)?.name();
    Some(DynamicEnum::new_with_index(index, name, DynamicVariant::Unit))
}

//! Field plans: compiled encoders from values of a reflected type to bytes of a row.
//!
//! A [`FieldPlan`] covers the leaves of one type: scalars, fieldless enums, seconds and the presence of `Option`s, reached
//! through fields, tuples and arrays. A compiled plan is a list of ops. Each [op](op::Op) reads a run of leaves at
//! fixed byte offsets of a value and writes them at fixed byte offsets of a row, without a call through `dyn Reflect`:
//! as `f32` in an observation, in the leaf's own type in an action or info, as bits in a mask.
//!
//! # Stages
//! | stage | module | result |
//! |---|---|---|
//! | [`FieldPlan::new`] | [`leaves`], [`select`] | leaves, column names and refusals, from type information |
//! | [`FieldPlan::place`] | | the offset of each column in the row |
//! | [`FieldPlan::compile`] | [`locate`], [`fixed`], [`compile`], [`op`] | offsets of the leaves, from a live value, and the ops |
//! | [`FieldPlan::encode`] | [`encode`](mod@encode), [`kernel`] | rows, for any number of values at a time |
//! | [`FieldPlan::writer`] | [`write`](mod@write), [`restore`] | the inverse: values, from the numbers of an action or from a row |
//!
//! # When `Reflect` getters are used
//! The getters visit a leaf by its path: exact for every value, but many times slower than an op. They are used for
//! - all leaves, until the plan is compiled;
//! - fieldless enums, types of time, and leaves without an offset: behind a pointer, below an `Option` other than that of a scalar, and
//!   in the lanes of a SIMD mask;
//! - leaves for which a hand-written `Reflect` implementation returns a value that contradicts its type information.
//!   They are recorded as 0, and logged once;
//! - anchors, in each value;
//! - ops that were demoted because an anchor was elsewhere, or because a sample did not match.
//!
//! # Safety
//! `Reflect` is a safe trait, so unsafe code must not rely on its return values being consistent, nor on type
//! information. An op may read a leaf of type `L` at offset `o` because in every live value of the plan's type `T` that
//! it reads there is an initialised `L` at `o`:
//!
//! 1. **Type.** `L` is known from the `TypeId` in the vtable of a reference that the getters returned. It is in a closed
//!    list: scalars and `Option`s of scalars. Scalars are valid for every bit pattern, except for `bool`, which is read
//!    as a byte.
//! 2. **Containment.** In the value that the plan was compiled with, each part on the path lies inside of the part
//!    before, by the addresses, sizes and alignments of the references. So `o + size_of::<L>()` is at most
//!    `size_of::<T>()`, and `o` is aligned for `L` in every `T`.
//! 3. **Uniformity.** A getter can return one field of some values and another of others, or a field that only some
//!    values have: in the payload of an enum, or in a cell that can be empty. So one of these holds:
//!    - The type is one whose fields are known: a scalar, an `Option` of one, an array of `bool`s, or a type of glam or
//!      Bevy in the list of [`fixed`].
//!    - The type is **dense**: in the value that the plan was compiled with, each byte belongs to exactly one part whose
//!      type is dense, down to integers and floats. All bit patterns of these bytes are valid, so no byte is left that
//!      could tell another variant of the type apart, or that the part is absent. So the parts are there in every value.
//!      (A type can use `unsafe` code to keep outside of the value whether its bytes are initialised. No type of the
//!      standard library or of Bevy does that and hands out such references from `&self`.)
//!    - The leaf is in a part of such a type, its **anchor**, and the getters have just returned a reference to a value of
//!      that type at that address. The reference lives as long as the borrow of the value, so the anchor stays in place
//!      while the op runs. An op with an anchor that is elsewhere in any value of a block is demoted before it reads one.
//!
//! An op can still read another field than the getters return, if a hand-written implementation for a dense type returns
//! one field of some values and another field of others. That is an initialised number, but the wrong one. It is sampled:
//! [`FieldPlan::encode`] encodes some rows both ways, and an op that differs is demoted to getters. Two leaves that share a
//! byte both use the getters, unless they are the value and the presence of one `Option`.
//!
//! The validity of the pointers to values is a precondition of [`FieldPlan::encode`].

mod attributes;
mod compile;
mod encode;
mod error;
mod fixed;
mod kernel;
mod leaves;
mod locate;
mod name;
mod op;
mod path;
mod restore;
mod scalar;
mod select;
mod time;
mod write;

#[cfg(test)]
mod tests;

pub use attributes::{ColumnBounds, ColumnName};
pub use error::FieldError;
pub(crate) use error::FieldUsage;
pub(crate) use name::root_name;
pub use name::snake_case;
pub(crate) use restore::{ColumnValues, Inverse};
pub(crate) use write::FieldWriter;

/// The default prefix of the columns of a type: its [`ColumnName`], or the name that [`root_name`] derives.
pub(crate) fn column_root<T: Typed + bevy_reflect::TypePath>() -> String {
    attributes::type_name(T::type_info()).map_or_else(root_name::<T>, str::to_owned)
}

use bevy_reflect::{PartialReflect, Reflect, Typed};
use core::{
    any::TypeId,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32},
};
use encode::StridedValues;
use error::{FieldErrorKind, RefusalReason, RefusedField};
use experience_core::schema::Column;
use leaves::LeafSet;
use op::{Anchor, Op};

/// How leaves are encoded, depending on the part of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafEncoding {
    /// `f32` features. A number is converted; a `bool` is 0 or 1; a fieldless enum is a one-hot; an `Option` is its
    /// value, 0 for `None`, and its presence, 0 or 1.
    Observation {
        /// Whether `f64` and 64-bit integers are accepted, and rounded. 32-bit integers beyond 2²⁴ are rounded in any
        /// case.
        allow_lossy: bool,
    },
    /// Columns of the leaves' own types, for actions and info. A fieldless enum is the index of its variant as `i64`;
    /// an `Option` is refused.
    Exact,
    /// Images: each column is an array of `u8` of two or three dimensions, with the shape `[height, width, channels]`. All
    /// other leaves are refused.
    Image,
    /// One bit per `bool`, least significant bit first. All other leaves are refused.
    Mask,
}

/// A compiled encoder from values of one type to a part of a row. See the [module docs](self).
#[derive(Debug)]
pub(crate) struct FieldPlan {
    type_path: &'static str,
    type_id: TypeId,
    /// Casts a pointer to a value of the plan's type, without dereferencing it.
    as_reflect: fn(*const u8) -> *const dyn PartialReflect,
    encoding: LeafEncoding,
    /// Empty for a mask.
    columns: Vec<Column>,
    /// One per column, in the order of their leaves.
    leaf_sets: Vec<PlacedLeaves>,
    /// Empty until the columns are placed.
    ops: Vec<Op>,
    /// In the order of their leaves.
    anchors: Vec<Anchor>,
    /// The end of the last byte that is written in a row.
    row_end: usize,
    is_compiled: bool,
    /// Number of calls of `encode`, modulo 2³². It determines which rows are verified.
    encode_calls: AtomicU32,
    has_reported_mismatch: AtomicBool,
}

/// The leaves of one column, with their position in the row.
#[derive(Debug)]
struct PlacedLeaves {
    leaves: LeafSet,
    /// The number of the first leaf in the plan.
    first: usize,
    /// Offset of the first leaf in the row, in bytes; in bits for a mask.
    target: usize,
    /// Size of each leaf in the row, in bytes; 1 bit for a mask.
    leaf_size: usize,
}

impl FieldPlan {
    /// Plans the leaves of `T`, or those at and below the dotted paths `fields`, in the order of the paths.
    ///
    /// Column names begin with `root` unless it is empty. A [`ColumnName`] of the type replaces the type's name. The
    /// only field of a tuple struct has the name of the struct: `Health(f32)` is `health`, though `fields` can also
    /// name it `0`. An array adds a dimension to each column below it.
    ///
    /// # Errors
    /// When a selected leaf cannot be recorded or does not exist, or when there is none.
    pub(crate) fn new<T: Reflect + Typed>(
        root: &str,
        fields: Option<&[&str]>,
        encoding: LeafEncoding,
    ) -> Result<Self, FieldError> {
        let type_name = root_name::<T>();
        let attribute = attributes::type_name(T::type_info());
        if attribute == Some("") {
            let kind = FieldErrorKind::Refused(vec![RefusedField {
                name: type_name,
                type_path: T::type_path(),
                reason: RefusalReason::EmptyName,
            }]);
            return Err(FieldError::new(T::type_path(), encoding, kind));
        }
        let fallback_name = attribute.unwrap_or(&type_name);
        let root = if root == type_name { fallback_name } else { root };
        let entries = leaves::collect_leaves(root, fallback_name, T::type_info(), encoding);
        let (leaf_sets, columns) =
            select::select(entries, fields).map_err(|kind| FieldError::new(T::type_path(), encoding, kind))?;
        let mut end = 0;
        let leaf_sets = leaf_sets
            .into_iter()
            .zip(&columns)
            .map(|(leaves, column)| {
                let first = end;
                end += leaves.count;
                PlacedLeaves {
                    first,
                    target: 0,
                    leaf_size: match encoding {
                        LeafEncoding::Mask => 1,
                        _ => column.width() / leaves.count * column.dtype.size(),
                    },
                    leaves,
                }
            })
            .collect();
        Ok(Self {
            type_path: T::type_path(),
            type_id: TypeId::of::<T>(),
            as_reflect: |value| value.cast::<T>() as *const dyn PartialReflect,
            encoding,
            columns: if encoding == LeafEncoding::Mask {
                Vec::new()
            } else {
                columns
            },
            leaf_sets,
            ops: Vec::new(),
            anchors: Vec::new(),
            row_end: 0,
            is_compiled: false,
            encode_calls: AtomicU32::new(0),
            has_reported_mismatch: AtomicBool::new(false),
        })
    }

    /// The columns, in order; none for a mask.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of bits of a mask; 0 for the other encodings.
    pub(crate) fn mask_width(&self) -> usize {
        match self.encoding {
            LeafEncoding::Mask => self.leaf_count(),
            _ => 0,
        }
    }

    /// Sets the byte offset of each column in a row. A mask has one offset, that of its first byte.
    ///
    /// Discards the result of an earlier [`compile`](Self::compile).
    ///
    /// # Panics
    /// When the number of offsets is not that of the columns.
    pub(crate) fn place(&mut self, offsets: &[usize]) {
        let expected = match self.encoding {
            LeafEncoding::Mask => 1,
            _ => self.columns.len(),
        };
        assert_eq!(
            offsets.len(),
            expected,
            "one offset is needed for each column of `{}`",
            self.type_path
        );
        if self.encoding == LeafEncoding::Mask {
            self.row_end = offsets[0] + self.leaf_count().div_ceil(8);
            for placed in &mut self.leaf_sets {
                placed.target = offsets[0] * 8 + placed.first;
            }
        } else {
            self.row_end = 0;
            for (placed, &offset) in self.leaf_sets.iter_mut().zip(offsets) {
                placed.target = offset;
                self.row_end = self.row_end.max(offset + placed.leaves.count * placed.leaf_size);
            }
        }
        self.is_compiled = false;
        let located: Vec<_> = (0..self.leaf_count()).map(|_| None).collect();
        self.build_ops(&located);
    }

    /// Whether the plan has been compiled with a live value. Until then all leaves are read through getters.
    pub(crate) fn is_compiled(&self) -> bool {
        self.is_compiled
    }

    /// Encodes `rows` values, `source_stride` bytes apart, into rows of `out`, `stride` bytes apart.
    ///
    /// Writes only the bytes of the plan's own columns. Does not allocate.
    ///
    /// # Safety
    /// `source` points to `rows` live values of the `T` that the plan was made for, `source_stride` bytes apart. They
    /// are not written to during the call.
    ///
    /// # Panics
    /// When the columns have not been placed, or the rows do not fit into `out`.
    #[expect(
        unsafe_code,
        reason = "values are passed as pointers, which fits columns of ECS tables of any type"
    )]
    pub(crate) unsafe fn encode(
        &self,
        source: *const u8,
        source_stride: usize,
        rows: usize,
        out: &mut [u8],
        stride: usize,
    ) {
        self.assert_placed();
        // SAFETY: guaranteed by the caller, and the result is passed to this plan only.
        let values = unsafe { StridedValues::new(source, source_stride, rows) };
        self.encode_values(values, out, stride);
    }

    /// Writes zeros in place of a value that does not exist.
    ///
    /// # Panics
    /// When the columns have not been placed, or do not fit into `row`.
    pub(crate) fn encode_zeros(&self, row: &mut [u8]) {
        self.assert_placed();
        if self.encoding == LeafEncoding::Mask {
            row[self.mask_bytes()].fill(0);
            return;
        }
        for placed in &self.leaf_sets {
            row[placed.target..][..placed.leaves.count * placed.leaf_size].fill(0);
        }
    }

    fn assert_placed(&self) {
        assert!(
            !self.ops.is_empty(),
            "the columns of `{}` have no offsets: call `FieldPlan::place` first",
            self.type_path
        );
    }

    fn leaf_count(&self) -> usize {
        self.leaf_sets.iter().map(|placed| placed.leaves.count).sum()
    }

    /// The bytes of a mask in a row.
    fn mask_bytes(&self) -> Range<usize> {
        self.leaf_sets.first().map_or(0, |placed| placed.target / 8)..self.row_end
    }
}

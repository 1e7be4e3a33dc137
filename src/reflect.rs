//! A reflected type as features: from its type information to the bytes of a row.
//!
//! A [`FieldPlan`] is made in two steps. [`FieldPlan::new`] takes names, kinds and refusals from type information, when
//! registrations freeze. [`FieldPlan::compile`] finds, in the first live value, where the leaves lie; from then on
//! [`FieldPlan::encode`] loads them from there, many values at a time, without a `dyn Reflect`.
//!
//! # What is trusted
//! `Reflect` is a safe trait, so what it says is not a proof. A leaf is loaded only where all of this holds, and is read
//! through `dyn Reflect` otherwise:
//! - its type, as the compiler knows it, is in a closed list (scalars, `Option`s of them) or an enum whose variants are
//!   all units;
//! - it was reached through structs, tuples and arrays alone, each of them inside of what it is a part of, so it lies
//!   inside the value, aligned in every value of the type;
//! - no other leaf shares a byte with it.
//!
//! What remains to be believed is that the leaf lies there in *every* value of the type. `#[derive(Reflect)]` cannot break
//! that. A hand-written implementation could, by handing out one field of some values and another of others; so samples are
//! read both ways, and leaves that differ are not loaded again.

mod attributes;
mod block;
mod compile;
mod encode;
mod error;
mod name;
mod op;
mod scalar;
mod select;
mod survey;
mod trust;
mod variants;
mod walk;

#[cfg(test)]
mod tests;

pub use attributes::{ColumnBounds, ColumnName};
pub use error::FieldError;
pub(crate) use name::root_name;

use bevy_reflect::{PartialReflect, Reflect, Typed};
use core::{
    any::TypeId,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32},
};
use encode::Values;
use error::{Problem, Reason, Refusal};
use experience_core::schema::Column;
use op::Op;
use survey::Feature;
use variants::VariantTable;

/// What the leaves of a type become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `f32` features: numbers, 0 or 1 for a `bool`, a one-hot for an enum without data, and for an `Option` its value
    /// (0 where there is none) and its presence.
    Observation {
        /// Whether `f64` and 64-bit integers may be rounded. They are refused otherwise. 32-bit integers beyond 2²⁴ are
        /// rounded in any case.
        narrow: bool,
    },
    /// Columns of the leaves' own types, for actions and info. An enum without data is the index of its variant.
    Exact,
    /// Bits, from the lowest of the first byte. Every leaf is a `bool`.
    Mask,
}

/// How the values of one type become the bytes of a row.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    type_path: &'static str,
    type_id: TypeId,
    /// Turns a pointer to a value into one that knows its type. It does not look at the value.
    view: fn(*const u8) -> *const dyn PartialReflect,
    target: Target,
    columns: Vec<Column>,
    /// In the order of their leaves' numbers.
    features: Vec<Placed>,
    tables: Vec<(TypeId, VariantTable)>,
    /// Empty until the columns are placed.
    ops: Vec<Op>,
    /// The bytes of a mask.
    mask: Range<usize>,
    /// The end of the last byte that is written in a row.
    extent: usize,
    compiled: bool,
    /// How often rows were encoded, modulo 2³².
    calls: AtomicU32,
    /// Whether it was said that values lack leaves.
    lost: AtomicBool,
}

/// A feature with its place in the row.
#[derive(Debug)]
struct Placed {
    feature: Feature,
    /// The number of its first leaf among all leaves of the plan.
    first: usize,
    /// Where its first leaf begins: in bytes, but in bits for a mask.
    target: usize,
    /// How much each leaf takes there.
    unit: usize,
}

impl FieldPlan {
    /// Plans the leaves of `T`, or those at the dotted paths `fields` and below, in the order given.
    ///
    /// Each name begins with `root`, unless that is empty; a [`ColumnName`] of the type replaces its own name as the root.
    /// The only field of a tuple struct goes by the name of the struct: `Health(f32)` is `health`, though `fields` may call
    /// it `0`. An array adds to the shape of every column below it.
    ///
    /// # Errors
    /// When a leaf that was asked for cannot be recorded or does not exist, or when there is none.
    pub(crate) fn new<T: Reflect + Typed>(
        root: &str,
        fields: Option<&[&str]>,
        target: Target,
    ) -> Result<Self, FieldError> {
        let own_name = root_name::<T>();
        let stated_name = attributes::type_name(T::type_info());
        let alone = stated_name.unwrap_or(&own_name);
        let root = if root == own_name { alone } else { root };
        if stated_name == Some("") {
            let problem = Problem::Refused(vec![Refusal {
                name: own_name.clone(),
                type_path: T::type_path(),
                reason: Reason::EmptyName,
            }]);
            return Err(FieldError::new(T::type_path(), target, problem));
        }
        let surveyed = survey::survey(root, alone, T::type_info(), target);
        let (features, columns) =
            select::select(surveyed, fields).map_err(|problem| FieldError::new(T::type_path(), target, problem))?;
        let mut first = 0;
        let features = features
            .into_iter()
            .zip(&columns)
            .map(|(feature, column)| {
                let leaves = feature.leaves;
                first += leaves;
                Placed {
                    first: first - leaves,
                    target: 0,
                    unit: match target {
                        Target::Mask => 1,
                        _ => column.width() / leaves * column.dtype.size(),
                    },
                    feature,
                }
            })
            .collect();
        Ok(Self {
            type_path: T::type_path(),
            type_id: TypeId::of::<T>(),
            view: |value| value.cast::<T>() as *const dyn PartialReflect,
            target,
            columns: if target == Target::Mask { Vec::new() } else { columns },
            features,
            tables: Vec::new(),
            ops: Vec::new(),
            mask: 0..0,
            extent: 0,
            compiled: false,
            calls: AtomicU32::new(0),
            lost: AtomicBool::new(false),
        })
    }

    /// The columns, in order; none for a mask.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of bits of a mask; 0 for anything else.
    pub(crate) fn mask_width(&self) -> usize {
        match self.target {
            Target::Mask => self.leaves(),
            _ => 0,
        }
    }

    /// Says where each column begins in a row, in bytes; for a mask, where its only run of bits begins.
    ///
    /// The plan has to be compiled again afterwards.
    ///
    /// # Panics
    /// When there are more or fewer offsets than columns.
    pub(crate) fn place(&mut self, offsets: &[usize]) {
        let expected = match self.target {
            Target::Mask => 1,
            _ => self.columns.len(),
        };
        assert_eq!(
            offsets.len(),
            expected,
            "one offset for each column of `{}`",
            self.type_path
        );
        self.extent = 0;
        if self.target == Target::Mask {
            self.mask = offsets[0]..offsets[0] + self.leaves().div_ceil(8);
            self.extent = self.mask.end;
            for placed in &mut self.features {
                placed.target = self.mask.start * 8 + placed.first;
            }
        } else {
            for (placed, &offset) in self.features.iter_mut().zip(offsets) {
                placed.target = offset;
                self.extent = self.extent.max(offset + placed.feature.leaves * placed.unit);
            }
        }
        self.compiled = false;
        self.build(&vec![None; self.leaves()]);
    }

    /// Whether a live value has been looked at. Until then all values are read through `dyn Reflect`.
    pub(crate) fn is_compiled(&self) -> bool {
        self.compiled
    }

    /// Encodes `rows` values lying `source_stride` bytes apart into rows of `out` lying `stride` bytes apart.
    ///
    /// Only the bytes of the plan's own columns are written. Does not allocate.
    ///
    /// # Safety
    /// `source` points to `rows` live, initialised values of the `T` that the plan was made for, `source_stride` bytes
    /// apart and not written to meanwhile.
    ///
    /// # Panics
    /// When the columns have not been placed, or the rows do not fit into `out`.
    #[expect(
        unsafe_code,
        reason = "values are given as pointers, so that any column of a table will do"
    )]
    pub(crate) unsafe fn encode(
        &self,
        source: *const u8,
        source_stride: usize,
        rows: usize,
        out: &mut [u8],
        stride: usize,
    ) {
        assert!(
            !self.ops.is_empty(),
            "`place` the columns of `{}` before",
            self.type_path
        );
        // SAFETY: the caller's promise, and the values are used here alone.
        let values = unsafe { Values::new(source, source_stride, rows) };
        self.encode_values(values, out, stride);
    }

    fn leaves(&self) -> usize {
        self.features.iter().map(|placed| placed.feature.leaves).sum()
    }
}

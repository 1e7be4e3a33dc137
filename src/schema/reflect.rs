//! A reflected type as features: from its type information to the bytes of a row.
#![expect(
    unsafe_code,
    reason = "values are read at offsets that were found through reflection"
)]

mod error;
mod name;

pub use error::FieldError;
pub(crate) use name::root_name;

use super::Column;
use bevy_reflect::{Reflect, Typed};

/// What the leaves of a type become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `f32` features. 64-bit numbers are refused unless they may be narrowed.
    Observation {
        /// Whether `f64` and 64-bit integers may be rounded to `f32`.
        narrow: bool,
    },
    /// Columns of the leaves' own types: actions and info.
    Exact,
    /// Packed bits: every leaf is a `bool`.
    Mask,
}

/// How the values of one type become the bytes of a row.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    columns: Vec<Column>,
    mask_width: usize,
}

impl FieldPlan {
    /// Plans the leaves of `T`.
    pub(crate) fn new<T: Reflect + Typed>(
        root: &str,
        fields: Option<&[&str]>,
        target: Target,
    ) -> Result<Self, FieldError> {
        let _ = (root, fields, target);
        unimplemented!("interface")
    }

    /// The columns, in order; none for a mask.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of bits of a mask; 0 for anything else.
    pub(crate) fn mask_width(&self) -> usize {
        self.mask_width
    }

    /// Says where each column begins in a destination row, in bytes.
    pub(crate) fn place(&mut self, offsets: &[usize]) {
        let _ = offsets;
        unimplemented!("interface")
    }

    /// Whether a live instance has been looked at.
    pub(crate) fn is_compiled(&self) -> bool {
        unimplemented!("interface")
    }

    /// Finds the leaves' offsets in a live instance.
    pub(crate) fn compile(&mut self, instance: &dyn Reflect) {
        let _ = instance;
        unimplemented!("interface")
    }

    /// Encodes `rows` values lying `source_stride` bytes apart into rows lying `stride` bytes apart.
    ///
    /// # Safety
    /// `source` points to `rows` live, initialised values of the `T` that the plan was made for, `source_stride` bytes
    /// apart and not written to meanwhile.
    pub(crate) unsafe fn encode(
        &self,
        source: *const u8,
        source_stride: usize,
        rows: usize,
        out: &mut [u8],
        stride: usize,
    ) {
        let _ = (source, source_stride, rows, out, stride);
        unimplemented!("interface")
    }
}

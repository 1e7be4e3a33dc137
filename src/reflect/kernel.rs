//! Encoding kernels: unsafe inner loops that load leaves at fixed offsets and write them to rows.
#![expect(unsafe_code, reason = "leaves are loaded at the offsets where they were located")]

use super::{
    op::{LeafRun, OpKind},
    scalar::{IntoNumber, Scalar, for_each_scalar},
};

/// A block of values and the rows that they are encoded into. Strides are in bytes.
#[derive(Clone, Copy)]
pub(super) struct RowBlock {
    pub(super) source: *const u8,
    pub(super) source_stride: usize,
    pub(super) target: *mut u8,
    pub(super) target_stride: usize,
    /// Number of values, and of rows.
    pub(super) count: usize,
}

/// Encodes the leaves of `run`. Does nothing for [`OpKind::Reflect`], which has no kernel.
///
/// # Safety
/// - `rows.source` points to `rows.count` live values, `rows.source_stride` bytes apart, that are not written to during
///   the call.
/// - At each source offset of `run`, each value has a leaf of the type that `kind` names: its scalar, an `Option` of it
///   for [`OpKind::OptionValue`] and [`OpKind::OptionPresence`], a `bool` for [`OpKind::PackBits`]. For
///   [`OpKind::Copy`], all bytes of the run belong to leaves.
/// - At each target offset of `run`, each of `rows.count` rows, `rows.target_stride` bytes apart from `rows.target`, is
///   writable.
pub(super) unsafe fn encode(kind: OpKind, run: &LeafRun, rows: &RowBlock) {
    // SAFETY: the caller guarantees the preconditions of each kernel for the type that `kind` names.
    unsafe {
        match kind {
            OpKind::Copy => copy(run, rows),
            OpKind::CopyStrided(scalar) => copy_strided(scalar.size(), run, rows),
            OpKind::ToF32(scalar) => scalar.to_f32(run, rows),
            OpKind::Canonicalize(scalar) => scalar.canonicalize(run, rows),
            OpKind::OptionValue(scalar) => scalar.option_value(run, rows),
            OpKind::OptionPresence(scalar) => scalar.option_presence(run, rows),
            OpKind::PackBits => pack_bits(run, rows),
            OpKind::Reflect => {}
        }
    }
}

/// A scalar that can be loaded from memory.
trait LoadScalar: IntoNumber {
    /// # Safety
    /// `source` points to a live value of this type, which need not be aligned.
    unsafe fn load(source: *const u8) -> Self;
}

impl LoadScalar for bool {
    #[inline]
    unsafe fn load(source: *const u8) -> Self {
        // SAFETY: a live `bool` is one initialised byte. It is loaded as a byte, so that no bit pattern is undefined
        // behaviour.
        unsafe { source.read() != 0 }
    }
}

macro_rules! impl_load_scalar {
    ($($type:ident)*) => {
        $(impl LoadScalar for $type {
            #[inline]
            unsafe fn load(source: *const u8) -> Self {
                // SAFETY: guaranteed by the caller. Every bit pattern is a valid number.
                unsafe { source.cast::<Self>().read_unaligned() }
            }
        })*
    };
}
impl_load_scalar!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64);

/// Writes `N` bytes for each leaf, which `read` returns for a pointer to the leaf.
///
/// # Safety
/// As for [`encode`], with leaves that `read` can be called for.
#[inline]
unsafe fn for_each_leaf<const N: usize>(run: &LeafRun, rows: &RowBlock, read: impl Fn(*const u8) -> [u8; N]) {
    for row in 0..rows.count {
        for leaf in 0..run.count {
            // SAFETY: the caller guarantees that `source` points to a leaf and `target` to its writable bytes in the
            // row. Arrays of bytes need no alignment.
            unsafe {
                let source = rows
                    .source
                    .add(row * rows.source_stride + run.source + leaf * run.source_step);
                let target = rows
                    .target
                    .add(row * rows.target_stride + run.target + leaf * run.target_step);
                target.cast::<[u8; N]>().write(read(source));
            }
        }
    }
}

/// Loads `N` bytes.
///
/// # Safety
/// `source` points to `N` initialised bytes.
#[inline]
unsafe fn load_bytes<const N: usize>(source: *const u8) -> [u8; N] {
    // SAFETY: guaranteed by the caller.
    unsafe { source.cast::<[u8; N]>().read() }
}

/// Copies `run.count` bytes of each value.
///
/// # Safety
/// As for [`encode`].
unsafe fn copy(run: &LeafRun, rows: &RowBlock) {
    let once = LeafRun { count: 1, ..*run };
    // A constant size compiles to loads and stores. These are the sizes of common scalars, vectors, rotations and
    // transforms. SAFETY: all bytes of the run belong to leaves, so they are initialised.
    unsafe {
        match run.count {
            4 => for_each_leaf::<4>(&once, rows, |source| load_bytes(source)),
            8 => for_each_leaf::<8>(&once, rows, |source| load_bytes(source)),
            12 => for_each_leaf::<12>(&once, rows, |source| load_bytes(source)),
            16 => for_each_leaf::<16>(&once, rows, |source| load_bytes(source)),
            24 => for_each_leaf::<24>(&once, rows, |source| load_bytes(source)),
            32 => for_each_leaf::<32>(&once, rows, |source| load_bytes(source)),
            40 => for_each_leaf::<40>(&once, rows, |source| load_bytes(source)),
            64 => for_each_leaf::<64>(&once, rows, |source| load_bytes(source)),
            count => {
                for row in 0..rows.count {
                    let source = rows.source.add(row * rows.source_stride + run.source);
                    let target = rows.target.add(row * rows.target_stride + run.target);
                    // The caller has a `&mut` to the rows, so they do not overlap the values.
                    source.copy_to_nonoverlapping(target, count);
                }
            }
        }
    }
}

/// Copies scalars of `size` bytes unchanged.
///
/// # Safety
/// As for [`encode`].
unsafe fn copy_strided(size: usize, run: &LeafRun, rows: &RowBlock) {
    // SAFETY: the bytes of a scalar are initialised.
    unsafe {
        match size {
            1 => for_each_leaf::<1>(run, rows, |source| load_bytes(source)),
            2 => for_each_leaf::<2>(run, rows, |source| load_bytes(source)),
            4 => for_each_leaf::<4>(run, rows, |source| load_bytes(source)),
            _ => for_each_leaf::<8>(run, rows, |source| load_bytes(source)),
        }
    }
}

/// Sets the bits of the `bool`s that are true. All bits are expected to be 0 before.
///
/// # Safety
/// As for [`encode`]; `run.target` counts bits from the start of a row.
unsafe fn pack_bits(run: &LeafRun, rows: &RowBlock) {
    let whole_bytes = if run.source_step == 1 && run.target.is_multiple_of(8) {
        run.count / 8
    } else {
        0
    };
    for row in 0..rows.count {
        // SAFETY: the caller guarantees `run.count` contiguous `bool`s from this source on, and as many bits from this target on.
        // So eight bytes and one byte are there for each of the whole bytes.
        unsafe {
            let source = rows.source.add(row * rows.source_stride + run.source);
            let target = rows.target.add(row * rows.target_stride + run.target / 8);
            for byte in 0..whole_bytes {
                *target.add(byte) |= pack_byte(load_bytes(source.add(byte * 8)));
            }
        }
        let mut leaf = whole_bytes * 8;
        while leaf < run.count {
            let bit = run.target + leaf;
            let bits = (8 - bit % 8).min(run.count - leaf);
            let offset = row * rows.source_stride + run.source + leaf * run.source_step;
            let byte = if bits == 8 && run.source_step == 1 {
                // SAFETY: eight contiguous `bool`s are there, guaranteed by the caller.
                pack_byte(unsafe { load_bytes(rows.source.add(offset)) })
            } else {
                (0..bits).fold(0, |byte, index| {
                    // SAFETY: a `bool` is there, guaranteed by the caller.
                    let set = unsafe { bool::load(rows.source.add(offset + index * run.source_step)) };
                    byte | u8::from(set) << (bit % 8 + index)
                })
            };
            // SAFETY: this byte contains a bit that the run may write to.
            unsafe { *rows.target.add(row * rows.target_stride + bit / 8) |= byte };
            leaf += bits;
        }
    }
}

/// Packs the lowest bit of each of eight bytes into one byte, the first byte's into the lowest bit.
///
/// The multiplication adds shifted copies of the eight bits such that all of them meet in the highest byte, in order
/// and without a carry.
fn pack_byte(bools: [u8; 8]) -> u8 {
    let bits = u64::from_le_bytes(bools) & 0x0101_0101_0101_0101;
    (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

macro_rules! impl_scalar_kernels {
    ($($scalar:ident $type:ident),*) => {
        /// One loop per scalar, so that the conversion inside of the loop is known at compile time.
        ///
        /// # Safety
        /// Each function requires what [`encode`] does, with leaves of this scalar, or of an `Option` of it.
        impl Scalar {
            unsafe fn to_f32(self, run: &LeafRun, rows: &RowBlock) {
                match self {
                    $(Self::$scalar => {
                        // SAFETY: each `source` points to this scalar.
                        let read = |source| unsafe { $type::load(source) }.into_number().to_f32().to_ne_bytes();
                        // SAFETY: guaranteed by the caller.
                        unsafe { for_each_leaf(run, rows, read) }
                    })*
                }
            }

            unsafe fn option_value(self, run: &LeafRun, rows: &RowBlock) {
                match self {
                    $(Self::$scalar => {
                        // SAFETY: each `source` points to this `Option`, aligned as in every live value.
                        let read = |source: *const u8| match unsafe { &*source.cast::<Option<$type>>() } {
                            Some(value) => value.into_number().to_f32().to_ne_bytes(),
                            None => 0.0_f32.to_ne_bytes(),
                        };
                        // SAFETY: guaranteed by the caller.
                        unsafe { for_each_leaf(run, rows, read) }
                    })*
                }
            }

            unsafe fn option_presence(self, run: &LeafRun, rows: &RowBlock) {
                match self {
                    $(Self::$scalar => {
                        // SAFETY: each `source` points to this `Option`, aligned as in every live value.
                        let is_some = |source: *const u8| unsafe { &*source.cast::<Option<$type>>() }.is_some();
                        let read = |source| f32::from(is_some(source)).to_ne_bytes();
                        // SAFETY: guaranteed by the caller.
                        unsafe { for_each_leaf(run, rows, read) }
                    })*
                }
            }
        }
    };
}
for_each_scalar!(impl_scalar_kernels);

impl Scalar {
    /// # Safety
    /// As for [`encode`], with leaves of this scalar.
    unsafe fn canonicalize(self, run: &LeafRun, rows: &RowBlock) {
        // SAFETY: each `source` points to this scalar; the rest is guaranteed by the caller.
        unsafe {
            match self {
                Self::Bool => for_each_leaf(run, rows, |source| [u8::from(bool::load(source))]),
                Self::Usize => for_each_leaf(run, rows, |source| (usize::load(source) as u64).to_ne_bytes()),
                Self::Isize => for_each_leaf(run, rows, |source| (isize::load(source) as i64).to_ne_bytes()),
                other => copy_strided(other.size(), run, rows),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_byte_packs_the_lowest_bits() {
        for byte in 0..=u8::MAX {
            assert_eq!(pack_byte(core::array::from_fn(|bit| byte >> bit & 1)), byte);
        }
    }
}

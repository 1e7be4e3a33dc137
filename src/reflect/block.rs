//! The loads: the leaves of many values at once, at offsets that were found in one of them.
#![expect(unsafe_code, reason = "leaves are loaded from where reflection found them")]

use super::{
    op::{Action, Run},
    scalar::{IntoNumber, Scalar, for_each_scalar},
};

/// Values, and the rows that they go to.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) source: *const u8,
    pub(super) source_stride: usize,
    pub(super) target: *mut u8,
    pub(super) target_stride: usize,
    pub(super) count: usize,
}

/// Encodes the leaves of `run`. Nothing happens for an action that needs more than the values' bytes.
///
/// # Safety
/// - `rows.source` points to `rows.count` live values, `rows.source_stride` bytes apart, that nobody writes to.
/// - At each offset of `run` in each of them lies a leaf of the type that `action` names: its scalar, an `Option` of it
///   for [`Action::Value`] and [`Action::Presence`], a `bool` for [`Action::Pack`]. For [`Action::Copy`] there are leaves
///   in all bytes of the run.
/// - `rows.target` may be written to where `run` places the leaves, in each of `rows.count` rows,
///   `rows.target_stride` bytes apart.
pub(super) unsafe fn encode(action: Action, run: &Run, rows: &Rows) {
    // SAFETY: the caller's promise is what each of these asks for, with the type that `action` names.
    unsafe {
        match action {
            Action::Copy => copy(run, rows),
            Action::Scatter(scalar) => scatter(scalar.size(), run, rows),
            Action::Widen(scalar) => scalar.widen(run, rows),
            Action::Normalise(scalar) => scalar.normalise(run, rows),
            Action::Value(scalar) => scalar.value(run, rows),
            Action::Presence(scalar) => scalar.presence(run, rows),
            Action::Pack => pack(run, rows),
            Action::Reflect | Action::Variant { .. } => {}
        }
    }
}

/// A scalar that can be loaded from memory.
trait Load: IntoNumber {
    /// # Safety
    /// At `source` lies a live value of this type; it need not be aligned.
    unsafe fn load(source: *const u8) -> Self;
}

impl Load for bool {
    #[inline]
    unsafe fn load(source: *const u8) -> Self {
        // A byte is loaded, not a `bool`: whatever its bits, the result is one of two.
        // SAFETY: a `bool` is a byte.
        unsafe { source.read() != 0 }
    }
}

macro_rules! load {
    ($($type:ident)*) => {
        $(impl Load for $type {
            #[inline]
            unsafe fn load(source: *const u8) -> Self {
                // SAFETY: by the caller's promise; every bit pattern is a number.
                unsafe { source.cast::<Self>().read_unaligned() }
            }
        })*
    };
}
load!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64);

/// Writes `N` bytes for each leaf. `read` makes them from where the leaf lies.
///
/// # Safety
/// As for [`encode`], where a leaf is whatever `read` may be called for.
#[inline]
unsafe fn each<const N: usize>(run: &Run, rows: &Rows, read: impl Fn(*const u8) -> [u8; N]) {
    for row in 0..rows.count {
        for leaf in 0..run.count {
            // SAFETY: both lie where the caller says that leaves and their places in rows lie. Arrays of bytes need
            // no alignment.
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

/// The bytes at `source`, as they are.
///
/// # Safety
/// At `source` lie `N` initialised bytes.
#[inline]
unsafe fn bytes<const N: usize>(source: *const u8) -> [u8; N] {
    // SAFETY: by the caller's promise.
    unsafe { source.cast::<[u8; N]>().read() }
}

/// Copies `run.count` bytes of each value.
///
/// # Safety
/// As for [`encode`].
unsafe fn copy(run: &Run, rows: &Rows) {
    let once = Run { count: 1, ..*run };
    // SAFETY: leaves lie in all bytes of the run, so they are initialised. A size that is known to the compiler is a
    // load and a store instead of a call.
    unsafe {
        match run.count {
            4 => each::<4>(&once, rows, |source| bytes(source)),
            8 => each::<8>(&once, rows, |source| bytes(source)),
            12 => each::<12>(&once, rows, |source| bytes(source)),
            16 => each::<16>(&once, rows, |source| bytes(source)),
            24 => each::<24>(&once, rows, |source| bytes(source)),
            32 => each::<32>(&once, rows, |source| bytes(source)),
            40 => each::<40>(&once, rows, |source| bytes(source)),
            64 => each::<64>(&once, rows, |source| bytes(source)),
            count => {
                for row in 0..rows.count {
                    let source = rows.source.add(row * rows.source_stride + run.source);
                    let target = rows.target.add(row * rows.target_stride + run.target);
                    // The rows are not in the values: the caller has a `&mut` to them.
                    source.copy_to_nonoverlapping(target, count);
                }
            }
        }
    }
}

/// Copies leaves of `size` bytes.
///
/// # Safety
/// As for [`encode`].
unsafe fn scatter(size: usize, run: &Run, rows: &Rows) {
    // SAFETY: the bytes of a scalar are initialised.
    unsafe {
        match size {
            1 => each::<1>(run, rows, |source| bytes(source)),
            2 => each::<2>(run, rows, |source| bytes(source)),
            4 => each::<4>(run, rows, |source| bytes(source)),
            _ => each::<8>(run, rows, |source| bytes(source)),
        }
    }
}

/// Sets the bits of the `bool`s that are true. The bits must be 0 before.
///
/// # Safety
/// As for [`encode`]; `run.target` counts bits from the start of a row.
unsafe fn pack(run: &Run, rows: &Rows) {
    for row in 0..rows.count {
        let mut leaf = 0;
        while leaf < run.count {
            let bit = run.target + leaf;
            let room = (8 - bit % 8).min(run.count - leaf);
            let offset = row * rows.source_stride + run.source + leaf * run.source_step;
            let byte = if room == 8 && run.source_step == 1 {
                // SAFETY: eight `bool`s lie there, by the caller's promise.
                gather(unsafe { bytes(rows.source.add(offset)) })
            } else {
                (0..room).fold(0, |byte, place| {
                    // SAFETY: a `bool` lies there, by the caller's promise.
                    let set = unsafe { bool::load(rows.source.add(offset + place * run.source_step)) };
                    byte | u8::from(set) << (bit % 8 + place)
                })
            };
            // SAFETY: the byte of a bit that the run may write to.
            unsafe { *rows.target.add(row * rows.target_stride + bit / 8) |= byte };
            leaf += room;
        }
    }
}

/// The lowest bits of eight bytes, the first byte's lowest.
///
/// The product adds up copies of the bytes, each moved by so much that the eight bits meet in the highest byte, in order
/// and without a carry.
fn gather(bools: [u8; 8]) -> u8 {
    let bits = u64::from_le_bytes(bools) & 0x0101_0101_0101_0101;
    (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

macro_rules! blocks {
    ($($scalar:ident $type:ident),*) => {
        /// One loop for each scalar, so that the conversion is known inside of it.
        ///
        /// # Safety
        /// Of all: as for [`encode`], with leaves of this scalar.
        impl Scalar {
            unsafe fn widen(self, run: &Run, rows: &Rows) {
                match self {
                    $(Self::$scalar => {
                        // SAFETY: such a scalar lies at each `source`.
                        let read = |source| unsafe { $type::load(source) }.into_number().to_f32().to_ne_bytes();
                        // SAFETY: the caller's promise.
                        unsafe { each(run, rows, read) }
                    })*
                }
            }

            unsafe fn value(self, run: &Run, rows: &Rows) {
                match self {
                    $(Self::$scalar => {
                        // SAFETY: such an `Option` lies at each `source`, aligned as in every live value.
                        let read = |source: *const u8| match unsafe { &*source.cast::<Option<$type>>() } {
                            Some(value) => value.into_number().to_f32().to_ne_bytes(),
                            None => 0.0_f32.to_ne_bytes(),
                        };
                        // SAFETY: the caller's promise.
                        unsafe { each(run, rows, read) }
                    })*
                }
            }

            unsafe fn presence(self, run: &Run, rows: &Rows) {
                match self {
                    $(Self::$scalar => {
                        // SAFETY: such an `Option` lies at each `source`, aligned as in every live value.
                        let is_some = |source: *const u8| unsafe { &*source.cast::<Option<$type>>() }.is_some();
                        let read = |source| f32::from(is_some(source)).to_ne_bytes();
                        // SAFETY: the caller's promise.
                        unsafe { each(run, rows, read) }
                    })*
                }
            }
        }
    };
}
for_each_scalar!(blocks);

impl Scalar {
    /// # Safety
    /// As for [`encode`], with leaves of this scalar.
    unsafe fn normalise(self, run: &Run, rows: &Rows) {
        // SAFETY: such a scalar lies at each `source`; the rest is the caller's promise.
        unsafe {
            match self {
                Self::Bool => each(run, rows, |source| [u8::from(bool::load(source))]),
                Self::Usize => each(run, rows, |source| (usize::load(source) as u64).to_ne_bytes()),
                Self::Isize => each(run, rows, |source| (isize::load(source) as i64).to_ne_bytes()),
                other => scatter(other.size(), run, rows),
            }
        }
    }
}

/// The discriminant of the enum without data at `source`, `bytes` wide.
///
/// # Safety
/// At `source` lies a live enum without data, of a size of `bytes`: 0, 1, 2, 4 or 8.
#[inline]
pub(super) unsafe fn discriminant(source: *const u8, bytes: usize) -> u64 {
    // SAFETY: such an enum is its discriminant, and nothing else.
    unsafe {
        match bytes {
            0 => 0,
            1 => u8::load(source).into(),
            2 => u16::load(source).into(),
            4 => u32::load(source).into(),
            _ => u64::load(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bools_are_the_bits_of_a_byte() {
        for byte in 0..=u8::MAX {
            assert_eq!(gather(core::array::from_fn(|bit| byte >> bit & 1)), byte);
        }
    }
}

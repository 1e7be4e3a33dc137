//! Scalar types: the closed list of primitive types that a leaf can be read as.

use bevy_reflect::PartialReflect;
use core::any::TypeId;
use experience_core::schema::{DType, Space};

/// Expands `$callback!` with a list of `Variant type` pairs, one for each scalar type.
macro_rules! for_each_scalar {
    ($callback:ident) => {
        $callback! {
            Bool bool, I8 i8, I16 i16, I32 i32, I64 i64, Isize isize, U8 u8, U16 u16, U32 u32, U64 u64, Usize usize,
            F32 f32, F64 f64
        }
    };
}
pub(super) use for_each_scalar;

/// A scalar type. Every bit pattern is valid for all of them except `bool`, which is therefore read as a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Isize,
    U8,
    U16,
    U32,
    U64,
    Usize,
    F32,
    F64,
}

macro_rules! impl_scalar {
    ($($scalar:ident $type:ident),*) => {
        impl Scalar {
            /// The scalar of a Rust type.
            pub(super) fn of(type_id: TypeId) -> Option<Self> {
                $(if type_id == TypeId::of::<$type>() {
                    return Some(Self::$scalar);
                })*
                None
            }

            /// The scalar of which a type is the `Option`.
            pub(super) fn of_option(type_id: TypeId) -> Option<Self> {
                $(if type_id == TypeId::of::<Option<$type>>() {
                    return Some(Self::$scalar);
                })*
                None
            }

            pub(super) fn type_id(self) -> TypeId {
                match self {
                    $(Self::$scalar => TypeId::of::<$type>(),)*
                }
            }

            /// The type of an `Option` of this scalar.
            pub(super) fn option_type_id(self) -> TypeId {
                match self {
                    $(Self::$scalar => TypeId::of::<Option<$type>>(),)*
                }
            }

            pub(super) fn size(self) -> usize {
                match self {
                    $(Self::$scalar => size_of::<$type>(),)*
                }
            }

            /// Sets `place` to the nearest value of this scalar. Returns false where `place` is of another type.
            pub(super) fn write(self, place: &mut dyn PartialReflect, number: Number) -> bool {
                match self {
                    $(Self::$scalar => match place.try_downcast_mut::<$type>() {
                        Some(place) => {
                            *place = <$type>::from_number(number);
                            true
                        }
                        None => false,
                    },)*
                }
            }

            /// The nearest value of this scalar.
            pub(super) fn boxed(self, number: Number) -> Box<dyn PartialReflect> {
                match self {
                    $(Self::$scalar => Box::new(<$type>::from_number(number)),)*
                }
            }

            /// The number in `value`; `None` where `value` is of another type.
            pub(super) fn read(self, value: &dyn PartialReflect) -> Option<Number> {
                match self {
                    $(Self::$scalar => value.try_downcast_ref::<$type>().map(|&value| value.into_number()),)*
                }
            }
        }
    };
}
for_each_scalar!(impl_scalar);

impl Scalar {
    /// The element type of a column that stores this scalar unchanged. `usize` and `isize` are stored as 64 bits on all
    /// targets.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Bool => DType::Bool,
            Self::I8 => DType::I8,
            Self::I16 => DType::I16,
            Self::I32 => DType::I32,
            Self::I64 | Self::Isize => DType::I64,
            Self::U8 => DType::U8,
            Self::U16 => DType::U16,
            Self::U32 => DType::U32,
            Self::U64 | Self::Usize => DType::U64,
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }

    /// Whether this is a 64-bit type, for which `f32` loses too much precision to be the default.
    pub(super) fn is_wide(self) -> bool {
        self.dtype().size() == 8
    }

    /// The lowest and highest value; `None` if an `f64` does not represent it exactly.
    fn limits(self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Bool => (Some(0.0), Some(1.0)),
            Self::I8 => (Some(i8::MIN.into()), Some(i8::MAX.into())),
            Self::I16 => (Some(i16::MIN.into()), Some(i16::MAX.into())),
            Self::I32 => (Some(i32::MIN.into()), Some(i32::MAX.into())),
            Self::U8 => (Some(0.0), Some(u8::MAX.into())),
            Self::U16 => (Some(0.0), Some(u16::MAX.into())),
            Self::U32 => (Some(0.0), Some(u32::MAX.into())),
            Self::U64 | Self::Usize => (Some(0.0), None),
            Self::I64 | Self::Isize | Self::F32 | Self::F64 => (None, None),
        }
    }

    /// The space of a column of the scalar's own type.
    pub(super) fn exact_space(self) -> Space {
        if self == Self::Bool {
            return Space::Discrete {
                n: 2,
                labels: Vec::new(),
            };
        }
        let (low, high) = self.limits();
        Space::Box { low, high }
    }

    /// The space of an `f32` column, with the bounds rounded as the values are.
    pub(super) fn feature_space(self) -> Space {
        let (low, high) = self.limits();
        let round = |limit: f64| f64::from(limit as f32);
        Space::Box {
            low: low.map(round),
            high: high.map(round),
        }
    }
}

/// The value of a scalar, without loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    F32(f32),
    F64(f64),
}

impl Number {
    /// Reads a number of `dtype` from its native-endian bytes. `None` where there are too few.
    pub(super) fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Self> {
        macro_rules! read {
            ($type:ty) => {
                <$type>::from_ne_bytes(*bytes.first_chunk()?).into_number()
            };
        }
        Some(match dtype {
            DType::F32 => read!(f32),
            DType::F64 => read!(f64),
            DType::I8 => read!(i8),
            DType::I16 => read!(i16),
            DType::I32 => read!(i32),
            DType::I64 => read!(i64),
            DType::U8 => read!(u8),
            DType::U16 => read!(u16),
            DType::U32 => read!(u32),
            DType::U64 => read!(u64),
            DType::Bool => Self::Unsigned(u64::from(*bytes.first()? != 0)),
        })
    }

    pub(super) fn to_f32(self) -> f32 {
        match self {
            Self::Signed(value) => value as f32,
            Self::Unsigned(value) => value as f32,
            Self::F32(value) => value,
            Self::F64(value) => value as f32,
        }
    }

    /// The number as an index, the nearest one if it is none.
    pub(super) fn to_index(self) -> usize {
        usize::from_number(self)
    }

    /// The native-endian bytes of the number, at the start of the array. Integers are `size` bytes wide.
    pub(super) fn to_bytes(self, size: usize) -> [u8; 8] {
        let mut bytes = [0; 8];
        match self {
            Self::F32(value) => bytes[..4].copy_from_slice(&value.to_ne_bytes()),
            Self::F64(value) => bytes = value.to_ne_bytes(),
            Self::Signed(value) => put_integer(&mut bytes, value as u64, size),
            Self::Unsigned(value) => put_integer(&mut bytes, value, size),
        }
        bytes
    }
}

/// Writes the lowest `size` bytes of `value`. The number came from a type of that size, so truncation restores it.
fn put_integer(bytes: &mut [u8; 8], value: u64, size: usize) {
    match size {
        1 => bytes[..1].copy_from_slice(&(value as u8).to_ne_bytes()),
        2 => bytes[..2].copy_from_slice(&(value as u16).to_ne_bytes()),
        4 => bytes[..4].copy_from_slice(&(value as u32).to_ne_bytes()),
        _ => *bytes = value.to_ne_bytes(),
    }
}

/// Conversion of a number into the nearest value of a scalar. A number of the scalar's own type is not changed.
trait FromNumber {
    fn from_number(number: Number) -> Self;
}

impl FromNumber for bool {
    fn from_number(number: Number) -> Self {
        match number {
            Number::Signed(value) => value != 0,
            Number::Unsigned(value) => value != 0,
            Number::F32(value) => value != 0.0,
            Number::F64(value) => value != 0.0,
        }
    }
}

macro_rules! impl_from_number {
    (integers: $($integer:ident)*; floats: $($float:ident)*) => {
        $(impl FromNumber for $integer {
            fn from_number(number: Number) -> Self {
                match number {
                    Number::Signed(value) => {
                        Self::try_from(value).unwrap_or(if value < 0 { Self::MIN } else { Self::MAX })
                    }
                    Number::Unsigned(value) => Self::try_from(value).unwrap_or(Self::MAX),
                    // Saturates.
                    Number::F32(value) => value as Self,
                    Number::F64(value) => value as Self,
                }
            }
        })*
        $(impl FromNumber for $float {
            fn from_number(number: Number) -> Self {
                match number {
                    Number::Signed(value) => value as Self,
                    Number::Unsigned(value) => value as Self,
                    Number::F32(value) => value as Self,
                    Number::F64(value) => value as Self,
                }
            }
        })*
    };
}
impl_from_number! { integers: i8 i16 i32 i64 isize u8 u16 u32 u64 usize; floats: f32 f64 }

/// Conversion of a scalar into a [`Number`], without loss.
pub(super) trait IntoNumber: Copy {
    fn into_number(self) -> Number;
}

macro_rules! impl_into_number {
    ($($number:ident($wide:ident): $($type:ident)*;)*) => {
        $($(impl IntoNumber for $type {
            #[inline]
            fn into_number(self) -> Number {
                Number::$number(self as $wide)
            }
        })*)*
    };
}
impl_into_number! {
    Unsigned(u64): bool u8 u16 u32 u64 usize;
    Signed(i64): i8 i16 i32 i64 isize;
    F32(f32): f32;
    F64(f64): f64;
}

//! The closed list of types whose value is one number.

use bevy_reflect::PartialReflect;
use core::any::TypeId;
use experience_core::schema::{DType, Space};

/// Calls `$then!(variant, type)` once for each type of the list.
macro_rules! for_each_scalar {
    ($then:ident) => {
        $then! {
            Bool bool, I8 i8, I16 i16, I32 i32, I64 i64, Isize isize, U8 u8, U16 u16, U32 u32, U64 u64, Usize usize,
            F32 f32, F64 f64
        }
    };
}
pub(super) use for_each_scalar;

/// A type whose value is one number. All of them are valid for every bit pattern but `bool`, which is read as a byte.
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

macro_rules! list {
    ($($scalar:ident $type:ident),*) => {
        impl Scalar {
            /// The scalar with this type.
            pub(super) fn of(id: TypeId) -> Option<Self> {
                $(if id == TypeId::of::<$type>() {
                    return Some(Self::$scalar);
                })*
                None
            }

            pub(super) fn type_id(self) -> TypeId {
                match self {
                    $(Self::$scalar => TypeId::of::<$type>(),)*
                }
            }

            /// The type of an `Option` of it.
            pub(super) fn option_id(self) -> TypeId {
                match self {
                    $(Self::$scalar => TypeId::of::<Option<$type>>(),)*
                }
            }

            pub(super) fn size(self) -> usize {
                match self {
                    $(Self::$scalar => size_of::<$type>(),)*
                }
            }

            /// The number in `value`, where `value` is of this type.
            pub(super) fn read(self, value: &dyn PartialReflect) -> Option<Number> {
                match self {
                    $(Self::$scalar => value.try_downcast_ref::<$type>().map(|&value| value.into_number()),)*
                }
            }
        }
    };
}
for_each_scalar!(list);

impl Scalar {
    /// How the number is stored as it is. `usize` is stored as if every machine had 64 bits.
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

    /// Whether an `f32` would lose what makes the type worth its 64 bits.
    pub(super) fn is_wide(self) -> bool {
        self.dtype().size() == 8
    }

    /// The lowest and the highest value, as far as an `f64` holds them exactly.
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

    /// What the number may be in a column of its own type.
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

    /// What the number may be as an `f32`, after rounding.
    pub(super) fn feature_space(self) -> Space {
        let (low, high) = self.limits();
        let round = |limit: f64| f64::from(limit as f32);
        Space::Box {
            low: low.map(round),
            high: high.map(round),
        }
    }
}

/// The value of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    F32(f32),
    F64(f64),
}

impl Number {
    pub(super) fn to_f32(self) -> f32 {
        match self {
            Self::Signed(value) => value as f32,
            Self::Unsigned(value) => value as f32,
            Self::F32(value) => value,
            Self::F64(value) => value as f32,
        }
    }

    /// The first eight bytes hold the number: integers `size` bytes wide.
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

/// Truncating a two's complement number keeps its value in the narrower type that it came from.
fn put_integer(bytes: &mut [u8; 8], value: u64, size: usize) {
    match size {
        1 => bytes[..1].copy_from_slice(&(value as u8).to_ne_bytes()),
        2 => bytes[..2].copy_from_slice(&(value as u16).to_ne_bytes()),
        4 => bytes[..4].copy_from_slice(&(value as u32).to_ne_bytes()),
        _ => *bytes = value.to_ne_bytes(),
    }
}

/// Turns a scalar into its number; without rounding.
pub(super) trait IntoNumber: Copy {
    fn into_number(self) -> Number;
}

macro_rules! numbers {
    ($($number:ident($wide:ident): $($type:ident)*;)*) => {
        $($(impl IntoNumber for $type {
            #[inline]
            fn into_number(self) -> Number {
                Number::$number(self as $wide)
            }
        })*)*
    };
}
numbers! {
    Unsigned(u64): bool u8 u16 u32 u64 usize;
    Signed(i64): i8 i16 i32 i64 isize;
    F32(f32): f32;
    F64(f64): f64;
}

//! Leaves of types that measure time: the seconds of a [`Duration`], and the elapsed seconds and the fraction of a [`Timer`].
//!
//! Reflection exposes no numbers in a `Duration`, so these leaves are read from the values themselves.

use super::scalar::Number;
use bevy_reflect::PartialReflect;
use bevy_time::Timer;
use core::{any::TypeId, time::Duration};
use experience_core::schema::Space;

/// A number that is computed from a value of a type of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeLeaf {
    /// The seconds of a `Duration`.
    Seconds,
    /// The elapsed seconds of a `Timer`.
    Elapsed,
    /// The elapsed part of a `Timer`, from 0 to 1.
    Fraction,
}

impl TimeLeaf {
    /// The number, rounded to `f32`. `None` where `value` is of another type.
    pub(super) fn read(self, value: &dyn PartialReflect) -> Option<Number> {
        let number = match self {
            Self::Seconds => value.try_downcast_ref::<Duration>()?.as_secs_f32(),
            Self::Elapsed => value.try_downcast_ref::<Timer>()?.elapsed_secs(),
            Self::Fraction => value.try_downcast_ref::<Timer>()?.fraction(),
        };
        Some(Number::F32(number))
    }

    pub(super) fn space(self) -> Space {
        Space::Box {
            low: Some(0.0),
            high: (self == Self::Fraction).then_some(1.0),
        }
    }
}

pub(super) fn is_duration(id: TypeId) -> bool {
    id == TypeId::of::<Duration>()
}

pub(super) fn is_timer(id: TypeId) -> bool {
    id == TypeId::of::<Timer>()
}

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

    /// Sets `value` to the nearest one whose number is `number`. Returns false where it is of another type, where `number` is not
    /// a duration, and for a fraction, which follows from the elapsed time.
    pub(super) fn write(self, value: &mut dyn PartialReflect, number: Number) -> bool {
        let Ok(duration) = Duration::try_from_secs_f32(number.to_f32()) else {
            return false;
        };
        match self {
            Self::Seconds => value.try_downcast_mut::<Duration>().map(|place| *place = duration),
            Self::Elapsed => value
                .try_downcast_mut::<Timer>()
                .map(|timer| timer.set_elapsed(duration)),
            Self::Fraction => None,
        }
        .is_some()
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

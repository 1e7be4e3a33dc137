//! [`ColumnName`] and [`ColumnBounds`]: custom `Reflect` attributes that set the names and bounds of columns.

use bevy_reflect::{Reflect, TypeInfo, attributes::CustomAttributes};
use core::ops::RangeInclusive;
use experience_core::schema::Space;

/// The bounds of all numbers in a field, as an attribute of `Reflect`. They become the space of the field's columns.
///
/// The bounds apply to each number below the field: to `x` and `y` of a `Vec2`, to all elements of an array. Bounds
/// of a nested field override them, as does [`Recording::bounds`](crate::recording::Recording::bounds) for one column.
/// They do not apply to `bool`s and enums. Values are not clamped.
///
/// An infinite bound means unbounded. Bounds with `low > high` or NaN are rejected when the recording is set up.
///
/// An inclusive range, `#[reflect(@-1.0..=1.0_f32)]`, means the same; the literals need a type: `f32`, `f64` or `i32`.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_math::Vec2;
/// # use bevy_reflect::Reflect;
/// use bevy_experience::prelude::*;
///
/// #[derive(Component, Reflect)]
/// struct Intent {
///     #[reflect(@ColumnBounds::new(-1.0, 1.0))]
///     stick: Vec2,
///     #[reflect(@ColumnBounds::at_least(0.0))]
///     charge: f32,
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
#[reflect(Clone, Debug, PartialEq)]
pub struct ColumnBounds {
    low: f64,
    high: f64,
}

impl ColumnBounds {
    /// From `low` to `high`, both included.
    #[must_use]
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// `low` or more.
    #[must_use]
    pub const fn at_least(low: f64) -> Self {
        Self::new(low, f64::INFINITY)
    }

    /// `high` or less.
    #[must_use]
    pub const fn at_most(high: f64) -> Self {
        Self::new(f64::NEG_INFINITY, high)
    }

    /// The space, or `None` if the bounds are not an interval that contains a number.
    pub(crate) fn space(self) -> Option<Space> {
        let Self { low, high } = self;
        // Written so that NaN fails.
        let is_interval = low <= high && low < f64::INFINITY && high > f64::NEG_INFINITY;
        is_interval.then(|| Space::Box {
            low: low.is_finite().then_some(low),
            high: high.is_finite().then_some(high),
        })
    }
}

/// The name of a field or a type in the names of columns, as an attribute of `Reflect`.
///
/// On a field it replaces the part of the column name that is the field's name. On the component or resource itself it
/// replaces the `snake_case` of the type's name, with which column names begin.
/// [`observe_fields`](crate::recording::Recording::observe_fields) selects fields by the names that they have in Rust.
///
/// An empty name is rejected when the recording is set up.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_reflect::Reflect;
/// use bevy_experience::prelude::*;
///
/// /// Observed as the columns `wheel.speed` and `wheel.slip`.
/// #[derive(Component, Reflect)]
/// #[reflect(@ColumnName("wheel"))]
/// struct WheelPhysicsState {
///     #[reflect(@ColumnName("speed"))]
///     angular_velocity: f32,
///     slip: f32,
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Reflect)]
#[reflect(Clone, Debug, PartialEq, Hash)]
pub struct ColumnName(pub &'static str);

/// The bounds that the attributes of a field state.
pub(super) fn bounds(attributes: &CustomAttributes) -> Option<ColumnBounds> {
    fn range<T: Copy + Into<f64>>(range: &RangeInclusive<T>) -> ColumnBounds {
        ColumnBounds::new((*range.start()).into(), (*range.end()).into())
    }
    let explicit = attributes.get::<ColumnBounds>().copied();
    let float = || attributes.get::<RangeInclusive<f32>>().map(range);
    let double = || attributes.get::<RangeInclusive<f64>>().map(range);
    let integer = || attributes.get::<RangeInclusive<i32>>().map(range);
    explicit.or_else(float).or_else(double).or_else(integer)
}

/// The column name that the attributes of a field or a type state.
pub(super) fn name(attributes: &CustomAttributes) -> Option<&'static str> {
    attributes.get::<ColumnName>().map(|name| name.0)
}

/// The column name that the attributes of a type state.
pub(super) fn type_name(info: &TypeInfo) -> Option<&'static str> {
    match info {
        TypeInfo::Struct(info) => name(info.custom_attributes()),
        TypeInfo::TupleStruct(info) => name(info.custom_attributes()),
        TypeInfo::Enum(info) => name(info.custom_attributes()),
        _ => None,
    }
}

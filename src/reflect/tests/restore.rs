//! Values that are restored from observations, and what observations say of them.

use super::*;
use bevy_math::{DVec2, Vec2};
use bevy_time::{Timer, TimerMode};
use core::time::Duration;
use experience_core::schema::DType;
use proptest::prelude::*;

#[derive(Reflect, Clone, Copy, Debug, PartialEq, Default)]
enum Stance {
    #[default]
    Stand,
    Crouch,
    Lie,
}

#[derive(Reflect, Clone, Debug, PartialEq, Default)]
struct Body {
    place: Vec2,
    lives: u8,
    debt: i16,
    fuel: u32,
    stance: Stance,
    stances: [[Stance; 2]; 2],
    is_wet: bool,
    charge: Option<f32>,
    charges: [Option<u8>; 3],
    mood: Option<Stance>,
}

fn stance() -> impl Strategy<Value = Stance> {
    prop_oneof![Just(Stance::Stand), Just(Stance::Crouch), Just(Stance::Lie)]
}

fn body() -> impl Strategy<Value = Body> {
    let stances = [[stance(), stance()], [stance(), stance()]];
    let numbers = (
        any::<[f32; 2]>(),
        any::<u8>(),
        any::<i16>(),
        0..1_u32 << 24,
        stance(),
        stances,
    );
    let options = (
        any::<bool>(),
        any::<Option<f32>>(),
        any::<[Option<u8>; 3]>(),
        prop::option::of(stance()),
    );
    (numbers, options).prop_map(|(numbers, options)| {
        let (place, lives, debt, fuel, stance, stances) = numbers;
        let (is_wet, charge, charges, mood) = options;
        Body {
            place: Vec2::from(place),
            lives,
            debt,
            fuel,
            stance,
            stances,
            is_wet,
            charge,
            charges,
            mood,
        }
    })
}

/// The plan of an observation of `T`, and the row of `value`.
fn observed<T: Reflect + Typed>(fields: Option<&[&str]>, value: &T) -> (FieldPlan, Vec<u8>) {
    let plan = placed_plan::<T>(fields, LeafEncoding::Observation { allow_lossy: true });
    // SAFETY: the pointer is to one live value of the plan's type.
    let row = unsafe { encode_at(&plan, value, size_of::<T>(), 1) }.remove(0);
    (plan, row)
}

/// The values of column `index` in a row.
fn column<'a>(plan: &FieldPlan, row: &'a [u8], index: usize) -> ColumnValues<'a> {
    ColumnValues {
        dtype: DType::F32,
        bytes: &row[plan.leaf_sets[index].target - GUARD..][..4 * plan.columns()[index].width()],
    }
}

fn restore<T: Reflect>(plan: &FieldPlan, row: &[u8], value: &mut T) -> bool {
    let writer = plan.writer().unwrap();
    writer.restore(value.as_partial_reflect_mut(), |index| Some(column(plan, row, index)))
}

fn inverses(plan: &FieldPlan) -> Vec<(&str, Inverse)> {
    let writer = plan.writer().unwrap();
    let columns = plan.columns().iter().enumerate();
    columns
        .map(|(index, column)| (column.name.as_str(), writer.inverse(index)))
        .collect()
}

proptest! {
    #[test]
    fn what_is_observed_can_be_restored(value in body(), mut other in body()) {
        let (plan, row) = observed(None, &value);
        prop_assert!(restore(&plan, &row, &mut other));
        // The text of a float determines its bits.
        prop_assert_eq!(format!("{other:?}"), format!("{value:?}"));
    }
}

#[derive(Reflect, Clone, Debug, Default)]
struct Doubtful {
    wide: DVec2,
    long: i64,
    pause: Duration,
    rest: Option<Vec2>,
}

#[test]
fn what_is_rounded_or_nested_is_known() {
    let (plan, _) = observed(None, &Doubtful::default());
    assert_eq!(
        inverses(&plan),
        [
            ("doubtful.wide.x", Inverse::Rounded),
            ("doubtful.wide.y", Inverse::Rounded),
            ("doubtful.long", Inverse::SmallIntegers),
            ("doubtful.pause", Inverse::Rounded),
            ("doubtful.rest.x", Inverse::NestedOption),
            ("doubtful.rest.y", Inverse::NestedOption),
            ("doubtful.rest.is_some", Inverse::NestedOption),
        ]
    );
    let (plan, _) = observed(Some(&["charge"]), &Body::default());
    assert_eq!(
        inverses(&plan),
        [("body.charge", Inverse::Exact), ("body.charge.is_some", Inverse::Exact)]
    );
    let (plan, _) = observed(Some(&["charge.is_some"]), &Body::default());
    assert_eq!(inverses(&plan), [("body.charge.is_some", Inverse::NestedOption)]);
}

#[test]
fn rounded_values_are_the_nearest() {
    let value = Doubtful {
        wide: DVec2::new(0.1, 1e300),
        long: (1 << 24) + 1,
        pause: Duration::from_millis(1500),
        rest: Some(Vec2::ONE),
    };
    let (plan, row) = observed(None, &value);
    let mut other = Doubtful::default();
    assert!(restore(&plan, &row, &mut other));
    assert_eq!(other.wide, DVec2::new(f64::from(0.1_f32), f64::INFINITY));
    assert_eq!((other.long, other.pause, other.rest), (1 << 24, value.pause, None));
    let writer = plan.writer().unwrap();
    assert!(
        !writer.is_determined(2, column(&plan, &row, 2), None),
        "2²⁴ may be 2²⁴ + 1"
    );
}

#[test]
fn a_timer_is_restored_by_its_elapsed_time() {
    let mut timer = Timer::from_seconds(2.0, TimerMode::Once);
    timer.tick(Duration::from_millis(500));
    let (plan, row) = observed(None, &timer);
    let mut other = Timer::from_seconds(2.0, TimerMode::Once);
    assert!(restore(&plan, &row, &mut other));
    assert_eq!(other.elapsed(), timer.elapsed());
    let kinds: Vec<_> = inverses(&plan).into_iter().map(|(_, inverse)| inverse).collect();
    assert_eq!(kinds, [Inverse::Rounded, Inverse::Derived, Inverse::Exact]);
}

#[test]
fn a_one_hot_without_one_class_determines_nothing() {
    let (plan, mut row) = observed(Some(&["stance"]), &Body::default());
    let writer = plan.writer().unwrap();
    assert!(writer.is_determined(0, column(&plan, &row, 0), None));
    row.fill(0);
    assert!(!writer.is_determined(0, column(&plan, &row, 0), None));
    let mut other = Body {
        stance: Stance::Lie,
        ..Default::default()
    };
    assert!(!restore(&plan, &row, &mut other));
    assert_eq!(other.stance, Stance::Lie);
    row.chunks_exact_mut(4)
        .for_each(|value| value.copy_from_slice(&1.0_f32.to_ne_bytes()));
    assert!(!writer.is_determined(0, column(&plan, &row, 0), None));
}

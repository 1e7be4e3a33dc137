//! Property tests: compiled plans encode the same bytes as the getters do.

use super::*;
use bevy_math::{Mat3A, Quat, Vec3A};
use proptest::prelude::*;

#[derive(Reflect, Clone, Copy, Debug)]
#[repr(i16)]
enum Phase {
    Calm = -3,
    Storm = 300,
    Night = 7,
}

#[derive(Reflect, Clone, Debug)]
struct Item {
    id: u16,
    weight: f32,
    sharp: bool,
}

#[derive(Reflect, Clone, Debug)]
struct Everything {
    flag: bool,
    byte: u8,
    short: i16,
    int: i32,
    long: i64,
    double: f64,
    single: f32,
    padded: Vec3A,
    turn: Quat,
    frame: Mat3A,
    phase: Phase,
    phases: [Phase; 3],
    items: [Item; 2],
    maybe: Option<f32>,
    maybe_int: Option<u32>,
    maybe_phase: Option<Phase>,
    grid: [[u8; 3]; 2],
    pair: (f32, u64),
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Calm), Just(Phase::Storm), Just(Phase::Night)]
}

fn float() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits)
}

fn item() -> impl Strategy<Value = Item> {
    (any::<u16>(), float(), any::<bool>()).prop_map(|(id, weight, sharp)| Item { id, weight, sharp })
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (
        any::<bool>(),
        any::<u8>(),
        any::<i16>(),
        any::<i32>(),
        any::<i64>(),
        any::<u64>(),
    );
    let floats = prop::array::uniform17(float());
    let phases = (phase(), prop::array::uniform3(phase()), prop::option::of(phase()));
    let options = (prop::option::of(float()), prop::option::of(any::<u32>()));
    let rest = (prop::array::uniform2(item()), any::<[[u8; 3]; 2]>(), any::<f64>());
    (numbers, floats, phases, options, rest).prop_map(|(numbers, floats, phases, options, rest)| Everything {
        flag: numbers.0,
        byte: numbers.1,
        short: numbers.2,
        int: numbers.3,
        long: numbers.4,
        double: rest.2,
        single: floats[0],
        padded: Vec3A::from_slice(&floats[1..4]),
        turn: Quat::from_slice(&floats[4..8]),
        frame: Mat3A::from_cols_slice(&floats[8..17]),
        phase: phases.0,
        phases: phases.1,
        items: rest.0,
        maybe: options.0,
        maybe_int: options.1,
        maybe_phase: phases.2,
        grid: rest.1,
        pair: (floats[0], numbers.5),
    })
}

const FIELDS: [&str; 12] = [
    "flag",
    "byte",
    "long",
    "double",
    "padded",
    "turn.w",
    "frame.y_axis",
    "phases",
    "items.weight",
    "maybe",
    "grid",
    "pair.1",
];

/// More than two blocks of values, except under Miri, where that takes hours.
const MAX_VALUES: usize = if cfg!(miri) { 4 } else { 150 };

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 64 },
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn observations_are_equal(values in prop::collection::vec(everything(), 1..MAX_VALUES)) {
        let mut plan = placed_plan::<Everything>(None, LeafEncoding::Observation { allow_lossy: true });
        encode_all_ways(&mut plan, values);
        // The enums, and the presence of the optional one.
        prop_assert_eq!(getter_leaves(&plan), 6);
    }

    #[test]
    fn observations_of_selected_fields_are_equal(
        values in prop::collection::vec(everything(), 1..MAX_VALUES),
        fields in prop::sample::subsequence(&FIELDS[..], 1..FIELDS.len()).prop_shuffle(),
    ) {
        let mut plan = placed_plan::<Everything>(Some(&fields), LeafEncoding::Observation { allow_lossy: true });
        encode_all_ways(&mut plan, values);
        prop_assert_eq!(getter_leaves(&plan), if fields.contains(&"phases") { 3 } else { 0 });
    }

    #[test]
    fn exact_columns_are_equal(
        values in prop::collection::vec((any::<bool>(), any::<[i16; 3]>(), any::<(u64, isize)>(), phase(), item()), 1..MAX_VALUES),
    ) {
        let mut plan = placed_plan::<(bool, [i16; 3], (u64, isize), Phase, Item)>(None, LeafEncoding::Exact);
        encode_all_ways(&mut plan, values);
        // The enum.
        prop_assert_eq!(getter_leaves(&plan), 1);
    }

    #[test]
    fn masks_are_equal(values in prop::collection::vec(any::<([bool; 5], bool, [[bool; 3]; 7])>(), 1..MAX_VALUES)) {
        let mut plan = placed_plan::<([bool; 5], bool, [[bool; 3]; 7])>(None, LeafEncoding::Mask);
        encode_all_ways(&mut plan, values);
        prop_assert_eq!(getter_leaves(&plan), 0);
    }
}

//! The inverse of a plan: what is written and encoded again is the same.

use super::*;
use bevy_math::{BVec3A, Vec2, Vec3A};
use experience_core::transition::values;
use proptest::prelude::*;

#[derive(Reflect, Clone, Copy, Debug, PartialEq, Default)]
#[repr(i16)]
enum Deed {
    #[default]
    Hold = -3,
    Shoot = 300,
    Dash = 7,
}

#[derive(Reflect, Clone, Debug, PartialEq, Default)]
struct Intent {
    turn: f32,
    fine: f64,
    shoot: bool,
    deed: Deed,
    deeds: [Deed; 2],
    byte: u8,
    short: i16,
    long: i64,
    size: usize,
    aim: Vec2,
    padded: Vec3A,
    lanes: BVec3A,
    grid: [[i8; 3]; 2],
    pair: (u32, bool),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![Just(Deed::Hold), Just(Deed::Shoot), Just(Deed::Dash)]
}

fn intent() -> impl Strategy<Value = Intent> {
    let numbers = (
        any::<f32>(),
        any::<f64>(),
        any::<bool>(),
        (deed(), deed(), deed()),
        any::<u8>(),
        any::<i16>(),
        -(1_i64 << 53)..1 << 53,
        0..1_usize << 53,
    );
    let vectors = (
        any::<[f32; 2]>(),
        any::<[f32; 3]>(),
        any::<[bool; 3]>(),
        any::<[[i8; 3]; 2]>(),
        any::<(u32, bool)>(),
    );
    (numbers, vectors).prop_map(|(numbers, vectors)| {
        let (turn, fine, shoot, (deed, first, second), byte, short, long, size) = numbers;
        let (aim, padded, lanes, grid, pair) = vectors;
        Intent {
            turn,
            fine,
            shoot,
            deed,
            deeds: [first, second],
            byte,
            short,
            long,
            size,
            aim: Vec2::from(aim),
            padded: Vec3A::from(padded),
            lanes: BVec3A::from_array(lanes),
            grid,
            pair,
        }
    })
}

/// The numbers that a plan encodes, in the order of its columns.
fn numbers(plan: &FieldPlan, value: &Intent) -> Vec<f64> {
    // SAFETY: the pointer is to one live value of the plan's type.
    let row = unsafe { encode_at(plan, value, size_of::<Intent>(), 1) }.remove(0);
    let columns = plan.columns().iter().zip(&plan.leaf_sets);
    columns
        .flat_map(|(column, placed)| {
            let bytes = row[placed.target - GUARD..][..column.width() * column.dtype.size()].to_vec();
            // Aligned for the type of the column.
            let mut words = vec![0_u64; bytes.len().div_ceil(8)];
            bytemuck::cast_slice_mut::<_, u8>(&mut words)[..bytes.len()].copy_from_slice(&bytes);
            values(column.dtype, &bytemuck::cast_slice::<_, u8>(&words)[..bytes.len()]).collect::<Vec<_>>()
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_encoded_can_be_written_back(value in intent(), mut other in intent()) {
        let mut plan = placed_plan::<Intent>(None, LeafEncoding::Exact);
        plan.compile(&value);
        let encoded = numbers(&plan, &value);
        prop_assert!(plan.writer().unwrap().write(&mut other, &encoded));
        prop_assert_eq!(other, value);
    }
}

#[test]
fn only_the_selected_fields_are_written() {
    let plan = placed_plan::<Intent>(Some(&["deed", "aim.y"]), LeafEncoding::Exact);
    let mut value = Intent::default();
    assert!(plan.writer().unwrap().write(&mut value, &[2.0, 0.5]));
    let expected = Intent {
        deed: Deed::Dash,
        aim: Vec2::new(0.0, 0.5),
        ..Default::default()
    };
    assert_eq!(value, expected);
}

#[test]
fn a_number_outside_of_a_type_becomes_the_nearest_in_it() {
    let plan = placed_plan::<Intent>(Some(&["byte", "short", "size"]), LeafEncoding::Exact);
    let mut value = Intent::default();
    assert!(plan.writer().unwrap().write(&mut value, &[300.0, -1e9, -2.0]));
    assert_eq!((value.byte, value.short, value.size), (255, i16::MIN, 0));
}

#[test]
fn a_variant_that_does_not_exist_is_refused() {
    let plan = placed_plan::<Intent>(Some(&["deed", "turn"]), LeafEncoding::Exact);
    let mut value = Intent::default();
    assert!(!plan.writer().unwrap().write(&mut value, &[3.0, 1.0]));
    assert_eq!((value.deed, value.turn), (Deed::Hold, 1.0));
}

#[test]
fn masks_have_no_inverse() {
    let plan = placed_plan::<[bool; 3]>(None, LeafEncoding::Mask);
    assert!(plan.writer().is_none());
}

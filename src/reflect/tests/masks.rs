//! Tests of action masks: one bit per `bool`.

use super::*;
use bevy_math::BVec3;

#[derive(Reflect)]
struct Legal {
    pass: bool,
    moves: [[bool; 3]; 3],
    axes: BVec3,
    resign: bool,
}

#[test]
fn bits_are_packed_least_significant_first() {
    let mut plan = placed_plan::<Legal>(None, LeafEncoding::Mask);
    assert_eq!(plan.mask_width(), 14);
    assert!(plan.columns().is_empty());
    let rows = encode_all_ways(
        &mut plan,
        vec![
            Legal {
                pass: true,
                moves: [[false, true, false], [false, false, true], [true, true, true]],
                axes: BVec3::new(false, true, false),
                resign: true,
            },
            Legal {
                pass: false,
                moves: [[false; 3]; 3],
                axes: BVec3::FALSE,
                resign: false,
            },
        ],
    );
    assert_eq!(rows, [[0b1100_0101, 0b0010_1011], [0, 0]]);
}

#[test]
fn a_run_can_begin_and_end_within_a_byte() {
    for width in [1_usize, 7, 8, 9, 15, 16, 17, 64, 65] {
        check_width(width);
    }
}

fn check_width(width: usize) {
    macro_rules! widths {
        ($($n:literal)*) => {
            match width {
                $($n => {
                    let mut plan = placed_plan::<(bool, [bool; $n])>(None, LeafEncoding::Mask);
                    let value: [bool; $n] = core::array::from_fn(|i| i % 3 == 0);
                    let rows = encode_all_ways(&mut plan, vec![(false, value)]);
                    for bit in 0..rows[0].len() * 8 {
                        let set = rows[0][bit / 8] >> (bit % 8) & 1 == 1;
                        let expected = (1..=width).contains(&bit) && (bit - 1) % 3 == 0;
                        assert_eq!(set, expected, "bit {bit} of {width}");
                    }
                })*
                _ => unreachable!(),
            }
        };
    }
    widths!(1 7 8 9 15 16 17 64 65);
}

#[test]
fn earlier_bits_of_a_row_are_cleared() {
    let mut plan = placed_plan::<[bool; 3]>(None, LeafEncoding::Mask);
    plan.compile(&[true; 3]);
    // The rows of `encode` are filled with other bits before.
    assert_eq!(encode(&plan, &[[false, true, false]]), [[0b010]]);
}

#[test]
fn fields_of_a_mask_can_be_selected() {
    let mut plan = placed_plan::<Legal>(Some(&["resign", "pass"]), LeafEncoding::Mask);
    assert_eq!(plan.mask_width(), 2);
    let rows = encode_all_ways(
        &mut plan,
        vec![Legal {
            pass: false,
            moves: [[true; 3]; 3],
            axes: BVec3::TRUE,
            resign: true,
        }],
    );
    assert_eq!(rows, [[0b01]]);
}

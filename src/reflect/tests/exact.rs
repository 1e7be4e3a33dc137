//! Tests of actions and info: columns of the leaves' own types.

use super::*;
use bevy_math::{IVec2, Vec2};
use experience_core::schema::{DType, Space};

#[derive(Reflect, Clone, Copy)]
enum Stance {
    Low,
    High,
}

#[derive(Reflect)]
struct Intent {
    jump: bool,
    aim: Vec2,
    slot: u8,
    stance: Stance,
    precise: f64,
    count: usize,
    signed: isize,
    small: i16,
    grid: IVec2,
    big: u64,
    combo: [Stance; 2],
}

#[test]
fn every_leaf_keeps_its_type() {
    let mut plan = placed_plan::<Intent>(None, LeafEncoding::Exact);
    let row = encode_all_ways(
        &mut plan,
        vec![Intent {
            jump: true,
            aim: Vec2::new(0.1, -0.1),
            slot: 255,
            stance: Stance::High,
            precise: core::f64::consts::PI,
            count: usize::MAX,
            signed: -2,
            small: i16::MIN,
            grid: IVec2::new(i32::MIN, i32::MAX),
            big: u64::MAX - 1,
            combo: [Stance::High, Stance::Low],
        }],
    )
    .remove(0);
    let dtypes: Vec<_> = plan.columns().iter().map(|column| column.dtype).collect();
    let expected = {
        use DType::*;
        [Bool, F32, F32, U8, I64, F64, U64, I64, I16, I32, I32, U64, I64]
    };
    assert_eq!(dtypes, expected);
    let mut at = 0;
    let mut expect = |bytes: &[u8]| {
        at = usize::next_multiple_of(at, bytes.len());
        assert_eq!(&row[at..at + bytes.len()], bytes, "at {at}");
        at += bytes.len();
    };
    expect(&[1]);
    expect(&0.1_f32.to_ne_bytes());
    expect(&(-0.1_f32).to_ne_bytes());
    expect(&[255]);
    expect(&1_i64.to_ne_bytes());
    expect(&core::f64::consts::PI.to_ne_bytes());
    expect(&(usize::MAX as u64).to_ne_bytes());
    expect(&(-2_i64).to_ne_bytes());
    expect(&i16::MIN.to_ne_bytes());
    expect(&i32::MIN.to_ne_bytes());
    expect(&i32::MAX.to_ne_bytes());
    expect(&(u64::MAX - 1).to_ne_bytes());
    expect(&1_i64.to_ne_bytes());
    expect(&0_i64.to_ne_bytes());
    assert_eq!(at, row.len());
}

#[test]
fn spaces_are_the_limits_of_the_types() {
    let plan = placed_plan::<Intent>(None, LeafEncoding::Exact);
    let column = |name: &str| plan.columns().iter().find(|column| column.name == name).unwrap();
    let stances = Space::Discrete {
        n: 2,
        labels: vec!["Low".into(), "High".into()],
    };
    let flag = Space::Discrete {
        n: 2,
        labels: Vec::new(),
    };
    assert_eq!(column("intent.jump").space, flag);
    assert_eq!(column("intent.stance").space, stances);
    assert_eq!(column("intent.combo").space, stances);
    assert_eq!(column("intent.combo").shape, [2]);
    assert_eq!(column("intent.slot").space, Space::bounded(0.0, 255.0));
    assert_eq!(column("intent.small").space, Space::bounded(-32768.0, 32767.0));
    assert_eq!(
        column("intent.grid.x").space,
        Space::bounded(-2_147_483_648.0, 2_147_483_647.0)
    );
    assert_eq!(column("intent.aim.x").space, Space::unbounded());
    let natural = Space::Box {
        low: Some(0.0),
        high: None,
    };
    assert_eq!(column("intent.big").space, natural);
}

#[test]
fn contiguous_leaves_are_one_copy() {
    let mut plan = placed_plan::<[u16; 5]>(None, LeafEncoding::Exact);
    encode_all_ways(&mut plan, vec![[1_u16, 2, 3, 4, 5]]);
    let ops: Vec<_> = plan.ops.iter().map(|op| (op.kind, op.run.count)).collect();
    assert_eq!(ops, [(OpKind::Copy, 10)]);
}

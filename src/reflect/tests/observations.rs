//! Tests of observations: `f32` features of numbers, vectors, arrays and `Option`s.

use super::*;
use bevy_math::{Affine3A, BVec2, BVec3A, BVec4A, DVec2, Dir3, IVec2, Mat4, Quat, UVec3, Vec2, Vec3, Vec3A};
use bevy_transform::components::{GlobalTransform, Transform};
use core::marker::PhantomData;
use experience_core::schema::Space;

#[derive(Reflect)]
struct Health(f32);

#[derive(Reflect, Default)]
struct Fighter {
    alive: bool,
    health: f32,
    small: (i8, u8),
    lives: u32,
    debt: i32,
    aim: Vec2,
    #[reflect(ignore)]
    secret: [u64; 3],
    #[reflect(ignore)]
    marker: PhantomData<u8>,
    unit: (),
    word: u16,
    half: i16,
}

#[test]
fn every_small_number_is_a_feature() {
    let (names, rows) = observe(vec![
        Fighter {
            alive: true,
            health: 0.5,
            small: (-128, 255),
            lives: 3,
            debt: -7,
            aim: Vec2::new(1.5, -2.5),
            word: 65535,
            half: -32768,
            ..Fighter::default()
        },
        Fighter::default(),
    ]);
    let expected = [
        "fighter.alive",
        "fighter.health",
        "fighter.small.0",
        "fighter.small.1",
        "fighter.lives",
        "fighter.debt",
        "fighter.aim.x",
        "fighter.aim.y",
        "fighter.word",
        "fighter.half",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        rows[0],
        [1.0, 0.5, -128.0, 255.0, 3.0, -7.0, 1.5, -2.5, 65535.0, -32768.0]
    );
    assert_eq!(rows[1], [0.0; 10]);
    let _ = Fighter::default().secret;
}

#[test]
fn a_newtype_is_named_after_the_struct() {
    #[derive(Reflect)]
    struct Stats {
        health: Health,
    }
    assert_eq!(observe(vec![Health(3.0)]), (vec!["health".into()], vec![vec![3.0]]));
    let nested = observe(vec![Stats { health: Health(4.0) }]);
    assert_eq!(nested, (vec!["stats.health".into()], vec![vec![4.0]]));
}

#[test]
fn every_column_has_a_name() {
    for (plan, name) in [
        (FieldPlan::new::<Health>("", None, LeafEncoding::Exact), "health"),
        (FieldPlan::new::<f32>("", None, LeafEncoding::Exact), "f32"),
        (FieldPlan::new::<Vec2>("", Some(&["y"]), LeafEncoding::Exact), "y"),
        (FieldPlan::new::<Health>("hp", None, LeafEncoding::Exact), "hp"),
    ] {
        assert_eq!(plan.unwrap().columns()[0].name, name);
    }
}

#[test]
fn wide_numbers_are_rounded_on_request() {
    #[derive(Reflect)]
    struct Wide(f64, i64, u64, usize, isize, DVec2);
    let (names, rows) = observe_fields(
        None,
        true,
        vec![Wide(0.1, i64::MIN, u64::MAX, 7, -7, DVec2::new(1e300, -0.0))],
    );
    assert_eq!(
        names,
        ["wide.0", "wide.1", "wide.2", "wide.3", "wide.4", "wide.5.x", "wide.5.y"]
    );
    let expected = [0.1, i64::MIN as f32, u64::MAX as f32, 7.0, -7.0, f32::INFINITY, -0.0];
    assert_eq!(rows, [expected]);
    assert!(rows[0][6].is_sign_negative());
}

#[test]
fn arrays_keep_their_shape() {
    #[derive(Reflect)]
    struct Board {
        cells: [[f32; 3]; 2],
        pieces: [[u8; 2]; 2],
        flags: [bool; 3],
        nothing: [f32; 0],
    }
    let mut plan = placed_plan::<Board>(None, LeafEncoding::Observation { allow_lossy: false });
    let rows = encode_all_ways(
        &mut plan,
        vec![Board {
            cells: [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
            pieces: [[7, 8], [9, 10]],
            flags: [true, false, true],
            nothing: [],
        }],
    );
    let shapes: Vec<_> = plan
        .columns()
        .iter()
        .map(|column| (column.name.as_str(), &*column.shape))
        .collect();
    let expected: [(&str, &[usize]); 3] = [
        ("board.cells", &[2, 3]),
        ("board.pieces", &[2, 2]),
        ("board.flags", &[3]),
    ];
    assert_eq!(shapes, expected);
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&rows[0]);
    assert_eq!(values, [1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 1., 0., 1.]);
    assert_eq!(plan.ops.len(), 3, "one op per column: {:?}", plan.ops);
}

#[test]
fn an_array_of_structs_is_one_column_per_field() {
    #[derive(Reflect)]
    struct Coin {
        at: Vec2,
        worth: u8,
    }
    #[derive(Reflect)]
    struct Coins([[Coin; 2]; 2]);
    let coin = |x: f32| Coin {
        at: Vec2::new(x, -x),
        worth: x as u8 * 10,
    };
    let (names, rows) = observe(vec![Coins([[coin(1.0), coin(2.0)], [coin(3.0), coin(4.0)]])]);
    assert_eq!(
        names[..5],
        [
            "coins.at.x[0][0]",
            "coins.at.x[0][1]",
            "coins.at.x[1][0]",
            "coins.at.x[1][1]",
            "coins.at.y[0][0]"
        ]
    );
    assert_eq!(rows, [[1., 2., 3., 4., -1., -2., -3., -4., 10., 20., 30., 40.]]);
    let mut plan = placed_plan::<Coins>(None, LeafEncoding::Observation { allow_lossy: false });
    plan.compile(&Coins([[coin(1.0), coin(2.0)], [coin(3.0), coin(4.0)]]));
    assert_eq!(plan.ops.len(), 3, "one op per column: {:?}", plan.ops);
}

#[test]
fn contiguous_floats_are_one_copy() {
    let mut plan = placed_plan::<Transform>(None, LeafEncoding::Observation { allow_lossy: false });
    plan.compile(&Transform::IDENTITY);
    let copied: usize = plan.ops.iter().map(|op| op.run.count).sum();
    assert!(plan.ops.iter().all(|op| op.kind == OpKind::Copy));
    assert_eq!(copied, 40);
    // `rotation` is aligned to 16 bytes, so the compiler does not place it between the other fields.
    assert!(plan.ops.len() <= 3, "{:?}", plan.ops);

    let mut plan = placed_plan::<Quat>(None, LeafEncoding::Observation { allow_lossy: false });
    plan.compile(&Quat::IDENTITY);
    assert_eq!(plan.ops.len(), 1);
}

#[test]
fn glam_types_are_features() {
    #[derive(Reflect)]
    struct GlamTypes {
        padded: Vec3A,
        after: f32,
        rotation: Quat,
        affine: Affine3A,
        matrix: Mat4,
        grid: IVec2,
        size: UVec3,
        flags: BVec2,
        direction: Dir3,
    }
    let (names, rows) = observe(vec![GlamTypes {
        padded: Vec3A::new(1.0, 2.0, 3.0),
        after: 4.0,
        rotation: Quat::from_xyzw(5.0, 6.0, 7.0, 8.0),
        affine: Affine3A::from_cols_array(&core::array::from_fn(|i| 9.0 + i as f32)),
        matrix: Mat4::from_cols_array(&core::array::from_fn(|i| 21.0 + i as f32)),
        grid: IVec2::new(37, 38),
        size: UVec3::new(39, 40, 41),
        flags: BVec2::new(true, false),
        direction: Dir3::Y,
    }]);
    let mut expected: Vec<_> = (1..=41).map(|value| value as f32).collect();
    expected.extend([1.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(rows, [expected]);
    assert_eq!(names[0], "glam_types.padded.x");
    assert_eq!(names[8], "glam_types.affine.matrix3.x_axis.x");
    assert_eq!(names[45], "glam_types.direction.z");

    let (names, rows) = observe(vec![GlobalTransform::from_translation(Vec3::new(1.0, 2.0, 3.0))]);
    assert_eq!(
        names[9..],
        [
            "global_transform.translation.x",
            "global_transform.translation.y",
            "global_transform.translation.z"
        ]
    );
    assert_eq!(rows[0][9..], [1.0, 2.0, 3.0]);
}

#[test]
fn simd_masks_are_read_lane_by_lane() {
    #[derive(Reflect)]
    struct Lanes(BVec3A, BVec4A);
    let (names, rows) = observe(vec![
        Lanes(BVec3A::new(true, false, true), BVec4A::new(false, true, false, true)),
        Lanes(BVec3A::new(false, true, false), BVec4A::new(true, false, true, false)),
    ]);
    assert_eq!(
        names,
        [
            "lanes.0.x",
            "lanes.0.y",
            "lanes.0.z",
            "lanes.1.x",
            "lanes.1.y",
            "lanes.1.z",
            "lanes.1.w"
        ]
    );
    assert_eq!(rows, [[1., 0., 1., 0., 1., 0., 1.], [0., 1., 0., 1., 0., 1., 0.]]);
}

#[test]
fn an_option_is_its_value_and_its_presence() {
    #[derive(Reflect)]
    struct Maybe {
        float: Option<f32>,
        flag: Option<bool>,
        word: Option<i16>,
        target: Option<Vec2>,
        many: [Option<u8>; 2],
        one: Option<[f32; 2]>,
    }
    let (names, rows) = observe(vec![
        Maybe {
            float: None,
            flag: Some(false),
            word: Some(-3),
            target: Some(Vec2::new(1.0, 2.0)),
            many: [None, Some(9)],
            one: None,
        },
        Maybe {
            float: Some(f32::INFINITY),
            flag: Some(true),
            word: None,
            target: None,
            many: [Some(0), None],
            one: Some([3.0, 4.0]),
        },
    ]);
    let expected = [
        "maybe.float",
        "maybe.float.is_some",
        "maybe.flag",
        "maybe.flag.is_some",
        "maybe.word",
        "maybe.word.is_some",
        "maybe.target.x",
        "maybe.target.y",
        "maybe.target.is_some",
        "maybe.many[0]",
        "maybe.many[1]",
        "maybe.many.is_some[0]",
        "maybe.many.is_some[1]",
        "maybe.one[0]",
        "maybe.one[1]",
        "maybe.one.is_some",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        rows[0],
        [0., 0., 0., 1., -3., 1., 1., 2., 1., 0., 9., 0., 1., 0., 0., 0.]
    );
    assert_eq!(
        rows[1],
        [
            f32::INFINITY,
            1.,
            1.,
            1.,
            0.,
            0.,
            0.,
            0.,
            0.,
            0.,
            0.,
            1.,
            0.,
            3.,
            4.,
            1.
        ]
    );
}

#[test]
fn float_bits_are_preserved() {
    let odd = [f32::from_bits(0x7fc0_1234), -0.0, f32::MIN_POSITIVE / 2.0];
    let (_, rows) = observe(vec![Vec3::from_array(odd)].into_iter().map(|v| v.to_array()).collect());
    assert_eq!(
        rows[0].iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
        odd.map(f32::to_bits)
    );
}

#[test]
fn spaces_are_the_limits_of_the_types_or_the_bounds_of_the_attributes() {
    #[derive(Reflect)]
    struct Spaces {
        flag: bool,
        byte: u8,
        int: i32,
        float: f32,
        #[reflect(@-1.0..=1.0_f32)]
        stick: Vec2,
        #[reflect(@0..=10_i32)]
        tens: u32,
    }
    let plan = placed_plan::<Spaces>(None, LeafEncoding::Observation { allow_lossy: false });
    let spaces: Vec<_> = plan.columns().iter().map(|column| column.space.clone()).collect();
    let expected = [
        Space::bounded(0.0, 1.0),
        Space::bounded(0.0, 255.0),
        Space::bounded(-2_147_483_648.0, 2_147_483_648.0),
        Space::unbounded(),
        Space::bounded(-1.0, 1.0),
        Space::bounded(-1.0, 1.0),
        Space::bounded(0.0, 10.0),
    ];
    assert_eq!(spaces, expected);
}

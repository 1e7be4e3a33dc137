//! Tests of images: arrays of `u8` that keep their type.

use super::*;
use experience_core::schema::DType;

#[derive(Reflect)]
struct Eye([[[u8; 3]; 4]; 2]);

#[derive(Reflect)]
struct Eyes {
    left: [[[u8; 1]; 2]; 2],
    right: [[u8; 3]; 2],
    #[reflect(ignore)]
    _age: f32,
}

fn plan<T: Reflect + Typed>() -> Result<FieldPlan, FieldError> {
    FieldPlan::new::<T>("player", None, LeafEncoding::Image)
}

fn encoded<T: Reflect>(plan: &FieldPlan, values: &[T], bytes: usize) -> Vec<u8> {
    let mut rows = vec![0xAA; values.len() * bytes];
    // SAFETY: the pointer is that of the slice, whose values are of the plan's type.
    unsafe {
        plan.encode(values.as_ptr().cast(), size_of::<T>(), values.len(), &mut rows, bytes);
    }
    rows
}

#[test]
fn pixels_keep_their_bytes_and_their_order() {
    let mut plan = plan::<Eye>().unwrap();
    let [column] = plan.columns() else { panic!() };
    assert_eq!(
        (column.name.as_str(), column.dtype, column.shape.as_slice()),
        ("player", DType::U8, &[2, 4, 3][..])
    );
    plan.place(&[5]);
    let eye = |first: u8| {
        let mut next = first;
        Eye([[[0; 3]; 4]; 2].map(|row: [[u8; 3]; 4]| {
            row.map(|pixel| {
                pixel.map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
            })
        }))
    };
    let eyes = [eye(0), eye(240)];
    let expected: Vec<u8> = [0_u8, 240]
        .iter()
        .flat_map(|first| {
            let pixels = (1..=24).map(move |index| first.wrapping_add(index));
            core::iter::repeat_n(0xAA, 5).chain(pixels)
        })
        .collect();
    assert_eq!(encoded(&plan, &eyes, 29), expected, "by getters");
    plan.compile(&eyes[0]);
    assert_eq!(encoded(&plan, &eyes, 29), expected, "by one copy");
    assert!(
        matches!(plan.ops.as_slice(), [Op { kind: OpKind::Copy, .. }]),
        "{:?}",
        plan.ops
    );
}

#[test]
fn each_field_is_an_image() {
    let plan = plan::<Eyes>().unwrap();
    let columns: Vec<_> = plan
        .columns()
        .iter()
        .map(|column| (column.name.as_str(), column.shape.clone()))
        .collect();
    assert_eq!(
        columns,
        [("player.left", vec![2, 2, 1]), ("player.right", vec![2, 3, 1])]
    );
}

#[test]
fn other_leaves_are_refused() {
    #[derive(Reflect)]
    struct Line([u8; 8]);
    #[derive(Reflect)]
    struct Deep([[[[u8; 2]; 2]; 2]; 2]);
    #[derive(Reflect)]
    struct Floats([[f32; 2]; 2]);
    #[derive(Reflect)]
    struct Mixed {
        picture: [[u8; 2]; 2],
        health: f32,
    }
    #[derive(Reflect)]
    struct Absent(Option<u8>);
    #[derive(Reflect)]
    struct Long(Vec<u8>);
    for (error, name) in [
        (plan::<Line>(), "`player` is of type `[u8; 8]`"),
        (plan::<Deep>(), "`player` is of type"),
        (plan::<Floats>(), "`player` is of type"),
        (plan::<Mixed>(), "`player.health` is of type `f32`"),
        (plan::<Absent>(), "`player` is of type"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
        assert!(
            error.contains("an image is an array of `u8`: `[[[u8; CHANNELS]; WIDTH]; HEIGHT]`"),
            "{error}"
        );
        assert!(
            error.ends_with("or write the pixels with `observe_image_with`"),
            "{error}"
        );
    }
    let error = plan::<Long>().unwrap_err().to_string();
    assert!(
        error.contains("no fixed length") && error.contains("observe_image_with"),
        "{error}"
    );
}

#[test]
fn a_part_of_a_large_image_is_verified() {
    #[derive(Reflect)]
    struct Large([[u8; 64]; 64]);
    let mut plan = plan::<Large>().unwrap();
    plan.place(&[0]);
    let large = Large([[7; 64]; 64]);
    plan.compile(&large);
    let leaves = plan.leaves_to_verify(&(0..4096));
    assert_eq!(leaves.len(), 1024);
    assert_eq!(plan.leaves_to_verify(&(3..20)), 3..20);
    for _ in 0..40 {
        assert_eq!(encoded(&plan, core::slice::from_ref(&large), 4096), [7; 4096]);
    }
    assert!(!plan.ops[0].is_demoted.load(core::sync::atomic::Ordering::Relaxed));
}

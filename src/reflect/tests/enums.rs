//! Tests of fieldless enums: one-hots and indices, for all sizes of discriminants.

use super::*;
use experience_core::schema::Space;

#[derive(Reflect, Clone, Copy, Debug, PartialEq)]
enum Plain {
    A,
    B,
    C,
}

macro_rules! explicit {
    ($name:ident, $repr:ident, $a:expr, $b:expr, $c:expr) => {
        #[derive(Reflect, Clone, Copy)]
        #[repr($repr)]
        enum $name {
            A = $a,
            B = $b,
            C = $c,
        }
    };
}
explicit!(Byte, u8, 200, 0, 255);
explicit!(Signed, i8, -1, 5, -128);
explicit!(Word, u16, 1000, 3, 65535);
explicit!(Long, i32, -5, 100_000, 255);
explicit!(Wide, u64, u64::MAX, 0, 1 << 40);
explicit!(Native, isize, -1, 256, 255);

#[derive(Reflect, Clone, Copy)]
enum Only {
    One,
}

#[derive(Reflect)]
struct EnumFields {
    plain: Plain,
    byte: Byte,
    signed: Signed,
    word: Word,
    long: Long,
    wide: Wide,
    native: Native,
    only: Only,
}

fn all() -> Vec<EnumFields> {
    let row = |plain, byte, signed, word, long, wide, native| EnumFields {
        plain,
        byte,
        signed,
        word,
        long,
        wide,
        native,
        only: Only::One,
    };
    vec![
        row(Plain::A, Byte::A, Signed::A, Word::A, Long::A, Wide::A, Native::A),
        row(Plain::B, Byte::B, Signed::B, Word::B, Long::B, Wide::B, Native::B),
        row(Plain::C, Byte::C, Signed::C, Word::C, Long::C, Wide::C, Native::C),
    ]
}

#[test]
fn an_observed_enum_is_a_one_hot() {
    let (names, rows) = observe(all());
    assert_eq!(
        names[..4],
        [
            "enum_fields.plain=A",
            "enum_fields.plain=B",
            "enum_fields.plain=C",
            "enum_fields.byte=A"
        ]
    );
    assert_eq!(names[21..], ["enum_fields.only=One"]);
    for (variant, row) in rows.iter().enumerate() {
        for hot in row[..21].chunks_exact(3) {
            assert_eq!(
                hot,
                core::array::from_fn::<_, 3, _>(|index| f32::from(index == variant))
            );
        }
        assert_eq!(row[21..], [1.0]);
    }
    let plan = placed_plan::<Plain>(None, LeafEncoding::Observation { allow_lossy: false });
    let [column] = plan.columns() else { panic!() };
    assert_eq!((&*column.name, &*column.shape), ("plain", &[3][..]));
    assert_eq!(column.labels, ["A", "B", "C"]);
    assert_eq!(column.space, Space::bounded(0.0, 1.0));
}

#[test]
fn an_exact_enum_is_the_index_of_its_variant() {
    let mut plan = placed_plan::<EnumFields>(None, LeafEncoding::Exact);
    let rows = encode_all_ways(&mut plan, all());
    for (variant, row) in rows.iter().enumerate() {
        let indices: Vec<i64> = bytemuck::pod_collect_to_vec(row);
        let variant = variant as i64;
        assert_eq!(
            indices,
            [variant, variant, variant, variant, variant, variant, variant, 0]
        );
    }
    // A type can claim to be an enum without being one, so no bytes are read.
    assert_eq!(getter_leaves(&plan), 8);
}

#[test]
fn a_variant_that_occurs_after_compilation_is_encoded() {
    let mut plan = placed_plan::<[Word; 2]>(None, LeafEncoding::Exact);
    plan.compile(&[Word::B, Word::B]);
    for values in [[Word::B, Word::C], [Word::A, Word::C], [Word::C, Word::B]] {
        let row = encode(&plan, &[values]).remove(0);
        let indices: Vec<i64> = bytemuck::pod_collect_to_vec(&row);
        let expected = values.map(|value| match value {
            Word::A => 0,
            Word::B => 1,
            Word::C => 2,
        });
        assert_eq!(indices, expected);
    }
}

#[test]
fn an_array_of_enums_is_an_array_of_one_hots() {
    let mut plan = placed_plan::<[Plain; 4]>(None, LeafEncoding::Observation { allow_lossy: false });
    let rows = encode_all_ways(&mut plan, vec![[Plain::C, Plain::A, Plain::B, Plain::A]]);
    assert_eq!(plan.columns()[0].shape, [4, 3]);
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&rows[0]);
    assert_eq!(values, [0., 0., 1., 1., 0., 0., 0., 1., 0., 1., 0., 0.]);
    assert_eq!(
        plan.columns()[0].element_names().nth(5).unwrap(),
        format!("{}[1][2]", root_name::<[Plain; 4]>())
    );
    assert_eq!(plan.ops.len(), 1);
}

#[test]
fn an_optional_enum_is_all_zeros_for_none() {
    #[derive(Reflect)]
    struct OptionalPlain {
        next: Option<Plain>,
    }
    let (names, rows) = observe(vec![
        OptionalPlain { next: Some(Plain::B) },
        OptionalPlain { next: None },
    ]);
    assert_eq!(
        names,
        [
            "optional_plain.next=A",
            "optional_plain.next=B",
            "optional_plain.next=C",
            "optional_plain.next.is_some"
        ]
    );
    assert_eq!(rows, [[0., 1., 0., 1.], [0., 0., 0., 0.]]);
}

#[test]
fn an_enum_with_ignored_fields_is_read_through_getters() {
    #[derive(Reflect)]
    enum IgnoredData {
        Some(#[reflect(ignore)] u8),
        Empty,
    }
    let mut plan = placed_plan::<IgnoredData>(None, LeafEncoding::Exact);
    let rows = encode_all_ways(
        &mut plan,
        vec![IgnoredData::Some(1), IgnoredData::Empty, IgnoredData::Some(2)],
    );
    assert_eq!(rows, [0_i64, 1, 0].map(|index| index.to_ne_bytes().to_vec()));
    // It is 2 bytes large, and `Empty` leaves one of them uninitialised.
    assert_eq!(getter_leaves(&plan), 1);
}

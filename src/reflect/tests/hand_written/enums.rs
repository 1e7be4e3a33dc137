//! Types whose getters return the payload of an enum, or that claim to be an enum.

use super::*;

/// The bytes of a payload that is no float: an op that reads them anyway encodes this.
const CANARY: u32 = 0x4242_4242;

#[test]
fn a_leaf_in_the_payload_of_an_enum_is_read_where_the_variant_has_it() {
    #[derive(TypePath)]
    enum Payload {
        Some(f32, f32),
        Other(u32, u32),
    }
    impl_reflect!(Payload {
        first: f32 => |this| Some(match this { Self::Some(first, _) => first, Self::Other(..) => &0.0_f32 }),
        second: f32 => |this| Some(match this { Self::Some(_, second) => second, Self::Other(..) => &0.0_f32 }),
    });
    let others = [
        Payload::Other(CANARY, CANARY),
        Payload::Some(3.0, 4.0),
        Payload::Other(CANARY, 1),
    ];
    assert_encoded_as_by_getters(OBSERVED, Payload::Some(1.0, 2.0), &others);
    assert!(matches!(others[0], Payload::Other(CANARY, CANARY)));
}

#[test]
fn a_leaf_in_a_nested_payload_is_read_where_the_variant_has_it() {
    #[derive(TypePath)]
    enum Inner {
        Full([f32; 4]),
        Other([u32; 4]),
    }
    static ZEROS: [f32; 4] = [0.0; 4];
    impl_reflect!(Inner {
        values: [f32; 4] => |this| Some(match this { Self::Full(values) => values, Self::Other(_) => &ZEROS }),
    });
    #[derive(TypePath)]
    struct Outer(f32, Inner);
    impl_reflect!(Outer {
        own: f32 => |this| Some(&this.0),
        inner: Inner => |this| Some(&this.1),
    });
    let values = [
        Outer(1.0, Inner::Other([CANARY; 4])),
        Outer(2.0, Inner::Full([1.0, 2.0, 3.0, 4.0])),
    ];
    assert_encoded_as_by_getters(OBSERVED, Outer(0.0, Inner::Full([9.0; 4])), &values);
    if let Inner::Other(values) = values[0].1 {
        assert_eq!(values, [CANARY; 4]);
    }
}

#[test]
fn a_leaf_in_a_cell_that_can_be_empty_is_not_read_while_it_is() {
    use std::sync::OnceLock;
    #[derive(TypePath)]
    struct Lazy {
        value: OnceLock<f32>,
        own: u32,
    }
    impl_reflect!(Lazy {
        value: f32 => |this| this.value.get().map(|value| -> &dyn PartialReflect { value }),
        own: u32 => |this| Some(&this.own),
    });
    let full = || Lazy {
        value: OnceLock::from(f32::from_bits(CANARY)),
        own: 7,
    };
    let mut emptied = full();
    emptied.value.take();
    assert_encoded_as_by_getters(OBSERVED, full(), &[emptied, full()]);
}

#[test]
fn flags_in_the_payload_of_an_enum_are_read_where_the_variant_has_them() {
    // The variants are told apart by the first `bool`, so `Flags` alone covers all bytes of the value with `bool`s.
    #[derive(TypePath)]
    enum Packed {
        Flags([bool; 9]),
        Bytes(Gap, [u8; 8]),
    }
    #[derive(Clone, Copy)]
    struct Gap;
    static NONE: [bool; 9] = [false; 9];
    impl_reflect!(Packed {
        flags: [bool; 9] => |this| Some(match this { Self::Flags(flags) => flags, Self::Bytes(..) => &NONE }),
    });
    assert_eq!(size_of::<Packed>(), 9);
    let values = [Packed::Bytes(Gap, [1; 8]), Packed::Flags([true; 9])];
    assert_encoded_as_by_getters(LeafEncoding::Mask, Packed::Flags([false; 9]), &values);
    assert_encoded_as_by_getters(OBSERVED, Packed::Flags([false; 9]), &values);
    if let Packed::Bytes(_, bytes) = values[0] {
        assert_eq!(bytes, [1; 8]);
    }
}

#[test]
fn a_type_that_claims_to_be_a_fieldless_enum_is_not_read_as_one() {
    use bevy_reflect::enums::{Enum, EnumInfo, UnitVariantInfo, VariantFieldIter, VariantInfo, VariantType};
    // One byte, which need not be initialised.
    #[derive(TypePath)]
    struct Claims(#[expect(dead_code, reason = "stored for its byte")] core::mem::MaybeUninit<u8>);
    impl_full_reflect!(Claims, Enum);
    impl Typed for Claims {
        fn type_info() -> &'static TypeInfo {
            static CELL: NonGenericTypeInfoCell = NonGenericTypeInfoCell::new();
            CELL.get_or_set(|| {
                let variants = ["A", "B"].map(|name| VariantInfo::Unit(UnitVariantInfo::new(name)));
                TypeInfo::Enum(EnumInfo::new::<Self>(&variants))
            })
        }
    }
    impl Enum for Claims {
        fn field(&self, _: &str) -> Option<&dyn PartialReflect> {
            None
        }
        fn field_at(&self, _: usize) -> Option<&dyn PartialReflect> {
            None
        }
        fn field_mut(&mut self, _: &str) -> Option<&mut dyn PartialReflect> {
            None
        }
        fn field_at_mut(&mut self, _: usize) -> Option<&mut dyn PartialReflect> {
            None
        }
        fn index_of(&self, _: &str) -> Option<usize> {
            None
        }
        fn name_at(&self, _: usize) -> Option<&str> {
            None
        }
        fn iter_fields(&self) -> VariantFieldIter<'_> {
            VariantFieldIter::new(self)
        }
        fn field_len(&self) -> usize {
            0
        }
        fn variant_name(&self) -> &str {
            "B"
        }
        fn variant_index(&self) -> usize {
            1
        }
        fn variant_type(&self) -> VariantType {
            VariantType::Unit
        }
    }
    let mut plan = placed_plan::<Claims>(None, LeafEncoding::Exact);
    plan.compile(&Claims(core::mem::MaybeUninit::new(0)));
    // Any read of the byte would be one of an uninitialised byte.
    assert_eq!(getter_leaves(&plan), 1);
    let rows = encode(&plan, &[Claims(core::mem::MaybeUninit::uninit())]);
    assert_eq!(rows, [1_i64.to_ne_bytes()]);
}

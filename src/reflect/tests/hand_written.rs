//! Soundness tests with hand-written `Reflect` implementations that violate its conventions. Such implementations are
//! safe code, so encoding their values must be sound.

use super::op::LeafLocation;
use super::*;
use bevy_reflect::{
    ApplyError, NamedField, PartialReflect, ReflectMut, ReflectOwned, ReflectRef, TypeInfo, TypePath,
    structs::{FieldIter, Struct, StructInfo},
    utility::NonGenericTypeInfoCell,
};
use core::any::Any;

/// Implements `PartialReflect` and `Reflect` for a type that implements `Typed` and the trait of its kind.
macro_rules! impl_full_reflect {
    ($name:ident, $kind:ident) => {
        impl PartialReflect for $name {
            fn get_represented_type_info(&self) -> Option<&'static TypeInfo> {
                Some(Self::type_info())
            }
            fn into_partial_reflect(self: Box<Self>) -> Box<dyn PartialReflect> {
                self
            }
            fn as_partial_reflect(&self) -> &dyn PartialReflect {
                self
            }
            fn as_partial_reflect_mut(&mut self) -> &mut dyn PartialReflect {
                self
            }
            fn try_into_reflect(self: Box<Self>) -> Result<Box<dyn Reflect>, Box<dyn PartialReflect>> {
                Ok(self)
            }
            fn try_as_reflect(&self) -> Option<&dyn Reflect> {
                Some(self)
            }
            fn try_as_reflect_mut(&mut self) -> Option<&mut dyn Reflect> {
                Some(self)
            }
            fn try_apply(&mut self, _: &dyn PartialReflect) -> Result<(), ApplyError> {
                Ok(())
            }
            fn reflect_ref(&self) -> ReflectRef<'_> {
                ReflectRef::$kind(self)
            }
            fn reflect_mut(&mut self) -> ReflectMut<'_> {
                ReflectMut::$kind(self)
            }
            fn reflect_owned(self: Box<Self>) -> ReflectOwned {
                ReflectOwned::$kind(self)
            }
        }

        impl Reflect for $name {
            fn into_any(self: Box<Self>) -> Box<dyn Any> {
                self
            }
            fn as_any(&self) -> &dyn Any {
                self
            }
            fn as_any_mut(&mut self) -> &mut dyn Any {
                self
            }
            fn into_reflect(self: Box<Self>) -> Box<dyn Reflect> {
                self
            }
            fn as_reflect(&self) -> &dyn Reflect {
                self
            }
            fn as_reflect_mut(&mut self) -> &mut dyn Reflect {
                self
            }
            fn set(&mut self, value: Box<dyn Reflect>) -> Result<(), Box<dyn Reflect>> {
                Err(value)
            }
        }
    };
}

/// Implements `Reflect` for a struct with the given fields, each of which is returned by an expression.
macro_rules! impl_reflect {
    ($name:ident { $($field:ident: $type:ty => |$this:ident| $value:expr),* $(,)? }) => {
        impl Typed for $name {
            fn type_info() -> &'static TypeInfo {
                static CELL: NonGenericTypeInfoCell = NonGenericTypeInfoCell::new();
                CELL.get_or_set(|| {
                    TypeInfo::Struct(StructInfo::new::<Self>(&[$(NamedField::new::<$type>(stringify!($field))),*]))
                })
            }
        }

        impl Struct for $name {
            fn field(&self, name: &str) -> Option<&dyn PartialReflect> {
                self.field_at(self.index_of_name(name)?)
            }
            fn field_mut(&mut self, _: &str) -> Option<&mut dyn PartialReflect> {
                None
            }
            fn field_at(&self, index: usize) -> Option<&dyn PartialReflect> {
                let fields: &[fn(&Self) -> Option<&dyn PartialReflect>] = &[$(|$this| $value),*];
                fields.get(index)?(self)
            }
            fn field_at_mut(&mut self, _: usize) -> Option<&mut dyn PartialReflect> {
                None
            }
            fn name_at(&self, index: usize) -> Option<&str> {
                [$(stringify!($field)),*].get(index).copied()
            }
            fn index_of_name(&self, name: &str) -> Option<usize> {
                [$(stringify!($field)),*].iter().position(|&field| field == name)
            }
            fn field_len(&self) -> usize {
                [$(stringify!($field)),*].len()
            }
            fn iter_fields(&self) -> FieldIter<'_> {
                FieldIter::new(self)
            }
        }

        impl_full_reflect!($name, Struct);
    };
}

// After the macros, which it uses.
mod enums;

const OBSERVED: LeafEncoding = LeafEncoding::Observation { allow_lossy: false };

fn floats(rows: &[Vec<u8>]) -> Vec<Vec<f32>> {
    rows.iter().map(|row| bytemuck::pod_collect_to_vec(row)).collect()
}

#[test]
fn a_leaf_behind_a_pointer_is_read_through_getters() {
    static STATIC: f32 = 7.0;
    #[derive(TypePath)]
    struct Scattered {
        here: f32,
        there: Box<f32>,
    }
    impl_reflect!(Scattered {
        here: f32 => |this| Some(&this.here),
        there: f32 => |this| Some(&*this.there),
        anywhere: f32 => |_this| Some(&STATIC),
    });
    let value = |x: f32| Scattered {
        here: x,
        there: Box::new(x * 10.0),
    };
    let mut plan = placed_plan::<Scattered>(None, OBSERVED);
    let rows = encode_all_ways(&mut plan, vec![value(1.0), value(2.0)]);
    assert_eq!(floats(&rows), [[1.0, 10.0, 7.0], [2.0, 20.0, 7.0]]);
    assert_eq!(getter_leaves(&plan), 2);
}

#[test]
fn leaves_of_a_struct_behind_a_pointer_are_read_through_getters() {
    #[derive(TypePath)]
    struct Outer(Box<bevy_math::Vec2>, f32);
    impl_reflect!(Outer {
        inner: bevy_math::Vec2 => |this| Some(&*this.0),
        own: f32 => |this| Some(&this.1),
    });
    let mut plan = placed_plan::<Outer>(None, OBSERVED);
    let rows = encode_all_ways(&mut plan, vec![Outer(Box::new(bevy_math::Vec2::new(1.0, 2.0)), 3.0)]);
    assert_eq!(floats(&rows), [[1.0, 2.0, 3.0]]);
    assert_eq!(getter_leaves(&plan), 2);
}

#[test]
fn leaves_that_share_bytes_are_read_through_getters() {
    #[derive(TypePath)]
    struct Twins(f32, f32);
    impl_reflect!(Twins {
        left: f32 => |this| Some(&this.0),
        right: f32 => |this| Some(&this.0),
        own: f32 => |this| Some(&this.1),
    });
    let mut plan = placed_plan::<Twins>(None, OBSERVED);
    let rows = encode_all_ways(&mut plan, vec![Twins(1.0, 2.0)]);
    assert_eq!(floats(&rows), [[1.0, 1.0, 2.0]]);
    assert_eq!(getter_leaves(&plan), 2);
}

#[test]
fn overlapping_finds_all_leaves_that_share_bytes() {
    let locations = |ranges: &[(usize, usize)]| -> Vec<_> {
        let locations = ranges.iter().map(|&(start, end)| {
            Some(LeafLocation {
                offset: start,
                size: end - start,
            })
        });
        locations.collect()
    };
    let mut overlapping = locate::overlapping(&locations(&[(8, 12), (0, 4), (4, 8), (0, 12), (12, 16), (5, 5)]), &[]);
    overlapping.sort_unstable();
    assert_eq!(overlapping, [0, 1, 2, 3]);
    assert!(locate::overlapping(&locations(&[(0, 8), (0, 8), (8, 9)]), &[1..2, 3..3]).is_empty());
}

#[test]
fn a_leaf_of_another_type_is_recorded_as_zero() {
    #[derive(TypePath)]
    struct Mistyped(u32, f32);
    impl_reflect!(Mistyped {
        float: f32 => |this| Some(&this.0),
        missing: f32 => |_this| None,
        pair: bevy_math::Vec2 => |this| Some(&this.1),
        flag: bool => |this| Some(&this.0),
        choice: Option<f32> => |this| Some(&this.1),
    });
    let mut plan = placed_plan::<Mistyped>(None, OBSERVED);
    let rows = encode_all_ways(&mut plan, vec![Mistyped(u32::MAX, 5.0)]);
    assert_eq!(floats(&rows), [[0.0; 7]]);
    assert_eq!(getter_leaves(&plan), 7);
}

#[test]
fn an_op_whose_leaf_moves_is_demoted_in_a_value_without_padding() {
    #[derive(TypePath)]
    struct Swapping(f32, f32, u32);
    impl_reflect!(Swapping {
        first: f32 => |this| Some(if this.2 == 0 { &this.0 } else { &this.1 }),
        second: f32 => |this| Some(if this.2 == 0 { &this.1 } else { &this.0 }),
        swaps: u32 => |this| Some(&this.2),
    });
    let mut plan = placed_plan::<Swapping>(None, OBSERVED);
    plan.compile(&Swapping(1.0, 2.0, 0));
    assert_eq!(plan.anchors.len(), 0);
    for _ in 0..32 {
        encode(&plan, &[Swapping(1.0, 2.0, 1)]);
    }
    assert_eq!(floats(&encode(&plan, &[Swapping(1.0, 2.0, 1)])), [[2.0, 1.0, 1.0]]);
}

#[test]
fn an_op_whose_leaf_moves_is_demoted() {
    #[derive(TypePath)]
    struct Moving {
        first: f32,
        second: f32,
        other: u8,
        is_second: bool,
    }
    impl_reflect!(Moving {
        other: u8 => |this| Some(&this.other),
        value: f32 => |this| Some(if this.is_second { &this.second } else { &this.first }),
    });
    let value = |is_second| Moving {
        first: 1.0,
        second: 2.0,
        other: 3,
        is_second,
    };
    let mut plan = placed_plan::<Moving>(None, OBSERVED);
    plan.compile(&value(false));
    assert_eq!(floats(&encode(&plan, &[value(false)])), [[3.0, 1.0]]);
    assert_eq!(getter_leaves(&plan), 0);
    for _ in 0..32 {
        encode(&plan, &[value(true), value(true)]);
    }
    assert_eq!(
        floats(&encode(&plan, &[value(true), value(false)])),
        [[3.0, 2.0], [3.0, 1.0]]
    );
    // Only the op that differed is demoted.
    assert_eq!(getter_leaves(&plan), 1);
}

/// Compiles a plan with `first`, and asserts that each of `values` is then encoded as its getters say. Values are encoded
/// one by one, because the first call of a plan is verified.
fn assert_encoded_as_by_getters<T: Reflect + Typed>(encoding: LeafEncoding, first: T, values: &[T]) {
    let mut plan = placed_plan::<T>(None, encoding);
    let by_getters: Vec<_> = values
        .iter()
        .flat_map(|value| encode(&plan, core::slice::from_ref(value)))
        .collect();
    plan.compile(&first);
    encode(&plan, &[first]);
    let compiled: Vec<_> = values
        .iter()
        .flat_map(|value| encode(&plan, core::slice::from_ref(value)))
        .collect();
    assert_eq!(compiled, by_getters, "{}", T::type_path());
    let together = encode(&plan, values);
    assert_eq!(together, by_getters, "{}, in one block", T::type_path());
}

#[test]
fn getters_that_return_their_own_container_end() {
    #[derive(TypePath)]
    struct Loop(u32);
    impl_reflect!(Loop {
        number: u32 => |this| Some(this),
        other: u32 => |this| Some(&this.0),
    });
    assert_encoded_as_by_getters(OBSERVED, Loop(1), &[Loop(2)]);
}

#[test]
fn getters_that_disagree_from_call_to_call_are_not_trusted() {
    use core::sync::atomic::{AtomicUsize, Ordering};
    // Bytes between the fields are not initialised, and one field is returned from two places in turns.
    #[derive(TypePath)]
    struct Turns(u8, f32, u8, f32);
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    impl_reflect!(Turns {
        turns: f32 => |this| Some(if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { &this.1 } else { &this.3 }),
        byte: u8 => |this| Some(&this.0),
        last: u8 => |this| Some(&this.2),
    });
    let mut plan = placed_plan::<Turns>(None, OBSERVED);
    plan.compile(&Turns(1, 2.0, 3, 4.0));
    for _ in 0..40 {
        for row in floats(&encode(&plan, &[Turns(1, 2.0, 3, 4.0), Turns(5, 2.0, 7, 4.0)])) {
            assert!(row[0] == 2.0 || row[0] == 4.0, "{row:?}");
        }
    }
}

#[test]
fn a_value_without_padding_needs_no_check_and_one_with_it_does() {
    #[derive(Reflect)]
    struct Dense {
        at: bevy_math::Vec3,
        count: u32,
        board: [[i16; 4]; 2],
    }
    #[derive(Reflect)]
    struct Padded {
        at: bevy_math::Vec3,
        flag: bool,
        flags: [[bool; 40]; 2],
    }
    #[derive(Reflect)]
    struct Ignoring {
        at: bevy_math::Vec3,
        #[reflect(ignore)]
        _hidden: u32,
    }
    let mut plan = placed_plan::<Dense>(None, OBSERVED);
    plan.compile(&Dense {
        at: bevy_math::Vec3::ONE,
        count: 1,
        board: [[1; 4]; 2],
    });
    assert_eq!((plan.anchors.len(), getter_leaves(&plan)), (0, 0));
    let mut plan = placed_plan::<Padded>(None, OBSERVED);
    plan.compile(&Padded {
        at: bevy_math::Vec3::ONE,
        flag: true,
        flags: [[true; 40]; 2],
    });
    // The position, the flag, and two rows of flags.
    assert_eq!((plan.anchors.len(), getter_leaves(&plan)), (4, 0));
    let mut plan = placed_plan::<Ignoring>(None, OBSERVED);
    plan.compile(&Ignoring {
        at: bevy_math::Vec3::ONE,
        _hidden: 0,
    });
    assert_eq!((plan.anchors.len(), getter_leaves(&plan)), (1, 0));
    let mut plan = placed_plan::<bevy_transform::components::Transform>(None, OBSERVED);
    plan.compile(&bevy_transform::components::Transform::IDENTITY);
    assert_eq!((plan.anchors.len(), getter_leaves(&plan)), (0, 0));
}

#[test]
fn a_type_that_contains_itself_is_refused() {
    #[derive(TypePath)]
    struct Tree(Option<Box<Tree>>);
    impl_reflect!(Tree {
        left: Tree => |this| this.0.as_deref().map(|tree| -> &dyn PartialReflect { tree }),
        right: Tree => |this| this.0.as_deref().map(|tree| -> &dyn PartialReflect { tree }),
    });
    let message = FieldPlan::new::<Tree>("tree", Some(&["right"]), OBSERVED)
        .unwrap_err()
        .to_string();
    let path = Tree::type_path();
    assert!(message.starts_with(&format!(
        "`tree.right` is of type `{path}`, and it contains itself: leave it out"
    )));
    let _ = Tree(None);
}

#[test]
fn a_plan_is_compiled_with_its_own_type_only() {
    let mut plan = placed_plan::<[f32; 2]>(None, OBSERVED);
    plan.compile(&[1_u64, 2]);
    assert!(!plan.is_compiled());
    assert_eq!(floats(&encode(&plan, &[[1.0_f32, 2.0]])), [[1.0, 2.0]]);
}

#[test]
fn encode_panics_for_rows_that_do_not_fit() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut plan = FieldPlan::new::<[f32; 2]>("", None, OBSERVED).unwrap();
    let values = [[1.0_f32, 2.0]; 3];
    let encode = |plan: &FieldPlan, bytes: usize, stride: usize| {
        let mut out = vec![0; bytes];
        // SAFETY: three live values.
        let encode = || unsafe { plan.encode(values.as_ptr().cast(), 8, 3, &mut out, stride) };
        catch_unwind(AssertUnwindSafe(encode)).is_ok()
    };
    assert!(!encode(&plan, 100, 8), "not placed");
    plan.place(&[4]);
    assert!(encode(&plan, 28, 8));
    assert!(!encode(&plan, 27, 8));
    assert!(!encode(&plan, 28, 9));
    assert!(!encode(&plan, 28, usize::MAX));
    plan.compile(&values[0]);
    assert!(encode(&plan, 28, 8));
    assert!(!encode(&plan, 27, 8));
    // SAFETY: there are no values.
    unsafe { plan.encode(core::ptr::dangling(), 8, 0, &mut [], 8) };
}

#[test]
fn a_plan_is_send_and_sync() {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<FieldPlan>();
}

use super::*;
use bevy_ecs::entity::Entity;
use bevy_math::DVec2;
use bevy_reflect::TypePath;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    time::Duration,
};

const OBSERVED: Target = Target::Observation { narrow: false };
const LEAVE_OUT: &str =
    "leave it out with `observe_fields` or `#[reflect(ignore)]`, or compute what matters of it with `observe_with`";
const KEEP_APART: &str = "leave it out by naming the fields to keep or with `#[reflect(ignore)]`, or keep what matters of it in a component of its own";

fn refusal<T: Reflect + Typed>(target: Target) -> String {
    FieldPlan::new::<T>("player", None, target).unwrap_err().to_string()
}

#[derive(Reflect)]
struct Named<T: Reflect + Typed + bevy_reflect::FromReflect + bevy_reflect::GetTypeRegistration> {
    ok: f32,
    bad: T,
}

macro_rules! refused {
    ($type:ty, $target:expr, $why:expr, $remedy:expr) => {
        assert_eq!(
            refusal::<Named<$type>>($target),
            format!(
                "`player.bad` is of type `{}`, and {}: {}",
                <$type as TypePath>::type_path(),
                $why,
                $remedy
            )
        );
    };
}

#[derive(Reflect)]
enum Weapon {
    Sword(f32),
    None,
}

#[test]
fn text_is_refused() {
    refused!(String, OBSERVED, "text is not a number", LEAVE_OUT);
    refused!(&'static str, OBSERVED, "text is not a number", LEAVE_OUT);
    refused!(Cow<'static, str>, Target::Exact, "text is not a number", KEEP_APART);
    refused!(char, Target::Exact, "text is not a number", KEEP_APART);
}

#[test]
fn an_entity_is_refused() {
    let why = "an entity's id means nothing outside its world";
    refused!(
        Entity,
        OBSERVED,
        why,
        "leave it out with `observe_fields`, or observe what matters of that entity with `observe_nearest` or `observe_with`"
    );
    refused!(Entity, Target::Exact, why, KEEP_APART);
}

#[test]
fn what_has_no_fixed_length_is_refused() {
    let why = "a collection has no fixed length";
    let remedy =
        "use a fixed array, leave it out with `observe_fields`, or compute what matters of it with `observe_with`";
    refused!(Vec<f32>, OBSERVED, why, remedy);
    refused!(BTreeMap<u8, f32>, OBSERVED, why, remedy);
    refused!(HashSet<u8>, Target::Exact, why, KEEP_APART);
}

#[test]
fn what_reflection_does_not_look_into_is_refused() {
    let why = "reflection does not see numbers in it";
    refused!(Duration, OBSERVED, why, LEAVE_OUT);
    refused!(u128, Target::Exact, why, KEEP_APART);
    refused!(core::num::NonZeroU8, OBSERVED, why, LEAVE_OUT);
}

#[test]
fn an_enum_with_data_is_refused() {
    refused!(
        Weapon,
        OBSERVED,
        "an enum whose variants hold data has no fixed set of values",
        LEAVE_OUT
    );
    let _ = (Weapon::Sword(1.0), Weapon::None);
}

#[test]
fn wide_numbers_are_refused_in_observations() {
    let why = "an `f32` cannot hold all of its 64 bits";
    let remedy = "accept the rounding with `.allow_lossy()`, leave the field out with `observe_fields`, or compute what matters of it with `observe_with`";
    refused!(f64, OBSERVED, why, remedy);
    refused!(i64, OBSERVED, why, remedy);
    refused!(u64, OBSERVED, why, remedy);
    refused!(usize, OBSERVED, why, remedy);
    refused!(isize, OBSERVED, why, remedy);
    assert!(refusal::<DVec2>(OBSERVED).contains("`player.y` is of type `f64`"));
    assert!(FieldPlan::new::<Named<f64>>("", None, Target::Observation { narrow: true }).is_ok());
    assert!(FieldPlan::new::<Named<u64>>("", None, Target::Exact).is_ok());
}

#[test]
fn a_mask_is_made_of_bools() {
    let message = FieldPlan::new::<Named<bool>>("legal", None, Target::Mask)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "`legal.ok` is of type `f32`, and an action mask is made of `bool`s alone: keep the mask in a component of its own, \
         with one `bool` for each alternative"
    );
    assert!(refusal::<Option<bool>>(Target::Mask).contains("made of `bool`s alone"));
}

#[test]
fn an_action_is_always_there() {
    refused!(
        Option<f32>,
        Target::Exact,
        "an action or info is always there",
        "give the field a neutral value, or put a `bool` beside it"
    );
}

#[test]
fn an_option_in_an_option_is_refused() {
    refused!(
        Option<Option<f32>>,
        OBSERVED,
        "an `Option` in an `Option` has two ways to be absent",
        LEAVE_OUT
    );
}

#[test]
fn too_much_is_refused_before_it_is_counted() {
    refused!(
        [[f32; 2000]; 2000],
        OBSERVED,
        "it holds more than a million values",
        LEAVE_OUT
    );
}

#[test]
fn all_refusals_are_named_at_once() {
    #[derive(Reflect)]
    struct Inventory {
        gold: u32,
        title: String,
        items: Vec<u8>,
    }
    let message = refusal::<Inventory>(OBSERVED);
    let header = format!("2 fields of `{}` cannot be recorded\n", Inventory::type_path());
    assert!(message.starts_with(&header), "{message}");
    assert!(message.contains("\n- `player.title` is of type `alloc::string::String`"));
    assert!(message.contains("\n- `player.items` is of type `alloc::vec::Vec<u8>`"));
    assert!(!message.contains("gold"));
}

#[test]
fn nothing_is_refused() {
    #[derive(Reflect)]
    struct Marker;
    #[derive(Reflect)]
    struct Hidden(#[reflect(ignore)] u8);
    #[derive(Reflect)]
    struct Void([f32; 0], ());
    for (message, path) in [
        (refusal::<Marker>(OBSERVED), Marker::type_path()),
        (refusal::<Hidden>(Target::Exact), Hidden::type_path()),
        (refusal::<Void>(Target::Mask), Void::type_path()),
        (refusal::<()>(OBSERVED), "()"),
    ] {
        assert_eq!(
            message,
            format!(
                "`{path}` holds no value that could be recorded: give it a field that is reflected, or compute one \
                 with `observe_with`"
            )
        );
    }
    let _ = Hidden(1).0;
}

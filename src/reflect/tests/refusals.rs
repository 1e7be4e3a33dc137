//! Tests of the errors for fields that cannot be recorded.

use super::*;
use bevy_ecs::entity::Entity;
use bevy_math::DVec2;
use bevy_reflect::TypePath;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

const OBSERVED: LeafEncoding = LeafEncoding::Observation { allow_lossy: false };
const OBSERVATION_REMEDY: &str =
    "leave it out with `observe_fields` or `#[reflect(ignore)]`, or compute features from it with `observe_with`";
const EXACT_REMEDY: &str =
    "leave it out with `#[reflect(ignore)]`, or copy the values to record into a separate component";

fn refusal<T: Reflect + Typed>(encoding: LeafEncoding) -> String {
    FieldPlan::new::<T>("player", None, encoding).unwrap_err().to_string()
}

#[derive(Reflect)]
struct Named<T: Reflect + Typed + bevy_reflect::FromReflect + bevy_reflect::GetTypeRegistration> {
    ok: f32,
    bad: T,
}

macro_rules! refused {
    ($type:ty, $encoding:expr, $explanation:expr, $remedy:expr) => {
        assert_eq!(
            refusal::<Named<$type>>($encoding),
            format!(
                "`player.bad` is of type `{}`, and {}: {}",
                <$type as TypePath>::type_path(),
                $explanation,
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
    refused!(String, OBSERVED, "text is not a number", OBSERVATION_REMEDY);
    refused!(&'static str, OBSERVED, "text is not a number", OBSERVATION_REMEDY);
    refused!(
        Cow<'static, str>,
        LeafEncoding::Exact,
        "text is not a number",
        EXACT_REMEDY
    );
    refused!(char, LeafEncoding::Exact, "text is not a number", EXACT_REMEDY);
}

#[test]
fn an_entity_is_refused() {
    let explanation = "an entity's id is not meaningful outside its world";
    refused!(
        Entity,
        OBSERVED,
        explanation,
        "leave it out with `observe_fields`, or observe components of that entity with `observe_related`, `observe_nearest` or `observe_system`"
    );
    refused!(Entity, LeafEncoding::Exact, explanation, EXACT_REMEDY);
}

#[test]
fn a_collection_is_refused() {
    let explanation = "a collection has no fixed length";
    let remedy = "use an array, leave it out with `observe_fields`, or compute features from it with `observe_with`";
    refused!(Vec<f32>, OBSERVED, explanation, remedy);
    refused!(BTreeMap<u8, f32>, OBSERVED, explanation, remedy);
    refused!(HashSet<u8>, LeafEncoding::Exact, explanation, EXACT_REMEDY);
}

#[test]
fn an_opaque_type_is_refused() {
    let explanation = "reflection exposes no numbers in it";
    refused!(core::num::NonZeroU16, OBSERVED, explanation, OBSERVATION_REMEDY);
    refused!(u128, LeafEncoding::Exact, explanation, EXACT_REMEDY);
    refused!(core::num::NonZeroU8, OBSERVED, explanation, OBSERVATION_REMEDY);
}

#[test]
fn an_enum_with_data_is_refused() {
    refused!(
        Weapon,
        OBSERVED,
        "an enum whose variants hold data has no fixed set of values",
        OBSERVATION_REMEDY
    );
    let _ = (Weapon::Sword(1.0), Weapon::None);
}

#[test]
fn sixty_four_bit_numbers_are_refused_in_observations() {
    let explanation = "an `f32` cannot hold all of its 64 bits";
    let remedy = "accept the rounding with `.allow_lossy()`, leave the field out with `observe_fields`, or compute features from it with `observe_with`";
    refused!(f64, OBSERVED, explanation, remedy);
    refused!(i64, OBSERVED, explanation, remedy);
    refused!(u64, OBSERVED, explanation, remedy);
    refused!(usize, OBSERVED, explanation, remedy);
    refused!(isize, OBSERVED, explanation, remedy);
    assert!(refusal::<DVec2>(OBSERVED).contains("`player.y` is of type `f64`"));
    assert!(FieldPlan::new::<Named<f64>>("", None, LeafEncoding::Observation { allow_lossy: true }).is_ok());
    assert!(FieldPlan::new::<Named<u64>>("", None, LeafEncoding::Exact).is_ok());
}

#[test]
fn a_leaf_of_a_mask_that_is_no_bool_is_refused() {
    let message = FieldPlan::new::<Named<bool>>("legal", None, LeafEncoding::Mask)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "`legal.ok` is of type `f32`, and an action mask consists of `bool`s only: use a separate component for the mask, \
         with one `bool` per choice"
    );
    assert!(refusal::<Option<bool>>(LeafEncoding::Mask).contains("an action mask consists of `bool`s only"));
}

#[test]
fn an_option_is_refused_in_actions() {
    refused!(
        Option<f32>,
        LeafEncoding::Exact,
        "an action or info must have a value in every row",
        "use a neutral value, with a separate `bool` field for its presence"
    );
}

#[test]
fn an_option_in_an_option_is_refused() {
    refused!(
        Option<Option<f32>>,
        OBSERVED,
        "an `Option` in an `Option` has two ways to be absent",
        OBSERVATION_REMEDY
    );
}

#[test]
fn a_column_that_is_too_wide_is_refused() {
    refused!(
        [[f32; 2000]; 2000],
        OBSERVED,
        "it holds more than a million values",
        OBSERVATION_REMEDY
    );
}

#[test]
fn one_error_lists_all_refused_fields() {
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
fn a_type_without_leaves_is_refused() {
    #[derive(Reflect)]
    struct Marker;
    #[derive(Reflect)]
    struct Hidden(#[reflect(ignore)] u8);
    #[derive(Reflect)]
    struct Void([f32; 0], ());
    // `observe_with` computes features, and nothing else.
    for (message, path, remedy) in [
        (
            refusal::<Marker>(OBSERVED),
            Marker::type_path(),
            ", or compute one with `observe_with`",
        ),
        (refusal::<Hidden>(LeafEncoding::Exact), Hidden::type_path(), ""),
        (refusal::<Void>(LeafEncoding::Mask), Void::type_path(), ""),
        (refusal::<()>(OBSERVED), "()", ", or compute one with `observe_with`"),
    ] {
        assert_eq!(
            message,
            format!("`{path}` holds no value that could be recorded: give it a field that is reflected{remedy}")
        );
    }
    let _ = Hidden(1).0;
}

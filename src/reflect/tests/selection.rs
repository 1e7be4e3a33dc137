//! Tests of field selection by dotted paths.

use super::*;
use bevy_math::Vec3;
use bevy_reflect::TypePath;
use bevy_transform::components::Transform;

#[derive(Reflect)]
struct Armor(f32);

#[derive(Reflect)]
struct Aim((f32, f32));

#[derive(Reflect)]
struct Bag {
    name: String,
    health: Armor,
    target: Option<Vec3>,
    owner: Option<String>,
    cells: [[f32; 2]; 2],
}

fn names<T: Reflect + Typed>(fields: &[&str]) -> Vec<String> {
    let plan = FieldPlan::new::<T>("", Some(fields), LeafEncoding::Observation { allow_lossy: false }).unwrap();
    plan.columns().iter().map(|column| column.name.clone()).collect()
}

fn error<T: Reflect + Typed>(fields: &[&str]) -> String {
    let plan = FieldPlan::new::<T>("", Some(fields), LeafEncoding::Observation { allow_lossy: false });
    plan.unwrap_err().to_string()
}

#[test]
fn fields_are_in_the_order_of_the_paths() {
    let fields = ["translation.y", "rotation", "translation.x"];
    let transform = Transform::from_xyz(1.0, 2.0, 3.0);
    let (names, rows) = observe_fields(Some(&fields), false, vec![transform]);
    let expected = [
        "transform.translation.y",
        "transform.rotation.x",
        "transform.rotation.y",
        "transform.rotation.z",
        "transform.rotation.w",
        "transform.translation.x",
    ];
    assert_eq!(names, expected);
    assert_eq!(rows, [[2.0, 0.0, 0.0, 0.0, 1.0, 1.0]]);
}

#[test]
fn the_field_of_a_newtype_can_be_selected_by_number() {
    assert_eq!(names::<Armor>(&["0"]), ["armor"]);
    assert_eq!(names::<Bag>(&["health"]), ["health"]);
    assert_eq!(names::<Bag>(&["health.0"]), ["health"]);
    assert_eq!(names::<Aim>(&["0"]), ["0", "1"]);
    assert_eq!(names::<Aim>(&["0.1"]), ["1"]);
    assert_eq!(names::<Aim>(&["1"]), ["1"]);
}

#[test]
fn unselected_fields_are_not_refused() {
    assert_eq!(names::<Bag>(&["cells"]), ["cells"]);
    assert_eq!(
        names::<Bag>(&["target.is_some", "target.z"]),
        ["target.is_some", "target.z"]
    );
    assert_eq!(names::<Bag>(&["owner.is_some"]), ["owner.is_some"]);
}

#[test]
fn the_error_of_an_unknown_field_lists_the_known_ones() {
    assert_eq!(
        error::<Bag>(&["helth"]),
        format!(
            "`{}` has no field `helth`; it has `health`, `target.x`, `target.y`, `target.z`, `target.is_some`, \
             `owner.is_some`, `cells`",
            Bag::type_path()
        )
    );
    for path in ["", ".", "health.1", "cells.0", "target.x.y", "Health", "health."] {
        assert!(
            error::<Bag>(&[path]).contains(&format!("has no field `{path}`")),
            "`{path}`"
        );
    }
    let path = Armor::type_path();
    assert_eq!(error::<Armor>(&["1"]), format!("`{path}` has no field `1`; it has `0`"));
}

#[test]
fn a_field_cannot_be_selected_twice() {
    let twice = |name: &str| {
        format!(
            "`{name}` of `{}` would be recorded twice: select each field once, and not together with a field that contains it",
            Bag::type_path()
        )
    };
    assert_eq!(error::<Bag>(&["cells", "health", "cells"]), twice("cells"));
    assert_eq!(error::<Bag>(&["target", "target.y"]), twice("target.y"));
}

#[test]
fn an_empty_selection_is_refused() {
    assert_eq!(
        error::<Bag>(&[]),
        format!(
            "no field of `{}` was selected: select at least one, or record all of them",
            Bag::type_path()
        )
    );
}

//! Attributes of reflected fields: `ColumnName` and `ColumnBounds`.

use crate::player::Player;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, schema::Space, test_app::TestApp};
use bevy_math::{Vec2, Vec3};
use bevy_reflect::Reflect;

#[derive(Reflect, Default)]
struct Wheel {
    #[reflect(@ColumnName("speed"))]
    angular_velocity: f32,
    #[reflect(@ColumnBounds::new(-0.5, 0.5))]
    slip: f32,
}

#[derive(Component, Reflect, Default)]
#[reflect(@ColumnName("car"))]
struct CarPhysicsState {
    #[reflect(@ColumnName("left"), @ColumnBounds::new(-10.0, 10.0))]
    left_wheel: Wheel,
    #[reflect(@ColumnBounds::new(-1.0, 1.0))]
    stick: Vec2,
    #[reflect(@ColumnName("wind"), @ColumnBounds::at_least(0.0))]
    gusts: [Vec3; 2],
    #[reflect(@ColumnBounds::at_most(3.0))]
    gear: u8,
    #[reflect(@ColumnBounds::new(2.0, 3.0))]
    brakes: bool,
    #[reflect(@0.0..=1.0_f32)]
    fuel: f32,
    odometer: f32,
}

#[derive(Component, Reflect, Default)]
struct Charge(#[reflect(@ColumnBounds::new(0.0, 100.0))] f32);

#[derive(Component, Reflect, Default)]
struct Heat(#[reflect(@ColumnName("kelvin"))] f32);

#[derive(Component, Reflect, Default)]
struct Pair(
    #[reflect(@ColumnName("a"))] f32,
    #[reflect(@ColumnBounds::new(0.0, 1.0))] f32,
);

#[derive(Component, Reflect, Default)]
struct Intent {
    #[reflect(@ColumnName("turn"), @ColumnBounds::new(-1.0, 1.0))]
    wanted_turn: f32,
}

fn schema_of(recording: Recording<Player>) -> Vec<(String, Space)> {
    let mut test = TestApp::new();
    test.record(recording);
    let schema = test.world().resource::<Experience>().schema("player").unwrap();
    let columns = schema.observation().iter().chain(schema.action());
    columns
        .map(|column| (column.name.clone(), column.space.clone()))
        .collect()
}

fn refusal(recording: Recording<Player>) -> String {
    let mut test = TestApp::new();
    let error = test.try_add_recording(recording).err();
    error.expect("the recording is refused").to_string()
}

fn recording() -> Recording<Player> {
    Recording::new("player")
}

fn space(low: impl Into<Option<f64>>, high: impl Into<Option<f64>>) -> Space {
    Space::Box {
        low: low.into(),
        high: high.into(),
    }
}

#[test]
fn attributes_name_columns_and_bound_all_numbers_below_a_field() {
    let columns = schema_of(recording().observe::<CarPhysicsState>().act::<Intent>());
    let expected = [
        ("car.left.speed", space(-10.0, 10.0)),
        // The innermost bounds take precedence.
        ("car.left.slip", space(-0.5, 0.5)),
        ("car.stick.x", space(-1.0, 1.0)),
        ("car.stick.y", space(-1.0, 1.0)),
        ("car.wind.x", space(0.0, None)),
        ("car.wind.y", space(0.0, None)),
        ("car.wind.z", space(0.0, None)),
        ("car.gear", space(None, 3.0)),
        ("car.brakes", space(0.0, 1.0)),
        ("car.fuel", space(0.0, 1.0)),
        ("car.odometer", space(None, None)),
        ("intent.turn", space(-1.0, 1.0)),
    ];
    assert_eq!(columns, expected.map(|(name, space)| (name.to_owned(), space)));
}

#[test]
fn attributes_apply_to_tuple_structs() {
    let columns = schema_of(recording().observe::<Charge>().observe::<Heat>().observe::<Pair>());
    let expected = [
        ("charge", space(0.0, 100.0)),
        ("heat.kelvin", space(None, None)),
        ("pair.a", space(None, None)),
        ("pair.1", space(0.0, 1.0)),
    ];
    assert_eq!(columns, expected.map(|(name, space)| (name.to_owned(), space)));
}

#[test]
fn fields_are_selected_by_rust_name_and_recorded_under_column_name() {
    let mut test = TestApp::new();
    test.record(recording().observe_fields::<CarPhysicsState>(["left_wheel.angular_velocity", "odometer"]));
    let schema = test.world().resource::<Experience>().schema("player").unwrap();
    assert_eq!(schema.feature_names(), ["car.left.speed", "car.odometer"]);
    let car = CarPhysicsState {
        left_wheel: Wheel {
            angular_velocity: 7.0,
            slip: 1.0,
        },
        odometer: 3.0,
        ..Default::default()
    };
    test.world_mut().spawn((Player, car));
    test.ticks(2);
    assert_eq!(test.finish()[0].row(0).observation(), [7.0, 3.0]);
    let error = refusal(recording().observe_fields::<CarPhysicsState>(["left.speed"]));
    assert!(error.contains("`left_wheel.angular_velocity`"), "{error}");
}

#[test]
fn bounds_of_the_recording_override_those_of_the_component() {
    let columns = schema_of(
        recording()
            .observe::<Charge>()
            .observe_fields::<CarPhysicsState>(["stick"])
            .bounds("charge", -5.0, 5.0)
            .bounds("car.stick.y", 0.0, f64::INFINITY),
    );
    let spaces: Vec<_> = columns.into_iter().map(|(_, space)| space).collect();
    assert_eq!(spaces, [space(-5.0, 5.0), space(-1.0, 1.0), space(0.0, None)]);
}

#[test]
fn bounds_that_are_not_an_interval_are_refused_with_the_path() {
    #[derive(Component, Reflect)]
    struct Body {
        #[reflect(@ColumnBounds::new(1.0, -1.0))]
        joint: Joint,
    }
    #[derive(Reflect)]
    struct Joint {
        angle: Vec2,
    }
    #[derive(Component, Reflect)]
    struct Nan(#[reflect(@ColumnBounds::new(f64::NAN, 1.0))] f32);
    #[derive(Component, Reflect)]
    struct Range(f32, #[reflect(@1.0..=0.0_f32)] f32);
    #[derive(Component, Reflect)]
    struct Beyond(#[reflect(@ColumnBounds::at_least(f64::INFINITY))] f32);
    let error = refusal(recording().observe::<Body>());
    assert!(
        error.contains("`body.joint.angle.x`") && error.contains("`body.joint.angle.y`"),
        "{error}"
    );
    assert!(
        error.contains("not an interval") && error.contains("low <= high"),
        "{error}"
    );
    assert!(refusal(recording().observe::<Nan>()).contains("`nan`"));
    assert!(refusal(recording().observe::<Range>()).contains("`range.1`"));
    assert!(refusal(recording().observe::<Beyond>()).contains("`beyond`"));
    assert!(refusal(recording().observe::<Charge>().act::<Body>()).contains("`body.joint.angle.x`"));
    for (low, high) in [
        (1.0, -1.0),
        (f64::NAN, 1.0),
        (0.0, f64::NAN),
        (f64::INFINITY, f64::INFINITY),
    ] {
        let error = refusal(recording().observe::<Charge>().bounds("charge", low, high));
        assert!(error.contains("`charge`") && error.contains("low <= high"), "{error}");
    }
}

#[test]
fn empty_or_duplicate_column_names_are_refused() {
    #[derive(Component, Reflect)]
    struct Blank {
        #[reflect(@ColumnName(""))]
        value: Vec2,
    }
    #[derive(Component, Reflect)]
    #[reflect(@ColumnName(""))]
    struct Nameless(f32);
    #[derive(Component, Reflect)]
    struct Twins {
        #[reflect(@ColumnName("b"))]
        a: f32,
        b: f32,
    }
    let error = refusal(recording().observe::<Blank>());
    assert!(error.contains("`ColumnName`") && error.contains("empty"), "{error}");
    let error = refusal(recording().observe::<Nameless>());
    assert!(error.contains("`nameless`") && error.contains("empty"), "{error}");
    let error = refusal(recording().observe::<Twins>());
    assert!(error.contains("`twins.b`"), "{error}");
}

#[test]
fn choices_of_the_action_have_labels() {
    #[derive(Component)]
    struct Stance(i64);
    let stance = || {
        recording()
            .observe::<Charge>()
            .act_discrete_with::<Stance>("stance", 3, |stance| stance.0)
    };
    let labels = ["stand", "crouch", "lie"];
    let columns = schema_of(stance().choice_labels("stance", labels));
    assert_eq!(
        columns.last().unwrap().1,
        Space::Discrete {
            n: 3,
            labels: labels.map(str::to_owned).to_vec()
        }
    );
    for (recording, problem) in [
        (
            stance().choice_labels("posture", labels),
            "`posture`, which is not a column of the action",
        ),
        (
            stance().choice_labels("stance", ["stand"]),
            "`stance`, which has 3, and there are 1 labels: give one for each",
        ),
        (
            stance().choice_labels("stance", ["stand", "lie", "lie"]),
            "`stance`, and `lie` is the label of two: give each its own",
        ),
        (
            recording()
                .observe::<Charge>()
                .act::<Intent>()
                .choice_labels("intent.turn", labels),
            "`intent.turn`, which is not discrete: record it with `act_discrete_with` or a similar method",
        ),
    ] {
        let refusal = refusal(recording);
        assert!(refusal.ends_with(problem), "{refusal}");
    }
}

#[test]
fn bounds_of_the_action_are_not_those_of_an_observation_with_the_same_name() {
    let columns = schema_of(
        recording()
            .observe_with::<Charge>(["throttle"], |charge, out| out[0] = charge.0)
            .act_with::<Charge>(["throttle"], |charge, out| out[0] = charge.0)
            .action_bounds("throttle", -1.0, 1.0),
    );
    assert_eq!(columns[0].1, space(None, None));
    assert_eq!(columns[1].1, space(-1.0, 1.0));
    let error = refusal(recording().observe::<Charge>().action_bounds("charge", 0.0, 1.0));
    assert!(
        error.contains("sets the bounds of `charge`, which is not one of its columns"),
        "{error}"
    );
}

//! Names, spaces and refusals of the columns that adapters declare.

use crate::{
    game::{Place, app, recording},
    log_lines::LogLines,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    schema::{Column, DType, Space},
};
use bevy_experience_adapters::prelude::*;
use bevy_input::prelude::*;

/// The columns of the action of a recording.
pub fn action_columns(recording: Recording<Place>) -> Vec<Column> {
    let mut app = app();
    app.add_recording(recording.sink(MemorySink::default()));
    let experience = app.world().resource::<Experience>();
    experience.schema("walker").unwrap().action().to_vec()
}

pub fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

/// Why a recording is refused.
pub fn refusal(recording: Recording<Place>) -> String {
    let error = app().try_add_recording(recording.sink(MemorySink::default())).err();
    error.expect("the recording is refused").to_string()
}

pub fn discrete(n: u64, labels: &[&str]) -> Space {
    Space::Discrete {
        n,
        labels: labels.iter().copied().map(str::to_owned).collect(),
    }
}

#[test]
fn columns_of_devices() {
    let columns = action_columns(
        recording()
            .act_buttons([
                (KeyCode::KeyA, "left"),
                (KeyCode::KeyD, "right"),
                (KeyCode::ArrowLeft, "left"),
            ])
            .act_discrete_buttons("turn", [(KeyCode::KeyQ, "left"), (KeyCode::KeyE, "right")])
            .act_button_axes([
                (KeyCode::KeyS, KeyCode::KeyW, "move.y"),
                (KeyCode::ArrowDown, KeyCode::ArrowUp, "move.y"),
            ])
            .act_gamepad_axes::<GamepadOf, _>([(GamepadButton::RightTrigger2, "throttle")])
            .act_discrete_gamepad_buttons::<GamepadOf>("weapon", [(GamepadButton::DPadLeft, "previous")])
            .act_mouse_motion(["look.x", "look.y"]),
    );
    assert_eq!(
        names(&columns),
        [
            "left", "right", "turn", "move.y", "throttle", "weapon", "look.x", "look.y"
        ]
    );
    assert_eq!(columns[0].space, discrete(2, &[]));
    assert_eq!(columns[2].space, discrete(3, &["none", "left", "right"]));
    assert_eq!(columns[3].space, Space::bounded(-1.0, 1.0));
    assert_eq!(columns[3].dtype, DType::F32);
    assert_eq!(columns[4].space, Space::bounded(0.0, 1.0));
    assert_eq!(columns[5].space, discrete(2, &["none", "previous"]));
}

#[test]
fn two_columns_with_one_name_are_refused() {
    let refusal = refusal(
        recording()
            .act_buttons([(KeyCode::Space, "jump")])
            .act_buttons([(MouseButton::Left, "jump")]),
    );
    assert!(
        refusal.starts_with("recording `walker` has two columns `jump`: "),
        "{refusal}"
    );
}

#[test]
#[should_panic(expected = "`act_buttons` was given an empty table: give it at least one input and its name")]
fn an_empty_table() {
    let _ = recording().act_buttons([] as [(KeyCode, &str); 0]);
}

#[test]
#[should_panic(expected = "`act_mouse_motion` was given the same input for `x` twice: remove one")]
fn one_name_for_both_axes_of_the_mouse() {
    let _ = recording().act_mouse_motion(["x", "x"]);
}

#[test]
fn a_missing_device_is_logged() {
    let log = LogLines::default();
    let sink = MemorySink::default();
    log.collect(|| {
        // Without `InputPlugin`.
        let mut app = App::new();
        app.add_plugins((
            TaskPoolPlugin::default(),
            bevy_time::TimePlugin,
            ExperiencePlugin::default(),
        ))
        .add_recording(
            recording()
                .act_buttons([(MouseButton::Left, "fire")])
                .sink(sink.clone()),
        )
        .add_systems(Update, |mut places: Query<&mut Place>| {
            places.iter_mut().for_each(|mut place| place.0 += 1.0);
        });
        app.world_mut().spawn(Place(0.0));
        for _ in 0..5 {
            app.update();
        }
        app.world_mut()
            .resource_mut::<Experience>()
            .close(core::time::Duration::from_secs(30));
    });
    assert!(sink.episodes().is_empty());
    let warning = log.warning();
    assert!(
        warning.contains("recording `walker`") && warning.contains("ButtonInput"),
        "{warning}"
    );
    let lines = log.lines();
    assert_eq!(
        lines.iter().filter(|line| line.contains("ButtonInput")).count(),
        1,
        "{lines:#?}"
    );
}

//! Records the keyboard and the gamepad of a walker. A game adds its plugins and the recording to its own `App`.
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_adapters::prelude::*;
use bevy_input::{InputPlugin, prelude::*};
use bevy_reflect::Reflect;

#[derive(Component, Reflect)]
struct Place(f32);

fn main() {
    let mut test = TestApp::new();
    test.add_plugins(InputPlugin).add_systems(Update, walk);
    test.record(
        Recording::<Place>::new("walker")
            .observe::<Place>()
            .act_button_axes([(KeyCode::KeyA, KeyCode::KeyD, "move.x")])
            .act_discrete_buttons("stance", [(KeyCode::KeyC, "crouch"), (KeyCode::KeyX, "lie")])
            .act_gamepad_axes::<GamepadOf, _>([(GamepadAxis::LeftStickX, "stick.x")]),
    );
    test.world_mut().spawn(Place(0.0));
    // A script presses two keys.
    let mut keys = test.world_mut().resource_mut::<ButtonInput<KeyCode>>();
    keys.press(KeyCode::KeyD);
    keys.press(KeyCode::KeyX);
    test.ticks(10);
    let step = &test.finish()[0];
    assert_eq!(step.transition(3).action().collect::<Vec<_>>(), [1.0, 2.0, 0.0]);
}

fn walk(keys: Res<ButtonInput<KeyCode>>, mut walkers: Query<&mut Place>) {
    for mut place in &mut walkers {
        place.0 += f32::from(keys.pressed(KeyCode::KeyD)) - f32::from(keys.pressed(KeyCode::KeyA));
    }
}

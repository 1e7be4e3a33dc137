//! Records actions of leafwing-input-manager.
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_adapters::prelude::*;
use bevy_input::{InputPlugin, prelude::*};
use bevy_reflect::Reflect;
use leafwing_input_manager::prelude::*;

#[derive(Component, Reflect)]
struct Height(f32);

#[derive(Actionlike, Reflect, Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Jump,
    Duck,
}

fn main() {
    let mut test = TestApp::new();
    test.add_plugins((InputPlugin, InputManagerPlugin::<Action>::default()));
    test.add_systems(FixedUpdate, jump);
    let recording = Recording::<Height>::new("jumper").observe::<Height>();
    test.record(recording.act_leafwing::<Action>());
    let keys = InputMap::new([(Action::Jump, KeyCode::Space), (Action::Duck, KeyCode::KeyS)]);
    test.world_mut().spawn((Height(0.0), keys));
    // A script presses the key.
    KeyCode::Space.press(test.world_mut());
    test.ticks(10);
    let step = &test.finish()[0];
    assert_eq!(step.transition(3).action().collect::<Vec<_>>(), [1.0, 0.0]);
}

fn jump(mut players: Query<(&ActionState<Action>, &mut Height)>) {
    for (actions, mut height) in &mut players {
        height.0 += f32::from(actions.pressed(&Action::Jump));
    }
}

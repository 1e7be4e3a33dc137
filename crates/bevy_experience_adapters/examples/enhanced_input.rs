//! Records actions of `bevy_enhanced_input`.
use bevy_ecs::prelude::*;
use bevy_enhanced_input::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_adapters::prelude::*;
use bevy_input::{InputPlugin, prelude::*};
use bevy_reflect::Reflect;

/// The player, and the context of its input.
#[derive(Component, Reflect)]
struct Jumper(f32);

#[derive(InputAction)]
#[action_output(bool)]
struct Jump;

fn main() {
    let mut test = TestApp::new();
    test.add_plugins((InputPlugin, EnhancedInputPlugin));
    test.add_input_context::<Jumper>().add_observer(jump).finish();
    let recording = Recording::<Jumper>::new("jumper").observe::<Jumper>();
    test.record(recording.act_input_action::<Jumper, Jump>());
    let keys = actions!(Jumper[(Action::<Jump>::new(), bindings![KeyCode::Space])]);
    test.world_mut().spawn((Jumper(0.0), keys));
    // A script presses the key.
    let mut keys = test.world_mut().resource_mut::<ButtonInput<KeyCode>>();
    keys.press(KeyCode::Space);
    test.ticks(30);
    let step = &test.finish()[0];
    assert_eq!(step.transition(3).action().collect::<Vec<_>>(), [1.0]);
}

fn jump(jump: On<Fire<Jump>>, mut players: Query<&mut Jumper>) -> Result {
    players.get_mut(jump.context)?.0 += 1.0;
    Ok(())
}

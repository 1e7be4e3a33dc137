//! Keyboard control of one fighter.
//!
//! Keys are turned into the fighter's [`Intent`], in the system set in which bots write theirs; the rest of the game
//! treats it like any other fighter. Keys are read from `ButtonInput<KeyCode>`, which a window fills.

use bevy_app::{App, FixedUpdate, Plugin, RunFixedMainLoop, RunFixedMainLoopSystems};
use bevy_ecs::prelude::*;
use bevy_experience::player::Controller;
use bevy_input::{ButtonInput, keyboard::KeyCode};
use bevy_math::Vec2;

use crate::{
    AgentSlots, ArenaSystems,
    bot::{self, Bot},
    fighter::{Body, Deed, Fighter, Intent},
};

/// The keys for left, right, down and up.
type DirectionKeys = [KeyCode; 4];

const RUN: DirectionKeys = [KeyCode::KeyA, KeyCode::KeyD, KeyCode::KeyS, KeyCode::KeyW];
const AIM: DirectionKeys = [
    KeyCode::ArrowLeft,
    KeyCode::ArrowRight,
    KeyCode::ArrowDown,
    KeyCode::ArrowUp,
];
const SHOOT: [KeyCode; 5] = [
    KeyCode::Space,
    KeyCode::ArrowLeft,
    KeyCode::ArrowRight,
    KeyCode::ArrowDown,
    KeyCode::ArrowUp,
];
const DASH: [KeyCode; 2] = [KeyCode::ShiftLeft, KeyCode::ShiftRight];

/// Lets the keyboard control the fighter of one agent, which then has no bot. Add it before the app's first update.
///
/// W, A, S and D run; the arrow keys aim and shoot; the space bar shoots straight ahead; shift dashes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HumanPlugin {
    /// The agent id of the fighter; ids start at 0.
    pub agent: i64,
}

impl Plugin for HumanPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Human {
            agent: self.agent,
            is_suspended: false,
            keys: FighterKeys::default(),
        })
        .init_resource::<ButtonInput<KeyCode>>()
        .add_observer(remove_bot)
        .add_systems(
            RunFixedMainLoop,
            read_keyboard.in_set(RunFixedMainLoopSystems::BeforeFixedMainLoop),
        )
        .add_systems(
            FixedUpdate,
            write_intent.in_set(ArenaSystems::Think).after(bot::write_intents),
        );
    }
}

/// The state of keyboard control.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Human {
    /// The agent id of the fighter.
    pub agent: i64,
    /// Whether keys are ignored, for example while they go to a text field.
    pub is_suspended: bool,
    keys: FighterKeys,
}

/// The keys of a fighter that are pressed.
#[derive(Clone, Copy, Debug, Default)]
struct FighterKeys {
    steer: Vec2,
    aim: Vec2,
    shoot: KeyLatch,
    dash: KeyLatch,
}

/// A key that is read once per frame and used once per tick.
#[derive(Clone, Copy, Debug, Default)]
struct KeyLatch {
    is_down: bool,
    /// It was pressed since the last tick, and may have been released: a tick can span several frames.
    was_pressed: bool,
}

impl KeyLatch {
    fn update(&mut self, keys: &ButtonInput<KeyCode>, any_of: &[KeyCode]) {
        self.is_down = keys.any_pressed(any_of.iter().copied());
        self.was_pressed |= keys.any_just_pressed(any_of.iter().copied());
    }

    fn is_active(self) -> bool {
        self.is_down || self.was_pressed
    }
}

impl FighterKeys {
    fn intent(&self) -> Intent {
        Intent {
            steer: self.steer,
            aim: self.aim,
            deed: if self.dash.is_active() {
                Deed::Dash
            } else if self.shoot.is_active() {
                Deed::Shoot
            } else {
                Deed::Hold
            },
        }
    }
}

/// Removes the bot of the controlled fighter each time that the agent joins. A person acts from then on.
fn remove_bot(added: On<Add, Bot>, human: Res<Human>, fighters: Query<&Fighter>, mut commands: Commands) {
    if fighters
        .get(added.entity)
        .is_ok_and(|fighter| fighter.agent == human.agent)
    {
        commands.entity(added.entity).remove::<Bot>().insert(Controller::Person);
    }
}

fn direction(keys: &ButtonInput<KeyCode>, [left, right, down, up]: DirectionKeys) -> Vec2 {
    // A key that was pressed and released within one frame counts for that frame.
    let axis_value = |key| f32::from(u8::from(keys.pressed(key) || keys.just_pressed(key)));
    let axis = |negative, positive| axis_value(positive) - axis_value(negative);
    Vec2::new(axis(left, right), axis(down, up)).normalize_or_zero()
}

/// Reads the keyboard, once per frame.
fn read_keyboard(input: Res<ButtonInput<KeyCode>>, mut human: ResMut<Human>) {
    if human.is_suspended {
        human.keys = FighterKeys::default();
        return;
    }
    let keys = &mut human.keys;
    keys.steer = direction(&input, RUN);
    let aim = direction(&input, AIM);
    if aim != Vec2::ZERO {
        keys.aim = aim;
    } else if !keys.shoot.was_pressed {
        // The weapon points ahead, unless a shot with another aim waits for the next tick.
        keys.aim = keys.steer;
    }
    keys.shoot.update(&input, &SHOOT);
    keys.dash.update(&input, &DASH);
}

/// Writes the fighter's intent, once per tick.
fn write_intent(mut human: ResMut<Human>, slots: Res<AgentSlots>, mut fighters: Query<(&Body, &mut Intent)>) {
    if let Some(fighter) = slots.entity(human.agent)
        && let Ok((body, mut intent)) = fighters.get_mut(fighter)
        && body.is_alive()
    {
        *intent = human.keys.intent();
    }
    human.keys.shoot.was_pressed = false;
    human.keys.dash.was_pressed = false;
}

//! A human at the keyboard, who plays one of the fighters.
//!
//! Keys become an [`Intent`], written where a bot would write its own; nothing else in the game knows who plays. What is
//! pressed comes from `ButtonInput<KeyCode>`, which a window fills.

use bevy_app::{App, FixedUpdate, Plugin, RunFixedMainLoop, RunFixedMainLoopSystems};
use bevy_ecs::prelude::*;
use bevy_input::{ButtonInput, keyboard::KeyCode};
use bevy_math::Vec2;

use crate::{
    ArenaSystems, Seats,
    bot::{self, Bot},
    fighter::{Body, Deed, Fighter, Intent},
};

/// Keys of one direction each: left, right, down, up.
type Cross = [KeyCode; 4];

const RUN: Cross = [KeyCode::KeyA, KeyCode::KeyD, KeyCode::KeyS, KeyCode::KeyW];
const AIM: Cross = [
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

/// Gives an agent's fighter to whoever sits at the keyboard. Add it before the app's first update.
///
/// W, A, S and D run; the arrows aim and shoot; the space bar shoots straight ahead; shift dashes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HumanPlugin {
    /// Whose fighter: agents count from 0.
    pub agent: i64,
}

impl Plugin for HumanPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Human {
            agent: self.agent,
            away: false,
            hands: Hands::default(),
        })
        .init_resource::<ButtonInput<KeyCode>>()
        .add_observer(take_over)
        .add_systems(
            RunFixedMainLoop,
            listen.in_set(RunFixedMainLoopSystems::BeforeFixedMainLoop),
        )
        .add_systems(FixedUpdate, play.in_set(ArenaSystems::Think).after(bot::think));
    }
}

/// Who plays by hand.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Human {
    /// Whose fighter is steered.
    pub agent: i64,
    /// The keys are meant for something else at the moment, such as a field of text.
    pub away: bool,
    hands: Hands,
}

/// What the hands do.
#[derive(Clone, Copy, Debug, Default)]
struct Hands {
    steer: Vec2,
    aim: Vec2,
    shoots: Button,
    dashes: Button,
}

/// A button, seen once a frame and asked for once a tick.
#[derive(Clone, Copy, Debug, Default)]
struct Button {
    is_down: bool,
    /// It was pressed since the last tick, and may be up again: frames can be shorter than ticks.
    was_pressed: bool,
}

impl Button {
    fn see(&mut self, keys: &ButtonInput<KeyCode>, any_of: &[KeyCode]) {
        self.is_down = keys.any_pressed(any_of.iter().copied());
        self.was_pressed |= keys.any_just_pressed(any_of.iter().copied());
    }

    fn is_wanted(self) -> bool {
        self.is_down || self.was_pressed
    }
}

impl Hands {
    fn intent(&self) -> Intent {
        Intent {
            steer: self.steer,
            aim: self.aim,
            deed: if self.dashes.is_wanted() {
                Deed::Dash
            } else if self.shoots.is_wanted() {
                Deed::Shoot
            } else {
                Deed::Hold
            },
        }
    }
}

/// The human's fighter has no bot, whenever it comes.
fn take_over(added: On<Add, Bot>, human: Res<Human>, fighters: Query<&Fighter>, mut commands: Commands) {
    if fighters
        .get(added.entity)
        .is_ok_and(|fighter| fighter.agent == human.agent)
    {
        commands.entity(added.entity).remove::<Bot>();
    }
}

fn direction(keys: &ButtonInput<KeyCode>, [left, right, down, up]: Cross) -> Vec2 {
    // A key that was pressed and released within a frame counts for that frame.
    let is_down = |key| f32::from(u8::from(keys.pressed(key) || keys.just_pressed(key)));
    let along = |less, more| is_down(more) - is_down(less);
    Vec2::new(along(left, right), along(down, up)).normalize_or_zero()
}

/// Sees what is pressed, once a frame.
fn listen(keys: Res<ButtonInput<KeyCode>>, mut human: ResMut<Human>) {
    if human.away {
        human.hands = Hands::default();
        return;
    }
    let hands = &mut human.hands;
    hands.steer = direction(&keys, RUN);
    let aim = direction(&keys, AIM);
    if aim != Vec2::ZERO {
        hands.aim = aim;
    } else if !hands.shoots.was_pressed {
        // The weapon looks ahead, unless a shot that nobody has fired yet went elsewhere.
        hands.aim = hands.steer;
    }
    hands.shoots.see(&keys, &SHOOT);
    hands.dashes.see(&keys, &DASH);
}

/// Writes the intent, once a tick.
fn play(mut human: ResMut<Human>, seats: Res<Seats>, mut fighters: Query<(&Body, &mut Intent)>) {
    if let Some(fighter) = seats.entity(human.agent)
        && let Ok((body, mut intent)) = fighters.get_mut(fighter)
        && body.is_alive()
    {
        *intent = human.hands.intent();
    }
    human.hands.shoots.was_pressed = false;
    human.hands.dashes.was_pressed = false;
}

//! Records what other crates know about a player with [`bevy_experience`]: input devices and input managers as actions, the
//! bodies of a physics engine as observations.
//!
//! Each adapter is a trait for [`Recording`](bevy_experience::recording::Recording):
//!
//! | trait | feature | records |
//! |---|---|---|
//! | [`InputRecordingExt`] | | keys, mouse and gamepads of `bevy_input` |
//! | [`LeafwingRecordingExt`](leafwing::LeafwingRecordingExt) | `leafwing` | an `Actionlike` enum of `leafwing-input-manager` |
//! | [`EnhancedInputRecordingExt`](enhanced_input::EnhancedInputRecordingExt) | `enhanced_input` | actions of `bevy_enhanced_input` |
//! | [`Avian2dRecordingExt`](avian2d::Avian2dRecordingExt), [`Avian3dRecordingExt`](avian3d::Avian3dRecordingExt) | `avian2d`, `avian3d` | bodies and contacts of avian |
//!
//! ```
//! use bevy_ecs::prelude::*;
//! use bevy_experience::prelude::*;
//! use bevy_experience_adapters::prelude::*;
//! use bevy_input::prelude::*;
//! # #[derive(Component)] struct Walker;
//!
//! let recording = Recording::<Walker>::new("walker")
//!     .act_button_axes([(KeyCode::KeyA, KeyCode::KeyD, "move.x"), (KeyCode::KeyS, KeyCode::KeyW, "move.y")])
//!     .act_just_pressed_buttons([(KeyCode::Space, "jump")])
//!     .act_buttons([(MouseButton::Left, "fire")]);
//! ```
//!
//! # What to record
//! Record what the movement of the player reads. A game that reads the keys in the system that moves the player records the keys;
//! a game that collects them in a component first, such as a jump that waits for the next fixed tick, records that component
//! with [`act`](bevy_experience::recording::Recording::act).
//!
//! # Timing
//! Where players are captured and when actions are read is found out from the systems that read what an adapter records, as for
//! every source of actions. So a state that is cleared before the capture, as leafwing's `just_pressed` is in `FixedPostUpdate`,
//! is recorded as the movement has read it.
//!
//! # Errors
//! A table without rows, or with the same row twice, panics at the call, with the remedy. Two columns of one name are refused by
//! [`add_recording`](bevy_experience::plugin::ExperienceAppExt::add_recording).

mod input;
mod table;

#[cfg(any(feature = "avian2d", feature = "avian3d"))]
mod avian;
#[cfg(feature = "avian2d")]
pub mod avian2d;
#[cfg(feature = "avian3d")]
pub mod avian3d;
#[cfg(feature = "enhanced_input")]
pub mod enhanced_input;
#[cfg(feature = "leafwing")]
pub mod leafwing;

pub use input::{GamepadOf, GamepadPlayers, InputRecordingExt};

/// The adapters of input that are enabled. Those of avian have the same methods in two and in three dimensions, so a game names
/// the trait of its own.
pub mod prelude {
    #[cfg(feature = "enhanced_input")]
    pub use crate::enhanced_input::EnhancedInputRecordingExt;
    #[cfg(feature = "leafwing")]
    pub use crate::leafwing::{ActionColumns, LeafwingRecordingExt};
    pub use crate::{GamepadOf, InputRecordingExt};
}

/// Compiles the Rust code of the book's page.
#[cfg(all(doctest, feature = "complete"))]
#[doc = include_str!("../../../docs/src/adapters.md")]
struct Book;

//! Policies: models that act for players, from the observations of a recording.
//!
//! A [`Policy`] acts for the players of its recording that have [`PolicyControlled`]. Nothing is declared twice: the observation
//! is encoded by the recording's own plan, at the recording's own captures, and the action is written to the components that
//! [`act`](crate::recording::Recording::act) names.
//!
//! ```
//! # use bevy_app::prelude::*;
//! # use bevy_ecs::prelude::*;
//! # use bevy_reflect::prelude::*;
//! use bevy_experience::prelude::*;
//!
//! #[derive(Component)]
//! struct Fighter;
//! #[derive(Component, Reflect, Default)]
//! struct Health(f32);
//! #[derive(Component, Reflect, Default)]
//! struct Intent {
//!     turn: f32,
//!     shoot: bool,
//! }
//!
//! # let mut app = App::new();
//! app.add_plugins(ExperiencePlugin::default())
//!     .add_recording(Recording::<Fighter>::new("fighter").observe::<Health>().act::<Intent>().policy_info())
//!     .add_policy(Policy::<Fighter>::for_recording("fighter").random());
//! app.world_mut()
//!     .spawn((Fighter, Health::default(), Intent::default(), PolicyControlled::default()));
//! ```
//!
//! # A decision
//! | moment | |
//! |---|---|
//! | at a capture | the observation of each player with [`PolicyControlled`] is encoded, after the capture has recorded it |
//! | before the game decides in the next tick: [`ExperienceAct`](crate::plugin::ExperienceAct) | the model is called once for all of them, and the actions are written |
//!
//! So the observation is the one that the data has, bit by bit, and the action is that of the transition that follows it. A
//! player acts from the first capture on at which it has the component. It keeps its last action where the model decides
//! nothing.
//!
//! # Failures
//! A model that returns an error, panics, gives NaN or is late never stops the game: players keep their actions, the failure is
//! logged once, counted in [`PolicyStatus`] and triggers [`PolicyFailed`].

mod build;
mod controlled;
mod decision;
mod delivery;
mod error;
mod events;
mod runner;
mod slot;
mod source;
mod status;
mod write;

#[cfg(feature = "policy_onnx")]
pub use experience_policy::OnnxModel;
pub use experience_policy::{
    ActionBatch, EpisodeOutcome, Head, HeadKind, ModelError, ModelRequest, ModelRequests, ObservationBatch,
    OutcomeBatch, PolicyError, PolicyLayout, PolicyModel, Progress, RandomModel, Sampling,
};
#[cfg(feature = "remote")]
pub use experience_remote::{RemotePolicy, RemoteStatus, environment_seed};
pub use {
    build::Policy,
    controlled::PolicyControlled,
    decision::{HeadDecision, PolicyDecision},
    error::PolicySetupError,
    events::{PolicyFailed, PolicyFailure},
    status::PolicyStatus,
};
pub(crate) use {build::PolicySpec, controlled::info_columns, decision::DecisionWatch, slot::PolicySlot};

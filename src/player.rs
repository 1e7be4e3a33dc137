//! Components of players: [`Reward`], [`AgentId`], [`Controller`] and [`DoNotRecord`], and the events [`GiveReward`] and [`GiveTeamReward`].
//!
//! [`Reward`] is a required component of a recording's marker. The others are optional.

mod agent;
mod controller;
mod give_reward;
mod reward;

pub use agent::{AgentId, DoNotRecord};
pub use controller::Controller;
pub use give_reward::{GiveReward, GiveTeamReward};
pub use reward::Reward;

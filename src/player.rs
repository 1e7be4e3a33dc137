//! Components of players: [`Reward`], [`AgentId`] and [`DoNotRecord`], and the events [`GiveReward`] and [`GiveTeamReward`].
//!
//! [`Reward`] is a required component of a recording's marker. The others are optional.

mod agent;
mod give_reward;
mod reward;

pub use agent::{AgentId, DoNotRecord};
pub use give_reward::{GiveReward, GiveTeamReward};
pub use reward::Reward;

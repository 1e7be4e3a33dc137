//! Components of players: [`Reward`], [`AgentId`] and [`DoNotRecord`].
//!
//! [`Reward`] is a required component of a recording's marker. The others are optional.

mod agent;
mod reward;

pub use agent::{AgentId, DoNotRecord};
pub use reward::Reward;

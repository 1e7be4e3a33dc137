//! Components of players: rewards, agent ids and consent.
//!
//! [`Reward`] is a required component of a recording's marker. The others are optional.

mod agent;
mod reward;

pub use agent::{AgentId, DoNotRecord};
pub use reward::Reward;

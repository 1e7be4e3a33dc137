//! The components that a game puts on its players, and reads and writes itself.
//!
//! All of them are optional but [`Reward`], which comes with a recording's marker.

mod agent;
mod reward;

pub use agent::{AgentId, DoNotRecord};
pub use reward::Reward;

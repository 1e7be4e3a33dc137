//! The variables with which an environment in Python starts a game.

use crate::RemoteError;

/// The address of the policy server.
pub(crate) const ADDRESS: &str = "BEVY_EXPERIENCE_REMOTE";
/// The token of the server.
pub(crate) const TOKEN: &str = "BEVY_EXPERIENCE_REMOTE_TOKEN";
/// What tells this game from the others of a server.
pub(crate) const GAME: &str = "BEVY_EXPERIENCE_REMOTE_GAME";
/// Set if the game shall exit when the connection ends.
pub(crate) const EXIT: &str = "BEVY_EXPERIENCE_REMOTE_EXIT";
/// The seed.
const SEED: &str = "BEVY_EXPERIENCE_REMOTE_SEED";

/// The value of a variable, if it is set and not empty.
pub(crate) fn variable(name: &'static str) -> Result<Option<String>, RemoteError> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(RemoteError::Variable {
            name,
            reason: "is not Unicode".to_owned(),
        }),
    }
}

/// The seed with which an environment in Python has started this game: the variable `BEVY_EXPERIENCE_REMOTE_SEED`. `None` where it has
/// not, and where the variable is not a number.
#[must_use]
pub fn environment_seed() -> Option<u64> {
    variable(SEED).ok().flatten()?.parse().ok()
}

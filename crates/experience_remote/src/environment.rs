//! The variables with which an environment in Python starts a game.

use crate::RemoteError;
use core::time::Duration;
use experience_policy::{ModelRequest, ModelRequests};
use std::{
    io::{self, Read},
    process,
    sync::Arc,
    thread,
};

/// The address of the policy server.
pub(crate) const ADDRESS: &str = "BEVY_EXPERIENCE_REMOTE";
/// The token of the server.
pub(crate) const TOKEN: &str = "BEVY_EXPERIENCE_REMOTE_TOKEN";
/// The certificate of the authority that signs that of the server, in PEM, or the path of a file with it.
pub(crate) const CA: &str = "BEVY_EXPERIENCE_REMOTE_CA";
/// What tells this game from the others of a server.
pub(crate) const GAME: &str = "BEVY_EXPERIENCE_REMOTE_GAME";
/// Set if the game shall exit when the connection ends.
pub(crate) const EXIT: &str = "BEVY_EXPERIENCE_REMOTE_EXIT";
/// The value of [`EXIT`] with which the game exits when its standard input ends, too.
pub(crate) const EXIT_WITH_STDIN: &str = "stdin";
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

/// The value of [`CA`], in PEM.
pub(crate) fn authority() -> Result<Option<String>, RemoteError> {
    let Some(value) = variable(CA)? else {
        return Ok(None);
    };
    if value.trim_start().starts_with("-----BEGIN") {
        return Ok(Some(value));
    }
    let read = std::fs::read_to_string(&value);
    read.map(Some).map_err(|error| RemoteError::Variable {
        name: CA,
        reason: format!(
            "names `{value}`, which cannot be read: {error}; it is a certificate in PEM, or a file with one"
        ),
    })
}

/// Asks the game to exit when the standard input ends, which it does when the environment ends in any way. A policy notices a lost
/// connection only where it asks for a decision, and a game in a menu asks for none.
pub(crate) fn exit_with_stdin(requests: Arc<ModelRequests>) -> io::Result<()> {
    /// A game that has not exited until then hangs.
    const GRACE: Duration = Duration::from_secs(10);
    let watch = move || {
        if !wait_for_end(&mut io::stdin()) {
            return;
        }
        requests.push(ModelRequest::Exit);
        thread::sleep(GRACE);
        tracing::error!("the environment has ended and the game does not exit, so its process is ended");
        process::exit(1);
    };
    let builder = thread::Builder::new().name("experience-remote-stdin".to_owned());
    builder.spawn(watch).map(|_| ())
}

/// Reads to the end. False if there was nothing to read: then the input is not that of an environment, which begins with a line.
fn wait_for_end(input: &mut impl Read) -> bool {
    let (mut has_read, mut buffer) = (false, [0; 64]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return has_read,
            Ok(_) => has_read = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return has_read,
        }
    }
}

/// The seed with which an environment in Python has started this game: the variable `BEVY_EXPERIENCE_REMOTE_SEED`. `None` where it has
/// not, and where the variable is not a number.
#[must_use]
pub fn environment_seed() -> Option<u64> {
    variable(SEED).ok().flatten()?.parse().ok()
}

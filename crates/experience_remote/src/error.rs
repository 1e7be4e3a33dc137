//! [`RemoteError`]: why a server cannot be used, or an answer of it.

/// Why a policy server cannot be used, or an answer of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The address cannot be used.
    #[error("the address `{address}` of a policy server {reason}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
    /// An environment variable has a value that cannot be used.
    #[error("the environment variable `{name}` {reason}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection to the server, and none could be made yet.
    #[error("no policy server answers at `{address}`: {reason}; start it, the game connects by itself")]
    Unreachable {
        /// The address.
        address: String,
        /// The last reason.
        reason: String,
    },
    /// The server does not take this game, for now at least.
    #[error("the policy server at `{address}` refuses the game: {reason}; the game asks again by itself")]
    Refused {
        /// The address.
        address: String,
        /// What the server says.
        reason: String,
    },
    /// The connection ended.
    #[error("the connection to the policy server at `{address}` is lost: {reason}; the game connects again by itself")]
    Lost {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The server was made for another recording.
    #[error("the policy server at `{address}` is for another schema: {}; give it a policy of this recording", differences.join("; "))]
    Schema {
        /// The address.
        address: String,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// An answer does not have the form that is needed.
    #[error("an answer of the policy server is refused: {0}")]
    Answer(String),
}

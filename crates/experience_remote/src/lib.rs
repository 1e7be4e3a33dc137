#![doc = include_str!("../README.md")]

mod address;
mod answer;
mod columns;
mod connector;
mod environment;
mod error;
mod handshake;
mod policy;
mod request;
mod runtime;
mod session;
mod status;

pub use {environment::environment_seed, error::RemoteError, policy::RemotePolicy, status::RemoteStatus};

/// Reads the messages of a server for a number of players, as a connection does. For fuzz tests.
#[doc(hidden)]
pub fn read_messages(
    messages: &[arrow_flight::FlightData],
    actions: &mut experience_policy::ActionBatch,
    players: usize,
) {
    let mut columns = answer::AnswerColumns::default();
    for message in messages {
        match answer::Answer::read(message, &columns) {
            Ok(answer::Answer::Columns(read)) => columns = read,
            Ok(answer::Answer::Actions(read)) => {
                actions.begin(players);
                let _ = read.write_to(actions);
            }
            _ => {}
        }
    }
}

//! Tests of replays: what a game has recorded is what its ghosts show.

mod bad_input;
mod game;
mod ghosts;
mod playback;
mod random_games;
mod reports;

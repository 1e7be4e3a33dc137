//! Contract, rule 2 (timing): where a recording is captured and its action read, chosen by the systems of the game.
//!
//! Each game keeps a log of what its movement consumed, and every row is compared with it, at several frame rates.

mod actions;
mod games;
mod loops;
mod messages;
mod nested;
mod quick_start;
mod relays;
mod several_recordings;

//! `doctor` on recorded games: each broken one has one known fault, which is found and named with its remedy, and the same game
//! without the fault is healthy.
#![cfg(feature = "dataset")]

mod actions;
mod ends;
mod game;
mod rewards;
mod sensors;
mod unseen;

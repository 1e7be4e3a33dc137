//! Streams over real connections: what is sent, what is missed, and who may read.

mod game;
mod losses;
mod security;
mod subscriber;
mod subscribing;

//! Shared fixtures: a small recorded game, a driver for the panel, and a software rasterizer.

pub mod game;
pub mod panel;
pub mod policy_game;
pub mod rasterizer;

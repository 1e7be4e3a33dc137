//! The inspector: what it shows, what its buttons do, and what it looks like.
//!
//! It is drawn without a window, and painted without a graphics card: `paint` does what one would do.

mod clicks;
mod closed;
mod empty;
mod game;
mod paint;
mod panel;
mod pictures;
mod settings;

//! Tests of the inspector: the text that it shows, the effects of its buttons, and screenshots of every tab.
//!
//! egui runs without a window, and [`support::rasterizer`] paints its output without a GPU.

mod handover;
mod images;
mod interaction;
mod messages;
mod plugin;
mod policies;
mod replays;
mod screenshots;
mod settings;
mod support;

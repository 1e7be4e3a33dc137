//! Tests of the arena in this process: its rules, determinism, recording, views and keyboard control.

mod determinism;
mod recording;
mod rules;
mod support;
mod tournament;
mod view;

//! Schema, transitions, ids, end reasons and accounts of recorded experience.
//!
//! These are the types that every other crate of [`bevy_experience`](https://docs.rs/bevy_experience) shares. They need
//! neither an engine nor Arrow.
//!
//! - [`schema`]: what a row means. Named, typed columns, their layout in a row, and the hash that identifies a schema.
//! - [`transition`]: episodes and their transitions, the header of an encoded row, and the rules that every row keeps.
//! - [`account`]: how many transitions were recorded, exported, dropped and discarded.

pub mod account;
pub mod schema;
pub mod transition;

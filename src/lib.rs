//! Record training data from any Bevy game.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "dataset")]
pub mod dataset;
pub mod schema;
pub mod sink;
pub mod transition;

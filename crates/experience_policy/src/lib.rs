#![doc = include_str!("../README.md")]
//!
//! # A decision
//! | step | type |
//! |---|---|
//! | observations of all players are collected | [`ObservationBatch`] |
//! | the model is called once, and writes an output for each head of the action | [`PolicyModel::act`] |
//! | each output becomes a value of the action: masked, sampled and clamped | [`ActionBatch::decide`] |
//!
//! # Heads
//! A head is one column of the action, with one output or more for each of its elements:
//!
//! | space | output of the model | value |
//! |---|---|---|
//! | [`Discrete`](HeadKind::Discrete) | `n` logits an element | the most probable alternative that the mask allows, or a sample |
//! | [`Continuous`](HeadKind::Continuous) | a mean an element, and possibly the logarithm of a standard deviation | the mean, or a sample, within the bounds |

mod actions;
mod error;
mod layout;
mod metadata;
mod model;
mod normal;
mod observations;
#[cfg(feature = "onnx")]
mod onnx;
mod outcomes;
mod random;
mod requests;
mod rng;
mod sampling;
mod watcher;

#[cfg(feature = "onnx")]
pub use onnx::OnnxModel;
pub use {
    actions::ActionBatch,
    error::{ModelError, PolicyError},
    layout::{Head, HeadKind, PolicyLayout},
    metadata::ModelMetadata,
    model::PolicyModel,
    observations::ObservationBatch,
    outcomes::{EpisodeOutcome, OutcomeBatch, Progress},
    random::RandomModel,
    requests::{ModelRequest, ModelRequests},
    sampling::{DecisionCounts, Sampling},
    watcher::ModelWatcher,
};

//! The command `experience`: what it prints, and how it exits.

mod arguments;
mod command;
mod curation;
#[expect(dead_code, reason = "the tests of datasets use all of it")]
#[path = "../../../experience_dataset/tests/dataset/episodes.rs"]
mod episodes;
mod read;
mod recover;
mod system_errors;
#[expect(dead_code, reason = "the tests of datasets use all of it")]
#[path = "../../../experience_dataset/tests/dataset/unfinished.rs"]
mod unfinished;
mod write;

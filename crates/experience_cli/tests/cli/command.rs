//! Helpers that run the command `experience` on generated datasets.

use crate::episodes::{episodes, tensor, write};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::RunId,
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};
use tempfile::{TempDir, tempdir};

/// Runs the command.
pub fn experience(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_experience"))
        .args(arguments)
        .output()
        .expect("the command can be started")
}

/// The text that the command printed. Asserts that it exited with `code`.
pub fn printed(arguments: &[&str], code: i32) -> String {
    let output = experience(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    if code == 3 {
        assert!(err.starts_with("error: "), "{err}");
        return err;
    }
    out
}

/// The JSON documents that the command printed, one per line.
pub fn documents(arguments: &[&str], code: i32) -> Vec<Value> {
    let printed = printed(&[arguments, &["--json"]].concat(), code);
    printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

pub fn schema() -> Schema {
    Schema::new("p")
        .with_observation([tensor("board", DType::F32, &[2, 4]), Column::feature("health")])
        .with_action([Column::scalar(
            "jump",
            DType::U8,
            Space::Discrete {
                n: 3,
                labels: ["stay", "hop", "leap"].map(str::to_owned).to_vec(),
            },
        )])
        .with_reward_terms(["coin"])
}

pub fn dataset() -> TempDir {
    let root = tempdir().expect("a folder can be made");
    write(root.path(), &episodes(&schema().into_shared(), RunId::from_bits(1), 6));
    root
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

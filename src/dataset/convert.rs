//! A dataset in other formats.

mod jsonl;

pub use jsonl::{json_line, to_jsonl};

//! Fuzzes `runs/<run>.json`, the account of a run.
#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "each binary runs one of the targets")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::account(bytes));

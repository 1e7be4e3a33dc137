//! Fuzzes the messages of a policy server.
#![no_main]

#[path = "../remote_targets.rs"]
#[expect(dead_code, reason = "seeds are written by a test")]
mod remote_targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| remote_targets::answer(bytes));

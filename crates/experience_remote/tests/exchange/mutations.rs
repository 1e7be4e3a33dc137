//! Truncated and mutated messages of a server: each is read or refused, without a panic.

#[path = "../../../../fuzz/remote_targets.rs"]
mod remote_targets;

use super::server;
use remote_targets::{PLAYERS, answer, message_bytes};
use std::{fs, path::Path};

/// Good messages: the schema of the answers, an answer, and messages with metadata alone.
fn seed() -> Vec<u8> {
    message_bytes(&[
        server::columns(2),
        server::metadata(r#"{"accepted":{"protocol":1}}"#),
        server::metadata(r#"{"heartbeat":true}"#),
        server::actions(PLAYERS, &[0.0, 0.5, 1.0, -0.5, 2.0, 1e300]),
        server::metadata(r#"{"reset":{"seed":3}}"#),
        server::metadata(r#"{"exit":true}"#),
    ])
}

#[test]
fn mutated_messages_are_refused_or_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/answer/seed");
    let seed = seed();
    if std::env::var_os("UPDATE_SEEDS").is_some() {
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder is writable");
        fs::write(&path, &seed).expect("the folder is writable");
    }
    assert!(
        fs::read(&path).expect("the seed exists") == seed,
        "the seed is another: run with UPDATE_SEEDS=1"
    );
    answer(&seed);
    for length in 0..seed.len() {
        answer(&seed[..length]);
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for _ in 0..20_000 {
        let mut bytes = seed.clone();
        for _ in 0..1 + next() % 8 {
            let at = next() % bytes.len();
            bytes[at] = match next() % 4 {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ (1 << (next() % 8)),
                _ => next() as u8,
            };
        }
        answer(&bytes);
    }
}

//! A ring file of a killed process that version 0.1.0 wrote.

use experience_buffer::ring::MappedRing;
use std::path::Path;

const WORDS: usize = 5;
const HASH: u64 = 0x0123_4567_89ab_cdef;

/// The row of this number, as the process pushed it.
fn row(n: u64) -> [u64; WORDS] {
    [n, !n, n.rotate_left(17), n ^ 0x5555_5555_5555_5555, n.wrapping_mul(3)]
}

#[test]
fn the_rows_that_were_not_drained_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0.ring");
    let mut ring = MappedRing::open(&path, HASH, WORDS).unwrap();
    let stats = ring.stats();
    assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
    let mut numbers = Vec::new();
    loop {
        let read = ring.read_undrained(usize::MAX, |found| {
            assert_eq!(found, row(found[0]));
            numbers.push(found[0]);
        });
        if read.steps == 0 && read.missed == 0 {
            break;
        }
    }
    let first = stats.added - numbers.len() as u64;
    assert!(numbers.len() + 1 >= stats.len, "{stats:?}, {} rows", numbers.len());
    assert!(numbers.into_iter().eq(first..stats.added));
}

//! Damaged ring files: truncated, bit-flipped, forged and random files are rejected or read in whole rows.

use super::{HASH, PREAMBLE, WORDS, file, label, make, open, push, settings, undrained};
use experience_buffer::{
    BufferSettings, Overflow, create_for,
    ring::{MappedRing, OpenError},
};
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

/// Byte offset of the count of rows whose write has begun.
const BEGUN: usize = 680;

/// The bytes of a ring file as a killed process leaves it.
fn killed_file(capacity: usize, rows: u64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, buffer) = make(&folder, capacity);
    push(&mut writer, 0..rows);
    buffer.drain(1, &mut |_| ());
    fs::read(file(&folder)).unwrap()
}

/// Opens `bytes` as a ring file and reads all rows with every method.
fn read_all(folder: &TempDir, bytes: &[u8]) -> Result<u64, OpenError> {
    let path = folder.path().join("damaged.ring");
    fs::write(&path, bytes).unwrap();
    let mut ring = MappedRing::open(&path, HASH, WORDS)?;
    let mut rows = 0;
    let each = |row: &[u64]| assert_eq!(row.len(), WORDS);
    // Terminates, because each read returns rows or ends the loop.
    loop {
        let read = ring.read_undrained(usize::MAX, each);
        rows += read.steps as u64;
        if read.steps == 0 {
            break;
        }
    }
    let mut reader = ring.reader();
    while reader.read(usize::MAX, each).steps > 0 {}
    reader.seek_back(3);
    reader.read(usize::MAX, each);
    let stats = ring.stats();
    assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
    assert!(rows <= stats.len as u64);
    Ok(rows)
}

#[test]
fn any_changed_byte_of_the_preamble_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let whole = killed_file(4, 9);
    assert_eq!(read_all(&folder, &whole).unwrap(), 3);
    for place in 0..PREAMBLE {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= flip;
            assert!(read_all(&folder, &bytes).is_err(), "byte {place} ^ {flip:#x}");
        }
    }
}

#[test]
fn any_truncated_or_extended_file_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let whole = killed_file(4, 9);
    for len in 0..whole.len() {
        let error = read_all(&folder, &whole[..len]).unwrap_err();
        assert!(
            matches!(error, OpenError::Size { found, .. } if found == len as u64),
            "{len}: {error}"
        );
    }
    for more in [1, 8, 4096] {
        let bytes = [whole.clone(), vec![0; more]].concat();
        assert!(matches!(read_all(&folder, &bytes), Err(OpenError::Size { .. })));
    }
}

/// Sets words of a file, and recomputes the preamble's checksum.
fn forge(whole: &[u8], changes: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for &(place, number) in changes {
        bytes[place..place + 8].copy_from_slice(&number.to_ne_bytes());
    }
    let sum = u64::from(crc32c::crc32c(&bytes[..504]));
    bytes[504..512].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

#[test]
fn open_errors_name_the_file_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let whole = killed_file(4, 9);
    let message = |bytes: &[u8]| {
        let error = read_all(&folder, bytes).unwrap_err().to_string();
        assert!(error.contains("damaged.ring"), "{error}");
        error
    };
    assert!(message(b"PAR1 and so on").contains("is not a ring's file"));
    assert!(message(&whole[..700]).contains("has 700 bytes instead of"));
    assert!(message(&forge(&whole, &[(16, 1)])).contains("has layout 1, and this library knows 2"));
    assert!(message(&forge(&whole, &[(16, 3)])).contains("has layout 3, and this library knows 2"));
    assert!(message(&forge(&whole, &[(8, 0x0807_0605_0403_0201)])).contains("other byte order"));
    assert!(message(&forge(&whole, &[(32, 5)])).contains("the schema 0000000000000005, not of 0123456789abcdef"));
    // Rows of 5 and of 6 words are padded alike, so the files differ in the stored width only.
    let other = {
        let folder = tempfile::tempdir().unwrap();
        let _ring = create_for(&settings(folder.path(), 4), WORDS + 1, label()).unwrap();
        fs::read(file(&folder)).unwrap()
    };
    assert!(message(&other).contains("rows of 6 words, not of 5"));
    let mut flipped = whole.clone();
    flipped[100] = 1;
    assert!(message(&flipped).contains("is damaged"));
    let missing = MappedRing::open(folder.path().join("none.ring"), HASH, WORDS).unwrap_err();
    assert!(missing.to_string().contains("none.ring"), "{missing}");
    assert!(MappedRing::open(folder.path(), HASH, WORDS).is_err(), "a folder");
}

#[test]
fn implausible_sizes_under_a_valid_checksum_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let whole = killed_file(4, 9);
    assert!(
        read_all(&folder, &forge(&whole, &[])).is_ok(),
        "a recomputed checksum is valid"
    );
    for number in [0, 1, 3, 5, 8, 1 << 32, 1 << 60, 1 << 63, u64::MAX] {
        for place in [24, 40, 48, 56] {
            let bytes = forge(&whole, &[(place, number)]);
            assert!(read_all(&folder, &bytes).is_err() || bytes == whole, "{place} {number}");
        }
    }
    // A row width close to the size of the address space, and a stored file size to match.
    let wide = forge(&whole, &[(40, 1 << 58), (48, 1), (24, u64::MAX / 2)]);
    assert!(read_all(&folder, &wide).is_err());
}

#[test]
fn contradictory_counters_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let whole = killed_file(4, 9);
    let with = |changes: &[(usize, u64)]| read_all(&folder, &forge(&whole, changes));
    assert!(with(&[(640, 5)]).is_err(), "fewer pushed than drained");
    assert!(with(&[(640, u64::MAX)]).is_err(), "pushed count out of range");
    assert!(with(&[(768, 10)]).is_err(), "more drained than pushed");
    assert!(with(&[(776, 7)]).is_err(), "missed count exceeds the drain cursor");
    assert!(with(&[(664, u64::MAX)]).is_err(), "rejected count out of range");
    assert!(with(&[(672, 10)]).is_err(), "more hidden than pushed");
    assert!(with(&[(648, 2)]).is_err(), "neither open nor closed");
    assert!(with(&[(BEGUN, 8)]).is_err(), "fewer begun than pushed");
    assert!(with(&[(BEGUN, u64::MAX)]).is_err(), "begun count out of range");
}

#[test]
fn an_interrupted_write_loses_only_the_row_that_it_overwrote() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _buffer) = make(&folder, 64);
    push(&mut writer, 0..100);
    let mut bytes = fs::read(file(&folder)).unwrap();
    // The write of row 100 over row 36 has begun: the count is raised, and one of its words is written.
    assert_eq!(bytes[BEGUN..BEGUN + 8], 100_u64.to_ne_bytes());
    bytes[BEGUN..BEGUN + 8].copy_from_slice(&101_u64.to_ne_bytes());
    bytes[PREAMBLE + 8 * (48 + 36 * 6)] = 0xaa;
    let torn = folder.path().join("torn");
    fs::write(&torn, bytes).unwrap();
    assert_eq!(undrained(&mut open(&torn)), (37, (37..100).collect()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_file_with_a_damaged_body_is_rejected_or_read_in_whole_rows(
        overflow in prop_oneof![Just(Overflow::DropOldest), Just(Overflow::DropNewest)],
        rows in 0..20u64,
        damage in proptest::collection::vec((0..1000usize, prop_oneof![0..40u64, any::<u64>()]), 1..40),
        counters in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = {
            let settings = BufferSettings { overflow, ..settings(folder.path(), 4) };
            let (mut writer, _buffer) = create_for(&settings, WORDS, label()).unwrap();
            push(&mut writer, 0..rows);
            fs::read(file(&folder)).unwrap()
        };
        let first = if counters { PREAMBLE } else { PREAMBLE + 48 * 8 };
        let words = (bytes.len() - first) / 8;
        for (place, word) in damage {
            let at = first + place % words * 8;
            bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
        }
        let read = read_all(&folder, &bytes);
        prop_assert!(counters || read.is_ok(), "the counters are intact: {:?}", read);
    }

    #[test]
    fn random_bytes_are_rejected_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let folder = tempfile::tempdir().unwrap();
        prop_assert!(read_all(&folder, &bytes).is_err());
    }
}

//! Files that are not what they should be.

use super::{HASH, PREAMBLE, WORDS, file, label, make, open, push, settings, undrained};
use experience_buffer::{
    BufferSettings, Overflow, create_for,
    ring::{MappedRing, OpenError},
};
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

/// Where a file says how many rows were begun.
const BEGUN: usize = 680;

/// What a process leaves that was killed in mid-life, as bytes.
fn left_behind(capacity: usize, rows: u64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, buffer) = make(&folder, capacity);
    push(&mut writer, 0..rows);
    buffer.drain(1, &mut |_| ());
    fs::read(file(&folder)).unwrap()
}

/// Opens these bytes as a file, and reads all that there is every way that there is.
fn read_all(folder: &TempDir, bytes: &[u8]) -> Result<u64, OpenError> {
    let path = folder.path().join("damaged.ring");
    fs::write(&path, bytes).unwrap();
    let mut ring = MappedRing::open(&path, HASH, WORDS)?;
    let mut rows = 0;
    let each = |row: &[u64]| assert_eq!(row.len(), WORDS);
    // Each read either gives something or ends, so this ends.
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
fn every_flipped_byte_of_a_preamble_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = left_behind(4, 9);
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
fn every_cut_and_every_addition_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = left_behind(4, 9);
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

/// Sets numbers of a preamble, and its checksum again.
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
fn refusals_name_the_file_the_reason_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let whole = left_behind(4, 9);
    let said = |bytes: &[u8]| {
        let error = read_all(&folder, bytes).unwrap_err().to_string();
        assert!(error.contains("damaged.ring"), "{error}");
        error
    };
    assert!(said(b"PAR1 and so on").contains("is not a ring's file"));
    assert!(said(&whole[..700]).contains("has 700 bytes instead of"));
    assert!(said(&forge(&whole, &[(16, 1)])).contains("has layout 1, and this library knows 2"));
    assert!(said(&forge(&whole, &[(16, 3)])).contains("has layout 3, and this library knows 2"));
    assert!(said(&forge(&whole, &[(8, 0x0807_0605_0403_0201)])).contains("other byte order"));
    assert!(said(&forge(&whole, &[(32, 5)])).contains("the schema 0000000000000005, not of 0123456789abcdef"));
    // Twice as wide and half as many take as much room; only the width tells.
    let other = {
        let folder = tempfile::tempdir().unwrap();
        let _ring = create_for(&settings(folder.path(), 4), WORDS + 1, label()).unwrap();
        fs::read(file(&folder)).unwrap()
    };
    assert!(said(&other).contains("rows of 6 words, not of 5"));
    let mut flipped = whole.clone();
    flipped[100] = 1;
    assert!(said(&flipped).contains("is damaged"));
    let missing = MappedRing::open(folder.path().join("none.ring"), HASH, WORDS).unwrap_err();
    assert!(missing.to_string().contains("none.ring"), "{missing}");
    assert!(MappedRing::open(folder.path(), HASH, WORDS).is_err(), "a folder");
}

#[test]
fn hostile_numbers_under_a_right_checksum_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = left_behind(4, 9);
    assert!(
        read_all(&folder, &forge(&whole, &[])).is_ok(),
        "forging by itself does nothing"
    );
    for number in [0, 1, 3, 5, 8, 1 << 32, 1 << 60, 1 << 63, u64::MAX] {
        for place in [24, 40, 48, 56] {
            let bytes = forge(&whole, &[(place, number)]);
            assert!(read_all(&folder, &bytes).is_err() || bytes == whole, "{place} {number}");
        }
    }
    // A row as wide as the address space, in a file that says it is.
    let wide = forge(&whole, &[(40, 1 << 58), (48, 1), (24, u64::MAX / 2)]);
    assert!(read_all(&folder, &wide).is_err());
}

#[test]
fn counters_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = left_behind(4, 9);
    let with = |changes: &[(usize, u64)]| read_all(&folder, &forge(&whole, changes));
    assert!(with(&[(640, 5)]).is_err(), "fewer pushed than drained");
    assert!(with(&[(640, u64::MAX)]).is_err(), "more pushed than ever will be");
    assert!(with(&[(768, 10)]).is_err(), "more drained than pushed");
    assert!(with(&[(776, 7)]).is_err(), "more missed than passed");
    assert!(with(&[(664, u64::MAX)]).is_err(), "more refused than ever will be");
    assert!(with(&[(672, 10)]).is_err(), "more hidden than pushed");
    assert!(with(&[(648, 2)]).is_err(), "neither open nor closed");
    assert!(with(&[(BEGUN, 8)]).is_err(), "fewer begun than pushed");
    assert!(with(&[(BEGUN, u64::MAX)]).is_err(), "more begun than ever will be");
}

#[test]
fn a_row_that_was_being_written_costs_the_one_that_it_took_the_place_of() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _buffer) = make(&folder, 64);
    push(&mut writer, 0..100);
    let mut bytes = fs::read(file(&folder)).unwrap();
    // Row 100 has begun to overwrite row 36: that is said, and some of its words may be there.
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
    fn whatever_a_body_holds_it_is_refused_or_read_in_whole_rows(
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
        prop_assert!(counters || read.is_ok(), "the counters are whole: {:?}", read);
    }

    #[test]
    fn whatever_a_file_holds_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let folder = tempfile::tempdir().unwrap();
        prop_assert!(read_all(&folder, &bytes).is_err());
    }
}

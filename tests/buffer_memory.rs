//! Buffers that lie elsewhere than on the heap, and files that outlive their process.
#![cfg(not(miri))]

use bevy_experience::{
    buffer::{
        BufferError, BufferKind, BufferPool, BufferSettings, Label, Memory, MemoryUse, Overflow, PlayerBuffers,
        TransitionBuffer, Writer, create, create_for,
        pool::PoolSettings,
        ring::{MappedRing, OpenError, Ring},
    },
    transition::{RunId, StepHeader},
};
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const HASH: u64 = 0x0123_4567_89ab_cdef;
const WORDS: usize = 5;
/// Bytes before the ring in a file.
const PREAMBLE: usize = 512;

fn label() -> Label {
    Label {
        run: RunId::from_bits(0x1234_5678),
        schema_hash: HASH,
        agent_id: -7,
    }
}

fn settings(folder: &Path, capacity: usize) -> BufferSettings {
    BufferSettings {
        capacity,
        memory: Memory::File(folder.to_owned()),
        ..BufferSettings::default()
    }
}

fn make(folder: &TempDir, capacity: usize) -> (Writer, Arc<dyn TransitionBuffer>) {
    create_for(&settings(folder.path(), capacity), WORDS, label()).unwrap()
}

/// A row by which a torn one is known.
fn row(n: u64) -> [u64; WORDS] {
    [n, !n, n.rotate_left(17), n ^ 0x5555_5555_5555_5555, n.wrapping_mul(3)]
}

fn push(writer: &mut Writer, rows: core::ops::Range<u64>) {
    rows.for_each(|n| writer.push(&row(n)).unwrap());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The one file that is there.
fn file(folder: &TempDir) -> PathBuf {
    let files = files(folder.path());
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn open(path: &Path) -> MappedRing {
    MappedRing::open(path, HASH, WORDS).unwrap()
}

fn undrained(ring: &mut MappedRing) -> (u64, Vec<u64>) {
    let (mut seen, mut missed) = (Vec::new(), 0);
    loop {
        let read = ring.read_undrained(usize::MAX, |found| {
            assert_eq!(found, row(found[0]));
            seen.push(found[0]);
        });
        missed += read.missed;
        if read.steps == 0 && read.missed == 0 {
            return (missed, seen);
        }
    }
}

#[test]
fn a_file_says_whose_rows_it_holds_and_gives_them_to_any_number_of_readers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, buffer) = make(&folder, 8);
    push(&mut writer, 0..11);
    buffer.drain(2, &mut |_| ());
    let mut first = open(&file(&folder));
    let mut second = open(&file(&folder));
    assert_eq!((first.label(), first.is_closed()), (label(), false));
    assert_eq!(first.stats(), buffer.stats());
    assert_eq!((first.stats().retrieved, first.stats().dropped), (2, 3));
    assert_eq!(undrained(&mut first), (0, (5..11).collect()));
    // It goes on from where it was, and takes nothing.
    push(&mut writer, 11..13);
    assert_eq!(undrained(&mut first), (0, vec![11, 12]));
    assert_eq!(undrained(&mut second), (0, (5..13).collect()));
    let mut all = Vec::new();
    second.reader().read(usize::MAX, |row| all.push(row[0]));
    assert!(all.into_iter().eq(5..13));
    assert_eq!(buffer.len(), 8);
    buffer.close();
    assert!(first.is_closed());
}

#[test]
fn what_was_hidden_is_among_the_undrained_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _buffer) = make(&folder, 8);
    push(&mut writer, 0..3);
    writer.hide();
    push(&mut writer, 3..4);
    let mut ring = open(&file(&folder));
    assert_eq!(undrained(&mut ring).1, [0, 1, 2, 3]);
    assert_eq!(ring.reader().read(9, |row| assert_eq!(row[0], 3)).steps, 1);
}

#[test]
fn rows_that_were_refused_are_in_the_account_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = BufferSettings {
        overflow: Overflow::DropNewest,
        ..settings(folder.path(), 4)
    };
    let (mut writer, buffer) = create_for(&settings, WORDS, label()).unwrap();
    push(&mut writer, 0..7);
    let mut ring = open(&file(&folder));
    assert_eq!(ring.stats(), buffer.stats());
    assert_eq!(undrained(&mut ring), (3, vec![0, 1, 2, 3]));
}

#[test]
fn a_file_goes_once_its_ring_is_closed_and_drained_and_stays_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, buffer) = make(&folder, 8);
    push(&mut writer, 0..3);
    drop(writer);
    buffer.drain(usize::MAX, &mut |_| ());
    let reader = buffer.reader();
    drop(buffer);
    assert_eq!(files(folder.path()).len(), 1, "a reader still reads it");
    drop(reader);
    assert_eq!(files(folder.path()).len(), 0);

    let (mut writer, buffer) = make(&folder, 8);
    push(&mut writer, 0..3);
    drop((writer, buffer));
    let mut left = open(&file(&folder));
    assert!(left.is_closed());
    assert_eq!(undrained(&mut left).1, [0, 1, 2], "nobody had drained them");
    drop(left);
    assert_eq!(files(folder.path()).len(), 1, "who only reads removes nothing");
}

#[test]
fn names_are_numbers_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let rings: Vec<_> = (0..3).map(|_| make(&folder, 2)).collect();
    let files = files(folder.path());
    assert_eq!(files.len(), 3);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with("12345678-") && name.ends_with("-fffffffffffffff9.ring"),
            "{name}"
        );
    }
    drop(rings);
}

#[test]
fn what_a_killed_run_of_the_same_number_left_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    // The names that this process would take next, whichever they are.
    let taken: Vec<_> = (0..500)
        .map(|counter| {
            let end = if counter % 2 == 0 { "ring" } else { "draft" };
            let name = format!("12345678-{counter:x}-fffffffffffffff9.{end}");
            folder.path().join(name)
        })
        .collect();
    taken.iter().for_each(|path| fs::write(path, "theirs").unwrap());
    let ring = make(&folder, 2);
    assert_eq!(files(folder.path()).len(), taken.len() + 1);
    drop(ring);
    for path in taken {
        assert_eq!(fs::read(path).unwrap(), b"theirs");
    }
}

#[cfg(unix)]
#[test]
fn all_of_a_file_is_reserved_when_it_is_made() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let _ring = make(&folder, 1 << 14);
    let about = fs::metadata(file(&folder)).unwrap();
    assert_eq!(about.len(), PREAMBLE as u64 + 8 * (50 + (1 << 14) * 6 - 1));
    assert!(about.blocks() * 512 >= about.len(), "{} blocks", about.blocks());
}

#[test]
fn a_folder_is_made_and_tried_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    Memory::File(inner.clone()).prepare().unwrap();
    assert_eq!(files(&inner).len(), 0, "and the trial is gone");
    let occupied = folder.path().join("c");
    fs::write(&occupied, "").unwrap();
    let error = Memory::File(occupied).prepare().unwrap_err();
    assert!(error.to_string().contains("name another"), "{error}");
}

#[test]
fn kinds_refuse_memory_that_they_cannot_have() {
    let folder = tempfile::tempdir().unwrap();
    let file = || Memory::File(folder.path().to_owned());
    for (kind, memory, huge_pages) in [
        (BufferKind::Queue, file(), false),
        (BufferKind::Mutex, file(), false),
        (BufferKind::Mutex, Memory::Numa, false),
        (BufferKind::Mutex, Memory::Heap, true),
        (BufferKind::Ring, file(), true),
    ] {
        let settings = BufferSettings {
            kind,
            memory,
            huge_pages,
            ..BufferSettings::default()
        };
        let error = create(&settings, WORDS).unwrap_err();
        assert!(
            matches!(error, BufferError::Unplaceable { .. }),
            "{settings:?}: {error}"
        );
        assert_eq!(PlayerBuffers::new(settings, WORDS).unwrap_err(), error);
    }
    assert_eq!(files(folder.path()).len(), 0);
}

#[test]
fn statistics_say_what_lies_where() {
    let folder = tempfile::tempdir().unwrap();
    let stats = |kind, memory, huge_pages, capacity| {
        let settings = BufferSettings {
            kind,
            capacity,
            memory,
            huge_pages,
            ..BufferSettings::default()
        };
        let players = PlayerBuffers::new(settings, WORDS).unwrap();
        let _one = players.open(1).unwrap();
        let one = players.stats().memory;
        let _two = players.open(2).unwrap();
        assert_eq!(players.stats().memory.total(), 2 * one.total(), "the sum of all");
        one
    };
    // 49 words before the cells, and cells of a stamp and five words.
    let ring = 8 * (49 + 64 * 6);
    let heap = |heap| MemoryUse {
        heap,
        ..MemoryUse::default()
    };
    assert_eq!(stats(BufferKind::Ring, Memory::Heap, false, 64), heap(ring));
    assert_eq!(stats(BufferKind::Mutex, Memory::Heap, false, 64), heap(8 * 64 * 6));
    let file = stats(BufferKind::Ring, Memory::File(folder.path().to_owned()), false, 64);
    assert_eq!((file.file, file.total()), (ring + PREAMBLE, ring + PREAMBLE));
    for kind in [BufferKind::Ring, BufferKind::Queue] {
        let numa = stats(kind, Memory::Numa, false, 64);
        assert_eq!(numa.heap + numa.file, 0, "{numa:?}");
        assert!(numa.numa == 0 || numa.unbound == 0, "one or the other: {numa:?}");
        // Too small for even one.
        assert_eq!(stats(kind, Memory::Heap, true, 64).huge_pages, 0);
        let large = stats(kind, Memory::Heap, true, 1 << 18);
        assert!(large.huge_pages <= large.heap, "{large:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn huge_pages_are_counted_where_the_system_has_them() {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let settings = BufferSettings {
        capacity: 1 << 18,
        huge_pages: true,
        ..BufferSettings::default()
    };
    let (mut writer, buffer) = create(&settings, WORDS).unwrap();
    push(&mut writer, 0..1 << 18);
    let memory = buffer.stats().memory;
    if enabled.is_empty() || enabled.contains("[never]") {
        assert_eq!(memory.huge_pages, 0);
    } else {
        assert!(memory.huge_pages > memory.heap / 2, "{memory:?}");
    }
    assert_eq!(
        buffer
            .drain(usize::MAX, &mut |found| assert_eq!(found, row(found[0])))
            .steps,
        1 << 18
    );
}

#[test]
fn a_pool_lies_in_files_too_and_numbers_its_shards() {
    const WIDE: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let settings = PoolSettings {
        bytes: 1 << 14,
        shards: 3,
        memory: Memory::File(folder.path().to_owned()),
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::with_label(&settings, WIDE, label()).unwrap();
    assert_eq!(pool.stats().memory.file, pool.bytes());
    assert!(pool.bytes() <= settings.bytes);
    let mut players: Vec<_> = (0..20).map(|agent_id| pool.handle(agent_id)).collect();
    for (agent_id, player) in (0..).zip(&mut players) {
        let mut row = [0; WIDE];
        StepHeader::of_mut(&mut row).agent_id = agent_id;
        writer.push(player, &row).unwrap();
    }
    let mut rings: Vec<_> = files(folder.path())
        .iter()
        .map(|path| MappedRing::open(path, HASH, WIDE).unwrap())
        .collect();
    rings.sort_by_key(|ring| ring.label().agent_id);
    let numbers: Vec<_> = rings.iter().map(|ring| ring.label().agent_id).collect();
    assert!(numbers.into_iter().eq(0..pool.shards().len() as i64));
    let mut seen = Vec::new();
    for ring in &mut rings {
        ring.read_undrained(usize::MAX, |row| seen.push(StepHeader::of(row).agent_id));
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..20));
    drop(writer);
    for shard in pool.shards() {
        shard.drain(usize::MAX, &mut |_| ());
    }
    drop((pool, rings));
    assert_eq!(files(folder.path()).len(), 0);
}

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
    assert!(said(&forge(&whole, &[(16, 2)])).contains("has layout 2, and this library knows 1"));
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
}

#[test]
fn a_row_that_was_being_written_costs_the_one_that_it_took_the_place_of() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _buffer) = make(&folder, 64);
    push(&mut writer, 0..100);
    let mut bytes = fs::read(file(&folder)).unwrap();
    // Row 100 has begun to overwrite row 36: its stamp is there, and some of its words may be.
    let cell = PREAMBLE + 8 * (49 + 36 * 6);
    assert_eq!(bytes[cell..cell + 8], (2 * 36_u64 + 2).to_ne_bytes());
    bytes[cell..cell + 8].copy_from_slice(&(2 * 100_u64 + 1).to_ne_bytes());
    bytes[cell + 8] = 0xaa;
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

/// Where the child of the tests below writes.
const CHILD: &str = "BEVY_EXPERIENCE_TEST_CHILD";
const CHILD_ROWS: usize = 1024;

/// Not a test, but the life of a process: it pushes rows and drains some of them until it is killed.
#[test]
#[ignore = "is started by the tests below, to be killed"]
fn the_life_of_a_child() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let settings = settings(Path::new(&folder), CHILD_ROWS);
    let (mut writer, ring) = Ring::with_label(&settings, WORDS, label()).unwrap();
    for n in 0.. {
        writer.push(&row(n)).unwrap();
        if n % 64 == 63 {
            ring.drain(48, &mut |_| ());
        }
    }
}

/// Not a test, but what a process does that may only make small files.
#[test]
#[ignore = "is started by the test below, with a limit"]
fn the_life_of_a_child_without_room() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let folder = Path::new(&folder);
    let small = create(&settings(folder, 4), WORDS).unwrap();
    let error = create(&settings(folder, 1 << 14), WORDS).unwrap_err();
    assert!(matches!(error, BufferError::File { .. }), "{error}");
    assert!(error.to_string().contains("make room there"), "{error}");
    assert_eq!(files(folder).len(), 1, "nothing is left of it");
    drop(small);
}

#[cfg(unix)]
#[test]
fn a_file_for_which_there_is_no_room_is_refused_when_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    // What a full disk is to the file system, a limit of 64 blocks is to this process, if it ignores the signal.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_life_of_a_child_without_room",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

/// A process that does not outlive the test, however that ends.
struct Doomed(Child);

impl Doomed {
    /// SIGKILL, on Unix: nothing of the process runs any more.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(!status.success(), "it was killed, and did not end by itself");
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a child, and waits until its ring is there and has gone round.
fn child(folder: &TempDir) -> (Doomed, MappedRing) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_life_of_a_child", "--ignored"])
        .env(CHILD, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .map(Doomed)
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ring");
        if let Some(path) = files(folder.path()).into_iter().find(is_whole) {
            let ring = open(&path);
            if ring.stats().added > 3 * CHILD_ROWS as u64 {
                return (child, ring);
            }
        }
        assert!(Instant::now() < deadline, "the child does nothing");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_a_killed_process_pushed_is_there() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        child(&folder).0.kill();
        let mut ring = open(&file(&folder));
        let stats = ring.stats();
        assert!(!ring.is_closed(), "it had no time to");
        assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
        assert!(stats.retrieved > 0 && stats.len > 0, "{stats:?}");
        let (missed, rows) = undrained(&mut ring);
        // One may be lost besides those that were overwritten: that which was being overwritten.
        let accounted = stats.added - stats.len as u64;
        let first = stats.added - rows.len() as u64;
        assert!(rows.len() >= stats.len - 1, "{stats:?}, {} rows", rows.len());
        assert!(rows.iter().copied().eq(first..stats.added), "all to the last, in order");
        assert!(missed >= first - accounted);
        // And again: nobody has taken anything.
        assert_eq!(undrained(&mut open(&file(&folder))).1, rows);
    }
}

#[test]
fn a_living_process_is_read_without_being_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut ring) = child(&folder);
    let mut reader = ring.reader();
    let (mut read, mut missed, mut last) = (0, 0, None);
    let began = reader.position();
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        let part = reader.read(usize::MAX, |found| {
            assert_eq!(found, row(found[0]), "torn");
            assert!(last < Some(found[0]), "in order");
            last = Some(found[0]);
        });
        read += part.steps as u64;
        missed += part.missed;
        assert_eq!(reader.position(), began + read + missed, "each row is read or missed");
        let stats = ring.stats();
        assert_eq!(
            stats.added,
            stats.retrieved + stats.dropped + stats.len as u64,
            "at any moment"
        );
    }
    assert!(read > CHILD_ROWS as u64, "{read}");
    ring.read_undrained(usize::MAX, |found| assert_eq!(found, row(found[0]), "torn"));
    child.kill();
}

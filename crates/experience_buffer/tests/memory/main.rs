//! Buffers in files, on huge pages and on NUMA nodes, and ring files that outlive their process.
#![cfg(not(miri))]

mod damaged;
mod killed;

use experience_buffer::{
    BufferError, BufferKind, BufferPool, BufferSettings, Label, Memory, MemoryUse, Overflow, PlayerBuffers,
    TransitionBuffer, Writer, create, create_for, pool::PoolSettings, ring::MappedRing,
};
use experience_core::transition::{RunId, StepHeader};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
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

/// Row `n`. Each word is a function of `n`, so that a torn row is unequal.
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

/// The only file in `folder`.
fn file(folder: &TempDir) -> PathBuf {
    let files = files(folder.path());
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn open(path: &Path) -> MappedRing {
    MappedRing::open(path, HASH, WORDS).unwrap()
}

/// Rows missed, and the numbers of all undrained rows.
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
fn a_ring_file_has_a_label_and_can_be_opened_more_than_once() {
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
    // The cursor advances, and no row is removed.
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
fn hidden_rows_are_undrained_but_not_read() {
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
fn a_ring_file_counts_discarded_new_rows() {
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
fn a_ring_file_is_deleted_only_if_its_ring_is_closed_and_drained() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, buffer) = make(&folder, 8);
    push(&mut writer, 0..3);
    drop(writer);
    buffer.drain(usize::MAX, &mut |_| ());
    let reader = buffer.reader();
    drop(buffer);
    assert_eq!(files(folder.path()).len(), 1, "a reader holds the ring");
    drop(reader);
    assert_eq!(files(folder.path()).len(), 0);

    let (mut writer, buffer) = make(&folder, 8);
    push(&mut writer, 0..3);
    drop((writer, buffer));
    let mut left = open(&file(&folder));
    assert!(left.is_closed());
    assert_eq!(undrained(&mut left).1, [0, 1, 2], "undrained rows are kept");
    drop(left);
    assert_eq!(files(folder.path()).len(), 1, "an opened file is not deleted");
}

#[test]
fn file_names_hold_run_and_agent_and_are_unique() {
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
fn files_of_a_killed_run_of_the_same_id_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    // The file names that this process would choose next, whatever its counter is.
    let existing: Vec<_> = (0..500)
        .map(|counter| {
            let end = if counter % 2 == 0 { "ring" } else { "builder" };
            let name = format!("12345678-{counter:x}-fffffffffffffff9.{end}");
            folder.path().join(name)
        })
        .collect();
    existing.iter().for_each(|path| fs::write(path, "theirs").unwrap());
    let ring = make(&folder, 2);
    assert_eq!(files(folder.path()).len(), existing.len() + 1);
    drop(ring);
    for path in existing {
        assert_eq!(fs::read(path).unwrap(), b"theirs");
    }
}

#[cfg(unix)]
#[test]
fn the_disk_space_of_a_ring_file_is_reserved_when_it_is_created() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let _ring = make(&folder, 1 << 14);
    let metadata = fs::metadata(file(&folder)).unwrap();
    assert_eq!(metadata.len(), PREAMBLE as u64 + 8 * (48 + (1 << 14) * 6));
    assert!(
        metadata.blocks() * 512 >= metadata.len(),
        "{} blocks",
        metadata.blocks()
    );
}

#[test]
fn prepare_creates_the_folder_and_tests_that_it_is_writable() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    Memory::File(inner.clone()).prepare().unwrap();
    assert_eq!(files(&inner).len(), 0, "the test file is deleted");
    let occupied = folder.path().join("c");
    fs::write(&occupied, "").unwrap();
    let error = Memory::File(occupied).prepare().unwrap_err();
    assert!(error.to_string().contains("choose another folder"), "{error}");
}

#[test]
fn memory_that_a_kind_does_not_support_is_rejected() {
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
            matches!(error, BufferError::UnsupportedMemory { .. }),
            "{settings:?}: {error}"
        );
        assert_eq!(PlayerBuffers::new(settings, WORDS).unwrap_err(), error);
    }
    assert_eq!(files(folder.path()).len(), 0);
}

#[test]
fn stats_count_bytes_by_memory_type() {
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
        assert_eq!(
            players.stats().memory.total(),
            2 * one.total(),
            "the sum over all buffers"
        );
        one
    };
    // 48 words of counters, and rows padded to an even number of words.
    let ring = 8 * (48 + 64 * 6);
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
        assert!(
            numa.numa == 0 || numa.unbound == 0,
            "all bytes are bound or none is: {numa:?}"
        );
        // Smaller than one huge page.
        assert_eq!(stats(kind, Memory::Heap, true, 64).huge_pages, 0);
        let large = stats(kind, Memory::Heap, true, 1 << 18);
        assert!(large.huge_pages <= large.heap, "{large:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn huge_pages_are_counted_if_the_system_provides_them() {
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
fn a_pool_in_files_has_one_numbered_ring_file_per_shard() {
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

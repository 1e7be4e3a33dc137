//! Files that fail, and how large they get.

use super::*;
use crate::{BufferKind, TransitionBuffer, Writer, resources::BufferResources, writer::create_with};
use std::{fs::File, path::Path};

const KINDS: [BufferKind; 3] = [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex];
const ROW: usize = 4;
const CAPACITY: usize = 8;
const BLOCK_ROWS: u64 = CAPACITY as u64 / 2;
const BLOCK_BYTES: u64 = BLOCK_ROWS * ROW as u64 * 8;

struct Buffer {
    writer: Writer,
    shared: Arc<dyn TransitionBuffer>,
    file: Arc<SpillFile>,
}

fn buffer(kind: BufferKind, folder: &Path, bytes: u64) -> Buffer {
    let settings = BufferSettings {
        kind,
        capacity: CAPACITY,
        overflow: Overflow::Spill {
            folder: folder.to_owned(),
            bytes,
        },
        ..BufferSettings::default()
    };
    let file = file(&settings, ROW).unwrap().unwrap();
    let resources = BufferResources {
        file: Some(file.clone()),
        ..BufferResources::default()
    };
    let (writer, shared) = create_with(&settings, ROW, resources).unwrap();
    Buffer { writer, shared, file }
}

impl Buffer {
    fn push(&mut self, rows: core::ops::Range<u64>) {
        for number in rows {
            self.writer.push(&[number, !number, 0, number]).unwrap();
        }
    }

    fn drain(&self) -> (u64, Vec<u64>) {
        let mut rows = Vec::new();
        let drained = self.shared.drain(usize::MAX, &mut |row| {
            assert_eq!(row, [row[0], !row[0], 0, row[0]]);
            rows.push(row[0]);
        });
        (drained.missed, rows)
    }

    fn stats(&self) -> BufferStats {
        let stats = self.shared.stats();
        assert_eq!(
            stats.added,
            stats.retrieved + stats.dropped + stats.len as u64,
            "{stats:?}"
        );
        stats
    }
}

#[test]
fn the_file_is_never_larger_than_it_may_be_and_goes_when_it_is_empty() {
    let blocks = 2 * file::KEPT;
    let bytes = blocks * BLOCK_BYTES + BLOCK_BYTES / 2;
    for kind in KINDS {
        let mut buffer = buffer(kind, &std::env::temp_dir(), bytes);
        assert!(buffer.file.file().is_none(), "not before it is needed");
        let mut next = 0;
        for _ in 0..3 {
            for rows in [blocks * BLOCK_ROWS * 2, 5, 100] {
                buffer.push(next..next + rows);
                next += rows;
                let file = buffer.file.file().expect("something is spilled");
                let len = file.metadata().unwrap().len();
                assert!(len > 0 && len <= bytes, "{kind:?}: {len}");
                let in_file = buffer.stats().in_file as u64;
                assert!(
                    in_file > (blocks - 10) * BLOCK_ROWS,
                    "{kind:?}: it is used to its end: {in_file}"
                );
                let mut row = [0; ROW];
                (0..20).for_each(|_| assert!(buffer.shared.pop(&mut row)));
            }
            while buffer.drain().1 != [0; 0] {}
            assert!(buffer.file.file().is_none(), "{kind:?}");
            assert_eq!(buffer.file.free_blocks(), blocks, "{kind:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read only");
    File::create(&path).unwrap();
    for kind in KINDS {
        let mut buffer = buffer(kind, folder.path(), 1 << 20);
        buffer.file.replace_file(File::open(&path).unwrap());
        buffer.push(0..1000);
        let stats = buffer.stats();
        assert_eq!((stats.spilled, stats.in_file), (0, 0), "{kind:?}");
        // What a queue took out to write it, it cannot put back.
        assert!(stats.len as u64 > CAPACITY as u64 - BLOCK_ROWS, "{kind:?}: {stats:?}");
        assert_eq!(stats.dropped, 1000 - stats.len as u64, "{kind:?}");
        assert!(
            stats.spill_errors > 1 && stats.spill_errors <= 1000 / BLOCK_ROWS,
            "tried again and again, and not at every push: {stats:?}"
        );
        assert_eq!(
            buffer.drain(),
            (stats.dropped, (stats.dropped..1000).collect()),
            "{kind:?}"
        );
        // The disk works again.
        buffer.file.replace_file(tempfile::tempfile().unwrap());
        let dropped = buffer.stats().dropped;
        buffer.push(1000..1100);
        let stats = buffer.stats();
        assert!(
            stats.dropped - dropped <= BLOCK_ROWS && stats.in_file > 0,
            "{kind:?}: {stats:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_as_no_file() {
    for kind in KINDS {
        let mut buffer = buffer(kind, &std::env::temp_dir(), 1 << 20);
        buffer
            .file
            .replace_file(File::options().write(true).open("/dev/full").unwrap());
        buffer.push(0..100);
        let stats = buffer.stats();
        assert!(
            stats.spill_errors > 1 && stats.dropped == 100 - stats.len as u64,
            "{kind:?}: {stats:?}"
        );
        assert_eq!(buffer.file.free_blocks(), (1 << 20) / BLOCK_BYTES, "{kind:?}");
    }
}

#[test]
fn what_cannot_be_read_back_is_missed_where_it_was() {
    for kind in KINDS {
        let mut buffer = buffer(kind, &std::env::temp_dir(), 1 << 20);
        buffer.push(0..16);
        assert_eq!(buffer.stats().in_file, 8);
        let file = buffer.file.file().unwrap();
        file.set_len(BLOCK_BYTES + BLOCK_BYTES / 2).unwrap();
        assert_eq!(buffer.drain(), (0, vec![0, 1, 2, 3]), "{kind:?}");
        assert_eq!(buffer.drain(), (4, (8..16).collect()), "{kind:?}");
        let stats = buffer.stats();
        assert_eq!(
            (stats.dropped, stats.retrieved, stats.spill_errors),
            (4, 12, 1),
            "{kind:?}"
        );
        assert_eq!(buffer.drain(), (0, vec![]), "{kind:?}");
        assert_eq!(buffer.file.free_blocks(), (1 << 20) / BLOCK_BYTES, "{kind:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_goes_before_the_file_is_made_is_counted() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let mut buffer = buffer(kind, folder.path(), 1 << 20);
        drop(folder);
        buffer.push(0..100);
        let stats = buffer.stats();
        assert_eq!((stats.len, stats.dropped, stats.spilled), (8, 92, 0), "{kind:?}");
        assert!(stats.spill_errors > 1 && stats.spill_errors < 30, "{kind:?}: {stats:?}");
    }
}

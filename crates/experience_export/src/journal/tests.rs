//! Round trips through a journal, with faults of the disk at every operation.

use super::*;
use crate::{
    disk::faults::{Fault, Faults},
    sink::RunLabel,
};
use experience_core::{
    schema::{Column, Schema},
    transition::{EndReason, RunId, WordTable},
};
use std::{fs, path::Path, sync::Arc};

const FRAMES: i64 = 5;
const WORDS: usize = 10;

fn owner() -> Owner {
    Owner {
        label: RunLabel::default(),
        run: RunId::from_bits(7),
        schema: Schema::new("test")
            .with_observation([Column::feature("x")])
            .into_shared(),
        tick_rate: Some(60.0),
        started: 5.0,
        rings: None,
    }
}

fn create(folder: &Path, segment_bytes: u64) -> io::Result<Journal> {
    let settings = JournalSettings {
        segment_bytes,
        fsync: Fsync::EveryFlush, // at each `sync_if_due`
        ..JournalSettings::default()
    };
    Journal::create(folder, owner(), Arc::default(), settings)
}

fn rows(frame: i64) -> [u64; WORDS] {
    core::array::from_fn(|word| (frame as u64) << 32 | word as u64)
}

/// Appends one frame with the rows of one episode.
fn append(journal: &mut Journal, frame: i64) -> io::Result<Extent> {
    journal.begin()?;
    let extent = journal.put_rows(frame, &rows(frame));
    journal.commit()?;
    Ok(extent)
}

/// Episodes whose rows are in the journal, in order. Checks that their rows are right.
fn episodes(folder: &Path) -> (Vec<i64>, JournalReader) {
    let mut found = Vec::new();
    let reader = JournalReader::read(folder, |_, record| {
        if let Record::Rows {
            episode_id,
            rows: bytes,
        } = record
        {
            assert_eq!(bytes, bytemuck::cast_slice::<_, u8>(&rows(episode_id)));
            found.push(episode_id);
        }
    })
    .unwrap();
    (found, reader)
}

fn segments(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn records_are_read_in_the_order_in_which_they_were_put() {
    let folder = tempfile::tempdir().unwrap();
    let words = Arc::<WordTable>::default();
    let code = words.reason_code(&EndReason::from("fell off the world"));
    let mut journal = Journal::create(folder.path(), owner(), words, JournalSettings::default()).unwrap();
    journal.begin().unwrap();
    let put = [
        Record::Open {
            episode_id: 1,
            captured_as: 2,
            agent_id: -3,
            continues: None,
        },
        Record::Close {
            episode_id: 1,
            terminated: true,
            reason: "fell off the world",
            end: &[],
        },
        Record::Discard { captured_as: 9 },
        Record::Counts(Counts {
            recorded: 4,
            ..Counts::default()
        }),
    ];
    put.iter().for_each(|record| journal.put(record));
    journal.commit().unwrap();
    let (mut at, mut heads, mut known) = (0, 0, false);
    let reader = JournalReader::read(folder.path(), |_, record| match record {
        Record::Head(head) => {
            heads += 1;
            assert_eq!(head.schema_hash, owner().schema.hash());
            let schema: Schema = serde_json::from_str(head.schema).unwrap();
            assert_eq!(schema.hash(), head.schema_hash);
        }
        Record::MarksReleases => {}
        Record::Word { code: found, word } => known |= found == code && word == "fell off the world",
        record => {
            assert_eq!(record, put[at]);
            at += 1;
        }
    })
    .unwrap();
    assert_eq!((at, heads, known), (put.len(), 1, true));
    assert_eq!((reader.missing, reader.damage.len()), (0, 0));
}

#[test]
fn rows_are_read_back_from_any_segment_and_refused_when_they_are_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = create(folder.path(), 1).unwrap();
    let extents: Vec<_> = (0..FRAMES).map(|frame| append(&mut journal, frame).unwrap()).collect();
    assert!(segments(folder.path()) > 1);
    let mut back = journal.segments();
    for frame in [3, 0, 4, 1] {
        let mut found = vec![u64::MAX];
        back.read(&extents[frame as usize], &mut found).unwrap();
        assert_eq!((found[0], &found[1..]), (u64::MAX, &rows(frame)[..]));
    }
    let damaged = extents[2];
    let path = extent::path(folder.path(), damaged.segment);
    let mut bytes = fs::read(&path).unwrap();
    bytes[damaged.offset as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut found = vec![u64::MAX];
    assert!(journal.segments().read(&damaged, &mut found).is_err());
    assert_eq!(found, [u64::MAX], "what could not be read left nothing");
}

#[test]
fn every_segment_holds_the_label() {
    let folder = tempfile::tempdir().unwrap();
    let label = RunLabel {
        seed: Some(7),
        build: Some("1.2".to_owned()),
    };
    let owner = Owner {
        label: label.clone(),
        ..owner()
    };
    let settings = JournalSettings {
        segment_bytes: 1,
        ..JournalSettings::default()
    };
    let mut journal = Journal::create(folder.path(), owner, Arc::default(), settings).unwrap();
    for frame in 0..FRAMES {
        append(&mut journal, frame).unwrap();
    }
    let (found, reader) = episodes(folder.path());
    assert_eq!((found.len(), reader.missing), (FRAMES as usize, 0));
    for segment in 0..segments(folder.path()) {
        let bytes = fs::read(segment_path(folder.path(), segment as u32)).unwrap();
        let mut labels = Vec::new();
        JournalReader::read_segment(&bytes, |_, record| {
            if let Record::Label { seed, build } = record {
                labels.push(RunLabel {
                    seed,
                    build: build.map(str::to_owned),
                });
            }
        })
        .unwrap();
        assert_eq!(labels, core::slice::from_ref(&label), "segment {segment}");
    }
}

#[test]
fn segments_go_oldest_first_and_never_the_one_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = create(folder.path(), 1).unwrap();
    let extents: Vec<_> = (0..FRAMES).map(|frame| append(&mut journal, frame).unwrap()).collect();
    journal.release(extents[2].segment).unwrap();
    assert_eq!(episodes(folder.path()).0, [2, 3, 4]);
    journal.release(u32::MAX).unwrap();
    assert_eq!(episodes(folder.path()).0, [4]);
    append(&mut journal, 5).unwrap();
    assert_eq!(episodes(folder.path()).0, [4, 5]);
}

/// Appends all frames to segments of their own, and releases all but the last two after each. A failure is retried once. Returns the
/// frames that were committed and not released.
fn append_and_release(folder: &Path, fsync: Fsync, faults: &Faults) -> Vec<i64> {
    let settings = JournalSettings {
        segment_bytes: 1,
        fsync,
        ..JournalSettings::default()
    };
    let begin = || Journal::create(folder, owner(), Arc::default(), settings.clone());
    let mut journal = begin();
    if journal.is_err() {
        faults.free_space();
        let _ = fs::remove_dir_all(folder);
        journal = begin();
    }
    let Ok(mut journal) = journal else { return Vec::new() };
    let mut kept = Vec::new();
    for frame in 0..FRAMES {
        let mut appended = append(&mut journal, frame);
        if appended.is_err() {
            faults.free_space();
            appended = append(&mut journal, frame);
        }
        if let Ok(extent) = appended {
            kept.push((frame, extent.segment));
        }
        kept.drain(..kept.len().saturating_sub(2));
        if let Some((_, needed)) = kept.first()
            && journal.release(*needed).is_err()
        {
            let _ = journal.release(*needed);
        }
    }
    kept.into_iter().map(|(frame, _)| frame).collect()
}

#[test]
fn a_released_segment_is_not_missing_at_any_moment() {
    for fsync in [Fsync::EveryFlush, Fsync::Never] {
        let operations = Faults::count(|| {
            let folder = tempfile::tempdir().unwrap();
            append_and_release(&folder.path().join("journal"), fsync, &Faults::idle());
        });
        for fault in Fault::ALL {
            if fault == Fault::PowerLoss && fsync == Fsync::Never {
                continue;
            }
            for (at, operation) in operations.iter().enumerate() {
                let folder = tempfile::tempdir().unwrap();
                let folder = folder.path().join("journal");
                let faults = Faults::plan(at, fault);
                let kept = append_and_release(&folder, fsync, &faults);
                assert!(faults.struck());
                drop(faults);
                let what = format!("{fault:?} at {operation:?}, {fsync:?}");
                let (found, reader) = episodes(&folder);
                assert_eq!((reader.absent_segments, reader.absent), (0, 0), "{what}: {found:?}");
                if !matches!(fault, Fault::PowerLoss) && (fsync, fault) != (Fsync::Never, Fault::Lost) {
                    assert!(
                        kept.iter().all(|frame| found.contains(frame)),
                        "{what}: {found:?}, not {kept:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_release_that_is_interrupted_brings_no_discarded_episode_back() {
    let begin = |folder: &Path| {
        let mut journal = create(folder, 1).unwrap();
        append(&mut journal, 0).unwrap();
        append(&mut journal, 1).unwrap();
        journal.begin().unwrap();
        journal.put(&Record::Discard { captured_as: 0 });
        journal.commit().unwrap();
        let kept = append(&mut journal, 2).unwrap();
        (journal, kept.segment)
    };
    let operations = {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, needed) = begin(folder.path());
        Faults::count(|| journal.release(needed).unwrap())
    };
    assert!(operations.len() > 2, "{operations:?}");
    for fault in [Fault::Refused, Fault::Killed] {
        for (at, operation) in operations.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let (mut journal, needed) = begin(folder.path());
            let faults = Faults::plan(at, fault);
            let _ = journal.release(needed);
            drop(faults);
            let (mut rows, mut discards) = (Vec::new(), Vec::new());
            let reader = JournalReader::read(folder.path(), |_, record| match record {
                Record::Rows { episode_id, .. } => rows.push(episode_id),
                Record::Discard { captured_as } => discards.push(captured_as),
                _ => {}
            })
            .unwrap();
            let what = format!("{fault:?} at {operation:?}");
            // Episode 0 is there with its discard, or neither is.
            match discards[..] {
                [0] => assert_eq!(rows, [0, 1, 2], "{what}"),
                _ => assert_eq!((&rows[..], &discards[..]), (&[2][..], &[][..]), "{what}"),
            }
            assert_eq!((reader.absent_segments, reader.absent), (0, 0), "{what}");
        }
    }
}

#[test]
fn a_deleted_segment_is_missing_also_where_it_is_the_first() {
    let folder = tempfile::tempdir().unwrap();
    for released in [0, 2, 3] {
        let folder = folder.path().join(released.to_string());
        let mut journal = create(&folder, 1).unwrap();
        let extents: Vec<_> = (0..FRAMES).map(|frame| append(&mut journal, frame).unwrap()).collect();
        let needed = extents[released].segment;
        journal.release(needed).unwrap();
        let (found, reader) = episodes(&folder);
        assert_eq!(found, (released as i64..FRAMES).collect::<Vec<_>>());
        assert_eq!((reader.absent_segments, reader.missing, reader.damage.len()), (0, 0, 0));
        for end in needed + 1..extents[FRAMES as usize - 1].segment {
            fs::remove_file(segment_path(&folder, end - 1)).unwrap();
            let (_, reader) = episodes(&folder);
            assert_eq!(
                (reader.absent_segments, reader.missing),
                (end - needed, 0),
                "{released}"
            );
        }
        // A gap is known by the numbers of the frames.
        fs::remove_file(segment_path(&folder, extents[FRAMES as usize - 2].segment)).unwrap();
        append(&mut journal, FRAMES).unwrap();
    }
}

#[test]
fn the_mark_of_a_release_is_all_that_is_left_of_large_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = create(folder.path(), 1 << 20).unwrap();
    for frame in 0..1_000 {
        append(&mut journal, frame).unwrap();
    }
    journal.release(u32::MAX).unwrap();
    let sizes = |folder: &Path| -> Vec<u64> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect()
    };
    assert_eq!(sizes(folder.path()), [frame::MARK as u64]);
    journal.release(u32::MAX).unwrap();
    append(&mut journal, 0).unwrap();
    let (found, reader) = episodes(folder.path());
    assert_eq!((found, reader.absent_segments, reader.missing), (vec![0], 0, 0));
    assert_eq!(reader.damage, []);
}

#[test]
fn a_bit_that_is_flipped_in_the_preamble_costs_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = create(folder.path(), 1 << 20).unwrap();
    for frame in 0..FRAMES {
        append(&mut journal, frame).unwrap();
    }
    let path = extent::path(folder.path(), 0);
    let whole = fs::read(&path).unwrap();
    for bit in 0..frame::PREAMBLE * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        let (found, reader) = episodes(folder.path());
        assert_eq!(found, (0..FRAMES).collect::<Vec<_>>(), "bit {bit}");
        let damage: Vec<_> = reader
            .damage
            .iter()
            .map(|damage| (damage.offset, damage.bytes))
            .collect();
        assert_eq!(damage, [(0, frame::PREAMBLE as u64)], "bit {bit}");
    }
    // A later version has other frames.
    let mut bytes = whole;
    bytes[8] = 2;
    bytes[frame::PREAMBLE + 4] ^= 1;
    fs::write(&path, bytes).unwrap();
    let refused = JournalReader::read(folder.path(), |_, _| ()).unwrap_err();
    assert!(matches!(refused, JournalError::Version { found: 2, .. }), "{refused}");
}

/// Outcome of a scenario.
#[derive(Default)]
struct Done {
    /// Frames that were committed, and the locations of their rows.
    committed: Vec<i64>,
    extents: Vec<Extent>,
    /// The committed frames that were synced.
    durable: Vec<i64>,
}

/// Appends all frames, and syncs after every `sync_every`. A failure is retried once.
fn scenario(folder: &Path, segment_bytes: u64, sync_every: i64, faults: &Faults) -> Done {
    let mut done = Done::default();
    let mut journal = create(folder, segment_bytes);
    if journal.is_err() {
        faults.free_space();
        let _ = fs::remove_dir_all(folder);
        journal = create(folder, segment_bytes);
    }
    let Ok(mut journal) = journal else { return done };
    for frame in 0..FRAMES {
        let mut appended = append(&mut journal, frame);
        if appended.is_err() {
            faults.free_space();
            appended = append(&mut journal, frame);
        }
        if let Ok(extent) = appended {
            done.committed.push(frame);
            done.extents.push(extent);
        }
        if frame % sync_every == sync_every - 1 {
            let mut synced = journal.sync_if_due();
            if synced.is_err() {
                faults.free_space();
                synced = journal.sync_if_due();
            }
            if synced.is_ok() {
                done.durable.clone_from(&done.committed);
            }
        }
    }
    done
}

#[test]
fn at_every_moment_the_journal_holds_what_was_committed() {
    for (segment_bytes, sync_every) in [(1, 1), (1, 3), (300, 2), (1 << 20, 1), (1 << 20, 2)] {
        let operations = Faults::count(|| {
            let folder = tempfile::tempdir().unwrap();
            scenario(
                &folder.path().join("journal"),
                segment_bytes,
                sync_every,
                &Faults::idle(),
            );
        });
        assert!(operations.len() > FRAMES as usize, "{operations:?}");
        for fault in Fault::ALL {
            for (at, operation) in operations.iter().enumerate() {
                let folder = tempfile::tempdir().unwrap();
                let folder = folder.path().join("journal");
                let faults = Faults::plan(at, fault);
                let done = scenario(&folder, segment_bytes, sync_every, &faults);
                assert!(faults.struck());
                drop(faults);
                let what = format!("{fault:?} at {operation:?}, {segment_bytes}, {sync_every}");
                check(&folder, fault, &done, &what);
            }
        }
    }
}

fn check(folder: &Path, fault: Fault, done: &Done, what: &str) {
    let (found, reader) = episodes(folder);
    if fault == Fault::PowerLoss {
        // More than the synced frames may be found, without a gap.
        let Done { committed, durable, .. } = done;
        assert!(found.starts_with(durable), "{what}: {found:?}, not {durable:?}");
        assert!(committed.starts_with(&found), "{what}: {found:?}, not of {committed:?}");
        return;
    }
    assert_eq!(found, done.committed, "{what}");
    let mut back = Segments::new(folder);
    for (extent, &frame) in done.extents.iter().zip(&done.committed) {
        let mut read = Vec::new();
        back.read(extent, &mut read)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(read, rows(frame), "{what}");
    }
    if fault != Fault::Killed {
        // The process lives and retries, so every frame is found.
        assert_eq!(done.committed, (0..FRAMES).collect::<Vec<_>>(), "{what}");
        assert_eq!(reader.missing, 0, "{what}");
        assert_eq!(reader.damage, [], "{what}");
        assert!(!done.durable.is_empty(), "{what}");
    }
}

#[test]
fn a_segment_that_another_process_removed_or_replaced_is_reported_once() {
    for is_replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("journal");
        let mut journal = create(&folder, 1 << 20).unwrap();
        append(&mut journal, 0).unwrap();
        if is_replaced {
            let segment = folder.join("00000.journal");
            fs::copy(&segment, folder.join("copy")).unwrap();
            fs::rename(folder.join("copy"), segment).unwrap();
        } else {
            fs::remove_dir_all(&folder).unwrap();
        }
        let error = append(&mut journal, 1).unwrap_err().to_string();
        assert!(error.contains("segment 0"), "{error}");
        append(&mut journal, 1).unwrap();
        append(&mut journal, 2).unwrap();
        let (found, _) = episodes(&folder);
        assert_eq!(found, if is_replaced { vec![0, 1, 2] } else { vec![1, 2] });
    }
}

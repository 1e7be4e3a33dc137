//! Fuzz targets on their seed corpus, and on truncated and mutated seeds: no panic, no hang.

#[path = "../../../fuzz/targets.rs"]
mod targets;

use experience_buffer::{BufferSettings, Label, Memory, create_for};
use experience_core::transition::{RunId, StepHeader, StepKind};
use experience_export::{
    RunLabel,
    journal::{Journal, JournalSettings, Owner, Record},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// The corpus of a target, which lies in the root of the workspace.
fn corpus(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    workspace.join("fuzz/corpus").join(name)
}

/// Runs a target on its seeds, and on about `changes` truncations and mutations of each.
fn run_on_seeds(name: &str, target: fn(&[u8]), changes: usize) {
    let folder = corpus(name);
    let entries = fs::read_dir(&folder).unwrap().map(Result::unwrap);
    // Other files are inputs that the fuzzer has found.
    let is_seed = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("seed");
    let mut seeds: Vec<_> = entries.filter(is_seed).map(|entry| entry.path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} is empty", folder.display());
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        target(&bytes);
        let step = (bytes.len() / changes).max(1);
        for at in (0..bytes.len()).step_by(step) {
            target(&bytes[..at]);
            for change in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                target(&changed);
            }
        }
        // Implausible lengths and counts.
        for at in (0..bytes.len().saturating_sub(8)).step_by(step.max(4)) {
            let mut changed = bytes.clone();
            changed[at..at + 8].fill(0xff);
            target(&changed);
        }
    }
    target(&[]);
}

#[test]
fn mutated_journals_do_not_panic() {
    run_on_seeds("journal", targets::journal, 40);
}

#[test]
fn mutated_ring_files_do_not_panic() {
    run_on_seeds("ring", targets::ring, 150);
}

#[test]
fn mutated_descriptions_do_not_panic() {
    run_on_seeds("experience", targets::experience, 60);
}

#[test]
fn mutated_accounts_do_not_panic() {
    run_on_seeds("account", targets::account, 60);
}

/// A row of the targets' schema.
fn row(kind: StepKind, ordinal: u32) -> Vec<u64> {
    let mut row = vec![0; targets::schema().layout().row_words()];
    let header = StepHeader::of_mut(&mut row);
    *header = StepHeader::new(kind);
    header.ordinal = ordinal;
    header.tick = ordinal.into();
    header.agent_id = 7;
    header.ticks = ordinal.min(1);
    row
}

/// Writes a valid file of each format to `<to>/<target>/seed`.
fn write_seeds(to: &Path) {
    let schema = targets::schema().into_shared();
    let folder = tempfile::tempdir().unwrap();
    let owner = Owner {
        run: RunId::from_bits(2),
        schema: schema.clone(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
        label: RunLabel::default(),
    };
    let mut journal = Journal::create(folder.path(), owner, Arc::default(), JournalSettings::default()).unwrap();
    for half in 0..2 {
        journal.begin().unwrap();
        if half == 0 {
            journal.put(&Record::Open {
                episode_id: RunId::from_bits(2).episode_id(0),
                captured_as: 0,
                agent_id: 7,
                continues: None,
            });
        }
        let rows = [
            row(
                if half == 0 {
                    StepKind::Begin
                } else {
                    StepKind::Transition
                },
                half * 2,
            ),
            row(StepKind::Transition, half * 2 + 1),
        ];
        let _ = journal.put_rows(RunId::from_bits(2).episode_id(0), &rows.concat());
        journal.commit().unwrap();
    }
    journal.begin().unwrap();
    journal.put(&Record::Close {
        episode_id: RunId::from_bits(2).episode_id(0),
        terminated: true,
        reason: "goal",
        end: &[],
    });
    journal.commit().unwrap();
    let copy = |from: &Path, name: &str| {
        fs::create_dir_all(to.join(name)).unwrap();
        fs::copy(from, to.join(name).join("seed")).unwrap();
    };
    copy(&folder.path().join("00000.journal"), "journal");

    let rings = tempfile::tempdir().unwrap();
    let settings = BufferSettings {
        capacity: 4,
        memory: Memory::File(rings.path().to_owned()),
        ..BufferSettings::default()
    };
    let label = Label {
        schema_hash: schema.hash(),
        agent_id: 7,
        ..Label::default()
    };
    let (mut writer, _buffer) = create_for(&settings, schema.layout().row_words(), label).unwrap();
    for ordinal in 0..6 {
        writer.push(&row(StepKind::Transition, ordinal)).unwrap();
    }
    copy(&fs::read_dir(&rings).unwrap().next().unwrap().unwrap().path(), "ring");

    let root = tempfile::tempdir().unwrap();
    targets::write_empty_dataset(root.path());
    copy(&root.path().join("p/experience.json"), "experience");
    copy(&root.path().join("p/runs/00000001.json"), "account");
}

/// After a change of a format, `UPDATE_SEEDS=1 cargo test -p experience_dataset --test fuzz_seeds` writes new seeds.
#[test]
fn seeds_have_the_current_formats() {
    let made = tempfile::tempdir().unwrap();
    write_seeds(made.path());
    if std::env::var_os("UPDATE_SEEDS").is_some() {
        write_seeds(&corpus(""));
    }
    for name in ["journal", "ring"] {
        let (made, kept) = (
            fs::read(made.path().join(name).join("seed")).unwrap(),
            fs::read(corpus(name).join("seed")).unwrap(),
        );
        assert_eq!(
            made.len(),
            kept.len(),
            "the format of `{name}` has changed: update the seeds with `UPDATE_SEEDS=1`"
        );
    }
}

#[test]
fn a_journal_of_maximal_frame_lengths_is_read_in_bounded_time() {
    let mut bytes = fs::read(corpus("journal").join("seed")).unwrap();
    // Headers of frames of the maximal length, one after another.
    for _ in 0..1 << 15 {
        bytes.extend([0, 0, 0, 0x3f, 1, 2, 3, 4]);
    }
    let begun = Instant::now();
    targets::journal(&bytes);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

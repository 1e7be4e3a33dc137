//! Files that version 0.1.0 wrote: a finished run, and the journal of a killed process.
//!
//! The fixtures are of the arena example: `--players 2 --seed 11 --ticks 150`, and `--players 2 --seed 12 --realtime`, killed
//! after three seconds.

use experience_core::transition::{EndReason, Episode};
use experience_dataset::{Dataset, RecoverSettings, RunStatus};
use std::{fs, path::Path};
use tempfile::{TempDir, tempdir};

/// A copy of a fixture: recovery writes to it.
fn copy_of(fixture: &str) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let root = tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0");
    copy(&fixtures.join(fixture), root.path());
    // The killed process left this folder empty, which a repository does not store.
    fs::create_dir_all(root.path().join("fighter/data")).unwrap();
    root
}

#[test]
fn a_finished_run_is_read_and_valid() {
    let root = copy_of("finished");
    let dataset = Dataset::open(root.path()).unwrap();
    let fighter = dataset.recording("fighter").unwrap();
    let violations = fighter.validate(&mut |_| ()).unwrap().violations;
    assert!(violations.is_empty(), "{violations:?}");
    let stats = fighter.stats().unwrap();
    let run = &fighter.runs().unwrap()[0];
    assert_eq!(run.status, RunStatus::Closed);
    assert_eq!(stats.transitions, run.account.exported);
    assert_eq!((stats.transitions, stats.episodes), (298, 2));
}

#[test]
fn the_journal_of_a_killed_process_is_recovered() {
    let root = copy_of("killed");
    let dataset = Dataset::open(root.path()).unwrap();
    let recovered = dataset.recover(&RecoverSettings::default()).unwrap().remove(0).recovery;
    assert!(recovered.failed.is_empty(), "{recovered:?}");
    assert_eq!(recovered.recovered[0].lost, 0);
    let dataset = Dataset::open(root.path()).unwrap();
    let fighter = dataset.recording("fighter").unwrap();
    let violations = fighter.validate(&mut |_| ()).unwrap().violations;
    assert!(violations.is_empty(), "{violations:?}");
    let episodes: Vec<_> = fighter.episodes().map(Result::unwrap).collect();
    assert_eq!(episodes.iter().map(Episode::len).sum::<usize>(), 240);
    assert!(episodes.iter().any(|episode| episode.reason() == &EndReason::CRASH));
}

#[test]
fn shards_that_a_killed_process_was_writing_are_removed() {
    let root = copy_of("killed");
    let fighter = root.path().join("fighter");
    let [data, partial] = ["data", "partial"].map(|part| fighter.join(part));
    fs::create_dir(&partial).unwrap();
    // Version 0.1.0 wrote unfinished shards to the folder of the finished ones.
    fs::write(data.join("0f91225a-00003.parquet.tmp"), "half").unwrap();
    fs::write(partial.join("0f91225a-00004.parquet.tmp"), "half").unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let unfinished = |dataset: &Dataset| dataset.recording("fighter").unwrap().overview().unwrap().unfinished;
    assert_eq!(unfinished(&dataset).len(), 2);
    let recovered = dataset.recover(&RecoverSettings::default()).unwrap().remove(0).recovery;
    assert!(recovered.failed.is_empty(), "{recovered:?}");
    assert!(unfinished(&dataset).is_empty());
    assert!(!partial.exists());
    let names: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    // Their indexes are not used again.
    assert_eq!(names, ["0f91225a-00005.parquet"]);
}

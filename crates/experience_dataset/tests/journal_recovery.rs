//! Recovery from the journal of a killed process: of the backlog of a blocked `DatasetSink`, and of the account of a failing one.

#[path = "../../experience_export/tests/support/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of the harness")]
mod harness;

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use experience_buffer::BufferKind;
use experience_core::{account::RunReport, transition::Episode};
use experience_dataset::{Dataset, DatasetSink, RecoverSettings, RunAccount};
use experience_export::{
    RecordingInfo, RetrySettings, RunLabel, Sink, SinkError,
    journal::{JournalReader, Record},
};
use harness::{ExportHarness, Gate, GatedSink, TIMEOUT, settings, wait_until};
use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// A copy of the dataset `root` in the folder beside it, as a process that is killed now leaves it.
fn killed(root: &Path, name: &str) -> PathBuf {
    let copied = root.with_file_name(name);
    // The exporter may delete a file before it is copied.
    wait_until("a copy", || {
        let _ = fs::remove_dir_all(&copied);
        let status = Command::new("cp").arg("-r").arg(root).arg(&copied).status();
        status.unwrap().success()
    });
    copied
}

/// The only run of a dataset.
fn account(root: &Path) -> RunAccount {
    let dataset = Dataset::open(root).unwrap();
    dataset.recording("player").unwrap().runs().unwrap().remove(0)
}

/// A sink that refuses every call after `is_failing` is set.
struct FailingSink {
    inner: DatasetSink,
    is_failing: Arc<AtomicBool>,
}

impl FailingSink {
    fn check_failure(&self) -> Result<(), SinkError> {
        if self.is_failing.load(Ordering::Acquire) {
            return Err(SinkError::Other("it fails".to_owned()));
        }
        Ok(())
    }
}

impl Sink for FailingSink {
    fn describe(&self) -> Cow<'_, str> {
        self.inner.describe()
    }
    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.inner.open(recording)
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.check_failure()?;
        self.inner.write(episodes)
    }
    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.check_failure()?;
        self.inner.flush(report)
    }
    fn durable(&self, taken: u64) -> u64 {
        self.inner.durable(taken)
    }
    fn journal_folder(&self) -> Option<PathBuf> {
        self.inner.journal_folder()
    }
    fn run_label(&self) -> RunLabel {
        self.inner.run_label()
    }
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.inner.close(report)
    }
}

/// The failures that the journals of a dataset state.
fn failures_in_journal(root: &Path) -> u64 {
    let mut found = 0;
    for journal in fs::read_dir(root.join("player/journal")).unwrap() {
        // The exporter may delete a segment before it is read.
        let _ = JournalReader::read(&journal.unwrap().path(), |_, record| {
            if let Record::Failures { failures } = record {
                found = failures;
            }
        });
    }
    found
}

#[test]
fn failures_and_the_label_of_a_run_are_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let is_failing = Arc::<AtomicBool>::default();
    let sink = FailingSink {
        inner: DatasetSink::new(&root).with_seed(7).with_build("1.2"),
        is_failing: is_failing.clone(),
    };
    let mut settings = settings(folder.path(), 1 << 30);
    settings.retry = RetrySettings {
        patience: Duration::ZERO,
        ..RetrySettings::default()
    };
    let journal = settings.journal.as_mut().unwrap();
    (journal.folder, journal.segment_bytes) = (None, 4 << 10);
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink)]);
    wait_until("the journal exists", || root.join("player/journal").exists());
    assert!(harness.play(100, TIMEOUT));
    assert!(harness.exporter.flush(TIMEOUT));
    is_failing.store(true, Ordering::Release);
    assert!(harness.play(100, TIMEOUT));
    wait_until("failures in the journal", || {
        harness.play(1, TIMEOUT) && failures_in_journal(&root) > 2
    });
    let copied = killed(&root, "killed");
    let without_account = killed(&root, "without_account");
    for entry in fs::read_dir(without_account.join("player/runs")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    fs::write(without_account.join("player/runs/.00000007.lock"), "").unwrap();
    assert_eq!(account(&copied).account.failures, 0, "no flush has succeeded since");
    for root in [copied, without_account] {
        let dataset = Dataset::open(&root).unwrap();
        let recovery = &dataset.recover(&RecoverSettings::default()).unwrap()[0].recovery;
        assert_eq!(recovery.recovered.len(), 1, "{recovery:?}");
        let account = account(&root);
        assert!(account.account.failures > 2, "{account:?}");
        assert_eq!((account.seed, account.build.as_deref()), (Some(7), Some("1.2")));
    }
    is_failing.store(false, Ordering::Release);
    harness.exporter.close(TIMEOUT);
}

#[test]
fn the_backlog_of_a_killed_process_is_recovered_completely() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let gate = Gate::default();
    let sink = GatedSink {
        gate: gate.clone(),
        inner: DatasetSink::new(&root),
    };
    let mut settings = settings(folder.path(), 1 << 30);
    settings.journal.as_mut().unwrap().folder = None;
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink)]);
    wait_until("the journal exists", || root.join("player/journal").exists());
    assert!(harness.play(2000, TIMEOUT));
    wait_until("a backlog", || harness.paces()[0].backlog_bytes > 512 << 10);
    assert!(
        !harness.exporter.flush(Duration::from_millis(200)),
        "the sink is blocked"
    );
    let recorded = harness.reports()[0].recorded;
    // A flush writes every row to the journal, even if the sink does not take it. A copy is what a killed process leaves.
    let copied = killed(&root, "copy");
    let recovered = Dataset::open(&copied)
        .unwrap()
        .recover(&RecoverSettings::default())
        .unwrap();
    let recovered = &recovered[0].recovery.recovered[0];
    assert_eq!((recovered.transitions, recovered.lost), (recorded, 0), "{recovered:?}");
    gate.open();
    let reports = harness.close();
    assert_eq!((reports[0].dropped, reports[0].exported), (0, reports[0].recorded));
    assert!(!root.join("player/journal").exists());
    let dataset = Dataset::open(&root).unwrap();
    let validation = dataset.recording("player").unwrap().validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
}

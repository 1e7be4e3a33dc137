//! Recovery of the backlog of a blocked `DatasetSink` from the journal of a killed process.

#[path = "../../experience_export/tests/support/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of the harness")]
mod harness;

use core::time::Duration;
use experience_buffer::BufferKind;
use experience_dataset::{Dataset, DatasetSink, RecoverSettings};
use harness::{ExportHarness, Gate, GatedSink, TIMEOUT, settings, wait_until};

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
    let copied = folder.path().join("copy");
    let status = std::process::Command::new("cp")
        .arg("-r")
        .arg(&root)
        .arg(&copied)
        .status();
    assert!(status.unwrap().success());
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

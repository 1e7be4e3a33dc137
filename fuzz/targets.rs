//! What is fed with anything at all. Here and in `tests/fuzz_seeds.rs` the same.

use experience_buffer::ring::MappedRing;
use experience_core::{
    account::RunReport,
    schema::{Column, Schema},
    transition::RunId,
};
use experience_dataset::{Dataset, DatasetSink, RecoverSettings};
use experience_export::{
    RecordingInfo, Sink,
    journal::{JournalReader, Record},
};
use std::{fs, path::Path, time::SystemTime};

/// The columns of the recordings that are damaged here.
pub fn schema() -> Schema {
    Schema::new("p").with_observation([Column::feature("x")])
}

/// A dataset without episodes, of run 1.
pub fn dataset(root: &Path) {
    let recording = RecordingInfo {
        schema: schema().into_shared(),
        run: RunId::from_bits(1),
        tick_rate: None,
        started: SystemTime::UNIX_EPOCH,
        buffers: None,
    };
    let mut sink = DatasetSink::new(root);
    sink.open(&recording).expect("there is a disk");
    sink.close(&RunReport::default()).expect("there is a disk");
}

/// A segment of a journal: read record by record, and recovered.
pub fn journal(bytes: &[u8]) {
    let mut rows = 0;
    let _ = JournalReader::read_segment(bytes, |_, record| {
        if let Record::Rows { rows: found, .. } = record {
            rows += found.len();
        }
    });
    assert!(rows <= bytes.len(), "nothing is in it twice");
    let root = tempfile::tempdir().expect("there is a disk");
    dataset(root.path());
    let folder = root.path().join("p/journal/00000002");
    fs::create_dir_all(&folder).expect("there is a disk");
    fs::write(folder.join("00000.journal"), bytes).expect("there is a disk");
    let settings = RecoverSettings { include_unclear: true };
    let dataset = Dataset::open(root.path()).expect("it was just made");
    let found = dataset.recover(&settings).expect("what is damaged is no error");
    if found.iter().all(|found| found.recovery.failed.is_empty()) {
        for episode in dataset.recordings()[0].episodes() {
            episode.expect("what was recovered can be read");
        }
    }
}

/// The file of a ring, with a schema and a width that somebody expects.
pub fn ring(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("there is a disk");
    let path = folder.path().join("1-0-0.ring");
    fs::write(&path, bytes).expect("there is a disk");
    let hash = bytes
        .get(32..40)
        .and_then(|hash| Some(u64::from_ne_bytes(hash.try_into().ok()?)));
    let words = bytes
        .get(40..48)
        .and_then(|words| Some(u64::from_ne_bytes(words.try_into().ok()?)));
    let words = words.and_then(|words| usize::try_from(words).ok()).unwrap_or(1);
    let Ok(mut ring) = MappedRing::open(&path, hash.unwrap_or(0), words) else {
        return;
    };
    let mut rows = 0;
    ring.read_undrained(1 << 16, |row| rows += row.len());
    ring.seek_oldest();
    ring.reader().read(1 << 16, |row| rows += row.len());
    let _ = (ring.stats(), ring.label(), ring.is_closed());
}

/// The description of a recording.
pub fn experience(bytes: &[u8]) {
    let root = tempfile::tempdir().expect("there is a disk");
    dataset(root.path());
    fs::write(root.path().join("p/experience.json"), bytes).expect("there is a disk");
    if let Ok(dataset) = Dataset::open(root.path()) {
        look(&dataset);
    }
}

/// The account of a run.
pub fn account(bytes: &[u8]) {
    let root = tempfile::tempdir().expect("there is a disk");
    dataset(root.path());
    fs::write(root.path().join("p/runs/00000001.json"), bytes).expect("there is a disk");
    let dataset = Dataset::open(root.path()).expect("its description is whole");
    look(&dataset);
    let _ = dataset.recover(&RecoverSettings { include_unclear: true });
    look(&dataset);
}

fn look(dataset: &Dataset) {
    for recording in dataset.recordings() {
        let _ = (recording.runs(), recording.overview(), recording.stats());
        let _ = recording.validate(&mut |_| {});
    }
}

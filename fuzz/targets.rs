//! The fuzz targets: one function per file format, each of which reads arbitrary bytes as a file of that format.
//!
//! A target passes if it does not panic, hang or exhaust memory; damaged input is an error or is skipped. The binaries
//! in `fuzz_targets/` run the functions under libFuzzer, and the test `fuzz_seeds` of `experience_dataset` on mutations of the corpus.

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

/// The schema of the recording `p`, whose files the targets replace.
pub fn schema() -> Schema {
    Schema::new("p").with_observation([Column::feature("x")])
}

/// Writes a dataset to `root` with the recording `p`, run 1, and no episodes.
pub fn write_empty_dataset(root: &Path) {
    let recording = RecordingInfo {
        schema: schema().into_shared(),
        run: RunId::from_bits(1),
        tick_rate: None,
        started: SystemTime::UNIX_EPOCH,
        buffers: None,
    };
    let mut sink = DatasetSink::new(root);
    sink.open(&recording).expect("the temporary directory is writable");
    sink.close(&RunReport::default())
        .expect("the temporary directory is writable");
}

/// Reads `bytes` as a journal segment, record by record, and recovers a dataset that contains it.
pub fn journal(bytes: &[u8]) {
    let mut row_bytes = 0;
    let _ = JournalReader::read_segment(bytes, |_, record| {
        if let Record::Rows { rows, .. } = record {
            row_bytes += rows.len();
        }
    });
    assert!(row_bytes <= bytes.len(), "no part of a segment is read twice");
    let root = temporary_directory();
    write_empty_dataset(root.path());
    let folder = root.path().join("p/journal/00000002");
    fs::create_dir_all(&folder).expect("the temporary directory is writable");
    fs::write(folder.join("00000.journal"), bytes).expect("the temporary directory is writable");
    let settings = RecoverSettings {
        include_unclear: true,
        ..RecoverSettings::default()
    };
    let dataset = Dataset::open(root.path()).expect("the dataset is intact");
    let recovered = dataset
        .recover(&settings)
        .expect("recovery of a damaged journal is no error");
    if recovered.iter().all(|recording| recording.recovery.failed.is_empty()) {
        for episode in dataset.recordings()[0].episodes() {
            episode.expect("a recovered episode is readable");
        }
    }
}

/// Opens `bytes` as a ring file and reads its rows. The expected schema hash and row width are those in the file's
/// header, so that the checks behind them are reached.
pub fn ring(bytes: &[u8]) {
    let folder = temporary_directory();
    let path = folder.path().join("1-0-0.ring");
    fs::write(&path, bytes).expect("the temporary directory is writable");
    let word = |at: usize| {
        let word = bytes.get(at..at + 8)?;
        Some(u64::from_ne_bytes(word.try_into().ok()?))
    };
    let schema_hash = word(32).unwrap_or(0);
    let row_words = word(40).and_then(|words| usize::try_from(words).ok()).unwrap_or(1);
    let Ok(mut ring) = MappedRing::open(&path, schema_hash, row_words) else {
        return;
    };
    let mut words = 0;
    ring.read_undrained(1 << 16, |row| words += row.len());
    ring.seek_oldest();
    ring.reader().read(1 << 16, |row| words += row.len());
    let _ = (ring.stats(), ring.label(), ring.is_closed());
}

/// Opens a dataset whose `experience.json`, the description of a recording, is `bytes`.
pub fn experience(bytes: &[u8]) {
    let root = temporary_directory();
    write_empty_dataset(root.path());
    fs::write(root.path().join("p/experience.json"), bytes).expect("the temporary directory is writable");
    if let Ok(dataset) = Dataset::open(root.path()) {
        read_everything(&dataset);
    }
}

/// Opens and recovers a dataset whose `runs/00000001.json`, the account of a run, is `bytes`.
pub fn account(bytes: &[u8]) {
    let root = temporary_directory();
    write_empty_dataset(root.path());
    fs::write(root.path().join("p/runs/00000001.json"), bytes).expect("the temporary directory is writable");
    let dataset = Dataset::open(root.path()).expect("`experience.json` is intact");
    read_everything(&dataset);
    let _ = dataset.recover(&RecoverSettings {
        include_unclear: true,
        ..RecoverSettings::default()
    });
    read_everything(&dataset);
}

fn temporary_directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system has a temporary directory")
}

fn read_everything(dataset: &Dataset) {
    for recording in dataset.recordings() {
        let _ = (recording.runs(), recording.overview(), recording.stats());
        let _ = recording.validate(&mut |_| {});
    }
}

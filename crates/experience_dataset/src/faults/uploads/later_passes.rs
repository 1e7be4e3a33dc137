//! Runs that are over, runs of other hosts, and shards that are gone or cannot be opened.

use super::*;
use crate::{
    RunAccount,
    sink::layout,
    store::{
        client::Put,
        key::{DatasetKey, RecordingFolder},
        upload_state::UploadState,
    },
};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn folder_of(staging_folder: &Path, address: &StoreAddress, run: RunId) -> PathBuf {
    staging::run_root(staging_folder, address, run).join("player")
}

fn open(staging_folder: &Path, address: &StoreAddress, run: RunId) -> (StagedRun, UploadStatus) {
    let status = UploadStatus::default();
    let folder = folder_of(staging_folder, address, run);
    let staged = StagedRun::open(folder, run, plan(address), status.clone()).unwrap();
    (staged, status)
}

fn account_key(address: &StoreAddress, run: RunId) -> String {
    DatasetKey::Account(RecordingFolder::parse("player").unwrap(), run).in_bucket(address)
}

fn stored_account(address: &StoreAddress, run: RunId) -> Option<RunAccount> {
    let json = StoreClient::of(address).unwrap().get(&account_key(address, run)).ok()?;
    Some(serde_json::from_slice(&json).unwrap())
}

fn put_account(address: &StoreAddress, account: &RunAccount) {
    let client = StoreClient::of(address).unwrap();
    client
        .put(&account_key(address, account.run), account.to_json(), Put::Replace)
        .unwrap();
}

/// Records three shards while the store is away, and closes the run.
fn record_offline(staging_folder: &Path, address: &StoreAddress, inner: &Arc<InMemory>) {
    set_store(address, inner, 0, StoreFault::Gone);
    record_and_upload(staging_folder, address, new_run());
    set_store(address, inner, usize::MAX, StoreFault::Refused);
}

fn shards_on_disk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(layout::DATA)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_run_that_is_in_the_store_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    record_and_upload(folder.path(), &address, new_run());
    // As an erasure or the retention of another host edits it.
    let mut edited = stored_account(&address, new_run()).unwrap();
    let name = edited.shards[0].name(new_run()).unwrap();
    edited.begin_deletion(name);
    edited.retire_pending();
    put_account(&address, &edited);
    finish(folder.path(), &address, &inner, "after the edit");
    assert_eq!(stored_account(&address, new_run()).unwrap(), edited);
    assert!(!staging::run_root(folder.path(), &address, new_run()).exists());
}

#[test]
fn retention_leaves_runs_that_another_host_may_still_upload() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    record_and_upload(folder.path(), &address, new_run());
    let mut silent = stored_account(&address, new_run()).unwrap();
    silent.status = RunStatus::Running;
    silent.upload = Some(UploadState {
        heartbeat: 1.0,
        heartbeat_interval: 60.0,
        pending_shards: 1,
        ..UploadState::default()
    });
    put_account(&address, &silent);
    let second = RunId::from_bits(7);
    record_and_upload(folder.path(), &address, second);
    let mut limited = plan(&address);
    limited.keep_bytes = Some(1);
    let path = folder_of(folder.path(), &address, second);
    let mut staged = StagedRun::open(path, second, limited, UploadStatus::default()).unwrap();
    staged.pass().unwrap();
    assert_eq!(stored_account(&address, new_run()).unwrap(), silent);
    assert_eq!(stored_account(&address, second).unwrap().shards.len(), 1);
}

#[test]
fn a_shard_that_is_gone_from_a_run_that_is_over_counts_as_dropped() {
    for is_damaged_first in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (address, inner) = (new_address(), Arc::new(InMemory::new()));
        record_offline(folder.path(), &address, &inner);
        let recording = folder_of(folder.path(), &address, new_run());
        let shards = shards_on_disk(&recording);
        assert_eq!(shards.len(), 3);
        let (mut staged, status) = open(folder.path(), &address, new_run());
        if is_damaged_first {
            fs::write(&shards[1], "damaged").unwrap();
            assert_eq!(staged.pass().unwrap(), Progress::Damaged);
            assert!(status.last_error().is_some_and(|error| error.contains("is damaged")));
            assert_eq!(staged.pass().unwrap(), Progress::Damaged);
            assert!(status.last_error().is_some());
        }
        fs::remove_file(&shards[1]).unwrap();
        assert_eq!(staged.pass().unwrap(), Progress::Complete);
        assert_eq!(status.last_error(), None);
        let stored = stored_account(&address, new_run()).unwrap();
        assert_eq!(
            (stored.status, stored.upload, stored.shards.len()),
            (RunStatus::Closed, None, 2)
        );
        let counts = &stored.account;
        assert_eq!(
            (counts.recorded, counts.exported, counts.dropped, counts.missing),
            (30, 20, 10, 10)
        );
        // Counted once, also by another process.
        assert_eq!(
            open(folder.path(), &address, new_run()).0.pass().unwrap(),
            Progress::Complete
        );
        assert_eq!(RunAccount::read(&recording, new_run()).unwrap().account, stored.account);
    }
}

#[test]
fn the_account_names_each_shard_before_the_next_is_uploaded() {
    let mut listed = BTreeSet::new();
    for at in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let (address, inner) = (new_address(), Arc::new(InMemory::new()));
        record_offline(folder.path(), &address, &inner);
        set_store(&address, &inner, at, StoreFault::Gone);
        let _ = open(folder.path(), &address, new_run()).0.pass();
        set_store(&address, &inner, usize::MAX, StoreFault::Refused);
        let named = stored_account(&address, new_run()).map_or(0, |account| account.shards.len());
        let left = shards_on_disk(&folder_of(folder.path(), &address, new_run())).len();
        assert_eq!(named + left, 3, "request {at}");
        listed.insert(named);
    }
    assert_eq!(listed, BTreeSet::from([0, 1, 2, 3]));
}

#[cfg(unix)]
#[test]
fn a_shard_that_cannot_be_opened_is_not_damaged_and_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    record_offline(folder.path(), &address, &inner);
    let shards = shards_on_disk(&folder_of(folder.path(), &address, new_run()));
    let kept = folder.path().join("kept");
    fs::rename(&shards[0], &kept).unwrap();
    // A socket exists, and cannot be opened as a file. Its path is limited, so it is renamed.
    let short = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(short.path().join("s")).unwrap();
    fs::rename(short.path().join("s"), &shards[0]).unwrap();
    let (mut staged, _) = open(folder.path(), &address, new_run());
    let error = staged.pass().unwrap_err();
    assert!(!error.is_lasting(), "{error}");
    assert_eq!(stored_account(&address, new_run()).unwrap().shards.len(), 2);
    fs::rename(&kept, &shards[0]).unwrap();
    assert_eq!(staged.pass().unwrap(), Progress::Complete);
    assert_eq!(stored_account(&address, new_run()).unwrap().shards.len(), 3);
}

#[test]
fn the_folder_of_a_run_that_is_starting_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    record_offline(folder.path(), &address, &inner);
    let experience = folder_of(folder.path(), &address, new_run()).join(layout::EXPERIENCE);
    let starting = RunId::from_bits(9);
    let recording = folder_of(folder.path(), &address, starting);
    fs::create_dir_all(&recording).unwrap();
    fs::copy(experience, recording.join(layout::EXPERIENCE)).unwrap();
    let upload = || {
        let folder = staging::address_folder(folder.path(), &address);
        staging::upload_left(&folder, None, &RecoverSettings::default(), &plan(&address), &|| false)
    };
    let result = upload();
    assert_eq!(
        (result.alive, result.failed),
        (vec![(starting, recording.clone())], vec![])
    );
    assert!(recording.join(layout::EXPERIENCE).exists());
    let file = fs::File::options()
        .write(true)
        .open(recording.join(layout::EXPERIENCE))
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(120)).unwrap();
    assert_eq!(upload().completed, [(starting, recording.clone())]);
    assert!(!recording.exists());
}

#[test]
fn the_folder_of_a_run_with_damaged_segments_stays_until_they_are_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    record_offline(folder.path(), &address, &inner);
    set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    let recording = folder_of(folder.path(), &address, new_run());
    let damaged = recording.join(layout::DAMAGED).join(new_run().to_string());
    fs::create_dir_all(&damaged).unwrap();
    fs::write(damaged.join("00000000.segment"), "damaged").unwrap();
    let upload = |discard_damaged| {
        let folder = staging::address_folder(folder.path(), &address);
        let settings = RecoverSettings {
            discard_damaged,
            ..UNCLEAR
        };
        staging::upload_left(&folder, None, &settings, &plan(&address), &|| false)
    };
    for _ in 0..2 {
        let result = upload(false);
        assert_eq!((result.failed, result.completed), (vec![], vec![]));
        assert_eq!(result.kept, [(new_run(), recording.clone())]);
        assert!(damaged.exists());
        assert_eq!(stored_account(&address, new_run()).unwrap().shards.len(), 3);
    }
    assert_eq!(upload(true).completed, [(new_run(), recording.clone())]);
    assert!(!recording.exists());
}

#[test]
fn an_upload_replaces_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    let file = folder.path().join("x.jsonl");
    let to = address.path().join("x.jsonl");
    fs::write(&file, "first").unwrap();
    crate::upload(&file, &to).unwrap();
    fs::write(&file, "second").unwrap();
    let error = crate::upload(&file, &to).unwrap_err().to_string();
    assert!(error.contains("name a new address"), "{error}");
    let stored = StoreClient::of(&address)
        .unwrap()
        .get(&format!("{}/x.jsonl", address.prefix));
    assert_eq!(stored.unwrap(), "first");
}

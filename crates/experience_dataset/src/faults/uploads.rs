//! Faults of an object store, and of the disk, at every operation of an upload; and the death of the process there.

mod faulty_store;
mod later_passes;

use super::{Acknowledged, copy, episode, new_run, recovery::leave_unfinished, schema};
use crate::{
    Dataset, DatasetSink, RecoverSettings, RunStatus,
    store::{
        address::{DatasetAddress, StoreAddress},
        client::StoreClient,
        staged_run::{Progress, StagedRun, UploadPlan},
        staging,
        upload_status::UploadStatus,
    },
};
use experience_core::{
    account::RunReport,
    transition::{Episode, RunId},
};
use experience_export::{
    RecordingInfo, Sink, SinkError,
    disk::faults::{Fault, Faults},
};
use faulty_store::{FAULTS, FaultyStore, StoreFault};
use object_store::memory::InMemory;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Addresses of tests differ, because the clients of buckets are shared by the process.
fn new_address() -> StoreAddress {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let text = format!("memory://bucket{}/games/arena", NEXT.fetch_add(1, Ordering::SeqCst));
    match DatasetAddress::parse(Path::new(&text)) {
        Ok(DatasetAddress::Store(address)) => address,
        other => panic!("{other:?}"),
    }
}

/// No process of a test is alive.
const UNCLEAR: RecoverSettings = RecoverSettings {
    include_unclear: true,
    discard_damaged: false,
};

fn plan(address: &StoreAddress) -> UploadPlan {
    UploadPlan {
        dataset: address.clone(),
        client: StoreClient::of(address).unwrap(),
        heartbeat: Duration::from_secs(60),
        refuse_other_schema: false,
        keep_bytes: None,
    }
}

/// Uses `inner` with a fault at the request `at` for `address`.
fn set_store(address: &StoreAddress, inner: &Arc<InMemory>, at: usize, fault: StoreFault) -> Arc<FaultyStore> {
    let store = Arc::new(FaultyStore {
        inner: inner.clone(),
        requests: AtomicUsize::new(0),
        at,
        fault,
    });
    StoreClient::register(address, store.clone());
    store
}

/// Records three shards to the folder of a run, and uploads after each. Passes that fail are repeated once.
fn record_and_upload(staging_folder: &Path, address: &StoreAddress, run: RunId) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let root = staging::run_root(staging_folder, address, run);
    let schema = schema();
    let mut sink = DatasetSink::new(&root).with_shard_bytes(1).without_recovery();
    let info = RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    if sink.open(&info).or_else(|_| sink.open(&info)).is_err() {
        return acknowledged;
    }
    let recording = root.join("player");
    let Ok(mut staged) = StagedRun::open(recording, run, plan(address), UploadStatus::default()) else {
        return acknowledged;
    };
    let mut upload = || {
        let _ = staged.pass().or_else(|_| staged.pass());
    };
    // What the sink has taken. A worker offers those again that the sink has lost.
    let mut taken: Vec<Episode> = Vec::new();
    for pair in 0..3 {
        let episodes = [pair * 2, pair * 2 + 1].map(|number| episode(&schema, run, number, 1));
        acknowledged.report.recorded += 10;
        let mut offered = episodes.to_vec();
        let mut is_taken = false;
        for _ in 0..3 {
            let written = sink.write(&offered);
            if written.is_ok() {
                taken.append(&mut offered);
                is_taken = true;
                break;
            }
            if matches!(written, Err(SinkError::Lost { .. })) {
                let mut lost = taken.split_off(sink.durable(taken.len() as u64) as usize);
                lost.append(&mut offered);
                offered = lost;
            }
        }
        if !is_taken {
            acknowledged.report.dropped += 10;
            continue;
        }
        acknowledged.report.exported += 10;
        acknowledged.report.episodes += 2;
        let report = acknowledged.report.clone();
        for _ in 0..3 {
            match sink.flush(&report) {
                Ok(()) => {
                    acknowledged
                        .visible
                        .extend(taken.iter().map(|episode| episode.info().episode_id));
                    break;
                }
                Err(SinkError::Lost { .. }) => {
                    let lost = taken.split_off(sink.durable(taken.len() as u64) as usize);
                    if sink.write(&lost).is_ok() {
                        taken.extend(lost);
                    }
                }
                Err(_) => {}
            }
        }
        upload();
    }
    let report = acknowledged.report.clone();
    let _ = sink.close(&report).or_else(|_| sink.close(&report));
    upload();
    acknowledged
}

/// Recovers and uploads what is left on the disk, with a store that works.
fn finish(staging_folder: &Path, address: &StoreAddress, inner: &Arc<InMemory>, when: &str) {
    set_store(address, inner, usize::MAX, StoreFault::Refused);
    let folder = staging::address_folder(staging_folder, address);
    let result = staging::upload_left(&folder, None, &UNCLEAR, &plan(address), &|| false);
    assert_eq!(result.failed, [], "{when}");
    assert_eq!(result.alive, [], "{when}");
}

/// Each episode that was acknowledged is in the store exactly once, and the account closes.
#[track_caller]
fn assert_complete(address: &StoreAddress, acknowledged: &Acknowledged, when: &str) {
    if acknowledged.visible.is_empty() {
        return;
    }
    let dataset = Dataset::open(address.path()).unwrap_or_else(|error| panic!("{when}: {error}"));
    let recording = dataset.recording("player").unwrap();
    let mut found = BTreeMap::<i64, usize>::new();
    for episode in recording.episodes() {
        *found.entry(episode.unwrap().info().episode_id).or_default() += 1;
    }
    assert!(found.values().all(|count| *count == 1), "{when}: {found:?}");
    for episode in &acknowledged.visible {
        assert!(
            found.contains_key(episode),
            "{when}: episode {episode} is missing in {found:?}"
        );
    }
    let validation = recording.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{when}: {validation:?}");
    for run in recording.runs().unwrap() {
        let counts = &run.account;
        assert_eq!(
            counts.recorded,
            counts.exported + counts.dropped + counts.discarded + counts.pending,
            "{when}: {counts:?}"
        );
        assert_ne!(run.status, RunStatus::Running, "{when}");
        assert_eq!(run.upload, None, "{when}");
    }
}

#[test]
fn a_run_is_uploaded_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    let store = set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    let acknowledged = record_and_upload(folder.path(), &address, new_run());
    assert_eq!(acknowledged.visible.len(), 6);
    assert_complete(&address, &acknowledged, "without a fault");
    assert!(store.requests.load(Ordering::SeqCst) > 12);
    // Its shards are not on the disk any more.
    assert_eq!(
        staging::staged_bytes(&staging::address_folder(folder.path(), &address)),
        0
    );
    finish(folder.path(), &address, &inner, "at the end");
    assert!(!staging::run_root(folder.path(), &address, new_run()).exists());
    assert_complete(&address, &acknowledged, "after its folder was removed");
}

#[test]
fn a_fault_of_the_store_at_every_request_loses_and_doubles_nothing() {
    let requests = {
        let folder = tempfile::tempdir().unwrap();
        let (address, inner) = (new_address(), Arc::new(InMemory::new()));
        let store = set_store(&address, &inner, usize::MAX, StoreFault::Refused);
        record_and_upload(folder.path(), &address, new_run());
        store.requests.load(Ordering::SeqCst)
    };
    for at in 0..requests {
        for fault in FAULTS {
            let when = format!("{fault:?} at request {at} of {requests}");
            let folder = tempfile::tempdir().unwrap();
            let (address, inner) = (new_address(), Arc::new(InMemory::new()));
            set_store(&address, &inner, at, fault);
            let acknowledged = record_and_upload(folder.path(), &address, new_run());
            assert_eq!(acknowledged.visible.len(), 6, "{when}");
            finish(folder.path(), &address, &inner, &when);
            assert_complete(&address, &acknowledged, &when);
        }
    }
}

#[test]
fn a_death_at_every_operation_of_the_disk_loses_and_doubles_nothing() {
    let operations = {
        let folder = tempfile::tempdir().unwrap();
        let (address, inner) = (new_address(), Arc::new(InMemory::new()));
        set_store(&address, &inner, usize::MAX, StoreFault::Refused);
        Faults::count(|| {
            record_and_upload(folder.path(), &address, new_run());
        })
    };
    assert!(operations.len() > 20, "{operations:?}");
    for at in 0..operations.len() {
        for fault in [Fault::Refused, Fault::Killed, Fault::PowerLoss] {
            let when = format!(
                "{fault:?} at operation {at} of {}, {:?}",
                operations.len(),
                operations[at]
            );
            let folder = tempfile::tempdir().unwrap();
            let (address, inner) = (new_address(), Arc::new(InMemory::new()));
            set_store(&address, &inner, usize::MAX, StoreFault::Refused);
            let faults = Faults::plan(at, fault);
            let acknowledged = record_and_upload(folder.path(), &address, new_run());
            assert!(faults.struck(), "{when}");
            drop(faults);
            finish(folder.path(), &address, &inner, &when);
            assert_complete(&address, &acknowledged, &when);
        }
    }
}

/// Uploads the shards of a run whose process dies with episodes in its journal, some of them in the shards; and what is left of it.
fn upload_unfinished(staging_folder: &Path, address: &StoreAddress) {
    let recording = staging::run_root(staging_folder, address, new_run()).join("player");
    if let Ok(mut staged) = StagedRun::open(recording, new_run(), plan(address), UploadStatus::default()) {
        let _ = staged.pass().or_else(|_| staged.pass());
    }
    let folder = staging::address_folder(staging_folder, address);
    let _ = staging::upload_left(&folder, None, &UNCLEAR, &plan(address), &|| false);
}

#[test]
fn a_journal_brings_no_episode_back_that_was_uploaded() {
    let address = new_address();
    let original = tempfile::tempdir().unwrap();
    let report = RunReport {
        recorded: 10,
        exported: 10,
        episodes: 2,
        ..RunReport::default()
    };
    leave_unfinished(&staging::run_root(original.path(), &address, new_run()), Some(&report));
    let run = |fault: Option<(usize, StoreFault)>, disk: Option<(usize, Fault)>| {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let inner = Arc::new(InMemory::new());
        let (at, store_fault) = fault.unwrap_or((usize::MAX, StoreFault::Refused));
        let store = set_store(&address, &inner, at, store_fault);
        let plan = disk.map(|(at, fault)| Faults::plan(at, fault));
        upload_unfinished(folder.path(), &address);
        drop(plan);
        let when = format!("{fault:?}, {disk:?}");
        finish(folder.path(), &address, &inner, &when);
        let recording = Dataset::open(address.path())
            .unwrap()
            .recording("player")
            .unwrap()
            .clone();
        let mut found: Vec<i64> = recording
            .episodes()
            .map(|episode| episode.unwrap().info().episode_id)
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            (0..5).map(|number| new_run().episode_id(number)).collect::<Vec<_>>(),
            "{when}"
        );
        assert!(recording.validate(&mut |_| {}).unwrap().is_valid(), "{when}");
        let account = recording.runs().unwrap().remove(0);
        assert_eq!(account.status, RunStatus::Recovered, "{when}");
        let counts = &account.account;
        assert_eq!(
            (counts.recorded, counts.exported, counts.discarded, counts.dropped),
            (30, 25, 5, 0),
            "{when}"
        );
        store.requests.load(Ordering::SeqCst)
    };
    let requests = run(None, None);
    for at in 0..requests {
        for fault in FAULTS {
            run(Some((at, fault)), None);
        }
    }
    let operations = {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        set_store(&address, &Arc::new(InMemory::new()), usize::MAX, StoreFault::Refused);
        Faults::count(|| upload_unfinished(folder.path(), &address)).len()
    };
    assert!(operations > 10, "{operations}");
    for at in 0..operations {
        for fault in [Fault::Refused, Fault::Killed, Fault::PowerLoss] {
            run(None, Some((at, fault)));
        }
    }
}

#[test]
fn an_account_never_names_a_shard_that_the_store_has_not() {
    for at in 0..20 {
        for fault in FAULTS {
            let folder = tempfile::tempdir().unwrap();
            let (address, inner) = (new_address(), Arc::new(InMemory::new()));
            set_store(&address, &inner, at, fault);
            record_and_upload(folder.path(), &address, new_run());
            // As a reader finds it before anything is recovered.
            set_store(&address, &inner, usize::MAX, StoreFault::Refused);
            let Ok(dataset) = Dataset::open(address.path()) else {
                continue;
            };
            let Ok(recording) = dataset.recording("player") else {
                continue;
            };
            let names: Vec<_> = recording
                .shards()
                .unwrap()
                .iter()
                .map(|path| path.file_name().unwrap().to_owned())
                .collect();
            for run in recording.runs().unwrap() {
                for shard in &run.shards {
                    assert!(
                        names.contains(&shard.file.clone().into()),
                        "{fault:?} at {at}: {names:?} lacks {}",
                        shard.file
                    );
                }
                let listed: u64 = run.shards.iter().map(|shard| shard.transitions).sum();
                let pending = run.upload.map_or(0, |upload| upload.pending_transitions);
                assert!(listed + pending <= run.account.exported, "{fault:?} at {at}");
            }
        }
    }
}

#[test]
fn another_schema_goes_beside_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    let other = experience_core::schema::Schema::new("player")
        .with_observation([experience_core::schema::Column::feature("y")])
        .into_shared();
    record_and_upload(folder.path(), &address, new_run());
    let root = staging::run_root(folder.path(), &address, RunId::from_bits(9));
    let mut sink = DatasetSink::new(&root).without_recovery();
    let info = RecordingInfo {
        schema: other.clone(),
        run: RunId::from_bits(9),
        tick_rate: None,
        started: SystemTime::now(),
        buffers: None,
    };
    sink.open(&info).unwrap();
    sink.close(&Default::default()).unwrap();
    let run = RunId::from_bits(9);
    let mut refusing = plan(&address);
    refusing.refuse_other_schema = true;
    let mut staged = StagedRun::open(root.join("player"), run, refusing, UploadStatus::default()).unwrap();
    let error = staged.pass().unwrap_err().to_string();
    assert!(error.contains("holds other columns"), "{error}");
    let mut staged = StagedRun::open(root.join("player"), run, plan(&address), UploadStatus::default()).unwrap();
    assert_eq!(staged.pass().unwrap(), Progress::Complete);
    let names: Vec<_> = Dataset::open(address.path())
        .unwrap()
        .recordings()
        .iter()
        .map(|recording| recording.folder_name().to_owned())
        .collect();
    assert_eq!(names, ["player".to_owned(), format!("player@{:016x}", other.hash())]);
}

#[test]
fn retention_deletes_the_oldest_shards_of_runs_that_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let (address, inner) = (new_address(), Arc::new(InMemory::new()));
    set_store(&address, &inner, usize::MAX, StoreFault::Refused);
    record_and_upload(folder.path(), &address, new_run());
    let second = RunId::from_bits(7);
    record_and_upload(folder.path(), &address, second);
    let recording = || {
        Dataset::open(address.path())
            .unwrap()
            .recording("player")
            .unwrap()
            .clone()
    };
    let sizes: Vec<u64> = recording()
        .runs()
        .unwrap()
        .iter()
        .flat_map(|run| &run.shards)
        .map(|shard| shard.checksum.unwrap().bytes)
        .collect();
    assert_eq!(sizes.len(), 6);
    let mut limited = plan(&address);
    // Two shards and a half of the six.
    limited.keep_bytes = Some(sizes[0] * 5 / 2);
    let path = staging::run_root(folder.path(), &address, second).join("player");
    let mut staged = StagedRun::open(path, second, limited, UploadStatus::default()).unwrap();
    assert_eq!(staged.pass().unwrap(), Progress::Complete);
    let runs = recording().runs().unwrap();
    let left: Vec<_> = runs
        .iter()
        .map(|run| (run.run, run.shards.len(), run.retired.shards))
        .collect();
    assert_eq!(left, [(new_run(), 0, 3), (second, 2, 1)]);
    assert_eq!(recording().shards().unwrap().len(), 2);
    assert!(recording().validate(&mut |_| {}).unwrap().is_valid());
}

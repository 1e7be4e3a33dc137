//! Size limits of shards, and retention: deletion of the oldest shards.

use crate::episodes::{account, episodes, listing, recording, report, write};
use experience_core::{
    schema::{Column, Schema},
    transition::{Episode, RunId},
};
use experience_dataset::{Dataset, DatasetSink, RunAccount, RunStatus};
use experience_export::Sink;
use parquet::file::{
    reader::{FileReader, SerializedFileReader},
    statistics::Statistics,
};
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};
use tempfile::tempdir;

/// Without bounds, because the values are random.
fn fighter() -> Schema {
    Schema::new("fighter").with_observation([Column::feature("x")])
}

fn shards(root: &Path) -> Vec<String> {
    listing(&root.join("fighter/data"))
}

fn bytes(root: &Path) -> u64 {
    let of = |shard: &String| fs::metadata(root.join("fighter/data").join(shard)).unwrap().len();
    shards(root).iter().map(of).sum()
}

fn run_account(root: &Path, run: RunId) -> RunAccount {
    account(&root.join(format!("fighter/runs/{run}.json")))
}

#[track_caller]
fn assert_valid(root: &Path) {
    let dataset = Dataset::open(root).unwrap();
    let validation = dataset.recording("fighter").unwrap().validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
}

fn ids(root: &Path) -> Vec<i64> {
    let dataset = Dataset::open(root).unwrap();
    let episodes = dataset.recording("fighter").unwrap().episodes();
    episodes.map(|episode| episode.unwrap().info().episode_id).collect()
}

/// Writes each episode to a shard of its own, with a retention limit.
fn write_and_keep(root: &Path, all: &[Episode], keep: u64, mut look: impl FnMut()) -> DatasetSink {
    let mut sink = DatasetSink::new(root)
        .with_shard_age(Duration::ZERO)
        .with_keep_bytes(keep);
    sink.open(&recording(all[0].schema(), all[0].info().run)).unwrap();
    for (index, episode) in all.iter().enumerate() {
        sink.write(core::slice::from_ref(episode)).unwrap();
        sink.flush(&report(&all[..=index])).unwrap();
        look();
    }
    sink
}

#[test]
fn a_shard_is_committed_at_its_limit_of_episodes() {
    let root = tempdir().unwrap();
    let run = RunId::from_bits(7);
    let all = episodes(&fighter().into_shared(), run, 10);
    let mut sink = DatasetSink::new(root.path()).with_shard_episodes(4);
    sink.open(&recording(all[0].schema(), run)).unwrap();
    for episode in &all {
        sink.write(core::slice::from_ref(episode)).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    let counts: Vec<_> = run_account(root.path(), run)
        .shards
        .iter()
        .map(|shard| shard.episodes)
        .collect();
    assert_eq!(counts, [4, 4, 2]);
    assert_valid(root.path());
}

#[test]
fn readers_can_skip_row_groups_by_episode() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RunId::from_bits(7), 40);
    // Row groups of at most 50 rows, and so of 5 episodes.
    write(root.path(), &all);
    let path = root.path().join("fighter/data").join(&shards(root.path())[0]);
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let mut ranges = Vec::new();
    for group in reader.metadata().row_groups() {
        let column = group
            .columns()
            .iter()
            .find(|column| column.column_path().string() == "episode_id");
        let Some(Statistics::Int64(known)) = column.unwrap().statistics() else {
            panic!("a row group has no statistics of its episode ids")
        };
        ranges.push((*known.min_opt().unwrap(), *known.max_opt().unwrap()));
    }
    assert!(ranges.len() >= 8, "{ranges:?}");
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
}

#[test]
fn the_newest_shards_are_kept_and_the_account_counts_deleted_ones() {
    let root = tempdir().unwrap();
    let run = RunId::from_bits(7);
    let all = episodes(&fighter().into_shared(), run, 30);
    let one = {
        let root = tempdir().unwrap();
        write(root.path(), &all[..1]);
        bytes(root.path())
    };
    let keep = 5 * one;
    let mut most = 0;
    let mut sink = write_and_keep(root.path(), &all, keep, || {
        most = most.max(bytes(root.path()));
        assert_valid(root.path());
    });
    assert!(most <= keep && most > 2 * one, "{most} bytes, of {keep}");
    sink.close(&report(&all)).unwrap();
    assert_valid(root.path());
    let account = run_account(root.path(), run);
    assert_eq!(account.status, RunStatus::Closed);
    assert_eq!(account.account, report(&all), "deleted transitions count as exported");
    let kept = ids(root.path());
    assert!(
        kept.iter()
            .copied()
            .eq((30 - kept.len()..30).map(|number| run.episode_id(number as u32)))
    );
    assert_eq!(account.retired.episodes as usize, 30 - kept.len());
    assert_eq!(account.retired.shards, account.retired.episodes);
    assert_eq!(account.retired.transitions, account.retired.episodes * 10);
    assert!(account.retired.agents.is_empty(), "the account names no agent");
    // An agent can still be erased from the shards.
    Dataset::open(root.path()).unwrap().erase(1, &mut |_| {}).unwrap();
    assert_valid(root.path());
    let path = root.path().join(format!("fighter/runs/{run}.json"));
    assert!(!fs::read_to_string(path).unwrap().contains("\"1\""));
}

#[test]
fn the_newest_shard_is_kept_even_above_the_limit() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RunId::from_bits(7), 5);
    let mut sink = write_and_keep(root.path(), &all, 1, || assert_eq!(shards(root.path()).len(), 1));
    sink.close(&report(&all)).unwrap();
    assert_eq!(ids(root.path()), [all[4].info().episode_id]);
    assert_valid(root.path());
}

#[test]
fn shards_of_live_runs_are_never_deleted() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let [closed, dead, alive, new] = [1, 2, 3, 4].map(RunId::from_bits);
    let record = |run| {
        let all = episodes(&schema, run, 4);
        let mut sink = write_and_keep(root.path(), &all, u64::MAX, || ());
        if run == closed {
            sink.close(&report(&all)).unwrap();
        }
        sink
    };
    record(closed);
    // Its process dies: the lock is released, and the account is not closed.
    drop(record(dead));
    let living = record(alive);
    // Shards of the live run are the oldest.
    for (run, age) in [(closed, 200), (dead, 100), (alive, 300)] {
        for shard in shards(root.path())
            .iter()
            .filter(|shard| shard.starts_with(&run.to_string()))
        {
            let file = File::options()
                .write(true)
                .open(root.path().join("fighter/data").join(shard))
                .unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
    }
    let of = |run: RunId| {
        shards(root.path())
            .iter()
            .filter(|shard| shard.starts_with(&run.to_string()))
            .count()
    };
    assert_eq!([closed, dead, alive].map(of), [4, 4, 4]);
    let one = bytes(root.path()) / 12;
    let all = episodes(&schema, new, 10);
    let mut sink = write_and_keep(root.path(), &all[..4], 9 * one + one / 2, || ());
    assert_eq!(
        [closed, dead, alive, new].map(of),
        [1, 4, 4, 4],
        "the oldest shard that may be deleted"
    );
    assert_valid(root.path());
    for number in 5..=10 {
        sink.write(&all[number - 1..number]).unwrap();
        sink.flush(&report(&all[..number])).unwrap();
    }
    assert_eq!(of(closed) + of(dead), 0);
    assert_eq!(of(alive), 4);
    sink.close(&report(&all)).unwrap();
    assert_valid(root.path());
    assert_eq!(run_account(root.path(), closed).retired.shards, 4);
    assert_eq!(run_account(root.path(), dead).retired.shards, 4);
    drop(living);
}

#[test]
fn a_clock_that_was_set_back_deletes_no_newer_shard() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let [old, new] = [1, 2].map(RunId::from_bits);
    let all = episodes(&schema, old, 4);
    write_and_keep(root.path(), &all, u64::MAX, || ())
        .close(&report(&all))
        .unwrap();
    // The clock was a year ahead during the old run.
    let year = Duration::from_secs(365 * 86_400);
    for shard in shards(root.path()) {
        let file = File::options()
            .write(true)
            .open(root.path().join("fighter/data").join(shard))
            .unwrap();
        file.set_modified(SystemTime::now() + year).unwrap();
    }
    let path = root.path().join(format!("fighter/runs/{old}.json"));
    let mut account = run_account(root.path(), old);
    account.started += year.as_secs_f64();
    for shard in &mut account.shards {
        shard.committed = Some(shard.committed.unwrap() + year.as_millis() as u64);
    }
    fs::write(&path, serde_json::to_vec(&account).unwrap()).unwrap();
    let keep = bytes(root.path()) * 9 / 8;
    let all = episodes(&schema, new, 8);
    write_and_keep(root.path(), &all[..4], keep, || ())
        .close(&report(&all[..4]))
        .unwrap();
    let expected: Vec<_> = (0..4).map(|number| new.episode_id(number)).collect();
    assert!(ids(root.path()).ends_with(&expected), "{:?}", ids(root.path()));
    assert_valid(root.path());
    let committed = |run| {
        let shards = run_account(root.path(), run).shards;
        shards.iter().map(|shard| shard.committed.unwrap()).collect::<Vec<_>>()
    };
    let times = [committed(old), committed(new)].concat();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn an_account_that_lists_other_files_deletes_none() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    write(root.path(), &episodes(&schema, run, 2));
    let precious = root.path().join("precious.parquet");
    fs::copy(
        root.path().join("fighter/data").join(&shards(root.path())[0]),
        &precious,
    )
    .unwrap();
    let path = root.path().join(format!("fighter/runs/{run}.json"));
    let hostile = fs::read_to_string(&path)
        .unwrap()
        .replace("00000001-00000.parquet", "00000001/../../../precious.parquet");
    assert!(hostile.contains("precious"));
    fs::write(&path, hostile).unwrap();
    let all = episodes(&schema, RunId::from_bits(2), 3);
    write_and_keep(root.path(), &all, 1, || ())
        .close(&report(&all))
        .unwrap();
    assert!(precious.exists());
}

#[test]
fn a_pending_deletion_of_another_file_deletes_none() {
    let outside = tempdir().unwrap();
    let root = outside.path().join("data");
    let victim = outside.path().join("victim.txt");
    let schema = fighter().into_shared();
    let victims = |run: RunId| {
        let absolute = victim.to_str().unwrap().to_owned();
        // The last one is a shard, of another run.
        let names = [
            "../../../victim.txt".to_owned(),
            format!("{run}-00000.parquet/../../../../victim.txt"),
            absolute,
            "00000001-00000.parquet".to_owned(),
        ];
        names
            .map(|file| serde_json::json!({ "shard": { "file": file, "episodes": 1, "transitions": 1 }, "agents": {} }))
    };
    write(&root, &episodes(&schema, RunId::from_bits(1), 2));
    fs::write(&victim, "precious").unwrap();
    for bits in 2..5 {
        let run = RunId::from_bits(bits);
        write(&root, &episodes(&schema, run, 2));
        let path = root.join(format!("fighter/runs/{run}.json"));
        let mut hostile: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        hostile["retiring"] = serde_json::json!(victims(run));
        if bits == 4 {
            // An account that claims to be of another run than its file.
            hostile["run"] = serde_json::json!(1);
        }
        fs::write(&path, hostile.to_string()).unwrap();
    }
    let first = root.join("fighter/data/00000001-00000.parquet");
    let before = fs::read(&first).unwrap();
    let all = episodes(&schema, RunId::from_bits(9), 3);
    write_and_keep(&root, &all, 1 << 40, || ())
        .close(&report(&all))
        .unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::read(&first).unwrap(), before);
}

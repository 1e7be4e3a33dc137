//! The folder: who may write to it, what comes to be in it, and what is refused.

use crate::episodes::{fighter, generated, info, recording, report};
use bevy_experience::{
    schema::{Column, Schema},
    sink::{
        DatasetSink, RunReport, Sink, SinkError,
        dataset::{RunAccount, RunStatus},
    },
    transition::{Episode, RunId},
};
use std::{fs, path::Path, sync::Arc, time::Duration};
use tempfile::tempdir;

fn episodes(schema: &Arc<Schema>, run: RunId, count: u32) -> Vec<Episode> {
    let episode = |index| {
        generated(
            schema,
            info(run, index, i64::from(index % 3)),
            10 * i64::from(index),
            10,
            u64::from(index),
        )
    };
    (0..count).map(episode).collect()
}

/// Everything in a folder, without the dataset card.
fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"));
        }
    }
    found.sort();
    found.retain(|path| path != "README.md");
    found
}

fn account(path: &Path) -> RunAccount {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_leaves_shards_an_account_a_description_and_a_card() {
    let root = tempdir().unwrap();
    let folder = root.path().join("not/yet/there");
    let schema = fighter().into_shared();
    let run = RunId::from_bits(0xab);
    let all = episodes(&schema, run, 6);
    let mut sink = DatasetSink::new(&folder)
        .with_shard_age(Duration::ZERO)
        .with_seed(7)
        .with_build("game 1.2");
    sink.check(&schema).unwrap();
    assert!(listing(root.path()).is_empty(), "a check leaves nothing behind");
    sink.open(&recording(&schema, run)).unwrap();
    assert_eq!(
        account(&folder.join("fighter/runs/000000ab.json")).status,
        RunStatus::Running
    );
    for episodes in all.chunks(3) {
        sink.write(episodes).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    assert_eq!(
        listing(&folder),
        [
            "fighter",
            "fighter/data",
            "fighter/data/000000ab-00000.parquet",
            "fighter/data/000000ab-00001.parquet",
            "fighter/experience.json",
            "fighter/runs",
            "fighter/runs/000000ab.json",
        ]
    );
    let account = account(&folder.join("fighter/runs/000000ab.json"));
    assert_eq!(account.status, RunStatus::Closed);
    assert_eq!(account.account, report(&all));
    assert_eq!(
        (account.seed, account.build.as_deref(), account.tick_rate),
        (Some(7), Some("game 1.2"), Some(60.0))
    );
    assert_eq!(
        account
            .shards
            .iter()
            .map(|shard| (shard.episodes, shard.transitions))
            .collect::<Vec<_>>(),
        [(3, 30); 2]
    );
    assert!(account.ended.unwrap() >= account.started);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(
        card.contains("- config_name: \"fighter\"\n  data_files: \"fighter/data/*.parquet\"\n"),
        "{card}"
    );
    let described: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("fighter/experience.json")).unwrap()).unwrap();
    assert_eq!(described["recording"], "fighter");
    assert_eq!(described["features"][7], "board[1][3]");
    assert_eq!(described["observation_space"]["shape"][0], 9);
    assert_eq!(described["schema_hash"], format!("{:016x}", schema.hash()));
}

#[test]
fn an_open_shard_is_no_shard_yet() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 3);
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, run)).unwrap();
    sink.write(&all).unwrap();
    sink.flush(&report(&all)).unwrap();
    let data = root.path().join("fighter/data");
    assert_eq!(listing(&data), ["00000001-00000.parquet.tmp"]);
    assert!(
        account(&root.path().join("fighter/runs/00000001.json"))
            .shards
            .is_empty()
    );
    // The process dies here: the unfinished file stays what it is, and the run does not look closed.
    drop(sink);
    assert_eq!(listing(&data), ["00000001-00000.parquet.tmp"]);
    assert_eq!(
        account(&root.path().join("fighter/runs/00000001.json")).status,
        RunStatus::Running
    );
}

#[test]
fn a_run_without_episodes_leaves_no_shard() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RunId::from_bits(1))).unwrap();
    sink.write(&[]).unwrap();
    sink.close(&RunReport::default()).unwrap();
    assert_eq!(
        listing(root.path()),
        [
            "fighter",
            "fighter/data",
            "fighter/experience.json",
            "fighter/runs",
            "fighter/runs/00000001.json"
        ]
    );
}

#[test]
fn shards_are_finished_by_size() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 40);
    let mut sink = DatasetSink::new(root.path())
        .with_shard_bytes(1)
        .with_compression_level(3)
        .with_row_group_rows(15);
    sink.open(&recording(&schema, run)).unwrap();
    for episodes in all.chunks(20) {
        sink.write(episodes).unwrap();
    }
    sink.close(&report(&all)).unwrap();
    assert_eq!(listing(&root.path().join("fighter/data")).len(), 2);
}

#[test]
fn many_runs_start_and_write_at_once() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    std::thread::scope(|scope| {
        for bits in 0..8 {
            let (schema, root) = (&schema, root.path());
            scope.spawn(move || {
                for again in 0..3 {
                    let run = RunId::from_bits(bits * 10 + again);
                    let all = episodes(schema, run, 3);
                    let mut sink = DatasetSink::new(root);
                    sink.check(schema).unwrap();
                    sink.open(&recording(schema, run)).unwrap();
                    sink.write(&all).unwrap();
                    sink.flush(&report(&all)).unwrap();
                    sink.close(&report(&all)).unwrap();
                }
            });
        }
    });
    let found = listing(root.path());
    assert_eq!(found.iter().filter(|path| path.ends_with(".parquet")).count(), 24);
    assert_eq!(
        found.iter().filter(|path| path.starts_with("fighter/runs/")).count(),
        24
    );
    assert!(
        !found.iter().any(|path| path.contains('@') || path.ends_with(".tmp")),
        "{found:?}"
    );
}

#[test]
fn the_card_names_recordings_that_begin_at_once_and_keeps_a_users_words() {
    let root = tempdir().unwrap();
    fs::write(root.path().join("README.md"), "---\nlicense: mit\n---\nMy words.\n").unwrap();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let root = root.path();
            scope.spawn(move || {
                let schema = Schema::new(name).with_observation([Column::feature("x")]).into_shared();
                let mut sink = DatasetSink::new(root);
                sink.check(&schema).unwrap();
                sink.open(&recording(&schema, RunId::from_bits(1))).unwrap();
            });
        }
    });
    let card = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(card.starts_with("---\nlicense: mit\nconfigs:\n"), "{card}");
    assert!(card.ends_with("\n---\nMy words.\n"), "{card}");
    for name in ["a", "b", "c", "d"] {
        assert_eq!(card.matches(&format!("config_name: \"{name}\"")).count(), 1, "{card}");
    }
}

#[test]
fn one_run_cannot_write_one_recording_twice() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let open = || DatasetSink::new(root.path()).open(&recording(&schema, RunId::from_bits(1)));
    open().unwrap();
    assert!(
        open()
            .unwrap_err()
            .to_string()
            .contains("run 00000001 already writes to")
    );
}

#[test]
fn other_columns_go_to_a_folder_beside() {
    let root = tempdir().unwrap();
    let old = fighter().into_shared();
    let new = fighter().with_observation([Column::feature("armour")]).into_shared();
    for (schema, bits) in [(&old, 1), (&new, 2), (&new, 3), (&old, 4)] {
        let run = RunId::from_bits(bits);
        let all = episodes(schema, run, 1);
        let mut sink = DatasetSink::new(root.path());
        sink.check(schema).unwrap();
        sink.open(&recording(schema, run)).unwrap();
        sink.write(&all).unwrap();
        sink.close(&report(&all)).unwrap();
    }
    let sibling = format!("fighter@{:016x}", new.hash());
    let data = |folder: &str| listing(&root.path().join(folder).join("data"));
    assert_eq!(data("fighter"), ["00000001-00000.parquet", "00000004-00000.parquet"]);
    assert_eq!(data(&sibling), ["00000002-00000.parquet", "00000003-00000.parquet"]);
    let card = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(card.contains(&format!("config_name: \"{sibling}\"")), "{card}");
}

#[test]
fn other_columns_are_refused_by_name_on_request() {
    let root = tempdir().unwrap();
    let old = fighter().into_shared();
    let new = fighter().with_observation([Column::feature("armour")]).into_shared();
    DatasetSink::new(root.path())
        .open(&recording(&old, RunId::from_bits(1)))
        .unwrap();
    let before = listing(root.path());
    let mut sink = DatasetSink::new(root.path()).refuse_other_schema();
    sink.check(&old).unwrap();
    for refusal in [sink.check(&new), sink.open(&recording(&new, RunId::from_bits(2)))] {
        let refusal = refusal.unwrap_err();
        assert!(matches!(refusal, SinkError::OtherSchema { .. }));
        assert!(
            refusal.to_string().contains("observation column `armour` is only here"),
            "{refusal}"
        );
    }
    assert_eq!(listing(root.path()), before);
}

#[test]
fn a_users_version_is_another_meaning_of_the_same_columns() {
    let root = tempdir().unwrap();
    for (schema, bits) in [(fighter(), 1), (fighter().with_version("reward-v2"), 2)] {
        DatasetSink::new(root.path())
            .open(&recording(&schema.into_shared(), RunId::from_bits(bits)))
            .unwrap();
    }
    assert_eq!(
        listing(root.path())
            .iter()
            .filter(|path| path.ends_with("experience.json"))
            .count(),
        2
    );
}

#[test]
fn bounds_come_back_as_the_same_schema() {
    use bevy_experience::schema::{DType, Space};
    let root = tempdir().unwrap();
    let bounds = [
        Space::bounded(0.1, 1.0 / 3.0),
        Space::bounded(f64::NEG_INFINITY, f64::from(0.1_f32)),
        Space::bounded(5e-324, f64::MAX),
    ];
    let columns = bounds
        .into_iter()
        .enumerate()
        .map(|(index, space)| Column::scalar(format!("f{index}"), DType::F32, space));
    let schema = Schema::new("p").with_observation(columns).into_shared();
    for bits in 0..2 {
        DatasetSink::new(root.path())
            .open(&recording(&schema, RunId::from_bits(bits)))
            .unwrap();
    }
    assert_eq!(listing(&root.path().join("p/runs")).len(), 2);
}

#[test]
fn hostile_names_stay_inside_the_dataset() {
    let outer = tempdir().unwrap();
    let root = outer.path().join("dataset");
    let long = "x".repeat(10_000);
    let names = [
        "../../evil",
        "a\0b",
        "🦀",
        &long,
        "",
        "a/b",
        ".",
        "..",
        "CON",
        "/etc/passwd",
        "C:\\x",
        "fighter\n---\n",
        "Fighter",
        "fighter",
    ];
    for (index, name) in names.iter().enumerate() {
        let schema = Schema::new(*name)
            .with_observation([Column::feature("x")])
            .into_shared();
        let run = RunId::from_bits(index as u32);
        let all = episodes(&schema, run, 1);
        let mut sink = DatasetSink::new(&root);
        sink.check(&schema).unwrap();
        sink.open(&recording(&schema, run)).unwrap();
        sink.write(&all).unwrap();
        sink.close(&report(&all)).unwrap();
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    let folders: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(folders.len(), names.len());
    let mut told: Vec<String> = folders
        .iter()
        .map(|folder| {
            assert_eq!(listing(&folder.join("data")).len(), 1);
            let described: serde_json::Value =
                serde_json::from_slice(&fs::read(folder.join("experience.json")).unwrap()).unwrap();
            described["recording"].as_str().unwrap().to_owned()
        })
        .collect();
    told.sort();
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(told, names);
}

#[test]
fn a_folder_that_is_no_dataset_is_refused_and_left_alone() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let refused = |path: &Path, why: &str| {
        let before = listing(root.path());
        let mut sink = DatasetSink::new(path);
        for refusal in [sink.check(&schema), sink.open(&recording(&schema, RunId::from_bits(1)))] {
            let refusal = refusal.unwrap_err().to_string();
            assert!(
                refusal.contains(why) && refusal.contains("name an empty or a new folder"),
                "{refusal}"
            );
        }
        assert_eq!(listing(root.path()), before);
    };
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("notes/sub")).unwrap();
    fs::write(path("notes/thesis.txt"), "words").unwrap();
    refused(&path("notes"), "and no recording");
    refused(&path("notes/thesis.txt"), "it is a file");
    refused(&path("notes/thesis.txt/deeper"), "it is a file");

    fs::create_dir_all(path("half/fighter/data")).unwrap();
    refused(&path("half"), "`fighter` and no recording");

    DatasetSink::new(path("whole"))
        .open(&recording(&schema, RunId::from_bits(9)))
        .unwrap();
    fs::write(path("whole/fighter/experience.json"), "{\"format\": 1, \"schema\"").unwrap();
    refused(&path("whole"), "`experience.json` is damaged");
    fs::write(path("whole/fighter/experience.json"), "{\"format\": 2}").unwrap();
    refused(&path("whole"), "its format is 2");
    let described = fs::read_to_string(path("whole/fighter/experience.json")).unwrap();
    assert_eq!(described, "{\"format\": 2}");
}

#[test]
fn folders_that_may_become_a_dataset_are_taken() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let take = |name: &str| {
        let mut sink = DatasetSink::new(root.path().join(name));
        sink.check(&schema).unwrap();
        sink.open(&recording(&schema, RunId::from_bits(1))).unwrap();
    };
    fs::create_dir_all(root.path().join("empty")).unwrap();
    take("empty");
    fs::create_dir_all(root.path().join("repository/.git")).unwrap();
    fs::write(root.path().join("repository/README.md"), "To be filled.").unwrap();
    take("repository");
    take("dataset");
    // A copy that left empty folders out.
    fs::remove_dir_all(root.path().join("dataset/fighter/data")).unwrap();
    fs::remove_dir_all(root.path().join("dataset/fighter/runs")).unwrap();
    take("dataset");
}

#[test]
#[cfg(target_os = "linux")]
fn an_unwritable_folder_is_named() {
    // Even the superuser cannot make files there.
    let refusal = DatasetSink::new("/proc/dataset").check(&fighter()).unwrap_err();
    assert!(
        refusal.to_string().contains("cannot write to the folder `/proc`"),
        "{refusal}"
    );
}

#[test]
fn what_the_disk_refuses_is_tried_again() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 4);
    let mut sink = DatasetSink::new(root.path()).with_shard_age(Duration::ZERO);
    sink.open(&recording(&schema, run)).unwrap();
    let (data, away) = (root.path().join("fighter/data"), root.path().join("fighter/away"));
    sink.write(&all[..1]).unwrap();
    // The folder goes: nothing more can begin, so nothing more is taken.
    fs::rename(&data, &away).unwrap();
    let refusal = sink.write(&all[1..2]).unwrap_err().to_string();
    assert!(refusal.contains("00000001-00001.parquet.tmp"), "{refusal}");
    fs::rename(&away, &data).unwrap();
    sink.write(&all[2..]).unwrap();
    sink.close(&report(&all[2..])).unwrap();
    assert_eq!(listing(&data), ["00000001-00000.parquet", "00000001-00001.parquet"]);
}

#[test]
fn a_close_that_failed_can_be_tried_again() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 4);
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, run)).unwrap();
    sink.write(&all).unwrap();
    let (data, away) = (root.path().join("fighter/data"), root.path().join("fighter/away"));
    fs::rename(&data, &away).unwrap();
    assert!(matches!(
        sink.close(&report(&all)),
        Err(SinkError::Io { action: "rename", .. })
    ));
    let path = root.path().join("fighter/runs/00000001.json");
    assert_eq!(account(&path).status, RunStatus::Running);
    fs::rename(&away, &data).unwrap();
    sink.close(&report(&all)).unwrap();
    assert_eq!(account(&path).status, RunStatus::Closed);
    assert_eq!(account(&path).shards[0].transitions, 40);
    assert_eq!(listing(&data), ["00000001-00000.parquet"]);
}

#[test]
fn nothing_is_taken_before_the_opening() {
    let schema = fighter().into_shared();
    let mut sink = DatasetSink::new("nowhere");
    assert!(sink.write(&episodes(&schema, RunId::from_bits(1), 1)).is_err());
    assert!(sink.close(&RunReport::default()).is_err());
    assert!(!Path::new("nowhere").exists());
}

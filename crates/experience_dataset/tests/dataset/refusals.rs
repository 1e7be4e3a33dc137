//! `DatasetSink`: rejected folders, unusual names and disk errors.

use crate::episodes::{account, episodes, fighter, listing, recording, report};
use experience_core::{
    account::RunReport,
    schema::{Column, Schema},
    transition::RunId,
};
use experience_dataset::{DatasetSink, RunStatus};
use experience_export::{Sink, SinkError};
use std::{fs, path::Path, time::Duration};
use tempfile::tempdir;

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
    let mut stored_names: Vec<String> = folders
        .iter()
        .map(|folder| {
            assert_eq!(listing(&folder.join("data")).len(), 1);
            let described: serde_json::Value =
                serde_json::from_slice(&fs::read(folder.join("experience.json")).unwrap()).unwrap();
            described["recording"].as_str().unwrap().to_owned()
        })
        .collect();
    stored_names.sort();
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(stored_names, names);
}

#[test]
fn a_folder_that_is_not_a_dataset_is_refused_and_unchanged() {
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
fn empty_folders_and_repositories_are_accepted() {
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
    // A copy without the empty folders.
    fs::remove_dir_all(root.path().join("dataset/fighter/data")).unwrap();
    fs::remove_dir_all(root.path().join("dataset/fighter/runs")).unwrap();
    take("dataset");
}

#[test]
#[cfg(target_os = "linux")]
fn an_unwritable_folder_is_named() {
    // Even the superuser cannot create files there.
    let refusal = DatasetSink::new("/proc/dataset").check(&fighter()).unwrap_err();
    assert!(
        refusal.to_string().contains("cannot write to the folder `/proc`"),
        "{refusal}"
    );
}

#[test]
fn refused_writes_can_be_repeated() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let run = RunId::from_bits(1);
    let all = episodes(&schema, run, 4);
    let mut sink = DatasetSink::new(root.path()).with_shard_age(Duration::ZERO);
    sink.open(&recording(&schema, run)).unwrap();
    let (data, partial) = (root.path().join("fighter/data"), root.path().join("fighter/partial"));
    sink.write(&all[..1]).unwrap();
    // A file is in the place of the folder: no shard can be created, so no episode is accepted.
    fs::remove_dir(&partial).unwrap();
    fs::write(&partial, "").unwrap();
    let refusal = sink.write(&all[1..2]).unwrap_err().to_string();
    assert!(refusal.contains("00000001-00001.parquet.tmp"), "{refusal}");
    fs::remove_file(&partial).unwrap();
    sink.write(&all[2..]).unwrap();
    sink.close(&report(&all[2..])).unwrap();
    assert_eq!(listing(&data), ["00000001-00000.parquet", "00000001-00001.parquet"]);
}

#[test]
fn a_failed_close_can_be_repeated() {
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
        Err(SinkError::Io { action: "write", .. })
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
fn no_episode_is_accepted_before_the_open() {
    let schema = fighter().into_shared();
    let mut sink = DatasetSink::new("nowhere");
    assert!(sink.write(&episodes(&schema, RunId::from_bits(1), 1)).is_err());
    assert!(sink.close(&RunReport::default()).is_err());
    assert!(!Path::new("nowhere").exists());
}

//! Accounts: shards that vanish, totals by agent and tags.

use crate::episodes::{account, agent_totals, assert_valid, episodes, fighter, recording, report, write};
use core::time::Duration;
use experience_core::{
    account::{EpisodeTag, TagChange},
    transition::RunId,
};
use experience_dataset::{Dataset, DatasetSink, RunStatus};
use experience_export::{MissingEpisodes, Sink, SinkError};
use std::fs;
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);
const ACCOUNT: &str = "fighter/runs/00000001.json";

#[test]
fn a_shard_that_was_removed_counts_as_dropped_and_fails_the_close() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 4);
    let mut sink = DatasetSink::new(root.path()).with_shard_age(Duration::ZERO);
    sink.open(&recording(&schema, RUN)).unwrap();
    for (index, episode) in all.iter().enumerate() {
        sink.write(core::slice::from_ref(episode)).unwrap();
        sink.flush(&report(&all[..=index])).unwrap();
    }
    assert_eq!(sink.missing(), MissingEpisodes::default());
    let shard = |index: usize| root.path().join(format!("fighter/data/00000001-{index:05}.parquet"));
    for index in [0, 2] {
        fs::rename(shard(index), root.path().join(index.to_string())).unwrap();
    }
    let mut reported = report(&all);
    reported.failures = 1;
    sink.flush(&reported).unwrap();
    let expected = MissingEpisodes {
        episodes: 2,
        transitions: (all[0].len() + all[2].len()) as u64,
    };
    assert_eq!(sink.missing(), expected);
    let counted = account(&root.path().join(ACCOUNT));
    assert_eq!(counted.shards.len(), 2);
    assert_eq!(counted.account.missing, expected.transitions);
    assert_eq!(counted.account.dropped, expected.transitions);
    assert_eq!((counted.account.exported, counted.account.episodes), (20, 2));
    // One of them is put back.
    fs::rename(root.path().join("2"), shard(2)).unwrap();
    let closed = sink.close(&reported).unwrap_err();
    assert!(
        matches!(&closed, SinkError::Missing { missing, .. } if missing.episodes == 1),
        "{closed}"
    );
    assert!(!closed.may_pass());
    let counted = account(&root.path().join(ACCOUNT));
    assert_eq!(counted.status, RunStatus::Closed);
    assert_eq!((counted.account.exported, counted.account.dropped), (30, 10));
    assert_valid(root.path());
}

#[test]
fn totals_by_agent_come_from_the_episodes() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 10);
    write(root.path(), &all);
    let dataset = Dataset::open(root.path()).unwrap();
    let recording = dataset.recording("fighter").unwrap();
    let (found, expected) = (recording.agent_totals().unwrap(), agent_totals(&all));
    assert_eq!(found.len(), expected.len());
    for (agent, expected) in expected {
        let found = found[&agent];
        assert_eq!(
            (found.episodes, found.transitions),
            (expected.episodes, expected.transitions)
        );
        // Rewards are summed in another order.
        assert!((found.total_reward - expected.total_reward).abs() < 1e-6, "{found:?}");
    }
    assert_eq!(recording.overview().unwrap().agents, 3);
    assert!(account(&root.path().join(ACCOUNT)).account.agents.is_empty());
}

#[test]
fn tags_are_in_a_file_of_their_own_and_are_merged_erased_and_checked() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 6);
    let tag = |index: usize, tag: &str| {
        let info = all[index].info();
        TagChange::Added(EpisodeTag {
            episode_id: info.episode_id,
            agent_id: info.agent_id,
            tag: tag.to_owned(),
        })
    };
    let mut sink = DatasetSink::new(root.path().join("a"));
    sink.open(&recording(&schema, RUN)).unwrap();
    sink.write(&all).unwrap();
    sink.write_tags(&[tag(0, "a"), tag(1, "b")]).unwrap();
    sink.flush(&report(&all)).unwrap();
    let removed = all[1].info().episode_id;
    sink.write_tags(&[tag(3, "a"), TagChange::Removed { removed }, tag(2, "c")])
        .unwrap();
    sink.close(&report(&all)).unwrap();
    let path = root.path().join("a").join("fighter/runs/00000001.tags.jsonl");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5);
    assert!(
        !fs::read_to_string(root.path().join("a").join(ACCOUNT))
            .unwrap()
            .contains("tag")
    );
    let tagged = |root: &std::path::Path| -> Vec<i64> {
        let dataset = Dataset::open(root).unwrap();
        dataset
            .recording("fighter")
            .unwrap()
            .tags()
            .unwrap()
            .into_keys()
            .collect()
    };
    let id = |index: usize| all[index].info().episode_id;
    assert_eq!(tagged(&root.path().join("a")), [0, 2, 3].map(id));
    let merged = root.path().join("merged");
    let source = Dataset::open(root.path().join("a")).unwrap();
    experience_dataset::merge(&[source], &merged, Default::default(), &mut |_| {}).unwrap();
    assert_eq!(tagged(&merged), [0, 2, 3].map(id));
    // Agent 0 has the episodes 0 and 3.
    Dataset::open(&merged).unwrap().erase(0, &mut |_| {}).unwrap();
    assert_eq!(tagged(&merged), [id(2)]);
    assert_valid(&merged);
    Dataset::open(&merged).unwrap().erase(2, &mut |_| {}).unwrap();
    assert!(!merged.join("fighter/runs/00000001.tags.jsonl").exists());
    fs::write(&path, "{}\n").unwrap();
    let dataset = Dataset::open(root.path().join("a")).unwrap();
    let found = dataset.recordings()[0].validate(&mut |_| {}).unwrap();
    assert!(
        found.violations.iter().any(|violation| violation.file == path),
        "{found:#?}"
    );
}

#[test]
fn an_account_of_hundreds_of_megabytes_is_read() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 4);
    write(root.path(), &all);
    let path = root.path().join(ACCOUNT);
    let expected = account(&path);
    // Version 0.1.0 listed every agent. Spaces are as long, and take less time to write.
    let mut content = fs::read(&path).unwrap();
    let end = content.iter().rposition(|byte| *byte == b'}').unwrap();
    content.splice(end..end, core::iter::repeat_n(b' ', 257 << 20));
    fs::write(&path, content).unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    assert_eq!(dataset.recordings()[0].runs().unwrap(), [expected]);
    assert_valid(root.path());
}

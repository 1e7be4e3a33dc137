//! The account of a run, the memory of its sink and the cost of a flush after a few lives, and after many.

#[path = "../../../tests/support/memory_held.rs"]
mod memory_held;

use experience_core::{
    account::{Counters, SinkCounters},
    schema::{Column, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_dataset::{Dataset, DatasetSink, RunAccount};
use experience_export::{RecordingInfo, Sink};
use memory_held::memory_held;
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

const RUN: RunId = RunId::from_bits(1);
/// Lives between two flushes.
const BATCH: u32 = 1_000;
/// Lives in a shard.
const SHARD: u32 = 10_000;

/// A life: one episode of one transition, of an agent that no other episode has.
fn life(schema: &Arc<Schema>, number: u32) -> Episode {
    let words = schema.layout().row_words();
    let mut rows = vec![0; 2 * words];
    for (step, row) in rows.chunks_mut(words).enumerate() {
        let header = StepHeader::of_mut(row);
        header.set_kind(if step == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        });
        header.tick = i64::from(number) + step as i64;
        header.ticks = step as u32;
    }
    let info = EpisodeInfo {
        episode_id: RUN.episode_id(number),
        agent_id: i64::from(number),
        run: RUN,
        continues: None,
    };
    Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::DEATH)
}

#[test]
fn an_account_a_sink_and_a_flush_cost_the_same_after_many_lives() {
    let root = tempfile::tempdir().unwrap();
    let schema = Schema::new("player")
        .with_observation([Column::feature("x")])
        .into_shared();
    let (recording, counters) = (Counters::default(), SinkCounters::default());
    let mut sink = DatasetSink::new(root.path()).with_shard_episodes(SHARD as usize);
    sink.open(&RecordingInfo {
        schema: schema.clone(),
        run: RUN,
        tick_rate: None,
        started: SystemTime::now(),
        buffers: None,
    })
    .unwrap();
    let account = root.path().join("player/runs/00000001.json");
    let mut lives = 0;
    let mut tags = 0;
    // Memory, bytes of the account without its shards, and the time of the last flush, after `count` lives.
    let mut play_until = |count: u32| {
        let mut flush = Default::default();
        while lives < count {
            let batch: Vec<_> = (lives..lives + BATCH).map(|number| life(&schema, number)).collect();
            lives += BATCH;
            sink.write(&batch).unwrap();
            for episode in batch {
                recording.recorded.add(1);
                counters.count_episode(1);
                let info = episode.info();
                recording.add_tag(info.episode_id, info.agent_id, "tagged".to_owned());
            }
            let begun = Instant::now();
            let new = recording.tag_changes_since(tags);
            tags = new.total;
            sink.write_tags(&new.changes).unwrap();
            sink.flush(&counters.report(&recording)).unwrap();
            flush = begun.elapsed();
        }
        let content = fs::read(&account).unwrap();
        let mut listed: RunAccount = serde_json::from_slice(&content).unwrap();
        assert_eq!(listed.shards.len() as u32, count / SHARD);
        listed.shards.clear();
        (
            memory_held(),
            serde_json::to_vec(&listed).unwrap().len(),
            content.len(),
            flush,
        )
    };
    let (few_held, few_bytes, few_all, few_flush) = play_until(2 * SHARD);
    let (many_held, many_bytes, many_all, many_flush) = play_until(20 * SHARD);
    assert!(
        many_held.saturating_sub(few_held) < 256 << 10,
        "{few_held} and {many_held} bytes"
    );
    assert!(many_bytes < few_bytes + 64, "{few_bytes} and {many_bytes} bytes");
    assert!(many_all - few_all < 18 * 400, "{few_all} and {many_all} bytes");
    // A cost per life would be ten times as much. The margin is for a busy machine.
    assert!(
        many_flush < 4 * few_flush + Duration::from_millis(500),
        "{few_flush:?} and {many_flush:?}"
    );
    sink.close(&counters.report(&recording)).unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let recording = dataset.recording("player").unwrap();
    assert_eq!(recording.overview().unwrap().agents, u64::from(20 * SHARD));
    assert_eq!(recording.tags().unwrap().len() as u32, 20 * SHARD);
    // The most memory while the lives are read, beyond that of a batch of rows.
    let bound = 64 * 20 * SHARD as usize + (8 << 20);
    let before = memory_held();
    let mut most = 0;
    let mut watch = |_| most = memory_held().max(most);
    assert!(recording.validate(&mut watch).unwrap().is_valid());
    assert!(most - before < bound, "validation takes {} bytes", most - before);
    most = 0;
    let mut watch = |_| most = memory_held().max(most);
    recording.diagnose(&mut watch).unwrap();
    assert!(most - before < bound, "a diagnosis takes {} bytes", most - before);
}

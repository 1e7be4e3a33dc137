//! `ChannelSink`: bounded, never waiting, and over when the recording is.

use experience_arrow::ChannelSink;
use experience_core::{
    account::RunReport,
    schema::{Column, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId},
};
use experience_export::{RecordingInfo, Sink, SinkError};
use std::{sync::Arc, time::SystemTime};

const RUN: RunId = RunId::from_bits(1);

fn schema() -> Arc<Schema> {
    Schema::new("p").with_observation([Column::feature("x")]).into_shared()
}

fn episode(schema: &Arc<Schema>, len: usize) -> Episode {
    let info = EpisodeInfo {
        episode_id: RUN.episode_id(len as u32),
        agent_id: 0,
        run: RUN,
        continues: None,
    };
    let rows = vec![0; (len + 1) * schema.layout().row_words()];
    Episode::new(schema.clone(), info, rows, Outcome::Truncated, EndReason::LEFT)
}

fn open(sink: &mut ChannelSink) -> Arc<Schema> {
    let schema = schema();
    let recording = RecordingInfo {
        schema: schema.clone(),
        run: RUN,
        tick_rate: None,
        started: SystemTime::now(),
        buffers: None,
    };
    sink.check(&schema).unwrap();
    sink.open(&recording).unwrap();
    schema
}

#[test]
fn the_readers_loop_ends_with_the_recording() {
    let (mut sink, batches) = ChannelSink::bounded(4);
    let schema = open(&mut sink);
    let reader = std::thread::spawn(move || batches.iter().map(|batch| batch.num_rows()).collect::<Vec<_>>());
    sink.write(&[episode(&schema, 2), episode(&schema, 3)]).unwrap();
    sink.write(&[]).unwrap();
    sink.write(&[episode(&schema, 1)]).unwrap();
    sink.flush(&RunReport::default()).unwrap();
    sink.close(&RunReport::default()).unwrap();
    assert_eq!(reader.join().unwrap(), [5, 1]);
    assert!(sink.write(&[episode(&schema, 1)]).is_err());
}

#[test]
fn a_full_channel_refuses_and_takes_again_once_it_is_read() {
    let (mut sink, batches) = ChannelSink::bounded(1);
    let schema = open(&mut sink);
    sink.write(&[episode(&schema, 1)]).unwrap();
    assert!(matches!(sink.write(&[episode(&schema, 2)]), Err(SinkError::Full)));
    assert_eq!(batches.recv().unwrap().num_rows(), 1);
    sink.write(&[episode(&schema, 3)]).unwrap();
    assert_eq!(batches.recv().unwrap().num_rows(), 3);
}

#[test]
fn a_reader_that_is_gone_is_told_apart_from_a_slow_one() {
    let (mut sink, batches) = ChannelSink::bounded(1);
    let schema = open(&mut sink);
    sink.write(&[episode(&schema, 1)]).unwrap();
    drop(batches);
    assert!(matches!(
        sink.write(&[episode(&schema, 1)]),
        Err(SinkError::Disconnected)
    ));
}

#[test]
fn without_capacity_only_a_waiting_reader_gets_a_batch() {
    let (mut sink, batches) = ChannelSink::bounded(0);
    let schema = open(&mut sink);
    assert!(matches!(sink.write(&[episode(&schema, 1)]), Err(SinkError::Full)));
    let reader = std::thread::spawn(move || batches.recv().unwrap().num_rows());
    while sink.write(&[episode(&schema, 2)]).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(reader.join().unwrap(), 2);
}

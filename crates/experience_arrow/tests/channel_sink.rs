//! `ChannelSink`: a bounded channel of record batches, whose writes do not block and which closes with the recording.

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
fn the_channel_disconnects_when_the_recording_closes() {
    let (mut sink, batches) = ChannelSink::bounded(4);
    let schema = open(&mut sink);
    let receiver = std::thread::spawn(move || batches.iter().map(|batch| batch.num_rows()).collect::<Vec<_>>());
    sink.write(&[episode(&schema, 2), episode(&schema, 3)]).unwrap();
    sink.write(&[]).unwrap();
    sink.write(&[episode(&schema, 1)]).unwrap();
    sink.flush(&RunReport::default()).unwrap();
    sink.close(&RunReport::default()).unwrap();
    assert_eq!(receiver.join().unwrap(), [5, 1]);
    assert!(sink.write(&[episode(&schema, 1)]).is_err());
}

#[test]
fn a_full_channel_rejects_a_batch_until_one_is_received() {
    let (mut sink, batches) = ChannelSink::bounded(1);
    let schema = open(&mut sink);
    sink.write(&[episode(&schema, 1)]).unwrap();
    assert!(matches!(sink.write(&[episode(&schema, 2)]), Err(SinkError::Full)));
    assert_eq!(batches.recv().unwrap().num_rows(), 1);
    sink.write(&[episode(&schema, 3)]).unwrap();
    assert_eq!(batches.recv().unwrap().num_rows(), 3);
}

#[test]
fn a_dropped_receiver_is_disconnected_not_full() {
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
fn a_channel_without_capacity_sends_only_to_a_waiting_receiver() {
    let (mut sink, batches) = ChannelSink::bounded(0);
    let schema = open(&mut sink);
    assert!(matches!(sink.write(&[episode(&schema, 1)]), Err(SinkError::Full)));
    let receiver = std::thread::spawn(move || batches.recv().unwrap().num_rows());
    while sink.write(&[episode(&schema, 2)]).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(receiver.join().unwrap(), 2);
}

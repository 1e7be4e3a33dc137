//! The server for `python/benchmarks/stream_latency.py`.

use crate::{info, schema};
use experience_buffer::{BufferSettings, PlayerBuffers};
use experience_core::transition::{EndReason, Outcome, StepHeader, StepKind};
use experience_export::{ExportSettings, Exporter, RecordingExport, Sink};
use experience_stream::StreamSink;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Plays 60 ticks a second with 16 players through buffers and the exporter. Each transition has the time of its push.
pub fn serve(address: &str) {
    let schema = schema();
    let mut sink = StreamSink::new(address);
    sink.check(&schema).expect("the address is free");
    let words = schema.layout().row_words();
    let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), words).expect("the memory suffices"));
    let recording = RecordingExport {
        info: info(&schema),
        counters: Arc::default(),
        words: Arc::default(),
        episodes: Arc::default(),
        discarded: Arc::default(),
        players: players.clone(),
        sinks: vec![Box::new(sink)],
    };
    let (counters, reasons) = (recording.counters.clone(), recording.words.clone());
    let death = reasons.reason_code(&EndReason::DEATH);
    let exporter = Exporter::spawn(ExportSettings::default(), vec![recording]).expect("the system has threads");
    let mut writers: Vec<_> = (0..16_i64)
        .map(|agent| {
            let (writer, buffer) = players.open(agent).expect("the memory suffices");
            let pushed = Arc::<AtomicU32>::default();
            exporter.attach(0, agent, buffer, pushed.clone());
            (writer, pushed)
        })
        .collect();
    let mut row = vec![0_u64; words];
    let mut next = Instant::now();
    println!("serving at {address}");
    for tick in 0_u32.. {
        for (agent, (writer, pushed)) in writers.iter_mut().enumerate() {
            // Every third row ends an episode, and the one after it begins the next.
            let kind = if tick % 3 == 0 {
                StepKind::Begin
            } else {
                StepKind::Transition
            };
            let ordinal = tick / 3 * 2 + tick % 3;
            let header = StepHeader::of_mut(&mut row);
            *header = StepHeader::new(kind);
            (header.tick, header.ticks, header.agent_id) = (tick.into(), 1, agent as i64);
            (header.episode, header.ordinal) = (tick / 3 * 16 + agent as u32, ordinal);
            header.set_outcome((tick % 3 == 2).then_some(Outcome::Terminated), death);
            counters.recorded.add(u64::from(kind == StepKind::Transition));
            pushed.store(ordinal, Ordering::Release);
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let sent = schema.layout().info_offsets()[0];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
            bytes[sent..sent + 8].copy_from_slice(&now.as_secs_f64().to_ne_bytes());
            let _ = writer.push(&row);
        }
        exporter.wake();
        next += Duration::from_secs(1) / 60;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

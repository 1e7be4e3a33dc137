//! Transitions as they happen, on their way to the sinks that take them.

use super::RecordingPipeline;
use crate::exporter::part_collector::PartCollector;

impl RecordingPipeline {
    /// Takes the last transitions of the finished episodes from number `from` on. Sends what was taken so far if that is more than
    /// `limit` bytes.
    pub(super) fn collect_finished_parts(&mut self, from: usize, limit: usize) {
        let Some(parts) = &mut self.parts else { return };
        for builder in &mut self.finished[from..] {
            parts.collect(&self.context, builder);
        }
        if parts.bytes() >= limit {
            self.send_parts();
        }
    }

    /// Sends the transitions that have become final to the sinks that take them.
    pub(super) fn send_parts(&mut self) {
        if self.parts.as_ref().is_none_or(PartCollector::is_empty) {
            return;
        }
        // Before the parts, so that a player who has opted out is in none of them.
        self.drop_unwanted();
        let Some(parts) = &mut self.parts else { return };
        let batch = parts.take(|episode| self.unwanted.contains_key(&episode));
        for sink in &mut self.sinks {
            sink.send_parts(&batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        assembly::{AssemblyContext, EpisodeBuilder},
        exporter::{ExportSettings, RecordingExport, notice::Notices},
        sink::{PartBatch, RecordingInfo, Sink, SinkError},
    };
    use experience_buffer::{BufferSettings, PlayerBuffers};
    use experience_core::{
        account::RunReport,
        schema::{Column, Schema},
        transition::{EndReason, Episode, Outcome, RunId, StepHeader, StepKind},
    };
    use std::{
        borrow::Cow,
        sync::{Arc, Mutex},
        time::SystemTime,
    };

    const RUN: RunId = RunId::from_bits(7);

    /// Keeps the ids of the parts and of the withdrawn episodes.
    #[derive(Clone, Default)]
    struct PartSink(Arc<Mutex<(Vec<i64>, Vec<i64>)>>);

    impl Sink for PartSink {
        fn describe(&self) -> Cow<'_, str> {
            "parts".into()
        }

        fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
            Ok(())
        }

        fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
            Ok(())
        }

        fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
            Ok(())
        }

        fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
            Ok(())
        }

        fn takes_parts(&self) -> bool {
            true
        }

        fn write_parts(&mut self, batch: &PartBatch) -> Result<(), SinkError> {
            let mut seen = self.0.lock().unwrap();
            seen.0.extend(batch.parts.iter().map(|part| part.info().episode_id));
            seen.1.extend(&batch.withdrawn);
            Ok(())
        }
    }

    fn settings() -> ExportSettings {
        ExportSettings {
            threads: false,
            journal: None,
            ..ExportSettings::default()
        }
    }

    fn pipeline(sink: PartSink) -> RecordingPipeline {
        let schema = Schema::new("test")
            .with_observation([Column::feature("x")])
            .into_shared();
        let players = PlayerBuffers::new(BufferSettings::default(), schema.layout().row_words()).unwrap();
        let export = RecordingExport {
            info: RecordingInfo {
                schema,
                run: RUN,
                tick_rate: None,
                started: SystemTime::now(),
                buffers: None,
            },
            counters: Arc::default(),
            words: Arc::default(),
            episodes: Arc::default(),
            discarded: Arc::default(),
            players: Arc::new(players),
            sinks: vec![Box::new(sink)],
        };
        RecordingPipeline::new(0, export, &settings(), &Arc::<Notices>::default()).unwrap()
    }

    /// A finished piece of the episode that was captured as `captured_as`, with `transitions`.
    fn piece(context: &AssemblyContext, id: i64, captured_as: u32, transitions: usize) -> EpisodeBuilder {
        let mut row = vec![0; context.schema.layout().row_words()];
        StepHeader::of_mut(&mut row).set_kind(StepKind::Begin);
        StepHeader::of_mut(&mut row).episode = captured_as;
        let mut builder = EpisodeBuilder::begin(id, None, &row).with_parts(&row);
        StepHeader::of_mut(&mut row).set_kind(StepKind::Transition);
        for _ in 0..transitions {
            builder.push(&row);
        }
        builder.close(Outcome::Truncated, EndReason::GAP);
        builder
    }

    #[test]
    fn pieces_that_are_discarded_while_parts_are_sent_are_counted_once() {
        let sink = PartSink::default();
        let mut pipeline = pipeline(sink.clone());
        let first = RUN.episode_id(5);
        pipeline.take_turn(&settings(), None, |context, finished, _| {
            finished.push(piece(context, first, 5, 3));
        });
        assert_eq!(pipeline.finished_transitions, 3);
        // The player opts out, and the next turn has enough bytes to send them.
        pipeline.discarded.push(5);
        let full = ExportSettings {
            batch_bytes: 1,
            ..settings()
        };
        let second = RUN.episode_id(1000);
        pipeline.take_turn(&full, None, |context, finished, _| {
            finished.push(piece(context, second, 5, 4));
        });
        pipeline.call_sinks();
        assert_eq!(pipeline.finished_transitions, 0);
        assert_eq!(pipeline.counters.discarded.get(), 7);
        let (sent, mut withdrawn) = sink.0.lock().unwrap().clone();
        assert!(sent.is_empty());
        withdrawn.sort_unstable();
        assert_eq!(withdrawn, [first, second]);
    }

    #[test]
    fn each_piece_of_which_parts_were_sent_is_withdrawn() {
        let sink = PartSink::default();
        let mut pipeline = pipeline(sink.clone());
        let ids = [RUN.episode_id(5), RUN.episode_id(1000), RUN.episode_id(1001)];
        pipeline.take_turn(&settings(), None, |context, finished, _| {
            finished.extend(ids.map(|id| piece(context, id, 5, 2)));
        });
        pipeline.send_parts();
        pipeline.discarded.push(5);
        pipeline.drop_unwanted();
        pipeline.send_parts();
        pipeline.call_sinks();
        let (sent, withdrawn) = sink.0.lock().unwrap().clone();
        assert_eq!(sent, ids);
        assert_eq!(withdrawn, ids);
    }
}

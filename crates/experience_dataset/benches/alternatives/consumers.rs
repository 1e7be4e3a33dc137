//! Consumers: from rows in any order of players to Arrow batches.

use crate::{Consumer, source::Source};
use arrow_array::RecordBatch;
use crossbeam_channel::Receiver;
use experience_arrow::BatchEncoder;
use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, EpisodeInfo, RunId, StepHeader},
};
use experience_export::{ExportSettings, Exporter};
use std::{collections::HashMap, hint::black_box, sync::Arc, time::Duration};

/// Transitions of a batch, as the exporter dispatches them.
pub const BATCH: usize = 8192;

/// Sorts rows by player into episodes, and encodes those that have ended.
pub struct EpisodeSorter {
    schema: Arc<Schema>,
    encoder: BatchEncoder,
    open: HashMap<i64, Vec<u64>>,
    ended: Vec<Episode>,
    transitions: usize,
}

impl EpisodeSorter {
    pub fn new(source: &Source) -> Self {
        Self {
            schema: source.schema.clone(),
            encoder: BatchEncoder::new(source.schema.clone()).expect("a valid schema"),
            open: HashMap::new(),
            ended: Vec::new(),
            transitions: 0,
        }
    }

    /// Adds a row. Returns the transitions of the batch that it completes.
    pub fn add(&mut self, row: &[u64]) -> usize {
        let header = StepHeader::of(row);
        let rows = self.open.entry(header.agent_id).or_default();
        rows.extend_from_slice(row);
        let Some(outcome) = header.outcome() else { return 0 };
        let run = RunId::from_bits(1);
        let info = EpisodeInfo {
            episode_id: run.episode_id(header.episode),
            agent_id: header.agent_id,
            run,
            continues: None,
        };
        let rows = core::mem::take(rows);
        let episode = Episode::new(self.schema.clone(), info, rows, outcome, EndReason::DEATH);
        self.transitions += episode.len();
        self.ended.push(episode);
        if self.transitions < BATCH { 0 } else { self.encode() }
    }

    /// Encodes the episodes that have ended.
    pub fn encode(&mut self) -> usize {
        if self.ended.is_empty() {
            return 0;
        }
        black_box(self.encoder.encode(&self.ended).expect("episodes of the schema"));
        self.ended.clear();
        core::mem::take(&mut self.transitions)
    }
}

/// The exporter, which drains the rings, without threads of its own.
pub struct Export {
    exporter: Exporter,
    batches: Receiver<Arc<RecordBatch>>,
}

impl Export {
    pub fn settings() -> ExportSettings {
        ExportSettings {
            // The other pipelines have no journal.
            journal: None,
            threads: false,
            ..ExportSettings::default()
        }
    }

    pub fn new(exporter: Exporter, batches: Receiver<Arc<RecordBatch>>) -> Self {
        Self { exporter, batches }
    }

    fn received(&self) -> usize {
        self.batches.try_iter().map(|batch| black_box(batch).num_rows()).sum()
    }
}

impl Consumer for Export {
    fn take(&mut self) -> usize {
        let mut transitions = 0;
        while self.exporter.run_pass() > 0 {
            transitions += self.received();
        }
        transitions
    }

    fn finish(mut self) -> usize {
        let transitions = self.take();
        assert!(self.exporter.close(Duration::from_secs(60)), "it closes in time");
        transitions + self.received()
    }
}

//! Workloads of the export benchmarks: generated episodes, or those of a dataset.

use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader},
};
use experience_dataset::Dataset;
use std::sync::Arc;

/// Episodes of one recording, in the order in which they ended.
pub struct Workload {
    pub schema: Arc<Schema>,
    pub episodes: Vec<Episode>,
}

impl Workload {
    /// The episodes of a recording of the dataset in `EXPERIENCE_DATASET`. `None` without that variable or recording.
    pub fn of_dataset(recording: &str) -> Option<Self> {
        let path = std::env::var_os("EXPERIENCE_DATASET")?;
        let dataset = Dataset::open(std::path::PathBuf::from(path)).expect("a dataset");
        let recording = dataset.recording(recording).ok()?;
        let episodes = recording.episodes().collect::<Result<_, _>>().expect("whole shards");
        Some(Self {
            schema: recording.schema().clone(),
            episodes,
        })
    }

    /// Transitions in all episodes.
    pub fn len(&self) -> usize {
        self.episodes.iter().map(Episode::len).sum()
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.episodes.iter().map(|episode| size_of_val(episode.rows())).sum()
    }
}

/// Collects the rows of one player into episodes.
pub struct RowRecorder {
    schema: Arc<Schema>,
    agent_id: i64,
    rows: Vec<u64>,
}

impl RowRecorder {
    pub fn new(schema: &Arc<Schema>, agent_id: i64) -> Self {
        Self {
            schema: schema.clone(),
            agent_id,
            rows: Vec::new(),
        }
    }

    /// Adds a row. `fill` gets the whole row and writes the values behind the header.
    pub fn push(&mut self, tick: i64, reward: f64, fill: impl FnOnce(&mut [u8])) {
        let start = self.rows.len();
        self.rows.resize(start + self.schema.layout().row_words(), 0);
        let row = &mut self.rows[start..];
        let header = StepHeader::of_mut(row);
        header.tick = tick;
        header.timestamp = tick as f64 / 60.0;
        header.reward = reward;
        header.agent_id = self.agent_id;
        header.ticks = 1;
        header.set_match_id(Some(0));
        fill(bytemuck::cast_slice_mut(row));
    }

    /// Ends the episode. `None` if it has no transition.
    pub fn end(&mut self, number: u32, outcome: Outcome) -> Option<Episode> {
        let rows = core::mem::take(&mut self.rows);
        if rows.len() < 2 * self.schema.layout().row_words() {
            return None;
        }
        let run = RunId::from_bits(7);
        let info = EpisodeInfo {
            episode_id: run.episode_id(number),
            agent_id: self.agent_id,
            run,
            continues: None,
        };
        let reason = match outcome {
            Outcome::Terminated => EndReason::DEATH,
            Outcome::Truncated => EndReason::TIME_LIMIT,
        };
        Some(Episode::new(self.schema.clone(), info, rows, outcome, reason))
    }
}

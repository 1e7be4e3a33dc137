//! Arrow's builders, to which the game's thread appends.

use super::WORDS;
use crate::{Consumer, PLAYERS, Pipeline, Recorder, consumers::BATCH, source::Source};
use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{BooleanBuilder, FixedSizeListBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder},
};
use core::ops::Range;
use experience_core::{
    schema::Schema,
    transition::{Outcome, StepHeader, StepKind},
};
use std::{
    hint::black_box,
    sync::{Arc, mpsc},
};

/// Arrow's builders in the tick. The observation before the action is a copy of the player's last row.
pub struct Arrays;

pub struct ArrayRecorder {
    schema: Arc<Schema>,
    observation: Range<usize>,
    last: Vec<[u64; WORDS]>,
    columns: Columns,
    batches: mpsc::Sender<RecordBatch>,
}

pub struct BatchReceiver(mpsc::Receiver<RecordBatch>);

struct Columns {
    rows: usize,
    episode_id: Int64Builder,
    agent_id: Int64Builder,
    step: Int32Builder,
    tick: Int64Builder,
    ticks: Int32Builder,
    timestamp: Float64Builder,
    observation: FixedSizeListBuilder<Float32Builder>,
    action: Vec<Float32Builder>,
    deed: Int64Builder,
    reward: Float64Builder,
    terms: Vec<Float32Builder>,
    next_observation: FixedSizeListBuilder<Float32Builder>,
    terminated: BooleanBuilder,
    truncated: BooleanBuilder,
}

impl Columns {
    fn new(schema: &Schema) -> Self {
        let width = schema.observation_width();
        let list = || {
            let values = Float32Builder::with_capacity(BATCH * width);
            FixedSizeListBuilder::with_capacity(values, width as i32, BATCH)
        };
        let floats = || Float32Builder::with_capacity(BATCH);
        let integers = || Int64Builder::with_capacity(BATCH);
        Self {
            rows: 0,
            episode_id: integers(),
            agent_id: integers(),
            step: Int32Builder::with_capacity(BATCH),
            tick: integers(),
            ticks: Int32Builder::with_capacity(BATCH),
            timestamp: Float64Builder::with_capacity(BATCH),
            observation: list(),
            action: (0..4).map(|_| floats()).collect(),
            deed: integers(),
            reward: Float64Builder::with_capacity(BATCH),
            terms: schema.reward_terms().iter().map(|_| floats()).collect(),
            next_observation: list(),
            terminated: BooleanBuilder::with_capacity(BATCH),
            truncated: BooleanBuilder::with_capacity(BATCH),
        }
    }

    fn finish(mut self) -> RecordBatch {
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("episode_id".to_owned(), Arc::new(self.episode_id.finish())),
            ("agent_id".to_owned(), Arc::new(self.agent_id.finish())),
            ("step".to_owned(), Arc::new(self.step.finish())),
            ("tick".to_owned(), Arc::new(self.tick.finish())),
            ("ticks".to_owned(), Arc::new(self.ticks.finish())),
            ("timestamp".to_owned(), Arc::new(self.timestamp.finish())),
            ("observation".to_owned(), Arc::new(self.observation.finish())),
            ("deed".to_owned(), Arc::new(self.deed.finish())),
            ("reward".to_owned(), Arc::new(self.reward.finish())),
            ("next_observation".to_owned(), Arc::new(self.next_observation.finish())),
            ("terminated".to_owned(), Arc::new(self.terminated.finish())),
            ("truncated".to_owned(), Arc::new(self.truncated.finish())),
        ];
        for (kind, builders) in [("action", &mut self.action), ("term", &mut self.terms)] {
            for (index, builder) in builders.iter_mut().enumerate() {
                columns.push((format!("{kind}{index}"), Arc::new(builder.finish())));
            }
        }
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }
}

impl Pipeline for Arrays {
    const NAME: &str = "Arrow builders in the tick (`arrow`)";
    type Recorder = ArrayRecorder;
    type Consumer = BatchReceiver;

    fn new(source: &Source) -> (ArrayRecorder, BatchReceiver) {
        let (batches, receiver) = mpsc::channel();
        let recorder = ArrayRecorder {
            observation: source.schema.layout().observation(),
            last: vec![[0; WORDS]; PLAYERS],
            columns: Columns::new(&source.schema),
            schema: source.schema.clone(),
            batches,
        };
        (recorder, BatchReceiver(receiver))
    }
}

impl ArrayRecorder {
    fn add(&mut self, before: &[u64; WORDS], after: &[u64; WORDS]) {
        let columns = &mut self.columns;
        let [first, header] = [before, after].map(|row| StepHeader::of(row));
        let [bytes, next]: [&[u8]; 2] = [before, after].map(|row| bytemuck::cast_slice(row));
        columns.episode_id.append_value(header.episode.into());
        columns.agent_id.append_value(header.agent_id);
        columns.step.append_value(header.ordinal as i32);
        columns.tick.append_value(first.tick);
        columns.ticks.append_value(header.ticks as i32);
        columns.timestamp.append_value(first.timestamp);
        for (list, row) in [(&mut columns.observation, bytes), (&mut columns.next_observation, next)] {
            list.values()
                .append_slice(bytemuck::cast_slice(&row[self.observation.clone()]));
            list.append(true);
        }
        let layout = self.schema.layout();
        let floats: &[f32] = bytemuck::cast_slice(&next[layout.action().start..][..16]);
        for (builder, value) in columns.action.iter_mut().zip(floats) {
            builder.append_value(*value);
        }
        let [.., deed] = layout.action_offsets() else {
            unreachable!("the action has five columns");
        };
        columns.deed.append_value(after[deed / 8] as i64);
        columns.reward.append_value(header.reward);
        let terms: &[f32] = bytemuck::cast_slice(&next[layout.reward_terms()]);
        for (builder, value) in columns.terms.iter_mut().zip(terms) {
            builder.append_value(*value);
        }
        columns
            .terminated
            .append_value(header.outcome() == Some(Outcome::Terminated));
        columns
            .truncated
            .append_value(header.outcome() == Some(Outcome::Truncated));
        columns.rows += 1;
        if columns.rows == BATCH {
            self.send();
        }
    }

    fn send(&mut self) {
        let columns = core::mem::replace(&mut self.columns, Columns::new(&self.schema));
        // The consumer is gone when the program ends.
        let _ = self.batches.send(columns.finish());
    }
}

impl Recorder for ArrayRecorder {
    fn push(&mut self, first: usize, rows: &[u64]) {
        let (rows, _) = rows.as_chunks::<WORDS>();
        for (player, row) in (first..).zip(rows) {
            if StepHeader::of(row).kind() == StepKind::Transition {
                let before = self.last[player];
                self.add(&before, row);
            }
            self.last[player] = *row;
        }
    }
}

impl Drop for ArrayRecorder {
    fn drop(&mut self) {
        if self.columns.rows > 0 {
            self.send();
        }
    }
}

impl Consumer for BatchReceiver {
    fn take(&mut self) -> usize {
        self.0.try_iter().map(|batch| black_box(batch).num_rows()).sum()
    }

    fn finish(mut self) -> usize {
        self.take()
    }
}

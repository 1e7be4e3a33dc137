//! [`SummaryBuilder`]: computes a summary from batches of rows.

use super::{
    ClassCounts, ShardSummary,
    footer::{CLASS_BYTES, FEATURE_BYTES, MAX_BYTES},
    moments::add_rows,
};
use crate::{columns::WordColumn, profile::class_of};
use arrow_array::{
    ArrayRef,
    cast::AsArray,
    types::{Float32Type, Float64Type},
};
use experience_arrow::{
    columns::{BatchColumns, ColumnId, column_ids},
    match_dtype,
};
use experience_core::schema::{Column, DType, Schema, Space};
use std::sync::Arc;

/// Computes the summary of rows, in any number of batches.
#[derive(Debug)]
pub(crate) struct SummaryBuilder {
    schema: Arc<Schema>,
    /// The columns that it reads.
    columns: Vec<ColumnId>,
    summary: ShardSummary,
}

impl SummaryBuilder {
    pub(crate) fn new(schema: &Arc<Schema>) -> Self {
        let is_read = |id: &ColumnId| {
            matches!(
                id,
                ColumnId::Observation
                    | ColumnId::Action
                    | ColumnId::ActionPart(_)
                    | ColumnId::Reward
                    | ColumnId::RewardTerm(_)
                    | ColumnId::Controller
            )
        };
        Self {
            schema: schema.clone(),
            columns: column_ids(schema).into_iter().filter(is_read).collect(),
            summary: ShardSummary::new(schema),
        }
    }

    /// A builder for the footer of a shard. `None` if the summary would be too long for it.
    pub(crate) fn for_footer(schema: &Arc<Schema>) -> Option<Self> {
        // Before the memory of a row is taken for a schema of any width.
        if schema.observation_width().saturating_mul(FEATURE_BYTES) > MAX_BYTES || schema.action_width() > MAX_BYTES {
            return None;
        }
        let builder = Self::new(schema);
        let classes: usize = builder.summary.classes.iter().map(|action| action.counts.len()).sum();
        (classes.saturating_mul(CLASS_BYTES) <= MAX_BYTES).then_some(builder)
    }

    /// The columns that [`add`](Self::add) reads.
    pub(crate) fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Adds rows, in the types that are read.
    pub(crate) fn add(&mut self, batch: BatchColumns<'_>) {
        let summary = &mut self.summary;
        summary.transitions += batch.rows() as u64;
        if self.schema.observation_width() > 0 {
            let features = batch.list(ColumnId::Observation).values();
            add_rows(
                &mut summary.observation,
                features.as_primitive::<Float32Type>().values(),
            );
        }
        let [reward, terms @ ..] = summary.reward.as_mut_slice() else {
            return;
        };
        let rewards = batch.primitive::<Float64Type>(ColumnId::Reward);
        add_rows(core::slice::from_mut(reward), rewards.values());
        for (index, term) in terms.iter_mut().enumerate() {
            let rewards = batch.primitive::<Float32Type>(ColumnId::RewardTerm(index));
            add_rows(core::slice::from_mut(term), rewards.values());
        }
        self.add_classes(batch);
        for (label, steps) in WordColumn::new(batch.array(ColumnId::Controller)).counts() {
            match label {
                None => self.summary.unlabelled += steps,
                Some(label) => self.summary.add_controller(label, steps),
            }
        }
    }

    fn add_classes(&mut self, batch: BatchColumns<'_>) {
        let mut classes = self.summary.classes.as_mut_slice();
        let mut start = 0;
        for (index, column) in self.schema.action().iter().enumerate() {
            let width = column.width();
            if width > 0 && matches!(column.space, Space::Discrete { .. }) {
                let (actions, others) = classes.split_at_mut(width.min(classes.len()));
                classes = others;
                count_column(&self.schema, batch, (index, column, start), actions);
            }
            start += width;
        }
    }

    /// The summary of all rows.
    pub(crate) fn finish(self) -> ShardSummary {
        self.summary
    }

    /// The summary for the footer of a shard, if it has one.
    pub(crate) fn to_footer(&self) -> Option<String> {
        self.summary.to_footer()
    }
}

/// Counts the classes of the action column `index`, whose values are in the action from `start` on.
fn count_column(
    schema: &Schema,
    batch: BatchColumns<'_>,
    (index, column, start): (usize, &Column, usize),
    actions: &mut [ClassCounts],
) {
    let items = |array: &ArrayRef| {
        array
            .as_fixed_size_list_opt()
            .map_or_else(|| array.clone(), |list| list.values().clone())
    };
    if let Some(array) = batch.get(ColumnId::ActionPart(index)) {
        let items = items(array);
        macro_rules! count {
            ($native:ty, $arrow:ty) => {{
                let values = items.as_primitive::<$arrow>().values();
                count_values(actions, column.width(), values.iter().map(|value| *value as f64));
            }};
        }
        match_dtype!(column.dtype, count, {
            let flags = items.as_boolean().values();
            count_values(
                actions,
                column.width(),
                flags.iter().map(|flag| f64::from(u8::from(flag))),
            );
        });
        return;
    }
    let array = batch.array(ColumnId::Action);
    if schema.is_single_discrete() {
        let values = batch.i64(ColumnId::Action).values();
        count_values(actions, 1, values.iter().map(|value| *value as f64));
        return;
    }
    let items = items(array);
    let values = items.as_primitive::<Float32Type>().values();
    for row in values.chunks_exact(schema.action_width().max(1)) {
        for (action, value) in actions.iter_mut().zip(&row[start..]) {
            action.add(f64::from(*value));
        }
    }
}

/// Counts `values`, in rows of `width`.
fn count_values(actions: &mut [ClassCounts], width: usize, mut values: impl ExactSizeIterator<Item = f64>) {
    for _ in 0..values.len() / width {
        for action in &mut *actions {
            let Some(value) = values.next() else { return };
            action.add(value);
        }
    }
}

impl ClassCounts {
    fn add(&mut self, value: f64) {
        match class_of(value).and_then(|class| self.counts.get_mut(class)) {
            Some(count) => *count += 1,
            None => self.others += 1,
        }
    }
}

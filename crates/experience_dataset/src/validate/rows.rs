//! Checks the rules of rows.

use super::{
    Rule, Validation,
    episode_index::{EpisodeIndex, EpisodeSummary},
};
use crate::columns::{EpisodeColumns, NextParts};
use arrow_array::{cast::AsArray, types::UInt8Type};
use core::ops::Range;
use experience_arrow::columns::{BatchColumns, ColumnId, is_wide};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, StepBytes},
};
use std::{path::Path, sync::Arc};

/// Checks the rows of all shards of a recording, in order.
pub(super) struct RowValidator {
    schema: Arc<Schema>,
    observation: Vec<ValueBounds>,
    action: Vec<ValueBounds>,
    is_wide: bool,
    /// The current row: its observation before the action, and what the action led to.
    before: Vec<u64>,
    after: Vec<u64>,
    open: Option<EpisodeState>,
}

/// The state of the episode that the last row belongs to.
struct EpisodeState {
    id: i64,
    agent: i64,
    run: i64,
    continues: Option<i64>,
    step: i32,
    began: i64,
    tick: i64,
    ticks: i32,
    timestamp: f64,
    /// What the last row led to, as far as it has a next observation.
    after: Vec<u64>,
    next: NextParts,
    has_ended: bool,
    may_continue: bool,
    rows: u64,
}

impl RowValidator {
    pub(super) fn new(schema: &Arc<Schema>) -> Self {
        let row = vec![0; schema.layout().row_words()];
        Self {
            observation: bounds(schema.observation()),
            action: if schema.is_single_discrete() {
                Vec::new()
            } else {
                bounds(schema.action())
            },
            is_wide: is_wide(schema),
            before: row.clone(),
            after: row,
            open: None,
            schema: schema.clone(),
        }
    }

    /// Checks the rows of the next batch of the shard at `path`.
    pub(super) fn check(
        &mut self,
        path: &Path,
        batch: BatchColumns<'_>,
        columns: &EpisodeColumns,
        index: &mut EpisodeIndex,
        validation: &mut Validation,
    ) {
        let changed = batch.get(ColumnId::Changed).map(|_| batch.list(ColumnId::Changed));
        let discrete = (self.schema.is_single_discrete()).then(|| batch.i64(ColumnId::Action));
        for row in 0..batch.rows() {
            let id = columns.episode_id.value(row);
            let step = columns.step.value(row);
            let mut reporter = Reporter {
                validation: &mut *validation,
                file: path,
                position: (Some(id), Some(step)),
            };
            if self
                .open
                .as_ref()
                .is_some_and(|open| open.id != id || (open.has_ended && step == 0))
            {
                self.close(&mut reporter, index);
                reporter.position = (Some(id), Some(step));
            }
            columns.decode_before(row, bytemuck::cast_slice_mut(&mut self.before));
            let next = columns.decode_after(row, bytemuck::cast_slice_mut(&mut self.after));
            columns.decode_outcome(row, bytemuck::cast_slice_mut(&mut self.after));
            match self.open.take() {
                Some(mut open) => {
                    self.check_successor(&mut open, columns, row, &mut reporter);
                    self.open = Some(open);
                }
                None => self.open = Some(self.begin(columns, row, index, &mut reporter)),
            }
            let ends = self.check_end(columns, row, next, &mut reporter);
            if next.features
                && let Some(changed) = changed
            {
                let width = changed.value_length() as usize;
                let bits = changed.values().as_primitive::<UInt8Type>().values();
                self.check_changed(&bits[row * width..][..width], &mut reporter);
            }
            self.check_values(ends && next.features, &mut reporter);
            if let Some(actions) = discrete {
                check_discrete(&self.schema.action()[0], actions.value(row), &mut reporter);
            }
            let open = self.open.as_mut().expect("the episode was set above");
            open.step = step;
            open.tick = columns.tick.value(row);
            open.ticks = columns.ticks.value(row);
            open.timestamp = columns.timestamp.value(row);
            open.next = next;
            open.has_ended = ends;
            let reason = columns.reason(row);
            open.may_continue = [EndReason::SPLIT, EndReason::GAP]
                .iter()
                .any(|continued| reason == Some(continued.as_str()));
            open.rows += 1;
            open.after.copy_from_slice(&self.after);
            validation.transitions += 1;
        }
    }

    /// Ends the shard at the path `file`.
    pub(super) fn end_shard(&mut self, file: &Path, index: &mut EpisodeIndex, validation: &mut Validation) {
        let position = (None, None);
        self.close(
            &mut Reporter {
                validation,
                file,
                position,
            },
            index,
        );
    }

    /// Ends the open episode, which has no more rows.
    fn close(&mut self, reporter: &mut Reporter, index: &mut EpisodeIndex) {
        let Some(open) = self.open.take() else { return };
        reporter.position = (Some(open.id), Some(open.step));
        if !open.has_ended {
            reporter.report(
                Rule::End,
                "this is the episode's last row, and neither flag is set".to_owned(),
            );
        }
        reporter.validation.episodes += 1;
        let until = open.tick.saturating_add(i64::from(open.ticks));
        index.add(
            reporter.file,
            EpisodeSummary {
                id: open.id,
                agent: open.agent,
                run: open.run,
                ticks: open.began..until,
                transitions: open.rows,
                continues: open.continues,
                may_continue: open.may_continue,
            },
        );
    }

    fn begin(
        &self,
        columns: &EpisodeColumns,
        row: usize,
        index: &mut EpisodeIndex,
        reporter: &mut Reporter,
    ) -> EpisodeState {
        let (id, run, step) = (
            columns.episode_id.value(row),
            columns.run.value(row),
            columns.step.value(row),
        );
        if !index.begin(id) {
            reporter.report(Rule::Contiguous, "rows of the episode are also elsewhere".to_owned());
        } else if step != 0 {
            reporter.report(Rule::Steps, format!("the episode begins with step {step}"));
        }
        if id >> 32 != run {
            reporter.report(
                Rule::EpisodeId,
                format!("the episode id is of run {}, and the row of run {run}", id >> 32),
            );
        }
        EpisodeState {
            id,
            agent: columns.agent_id.value(row),
            run,
            continues: columns.continues(row),
            step,
            began: columns.tick.value(row),
            tick: 0,
            ticks: 0,
            timestamp: 0.0,
            after: vec![0; self.after.len()],
            next: NextParts::default(),
            has_ended: false,
            may_continue: false,
            rows: 0,
        }
    }

    /// Checks a row against the row before, of the same episode.
    fn check_successor(&self, open: &mut EpisodeState, columns: &EpisodeColumns, row: usize, reporter: &mut Reporter) {
        for (what, was, is) in [
            ("agent", Some(open.agent), Some(columns.agent_id.value(row))),
            ("run", Some(open.run), Some(columns.run.value(row))),
            ("continued episode", open.continues, columns.continues(row)),
        ] {
            if was != is {
                let name = |id: Option<i64>| id.map_or("none".to_owned(), |id| id.to_string());
                reporter.report(
                    Rule::Identity,
                    format!("the {what} is {} and was {} in the row before", name(is), name(was)),
                );
            }
        }
        if open.has_ended {
            reporter.report(
                Rule::End,
                format!("the episode ended at step {} and has another row", open.step),
            );
        }
        let step = columns.step.value(row);
        if i64::from(step) != i64::from(open.step) + 1 {
            reporter.report(Rule::Steps, format!("step {step} follows step {}", open.step));
            // The rows in between are unknown, so no other rule can be checked.
            return;
        }
        let (tick, timestamp) = (columns.tick.value(row), columns.timestamp.value(row));
        if open.tick.saturating_add(i64::from(open.ticks)) != tick {
            reporter.report(
                Rule::Time,
                format!(
                    "the tick is {tick}, and the step before lasted from tick {} for {} ticks",
                    open.tick, open.ticks
                ),
            );
        }
        if timestamp < open.timestamp {
            reporter.report(
                Rule::Time,
                format!("the timestamp is {timestamp} after {}", open.timestamp),
            );
        }
        if open.next.images {
            self.check_next_images(open, reporter);
        }
        if !open.next.features {
            return;
        }
        let layout = self.schema.layout();
        if let Some(feature) = differing(&open.after, &self.before, layout.observation()).first() {
            let value = |row: &[u64]| StepBytes::new(&self.schema, row).observation()[*feature];
            reporter.report(
                Rule::NextObservation,
                format!(
                    "`{}` is {}, and {} in the next observation of the step before",
                    feature_name(&self.schema, *feature),
                    value(&self.before),
                    value(&open.after)
                ),
            );
        }
        let mask = |row: &[u64]| bytemuck::cast_slice::<u64, u8>(row)[layout.mask()].to_vec();
        if mask(&open.after) != mask(&self.before) {
            reporter.report(
                Rule::NextMask,
                "the mask differs from the next mask of the step before".to_owned(),
            );
        }
    }

    /// Checks the images of a row against those that the row before led to.
    fn check_next_images(&self, open: &EpisodeState, reporter: &mut Reporter) {
        let [was, is] = [&open.after, &self.before].map(|row| StepBytes::new(&self.schema, row));
        let mut images = self.schema.images().iter().enumerate();
        if let Some((_, image)) = images.find(|(index, _)| was.image(*index) != is.image(*index)) {
            let what = format!(
                "the image `{}` differs from that in the next observation of the step before",
                image.name
            );
            reporter.report(Rule::NextObservation, what);
        }
    }

    /// Checks the rules of ends. Returns whether the row is the last of its episode.
    fn check_end(&self, columns: &EpisodeColumns, row: usize, next: NextParts, reporter: &mut Reporter) -> bool {
        let (terminated, truncated) = (columns.terminated.value(row), columns.truncated.value(row));
        let ends = terminated || truncated;
        if terminated && truncated {
            reporter.report(Rule::End, "the row is both terminated and truncated".to_owned());
        }
        match (ends, columns.reason(row)) {
            (true, None) => reporter.report(Rule::Reason, "the last row has no end reason".to_owned()),
            (false, Some(reason)) => {
                reporter.report(
                    Rule::Reason,
                    format!("the row has the end reason `{reason}` and is not the last"),
                );
            }
            _ => {}
        }
        if ends && !next.images {
            reporter.report(
                Rule::NextObservation,
                "an image of the final observation is missing".to_owned(),
            );
        }
        if !next.features && (ends || !self.is_wide) {
            reporter.report(Rule::NextObservation, "`next_observation` is missing".to_owned());
        }
        if columns.ticks.value(row) < 0 {
            reporter.report(
                Rule::Time,
                format!("the duration is {} ticks", columns.ticks.value(row)),
            );
        }
        if !columns.timestamp.value(row).is_finite() {
            reporter.report(Rule::Time, format!("the timestamp is {}", columns.timestamp.value(row)));
        }
        ends
    }

    fn check_changed(&self, bits: &[u8], reporter: &mut Reporter) {
        let differing = differing(&self.before, &self.after, self.schema.layout().observation());
        let mut expected = vec![0_u8; bits.len()];
        for feature in differing {
            expected[feature / 8] |= 1 << (feature % 8);
        }
        if let Some(byte) = (0..bits.len()).find(|byte| bits[*byte] != expected[*byte]) {
            let feature = byte * 8 + (bits[byte] ^ expected[byte]).trailing_zeros() as usize;
            let name = feature_name(&self.schema, feature);
            let what = if expected[byte] >> (feature % 8) & 1 == 1 {
                format!("`{name}` changed, and its bit is 0")
            } else {
                format!("`{name}` did not change, and its bit is 1")
            };
            reporter.report(Rule::Changed, what);
        }
    }

    /// Checks values against their spaces. The next observation is checked in the last row alone: others are in the next row.
    fn check_values(&self, is_last: bool, reporter: &mut Reporter) {
        let [before, after] = [&self.before, &self.after].map(|row| StepBytes::new(&self.schema, row));
        let last = is_last.then(|| after.observation());
        for (what, observation) in [("", Some(before.observation())), ("the next ", last)] {
            let Some(observation) = observation else { continue };
            for bound in &self.observation {
                for (element, value) in observation[bound.values.clone()].iter().enumerate() {
                    if !bound.allows(f64::from(*value)) {
                        let column = &self.schema.observation()[bound.column];
                        reporter.report(Rule::Space, bound.violation(what, column, element, f64::from(*value)));
                    }
                }
            }
        }
        if self.action.is_empty() {
            return;
        }
        let action: Vec<f64> = after.action().collect();
        for bound in &self.action {
            for (element, value) in action[bound.values.clone()].iter().enumerate() {
                if !bound.allows(*value) {
                    let column = &self.schema.action()[bound.column];
                    reporter.report(Rule::Space, bound.violation("the action ", column, element, *value));
                }
            }
        }
    }
}

/// Adds violations at a position to the report.
struct Reporter<'a> {
    validation: &'a mut Validation,
    file: &'a Path,
    /// The episode id and the step.
    position: (Option<i64>, Option<i32>),
}

impl Reporter<'_> {
    fn report(&mut self, rule: Rule, what: String) {
        self.validation.add(rule, self.file, self.position, what);
    }
}

/// The bounds of a column's values. Columns without bounds have none.
struct ValueBounds {
    column: usize,
    /// The indexes of the values within the observation or the action.
    values: Range<usize>,
    low: f64,
    high: f64,
    is_discrete: bool,
}

impl ValueBounds {
    /// Whether a value is within the bounds. NaN is allowed: the recording's settings decide whether it is kept.
    fn allows(&self, value: f64) -> bool {
        value.is_nan() || (value >= self.low && value <= self.high && !(self.is_discrete && value.fract() != 0.0))
    }

    fn violation(&self, what: &str, column: &Column, element: usize, value: f64) -> String {
        let name = column
            .element_names()
            .nth(element)
            .unwrap_or_else(|| column.name.clone());
        format!("{what}`{name}` is {value}, outside {} to {}", self.low, self.high)
    }
}

fn bounds(columns: &[Column]) -> Vec<ValueBounds> {
    let mut bounds = Vec::new();
    let mut start = 0;
    for (index, column) in columns.iter().enumerate() {
        let (low, high, is_discrete) = match column.space {
            Space::Box { low, high } => (low, high, false),
            Space::Discrete { n, .. } => (Some(0.0), Some(n.saturating_sub(1) as f64), true),
        };
        // Bounds are rounded like values, so that a value at its bound is within.
        let round = |bound: f64| match column.dtype {
            DType::F32 => f64::from(bound as f32),
            _ => bound,
        };
        let values = start..start + column.width();
        start = values.end;
        if low.is_some() || high.is_some() {
            bounds.push(ValueBounds {
                column: index,
                values,
                low: low.map_or(f64::NEG_INFINITY, round),
                high: high.map_or(f64::INFINITY, round),
                is_discrete,
            });
        }
    }
    bounds
}

/// Checks a single discrete action as it is stored. A negative number is a large unsigned one.
fn check_discrete(column: &Column, action: i64, reporter: &mut Reporter) {
    if let Space::Discrete { n, .. } = column.space
        && action as u64 >= n
    {
        let name = &column.name;
        reporter.report(
            Rule::Space,
            format!("the action `{name}` is {action}, and the action has {n} alternatives"),
        );
    }
}

/// The indexes of features whose bits differ.
fn differing(a: &[u64], b: &[u64], observation: Range<usize>) -> Vec<usize> {
    let [a, b] = [a, b]
        .map(|row| -> &[u32] { bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(row)[observation.clone()]) });
    (0..a.len()).filter(|feature| a[*feature] != b[*feature]).collect()
}

fn feature_name(schema: &Schema, feature: usize) -> String {
    let mut names = schema.observation().iter().flat_map(Column::element_names);
    names.nth(feature).unwrap_or_else(|| format!("feature {feature}"))
}

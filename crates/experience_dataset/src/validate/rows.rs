//! The rules that rows keep.

use super::{
    Rule, Validation,
    account::{Lived, Tally},
};
use crate::{
    arrow::{Content, is_wide},
    columns::Columns,
    shard::Shard,
};
use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Int64Type, UInt8Type},
};
use core::ops::Range;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, StepBytes},
};
use std::{collections::HashSet, path::Path, sync::Arc};

/// Checks the rows of all shards of a recording, in their order.
pub(super) struct Rows {
    schema: Arc<Schema>,
    observation: Vec<Bound>,
    action: Vec<Bound>,
    is_wide: bool,
    /// What the row shows before acting, and what it leads to.
    before: Vec<u64>,
    after: Vec<u64>,
    open: Option<Open>,
    /// All episodes that have begun.
    seen: HashSet<i64>,
}

/// The episode that the last row was of.
struct Open {
    id: i64,
    agent: i64,
    run: i64,
    continues: Option<i64>,
    step: i32,
    began: i64,
    tick: i64,
    ticks: i32,
    timestamp: f64,
    /// What the last row led to, where it says so.
    after: Vec<u64>,
    has_after: bool,
    has_ended: bool,
    goes_on: bool,
    rows: u64,
}

impl Rows {
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
            seen: HashSet::new(),
            schema: schema.clone(),
        }
    }

    /// Checks the rows of a batch, which follow those of the batch before.
    pub(super) fn check(
        &mut self,
        shard: &Shard,
        batch: &RecordBatch,
        columns: &Columns,
        tally: &mut Tally,
        found: &mut Validation,
    ) {
        let changed = batch[Content::Changed.name(&self.schema).as_str()].as_fixed_size_list();
        let changed_bits = changed.values().as_primitive::<UInt8Type>().values();
        let changed_width = changed.value_length() as usize;
        let choices = (self.schema.is_single_discrete()).then(|| {
            batch[Content::Action.name(&self.schema).as_str()]
                .as_primitive::<Int64Type>()
                .clone()
        });
        for row in 0..batch.num_rows() {
            let id = columns.episode_id.value(row);
            let step = columns.step.value(row);
            let mut note = Note {
                found: &mut *found,
                file: shard.path(),
                place: (Some(id), Some(step)),
            };
            if self
                .open
                .as_ref()
                .is_some_and(|open| open.id != id || (open.has_ended && step == 0))
            {
                self.close(&mut note, tally);
                note.place = (Some(id), Some(step));
            }
            columns.write_before(row, bytemuck::cast_slice_mut(&mut self.before));
            let has_after = columns.write_after(row, bytemuck::cast_slice_mut(&mut self.after));
            columns.write_outcome(row, bytemuck::cast_slice_mut(&mut self.after));
            match self.open.take() {
                Some(mut open) => {
                    self.follow(&mut open, columns, row, &mut note);
                    self.open = Some(open);
                }
                None => self.open = Some(self.begin(columns, row, &mut note)),
            }
            let ends = self.end(columns, row, has_after, &mut note);
            if has_after {
                let bits = &changed_bits[row * changed_width..][..changed_width];
                self.changed(bits, &mut note);
            }
            self.values(ends && has_after, &mut note);
            if let Some(choices) = &choices {
                choice(&self.schema.action()[0], choices.value(row), &mut note);
            }
            let open = self.open.as_mut().expect("it was put there above");
            open.step = step;
            open.tick = columns.tick.value(row);
            open.ticks = columns.ticks.value(row);
            open.timestamp = columns.timestamp.value(row);
            open.has_after = has_after;
            open.has_ended = ends;
            let reason = columns.reason(row);
            open.goes_on = [EndReason::SPLIT, EndReason::GAP]
                .iter()
                .any(|goes_on| reason == Some(goes_on.as_str()));
            open.rows += 1;
            open.after.copy_from_slice(&self.after);
            found.transitions += 1;
        }
    }

    /// No row follows in this shard.
    pub(super) fn end_shard(&mut self, file: &Path, tally: &mut Tally, found: &mut Validation) {
        let place = (None, None);
        self.close(&mut Note { found, file, place }, tally);
    }

    /// The open episode has no more rows.
    fn close(&mut self, note: &mut Note, tally: &mut Tally) {
        let Some(open) = self.open.take() else { return };
        note.place = (Some(open.id), Some(open.step));
        if !open.has_ended {
            note.broken(
                Rule::End,
                "the episode's rows stop here, and neither flag is set".to_owned(),
            );
        }
        note.found.episodes += 1;
        let until = open.tick.saturating_add(i64::from(open.ticks));
        tally.episode(
            note.file,
            Lived {
                id: open.id,
                agent: open.agent,
                run: open.run,
                ticks: open.began..until,
                transitions: open.rows,
                continues: open.continues,
                goes_on: open.goes_on,
            },
        );
    }

    fn begin(&mut self, columns: &Columns, row: usize, note: &mut Note) -> Open {
        let (id, run, step) = (
            columns.episode_id.value(row),
            columns.run.value(row),
            columns.step.value(row),
        );
        if !self.seen.insert(id) {
            note.broken(Rule::OnePiece, "rows of the episode stand elsewhere already".to_owned());
        } else if step != 0 {
            note.broken(Rule::Steps, format!("the episode begins with step {step}"));
        }
        if id >> 32 != run {
            note.broken(
                Rule::EpisodeId,
                format!("the episode is of run {}, and the row of run {run}", id >> 32),
            );
        }
        Open {
            id,
            agent: columns.agent_id.value(row),
            run,
            continues: continues(columns, row),
            step,
            began: columns.tick.value(row),
            tick: 0,
            ticks: 0,
            timestamp: 0.0,
            after: vec![0; self.after.len()],
            has_after: false,
            has_ended: false,
            goes_on: false,
            rows: 0,
        }
    }

    /// A row follows another of its episode.
    fn follow(&self, open: &mut Open, columns: &Columns, row: usize, note: &mut Note) {
        for (what, was, is) in [
            ("agent", Some(open.agent), Some(columns.agent_id.value(row))),
            ("run", Some(open.run), Some(columns.run.value(row))),
            ("continued episode", open.continues, continues(columns, row)),
        ] {
            if was != is {
                let name = |id: Option<i64>| id.map_or("none".to_owned(), |id| id.to_string());
                note.broken(
                    Rule::Identity,
                    format!("the {what} is {} and was {}", name(is), name(was)),
                );
            }
        }
        if open.has_ended {
            note.broken(
                Rule::End,
                format!("the episode ended at step {} and goes on", open.step),
            );
        }
        let step = columns.step.value(row);
        if i64::from(step) != i64::from(open.step) + 1 {
            note.broken(Rule::Steps, format!("step {step} follows step {}", open.step));
            // What is between them is unknown, so nothing else can be compared.
            return;
        }
        let (tick, timestamp) = (columns.tick.value(row), columns.timestamp.value(row));
        if open.tick.saturating_add(i64::from(open.ticks)) != tick {
            note.broken(
                Rule::Time,
                format!(
                    "the tick is {tick}, and the step before lasted from {} for {} ticks",
                    open.tick, open.ticks
                ),
            );
        }
        if timestamp < open.timestamp {
            note.broken(
                Rule::Time,
                format!("the timestamp is {timestamp} after {}", open.timestamp),
            );
        }
        if !open.has_after {
            return;
        }
        let layout = self.schema.layout();
        if let Some(feature) = differing(&open.after, &self.before, layout.observation()).first() {
            let value = |row: &[u64]| StepBytes::new(&self.schema, row).observation()[*feature];
            note.broken(
                Rule::NextObservation,
                format!(
                    "`{}` is {}, and the step before led to {}",
                    feature_name(&self.schema, *feature),
                    value(&self.before),
                    value(&open.after)
                ),
            );
        }
        let mask = |row: &[u64]| bytemuck::cast_slice::<u64, u8>(row)[layout.mask()].to_vec();
        if mask(&open.after) != mask(&self.before) {
            note.broken(
                Rule::NextMask,
                "the mask is not the one that the step before led to".to_owned(),
            );
        }
    }

    /// Whether the row ends its episode.
    fn end(&self, columns: &Columns, row: usize, has_after: bool, note: &mut Note) -> bool {
        let (terminated, truncated) = (columns.terminated.value(row), columns.truncated.value(row));
        let ends = terminated || truncated;
        if terminated && truncated {
            note.broken(Rule::End, "the row is both terminated and truncated".to_owned());
        }
        match (ends, columns.reason(row)) {
            (true, None) => note.broken(Rule::Reason, "the episode ends without a reason".to_owned()),
            (false, Some(reason)) => {
                note.broken(Rule::Reason, format!("the reason `{reason}` stands where nothing ends"));
            }
            _ => {}
        }
        if !has_after && (ends || !self.is_wide) {
            note.broken(Rule::NextObservation, "there is no next observation".to_owned());
        }
        if columns.ticks.value(row) < 0 {
            note.broken(Rule::Time, format!("it lasts {} ticks", columns.ticks.value(row)));
        }
        if !columns.timestamp.value(row).is_finite() {
            note.broken(Rule::Time, format!("the timestamp is {}", columns.timestamp.value(row)));
        }
        ends
    }

    fn changed(&self, bits: &[u8], note: &mut Note) {
        let differing = differing(&self.before, &self.after, self.schema.layout().observation());
        let mut expected = vec![0_u8; bits.len()];
        for feature in differing {
            expected[feature / 8] |= 1 << (feature % 8);
        }
        if let Some(byte) = (0..bits.len()).find(|byte| bits[*byte] != expected[*byte]) {
            let feature = byte * 8 + (bits[byte] ^ expected[byte]).trailing_zeros() as usize;
            let name = feature_name(&self.schema, feature);
            let what = if expected[byte] >> (feature % 8) & 1 == 1 {
                format!("`{name}` changed, and its bit says that it did not")
            } else {
                format!("`{name}` did not change, and its bit says that it did")
            };
            note.broken(Rule::Changed, what);
        }
    }

    /// Whether values lie in their spaces. A next observation is the next row's, but for the last.
    fn values(&self, is_last: bool, note: &mut Note) {
        let [before, after] = [&self.before, &self.after].map(|row| StepBytes::new(&self.schema, row));
        let last = is_last.then(|| after.observation());
        for (what, observation) in [("", Some(before.observation())), ("the next ", last)] {
            let Some(observation) = observation else { continue };
            for bound in &self.observation {
                for (element, value) in observation[bound.values.clone()].iter().enumerate() {
                    if !bound.allows(f64::from(*value)) {
                        let column = &self.schema.observation()[bound.column];
                        note.broken(Rule::Space, bound.complaint(what, column, element, f64::from(*value)));
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
                    note.broken(Rule::Space, bound.complaint("the action ", column, element, *value));
                }
            }
        }
    }
}

/// Where a violation is noted.
struct Note<'a> {
    found: &'a mut Validation,
    file: &'a Path,
    place: (Option<i64>, Option<i32>),
}

impl Note<'_> {
    fn broken(&mut self, rule: Rule, what: String) {
        self.found.note(rule, self.file, self.place, what);
    }
}

/// What the values of a column may be. Columns whose values may be anything have none.
struct Bound {
    column: usize,
    /// Where the values are among all of the row's.
    values: Range<usize>,
    low: f64,
    high: f64,
    is_choice: bool,
}

impl Bound {
    /// A NaN is neither within nor without; the recording said whether to keep it.
    fn allows(&self, value: f64) -> bool {
        value.is_nan() || (value >= self.low && value <= self.high && !(self.is_choice && value.fract() != 0.0))
    }

    fn complaint(&self, what: &str, column: &Column, element: usize, value: f64) -> String {
        let name = column
            .element_names()
            .nth(element)
            .unwrap_or_else(|| column.name.clone());
        format!("{what}`{name}` is {value}, outside {} to {}", self.low, self.high)
    }
}

fn bounds(columns: &[Column]) -> Vec<Bound> {
    let mut found = Vec::new();
    let mut start = 0;
    for (index, column) in columns.iter().enumerate() {
        let (low, high, is_choice) = match column.space {
            Space::Box { low, high } => (low, high, false),
            Space::Discrete { n, .. } => (Some(0.0), Some(n.saturating_sub(1) as f64), true),
        };
        // A value is stored no more exactly than its type allows, and so is a bound that it reaches.
        let exact = |bound: f64| match column.dtype {
            DType::F32 => f64::from(bound as f32),
            _ => bound,
        };
        let values = start..start + column.width();
        start = values.end;
        if low.is_some() || high.is_some() {
            found.push(Bound {
                column: index,
                values,
                low: low.map_or(f64::NEG_INFINITY, exact),
                high: high.map_or(f64::INFINITY, exact),
                is_choice,
            });
        }
    }
    found
}

/// One discrete action, before it is converted to its own type. 64-bit alternatives that are negative here are large ones.
fn choice(column: &Column, choice: i64, note: &mut Note) {
    if let Space::Discrete { n, .. } = column.space
        && choice as u64 >= n
    {
        let name = &column.name;
        note.broken(
            Rule::Space,
            format!("the action `{name}` is {choice}, and there are {n} alternatives"),
        );
    }
}

fn continues(columns: &Columns, row: usize) -> Option<i64> {
    columns.continues.is_valid(row).then(|| columns.continues.value(row))
}

/// The features that differ in any bit.
fn differing(a: &[u64], b: &[u64], observation: Range<usize>) -> Vec<usize> {
    let [a, b] = [a, b]
        .map(|row| -> &[u32] { bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(row)[observation.clone()]) });
    (0..a.len()).filter(|feature| a[*feature] != b[*feature]).collect()
}

fn feature_name(schema: &Schema, feature: usize) -> String {
    let mut names = schema.observation().iter().flat_map(Column::element_names);
    names.nth(feature).unwrap_or_else(|| format!("feature {feature}"))
}

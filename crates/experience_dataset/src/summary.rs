//! Summaries of rows: moments of the features and rewards, classes of discrete actions, steps of each controller.
//!
//! A [`DatasetSink`](crate::DatasetSink), and every operation that rewrites shards, writes the summary of a shard to the metadata of
//! its footer. Readers combine those of all shards, and compute the summary of a shard that has none from its rows.

mod builder;
#[cfg(test)]
mod cost;
mod footer;
mod moments;

use super::{
    ActionClasses, DatasetError, Progress, RecordingData, ValueProfile, progress::ProgressMeter, shard::ShardReader,
};
use arrow_array::BooleanArray;
use arrow_select::filter::filter_record_batch;
pub(crate) use builder::SummaryBuilder;
use experience_arrow::columns::ColumnId;
use experience_core::schema::{Column, Schema};
pub(crate) use footer::SUMMARY_KEY;
pub(crate) use moments::Moments;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Statistics of the transitions of a recording; see [`RecordingData::summary`].
///
/// Observations are those in which an action was taken, the rows of the column `observation`: final observations are not among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordingSummary {
    /// The number of transitions.
    pub transitions: u64,
    /// Each feature of the observation.
    pub observation: Vec<ValueProfile>,
    /// For each feature, whether every value is 0 or 1: a flag, which trainers do not normalize.
    pub is_binary: Vec<bool>,
    /// How often each alternative of each discrete action was chosen.
    pub action_classes: Vec<ActionClasses>,
    /// The transitions of each controller, the most active first.
    pub controllers: Vec<ControllerSteps>,
    /// The reward of a transition.
    pub reward: ValueProfile,
    /// Each term of the reward.
    pub reward_terms: Vec<ValueProfile>,
}

/// The transitions whose action a controller chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControllerSteps {
    /// Its label; `None` for the actions without one.
    pub controller: Option<String>,
    /// How many there are.
    pub transitions: u64,
}

impl RecordingSummary {
    fn new(schema: &Schema, summary: ShardSummary) -> Self {
        let features = schema.observation().iter().flat_map(Column::element_names);
        let observation = features.zip(&summary.observation);
        let terms = schema.reward_terms().iter().zip(summary.reward.iter().skip(1));
        let mut action_classes = ActionClasses::of_schema(schema);
        for (action, counts) in action_classes.iter_mut().zip(&summary.classes) {
            action.others = counts.others;
            for (class, count) in action.classes.iter_mut().zip(&counts.counts) {
                class.count = *count;
            }
        }
        let unlabelled = (summary.unlabelled > 0).then_some((None, summary.unlabelled));
        let labelled = summary
            .controllers
            .into_iter()
            .map(|(label, steps)| (Some(label), steps));
        let controllers = labelled
            .chain(unlabelled)
            .map(|(controller, transitions)| ControllerSteps {
                controller,
                transitions,
            });
        let mut controllers: Vec<_> = controllers.collect();
        controllers.sort_by_key(|controller| core::cmp::Reverse(controller.transitions));
        Self {
            transitions: summary.transitions,
            is_binary: summary.observation.iter().map(|feature| feature.is_binary).collect(),
            observation: observation
                .map(|(name, moments)| ValueProfile::of_moments(name, moments))
                .collect(),
            action_classes,
            controllers,
            reward: ValueProfile::of_moments("reward", summary.reward.first().unwrap_or(&Moments::default())),
            reward_terms: terms
                .map(|(name, moments)| ValueProfile::of_moments(name, moments))
                .collect(),
        }
    }
}

/// The summary of some rows of one schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShardSummary {
    transitions: u64,
    /// Each feature of the observation.
    observation: Vec<Moments>,
    /// Each value of each discrete action column.
    classes: Vec<ClassCounts>,
    /// The transitions of each controller.
    controllers: BTreeMap<String, u64>,
    /// The transitions without a controller.
    unlabelled: u64,
    /// The reward, and each of its terms.
    reward: Vec<Moments>,
}

/// How often the alternatives of one value of the action were chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClassCounts {
    /// The index of the value in the action.
    index: usize,
    counts: Vec<u64>,
    /// Those that are no alternative in `counts`.
    others: u64,
}

impl ShardSummary {
    /// The summary of no rows.
    fn new(schema: &Schema) -> Self {
        let classes = ActionClasses::of_schema(schema).into_iter().map(|action| ClassCounts {
            index: action.index,
            counts: vec![0; action.classes.len()],
            others: 0,
        });
        Self {
            transitions: 0,
            observation: vec![Moments::default(); schema.observation_width()],
            classes: classes.collect(),
            controllers: BTreeMap::new(),
            unlabelled: 0,
            reward: vec![Moments::default(); 1 + schema.reward_terms().len()],
        }
    }

    fn add_controller(&mut self, label: &str, steps: u64) {
        match self.controllers.get_mut(label) {
            Some(known) => *known = known.saturating_add(steps),
            None => {
                self.controllers.insert(label.to_owned(), steps);
            }
        }
    }

    /// Adds the summary of other rows of the same schema. Sums of damaged files saturate.
    fn merge(&mut self, other: &Self) {
        let add = |into: &mut u64, count: u64| *into = into.saturating_add(count);
        add(&mut self.transitions, other.transitions);
        let columns = self.observation.iter_mut().chain(&mut self.reward);
        for (column, other) in columns.zip(other.observation.iter().chain(&other.reward)) {
            column.merge(other);
        }
        for (action, other) in self.classes.iter_mut().zip(&other.classes) {
            add(&mut action.others, other.others);
            for (count, other) in action.counts.iter_mut().zip(&other.counts) {
                add(count, *other);
            }
        }
        for (label, steps) in &other.controllers {
            self.add_controller(label, *steps);
        }
        add(&mut self.unlabelled, other.unlabelled);
    }

    /// How the summary of a footer differs from this one, which was computed from the rows.
    pub(crate) fn difference(&self, found: &Self) -> Option<String> {
        let counts = |summary: &Self| (summary.classes.clone(), summary.controllers.clone(), summary.unlabelled);
        if counts(self) != counts(found) {
            return Some("its counts of action classes or controllers are not those of the rows".to_owned());
        }
        for (what, columns, others) in [
            ("observation", &self.observation, &found.observation),
            ("reward", &self.reward, &found.reward),
        ] {
            let mut pairs = columns.iter().zip(others);
            if let Some(index) = pairs.position(|(expected, found)| !is_near(expected, found)) {
                return Some(format!(
                    "its moments of column {index} of the {what} are not those of the rows"
                ));
            }
        }
        None
    }
}

/// Whether two moments are of the same values, in batches of other sizes.
fn is_near(a: &Moments, b: &Moments) -> bool {
    let counts = |moments: &Moments| (moments.count, moments.non_finite, moments.is_binary);
    let scale = a.min.abs().max(a.max.abs());
    let rounding = a.count as f64 * (1e-12 * scale).powi(2);
    counts(a) == counts(b)
        && (a.min, a.max) == (b.min, b.max)
        && (a.mean - b.mean).abs() <= 1e-9 * scale
        && (a.squares - b.squares).abs() <= 1e-9 * a.squares + rounding
}

/// The summary in the footer of a shard. `None` if it has none that can be used.
fn stored(shard: &ShardReader) -> Option<ShardSummary> {
    shard.summary().and_then(Result::ok)
}

/// The summary of the rows of `shard` that are of no episode in `discarded`.
fn of_rows(
    shard: &ShardReader,
    discarded: &HashSet<i64>,
    meter: &mut ProgressMeter,
) -> Result<ShardSummary, DatasetError> {
    let mut builder = SummaryBuilder::new(shard.schema());
    let columns = [&[ColumnId::EpisodeId], builder.columns()].concat();
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let rows = batch.num_rows();
        if discarded.is_empty() {
            builder.add(shard.columns(&batch));
        } else {
            let ids = shard.columns(&batch).i64(ColumnId::EpisodeId).values();
            let kept: BooleanArray = ids.iter().map(|id| Some(!discarded.contains(id))).collect();
            let kept = filter_record_batch(&batch, &kept)
                .map_err(|error| DatasetError::damaged(shard.path(), error.to_string()))?;
            builder.add(shard.columns(&kept));
        }
        meter.add(rows);
    }
    Ok(builder.finish())
}

/// Whether `shard` may have a row of an episode in `discarded`.
fn may_have(shard: &ShardReader, discarded: &HashSet<i64>) -> bool {
    !discarded.is_empty()
        && shard
            .bounds(ColumnId::EpisodeId)
            .is_none_or(|(min, max)| discarded.iter().any(|id| (min..=max).contains(id)))
}

pub(super) fn summary(
    recording: &RecordingData,
    watch: &mut dyn FnMut(Progress),
) -> Result<RecordingSummary, DatasetError> {
    let discarded = recording.discarded()?;
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let mut combined = FooterSummary::new(recording.schema());
    for path in recording.shards()? {
        let Some(shard) = ShardReader::open(recording.schema(), &path)? else {
            continue;
        };
        let usable = (!may_have(&shard, &discarded)).then(|| stored(&shard)).flatten();
        let summary = match usable {
            Some(summary) => {
                meter.add(usize::try_from(shard.rows()).unwrap_or(usize::MAX));
                summary
            }
            None => of_rows(&shard, &discarded, &mut meter)?,
        };
        combined.merge(&summary);
    }
    Ok(combined.finish())
}

/// Combines the summaries in the footers of shards, without reading a row.
pub(super) struct FooterSummary<'a> {
    schema: &'a Arc<Schema>,
    /// `None` before a shard has confirmed the schema, which may be of any width in a damaged `experience.json`.
    summary: Option<ShardSummary>,
}

impl<'a> FooterSummary<'a> {
    pub(super) fn new(schema: &'a Arc<Schema>) -> Self {
        Self { schema, summary: None }
    }

    /// Adds a shard, if its footer has a summary.
    pub(super) fn add(&mut self, shard: &ShardReader) {
        if let Some(summary) = stored(shard) {
            self.merge(&summary);
        }
    }

    fn merge(&mut self, summary: &ShardSummary) {
        self.summary
            .get_or_insert_with(|| ShardSummary::new(self.schema))
            .merge(summary);
    }

    pub(super) fn finish(self) -> RecordingSummary {
        self.summary.map_or_else(RecordingSummary::default, |summary| {
            RecordingSummary::new(self.schema, summary)
        })
    }
}

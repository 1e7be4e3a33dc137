//! Checks whether actions are recorded in the transitions that they affect.
//!
//! In an aligned recording, the change of some feature in a transition follows partly from the action of that transition. In a
//! recording that is off by one, it follows from the action of a neighbour. Actions resemble their neighbours, and so do
//! changes, so a correlation with a shifted action proves nothing. Therefore the change of a feature is regressed on the
//! actions before, beside and after it, on the change before it, and on the value of the feature. The partial correlation
//! (Fisher 1924, "The distribution of the partial correlation coefficient") of an action is the part of the change that it
//! explains and the other regressors do not.
//!
//! This detects an action that leads its effect, because what a player reacts to is among the regressors. An action that lags
//! is harder to detect: a player that reacts to its observation ties the action to the change *before* it in aligned recordings
//! too. There the action beside a change must also explain next to nothing in a regression without the value of the feature. So
//! some recordings that lag are not detected.

use super::{Diagnosis, Severity, Symptom};
use experience_core::{
    schema::{Schema, Space},
    transition::{Episode, Transition},
};

/// Maximum numbers of features and action terms, which are chosen evenly, and of transitions.
const MAX_FEATURES: usize = 64;
const MAX_TERMS: usize = 32;
const MAX_SAMPLES: u64 = 10_000;
/// With fewer samples the maximum of many correlations is large by chance.
const MIN_SAMPLES: u64 = 500;
/// The partial correlation from which on a neighbour's action is reported.
const STRONG: f64 = 0.5;
/// The maximum partial correlation of the action beside the change, where the neighbour's action may be a reaction. Where it
/// cannot, the maximum is half of the neighbour's.
const WEAK: f64 = 0.2;
/// A discrete action with more alternatives is treated as a number.
const MAX_ALTERNATIVES: u64 = 16;

/// The intercept, the value of the feature, the change before, and the actions before, beside and after.
const REGRESSORS: usize = 6;
const LEVEL: usize = 1;
const BEFORE: usize = 3;
const BESIDE: usize = 4;
const AFTER: usize = 5;

/// Collects the regressions of feature changes on actions.
pub(super) struct AlignmentCheck {
    features: Vec<usize>,
    terms: Vec<ActionTerm>,
    /// For each pair of a feature and a term.
    moments: Vec<Moments>,
    samples: u64,
    /// The value of each feature, the change before, and the change.
    changes: Vec<[f64; 3]>,
    /// Each term before, beside and after the change.
    actions: Vec<[f64; 3]>,
}

/// A number that is derived from the action.
struct ActionTerm {
    index: usize,
    name: String,
    /// 1 if the value equals this alternative, and 0 otherwise; `None` for the value itself.
    alternative: Option<f64>,
}

/// The sums of products of a linear regression.
#[derive(Clone, Default)]
struct Moments {
    products: [[f64; REGRESSORS]; REGRESSORS],
    with_change: [f64; REGRESSORS],
    change_squared: f64,
}

impl AlignmentCheck {
    pub(super) fn new(schema: &Schema) -> Self {
        let features = chosen(schema.observation_width(), MAX_FEATURES);
        let mut terms = Vec::new();
        let mut index = 0;
        for column in schema.action() {
            for name in column.element_names() {
                match column.space {
                    Space::Discrete { n, .. } if n > 2 && n <= MAX_ALTERNATIVES => {
                        terms.extend((0..n).map(|alternative| ActionTerm {
                            index,
                            name: format!("{name} = {alternative}"),
                            alternative: Some(alternative as f64),
                        }));
                    }
                    _ => terms.push(ActionTerm {
                        index,
                        name,
                        alternative: None,
                    }),
                }
                index += 1;
            }
        }
        let keep = chosen(terms.len(), MAX_TERMS);
        let mut index = 0;
        terms.retain(|_| {
            index += 1;
            keep.binary_search(&(index - 1)).is_ok()
        });
        Self {
            moments: vec![Moments::default(); features.len() * terms.len()],
            changes: vec![[0.0; 3]; features.len()],
            actions: vec![[0.0; 3]; terms.len()],
            features,
            terms,
            samples: 0,
        }
    }

    pub(super) fn add(&mut self, episode: &Episode) {
        let mut actions: [Vec<f64>; 3] = Default::default();
        for step in 1..episode.len().saturating_sub(1) {
            if self.samples >= MAX_SAMPLES {
                return;
            }
            for (offset, action) in actions.iter_mut().enumerate() {
                action.clear();
                action.extend(episode.transition(step + offset - 1).action());
            }
            self.sample(episode.transition(step - 1), episode.transition(step), &actions);
        }
    }

    fn sample(&mut self, before: Transition<'_>, now: Transition<'_>, actions: &[Vec<f64>; 3]) {
        let change = |transition: Transition<'_>, feature: usize| {
            f64::from(transition.next_observation()[feature]) - f64::from(transition.observation()[feature])
        };
        for (changes, feature) in self.changes.iter_mut().zip(&self.features) {
            let level = f64::from(now.observation()[*feature]);
            *changes = [level, change(before, *feature), change(now, *feature)];
        }
        for (values, term) in self.actions.iter_mut().zip(&self.terms) {
            for (value, action) in values.iter_mut().zip(actions) {
                let raw = action[term.index];
                *value = term
                    .alternative
                    .map_or(raw, |alternative| f64::from(u8::from(raw == alternative)));
            }
        }
        // One non-finite value would make every sum non-finite.
        if !self
            .changes
            .as_flattened()
            .iter()
            .chain(self.actions.as_flattened())
            .all(|value| value.is_finite())
        {
            return;
        }
        self.samples += 1;
        let mut moments = self.moments.iter_mut();
        for [level, earlier, change] in &self.changes {
            for [a, b, c] in &self.actions {
                if let Some(moments) = moments.next() {
                    moments.add([1.0, *level, *earlier, *a, *b, *c], *change);
                }
            }
        }
    }

    pub(super) fn report(self, schema: &Schema, diagnosis: &mut Diagnosis) {
        if self.samples < MIN_SAMPLES {
            return;
        }
        // The maximum partial correlation and its index, with or without the value of the feature among the regressors.
        let max = |regressor: usize, without_level: bool| {
            let explained = self
                .moments
                .iter()
                .map(|moments| moments.partial_correlation(regressor, without_level));
            explained
                .enumerate()
                .map(|(index, explained)| (explained, index))
                .fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a })
        };
        let (before, after, beside) = (max(BEFORE, false), max(AFTER, true), max(BESIDE, false).0);
        let (symptom, strongest, beside, neighbour, cause) = if before.0 >= STRONG && 2.0 * beside <= before.0 {
            (
                Symptom::ActionLeads,
                before,
                beside,
                "the transition before",
                "the intent is written for the next tick, after the simulation step: name the schedule that decides with \
                 `.read_actions_after(…)`, so that the action is the one that the tick consumes; or the game applies actions a tick late",
            )
        } else {
            let beside = beside.max(max(BESIDE, true).0);
            if after.0 < STRONG || beside > WEAK {
                return;
            }
            (
                Symptom::ActionLags,
                after,
                beside,
                "the transition after",
                "the simulation step comes before the capture reads the action, or the observation is captured a tick late: name \
                 the schedule that decides with `.read_actions_after(…)`, and order sensors before the capture; or no action changes \
                 what is observed, and bots only react",
            )
        };
        let names = schema.feature_names();
        let feature = &names[self.features[strongest.1 / self.terms.len()]];
        let term = &self.terms[strongest.1 % self.terms.len()].name;
        diagnosis.add(
            symptom,
            Severity::Error,
            format!(
                "changes follow from the action of {neighbour} (partial correlation {:.2}), and not from the action beside them \
                 ({:.2} at most)",
                strongest.0, beside
            ),
            vec![format!("`{feature}` follows from `{term}`")],
            cause,
        );
    }
}

impl Moments {
    fn add(&mut self, regressors: [f64; REGRESSORS], change: f64) {
        for (row, a) in regressors.iter().enumerate() {
            for (column, b) in regressors.iter().enumerate() {
                self.products[row][column] += a * b;
            }
            self.with_change[row] += a * change;
        }
        self.change_squared += change * change;
    }

    /// The partial correlation of `regressor` with the change, given the others, from 0 to 1.
    fn partial_correlation(&self, regressor: usize, without_level: bool) -> f64 {
        let mut used = [true; REGRESSORS];
        used[LEVEL] = !without_level;
        let with = self.unexplained(used);
        used[regressor] = false;
        let without = self.unexplained(used);
        // The others explain everything but the rounding error.
        if without <= 1e-9 * self.change_squared {
            return 0.0;
        }
        (1.0 - with / without).clamp(0.0, 1.0).sqrt()
    }

    /// The residual sum of squares of the regression on the `used` regressors, by Gaussian elimination of the normal equations.
    fn unexplained(&self, used: [bool; REGRESSORS]) -> f64 {
        let mut rows = self.products;
        let mut left = self.change_squared;
        let mut change = self.with_change;
        for pivot in (0..REGRESSORS).filter(|pivot| used[*pivot]) {
            let divisor = rows[pivot][pivot];
            // The regressor is linearly dependent on those before it.
            if divisor <= 1e-9 * self.products[pivot][pivot] {
                continue;
            }
            left -= change[pivot] * change[pivot] / divisor;
            let source = rows[pivot];
            let moved = change[pivot];
            for row in pivot + 1..REGRESSORS {
                let factor = source[row] / divisor;
                for column in pivot..REGRESSORS {
                    rows[row][column] -= factor * source[column];
                }
                change[row] -= factor * moved;
            }
        }
        left.max(0.0)
    }
}

/// At most `max` of the first `count` numbers, evenly chosen.
fn chosen(count: usize, max: usize) -> Vec<usize> {
    (0..count.min(max))
        .map(|index| index * count / count.min(max))
        .collect()
}

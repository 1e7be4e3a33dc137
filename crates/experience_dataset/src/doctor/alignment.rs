//! Whether actions stand in the transitions that they changed.
//!
//! Where they do, the change of some feature in a transition follows in part from the action beside it. Where the recording is
//! off by one it follows from a neighbour's action instead. Actions resemble their neighbours, and changes theirs, so a plain
//! correlation with a shifted action proves nothing: here the change of a feature is regressed on the actions before, beside
//! and after it, on the change before it and on what the feature was, all at once. How much each action explains that the
//! rest does not is its partial correlation (Fisher 1924, "The distribution of the partial correlation coefficient").
//!
//! An action that leads its effect is told from a healthy one so: what a player reacted to is among the regressors. An action
//! that lags is not so easily: a player who reacts to what it sees ties an action to the change *before* it, and rightly so.
//! There the action beside a change must explain next to nothing in a regression without the feature itself too, and so some
//! recordings that lag are not found.

use super::{Diagnosis, Severity, Symptom};
use experience_core::{
    schema::{Schema, Space},
    transition::{Episode, Transition},
};

/// Only so many features and parts of the action are compared, evenly chosen, in so many transitions.
const MAX_FEATURES: usize = 64;
const MAX_PARTS: usize = 32;
const MAX_SAMPLES: u64 = 10_000;
/// With fewer samples the greatest of many correlations is large by chance.
const MIN_SAMPLES: u64 = 500;
/// A neighbour's action explains much from here on. Where it may be a reaction, the action beside the change explains next to
/// nothing up to there; where it cannot, half as much as the neighbour's.
const MUCH: f64 = 0.5;
const LITTLE: f64 = 0.2;
/// One choice of more alternatives is taken for a number.
const MAX_ALTERNATIVES: u64 = 16;

/// The intercept, what the feature was, the change before, and the actions before, beside and after.
const REGRESSORS: usize = 6;
const LEVEL: usize = 1;
const BEFORE: usize = 3;
const BESIDE: usize = 4;
const AFTER: usize = 5;

pub(super) struct Alignment {
    features: Vec<usize>,
    parts: Vec<Part>,
    /// For each feature and part.
    moments: Vec<Moments>,
    samples: u64,
    /// What each feature was, the change before, and the change.
    changes: Vec<[f64; 3]>,
    actions: Vec<[f64; 3]>,
}

/// A number that is made of the action.
struct Part {
    index: usize,
    name: String,
    /// Whether it is this alternative; or the value itself.
    alternative: Option<f64>,
}

/// Sums of products: all that a regression needs.
#[derive(Clone, Default)]
struct Moments {
    products: [[f64; REGRESSORS]; REGRESSORS],
    with_change: [f64; REGRESSORS],
    change_squared: f64,
}

impl Alignment {
    pub(super) fn new(schema: &Schema) -> Self {
        let features = chosen(schema.observation_width(), MAX_FEATURES);
        let mut parts = Vec::new();
        let mut index = 0;
        for column in schema.action() {
            for name in column.element_names() {
                match column.space {
                    Space::Discrete { n, .. } if n > 2 && n <= MAX_ALTERNATIVES => {
                        parts.extend((0..n).map(|alternative| Part {
                            index,
                            name: format!("{name} = {alternative}"),
                            alternative: Some(alternative as f64),
                        }));
                    }
                    _ => parts.push(Part {
                        index,
                        name,
                        alternative: None,
                    }),
                }
                index += 1;
            }
        }
        let keep = chosen(parts.len(), MAX_PARTS);
        let mut place = 0;
        parts.retain(|_| {
            place += 1;
            keep.binary_search(&(place - 1)).is_ok()
        });
        Self {
            moments: vec![Moments::default(); features.len() * parts.len()],
            changes: vec![[0.0; 3]; features.len()],
            actions: vec![[0.0; 3]; parts.len()],
            features,
            parts,
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
        for (values, part) in self.actions.iter_mut().zip(&self.parts) {
            for (value, action) in values.iter_mut().zip(actions) {
                let raw = action[part.index];
                *value = part
                    .alternative
                    .map_or(raw, |alternative| f64::from(u8::from(raw == alternative)));
            }
        }
        // One value that is not finite would spoil every sum.
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

    pub(super) fn find(self, schema: &Schema, found: &mut Diagnosis) {
        if self.samples < MIN_SAMPLES {
            return;
        }
        // The most that an action explains, and where; with the feature itself among the regressors, and without.
        let most = |regressor: usize, without_level: bool| {
            let explained = self
                .moments
                .iter()
                .map(|moments| moments.partial_correlation(regressor, without_level));
            explained
                .enumerate()
                .map(|(place, explained)| (explained, place))
                .fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a })
        };
        let (before, after, beside) = (most(BEFORE, false), most(AFTER, true), most(BESIDE, false).0);
        let (symptom, strongest, beside, where_, cause) = if before.0 >= MUCH && 2.0 * beside <= before.0 {
            (
                Symptom::ActionLeads,
                before,
                beside,
                "the transition before",
                "the intent is written for the next tick, after the world has moved: name the schedule that decides with \
                 `.read_actions_after(…)`, so that the action is the one which the tick consumed; or the game answers a tick late",
            )
        } else {
            let beside = beside.max(most(BESIDE, true).0);
            if after.0 < MUCH || beside > LITTLE {
                return;
            }
            (
                Symptom::ActionLags,
                after,
                beside,
                "the transition after",
                "the world moves before the capture's tick reads the action, or the observation is captured a tick late: name \
                 the schedule that decides with `.read_actions_after(…)`, and order sensors before the capture; or no action changes \
                 what is observed, and bots only react",
            )
        };
        let names = schema.feature_names();
        let feature = &names[self.features[strongest.1 / self.parts.len()]];
        let part = &self.parts[strongest.1 % self.parts.len()].name;
        found.find(
            symptom,
            Severity::Error,
            format!(
                "changes follow from the action of {where_} (partial correlation {:.2}), and not from the action beside them \
                 ({:.2} at most)",
                strongest.0, beside
            ),
            vec![format!("`{feature}` follows from `{part}`")],
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

    /// How much of the change `regressor` explains that the others leave unexplained, from 0 to 1.
    fn partial_correlation(&self, regressor: usize, without_level: bool) -> f64 {
        let mut used = [true; REGRESSORS];
        used[LEVEL] = !without_level;
        let with = self.unexplained(used);
        used[regressor] = false;
        let without = self.unexplained(used);
        // What is explained without it leaves only rounding to it.
        if without <= 1e-9 * self.change_squared {
            return 0.0;
        }
        (1.0 - with / without).clamp(0.0, 1.0).sqrt()
    }

    /// The sum of squares that a regression on these leaves, by Gaussian elimination of the normal equations.
    fn unexplained(&self, used: [bool; REGRESSORS]) -> f64 {
        let mut rows = self.products;
        let mut left = self.change_squared;
        let mut change = self.with_change;
        for pivot in (0..REGRESSORS).filter(|pivot| used[*pivot]) {
            let divisor = rows[pivot][pivot];
            // A regressor that follows from those before it explains nothing more.
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

/// At most `most` of the first `count` numbers, evenly chosen.
fn chosen(count: usize, most: usize) -> Vec<usize> {
    (0..count.min(most))
        .map(|place| place * count / count.min(most))
        .collect()
}

//! Checks whether actions are recorded in the transitions that they affect.
//!
//! In an aligned recording, the change of some feature in a transition follows from the action of that transition, `u[t]`. In one
//! that leads, it follows from `u[t - 1]`, and in one that lags, from `u[t + 1]`. A correlation with a neighbour proves nothing:
//! actions resemble their neighbours, and a player that reacts to what it observes ties `u[t + 1]` to the change before it in
//! aligned recordings too. Nor does a fit of actions to observations prove anything, because the next observation contains the
//! result of the action.
//!
//! Therefore the change is regressed on the observation, the change before it and all three actions, and the gain of an action is
//! the share of the error that it removes beyond everything else (Granger 1969, "Investigating causal relations by econometric
//! models and cross-spectral methods"). Errors are those of samples that the regression was not fitted to.
//!
//! - **Leads**: a feature has a gain of `u[t - 1]`, twice that of `u[t]`. In an aligned recording, the observation contains what
//!   earlier actions led to, so they have no gain.
//! - **Lags**: some feature has a gain of `u[t + 1]`, and none has one of `u[t]`. A deterministic player hides the gain of `u[t]` in
//!   aligned recordings, and a player may react without an effect on what is observed. Both are told apart by how `u[t]` depends on
//!   `o[t]`: the action must not follow from the observation alone, and must follow from the observation together with the change
//!   that led to it. So recordings that lag are not found if the action sets a feature directly, and no other action does not.

use super::{Diagnosis, Severity, Symptom, regression::Regression};
use experience_core::{
    schema::{Schema, Space},
    transition::{Episode, Transition},
};

/// Maximum numbers of features and action terms, which are chosen evenly, and of transitions.
const MAX_FEATURES: usize = 48;
const MAX_TERMS: usize = 32;
const MAX_SAMPLES: u64 = 10_000;
/// With fewer samples, nothing is judged.
const MIN_SAMPLES: u64 = 500;
const MIN_SAMPLES_PER_VARIABLE: u64 = 10;
/// The gain of a neighbour's action from which on it is reported.
const STRONG: f64 = 0.15;
/// The gain up to which the action of the transition has no effect, and the same as a share of the neighbour's gain. Gains by chance
/// reach 0.06 where the neighbour's is 1; in games in which the player reacts and the action has an effect, the share is 0.24 or more.
const NONE: f64 = 0.03;
const NONE_OF_NEIGHBOUR: f64 = 0.1;
/// The share of an action that does not follow from the observation, from which on its effect can be told from the observation's.
const FREE: f64 = 0.1;
/// The share of it that follows from the change before, from which on the action may be the cause of that change.
const CAUSAL: f64 = 0.3;
/// The share of a change that observations leave unexplained, below which actions are not tested.
const UNEXPLAINED: f64 = 1e-4;
/// A discrete action with more alternatives is treated as a number.
const MAX_ALTERNATIVES: u64 = 16;

/// Collects the regressions of feature changes on actions.
pub(super) struct AlignmentCheck {
    features: Vec<usize>,
    terms: Vec<ActionTerm>,
    regression: Regression,
    /// The variables of a sample: the intercept; each feature and its change before; each term before, beside and after the
    /// change; and the change of each feature.
    sample: Vec<f64>,
}

/// A number that is derived from the action.
struct ActionTerm {
    index: usize,
    name: String,
    /// 1 if the value equals this alternative, and 0 otherwise; `None` for the value itself.
    alternative: Option<f64>,
}

/// When an action was taken relative to a change.
#[derive(Clone, Copy)]
enum ActionTiming {
    Before,
    Beside,
    After,
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
        let variables = 1 + 3 * features.len() + 3 * terms.len();
        Self {
            regression: Regression::new(variables),
            sample: Vec::with_capacity(variables),
            features,
            terms,
        }
    }

    pub(super) fn add(&mut self, episode: &Episode) {
        let mut actions: [Vec<f64>; 3] = Default::default();
        for step in 1..episode.len().saturating_sub(1) {
            if self.regression.samples() >= MAX_SAMPLES {
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
        let (features, terms, sample) = (&self.features, &self.terms, &mut self.sample);
        sample.clear();
        sample.push(1.0);
        sample.extend(features.iter().map(|feature| f64::from(now.observation()[*feature])));
        sample.extend(features.iter().map(|feature| change(before, *feature)));
        for action in actions {
            sample.extend(terms.iter().map(|term| {
                let raw = action[term.index];
                term.alternative
                    .map_or(raw, |alternative| f64::from(u8::from(raw == alternative)))
            }));
        }
        sample.extend(features.iter().map(|feature| change(now, *feature)));
        // One non-finite value would make every sum non-finite.
        if sample.iter().all(|value| value.is_finite()) {
            self.regression.add(sample);
        }
    }

    pub(super) fn report(self, schema: &Schema, diagnosis: &mut Diagnosis) {
        let regressors = 1 + 2 * self.features.len() + 3 * self.terms.len();
        let enough = MIN_SAMPLES.max(MIN_SAMPLES_PER_VARIABLE * regressors as u64);
        if self.terms.is_empty() || self.features.is_empty() || self.regression.samples() < enough {
            return;
        }
        let found = self
            .leads()
            .map(|found| (Symptom::ActionLeads, ActionTiming::Before, found));
        let Some((symptom, timing, (feature, gain))) = found.or_else(|| {
            self.lags()
                .map(|found| (Symptom::ActionLags, ActionTiming::After, found))
        }) else {
            return;
        };
        let (neighbour, cause) = match symptom {
            Symptom::ActionLeads => (
                "the transition before",
                "the intent is written for the next tick, after the simulation step: name the schedule that decides with \
                 `.read_actions_after(…)`, so that the action is the one that the tick consumes; or the game applies actions a tick \
                 late",
            ),
            _ => (
                "the transition after",
                "the simulation step comes before the capture reads the action, or the observation is captured a tick late: name \
                 the schedule that decides with `.read_actions_after(…)`, and order sensors before the capture; or no action changes \
                 what is observed, and bots only react",
            ),
        };
        let names = schema.feature_names();
        let (feature_name, term) = (
            &names[self.features[feature]],
            &self.terms[self.strongest(timing, feature)].name,
        );
        diagnosis.add(
            symptom,
            Severity::Error,
            format!(
                "changes follow from the action of {neighbour}, which explains {:.0} % of what the observation does not, and not from \
                 the action beside them",
                100.0 * gain
            ),
            vec![format!("`{feature_name}` follows from `{term}`")],
            cause,
        );
    }

    /// The feature whose change follows most from the action before, and the gain.
    fn leads(&self) -> Option<(usize, f64)> {
        let before = self.gains(ActionTiming::Before, true);
        let beside = self.gains(ActionTiming::Beside, true);
        let leading = before.into_iter().zip(beside).enumerate();
        leading
            .filter(|(_, (before, beside))| *before >= STRONG && *before >= 2.0 * beside)
            .map(|(feature, (before, _))| (feature, before))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The feature whose change follows most from the action after, and the gain.
    fn lags(&self) -> Option<(usize, f64)> {
        let levels = self.levels();
        let beside = self.variables(ActionTiming::Beside);
        let total = self.regression.errors(&[0], &beside);
        let free = self.regression.errors(&levels, &beside);
        let free_of_change = self
            .regression
            .errors(&[levels, self.changes_before()].concat(), &beside);
        let causal: Vec<usize> = (0..self.terms.len())
            .filter(|term| free[*term] > FREE * total[*term] && free_of_change[*term] <= (1.0 - CAUSAL) * free[*term])
            .collect();
        if causal.is_empty() {
            return None;
        }
        let gains = self.gains_of(ActionTiming::After, &causal, true);
        let strongest = gains.into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let (feature, gain) = strongest.filter(|(_, gain)| *gain >= STRONG)?;
        let none = NONE.max(NONE_OF_NEIGHBOUR * gain);
        let has_effect = |with_change| {
            self.gains(ActionTiming::Beside, with_change)
                .into_iter()
                .any(|gain| gain > none)
        };
        (!has_effect(true) && !has_effect(false)).then_some((feature, gain))
    }

    /// For the change of each feature, the gain of the action with a timing.
    fn gains(&self, timing: ActionTiming, with_change: bool) -> Vec<f64> {
        let all: Vec<usize> = (0..self.terms.len()).collect();
        self.gains_of(timing, &all, with_change)
    }

    /// For the change of each feature, the gain of some terms at a timing, beyond the observation, the change before if
    /// `with_change`, and the actions with the other timings: the share of the error of a regression without actions.
    fn gains_of(&self, timing: ActionTiming, terms: &[usize], with_change: bool) -> Vec<f64> {
        let mut observed = self.levels();
        if with_change {
            observed.extend(self.changes_before());
        }
        let tested = self.variables(timing);
        let tested: Vec<usize> = terms.iter().map(|term| tested[*term]).collect();
        let mut others = observed.clone();
        for other in [ActionTiming::Before, ActionTiming::Beside, ActionTiming::After] {
            if other as usize != timing as usize {
                others.extend(self.variables(other));
            }
        }
        let mut all = [others.as_slice(), &tested].concat();
        all.sort_unstable();
        let changes = self.changes();
        let total = self.regression.errors(&[0], &changes);
        let base = self.regression.errors(&observed, &changes);
        let without = self.regression.errors(&others, &changes);
        let with = self.regression.errors(&all, &changes);
        (0..changes.len())
            .map(|feature| {
                if base[feature] <= UNEXPLAINED * total[feature] || base[feature] <= 0.0 {
                    return 0.0;
                }
                ((without[feature] - with[feature]) / base[feature]).clamp(0.0, 1.0)
            })
            .collect()
    }

    /// The term with a timing that explains most of the change of a feature.
    fn strongest(&self, timing: ActionTiming, feature: usize) -> usize {
        let gains = (0..self.terms.len()).map(|term| {
            let observed = [self.levels(), self.changes_before(), vec![self.variables(timing)[term]]].concat();
            self.regression.errors(&observed, &self.changes()[feature..=feature])[0]
        });
        let least = gains.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        least.map_or(0, |(term, _)| term)
    }

    /// The variables of the intercept and the observation.
    fn levels(&self) -> Vec<usize> {
        (0..=self.features.len()).collect()
    }

    fn changes_before(&self) -> Vec<usize> {
        let features = self.features.len();
        (1 + features..1 + 2 * features).collect()
    }

    fn changes(&self) -> Vec<usize> {
        let start = 1 + 2 * self.features.len() + 3 * self.terms.len();
        (start..start + self.features.len()).collect()
    }

    fn variables(&self, timing: ActionTiming) -> Vec<usize> {
        let start = 1 + 2 * self.features.len() + timing as usize * self.terms.len();
        (start..start + self.terms.len()).collect()
    }
}

/// At most `max` of the first `count` numbers, evenly chosen.
fn chosen(count: usize, max: usize) -> Vec<usize> {
    (0..count.min(max))
        .map(|index| index * count / count.min(max))
        .collect()
}

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
//!   earlier actions led to, so they have no gain. A small gain counts too if the action is free, which means that it does not
//!   follow from the observation, and if `u[t]` has almost none: a free action that has an effect later has one at once too.
//!   Frames that are shorter than ticks make gains small, because a tick is then a mixture of several inputs.
//! - **A late feature**: the same, where another feature follows from `u[t]`. Then the action is in its place, and the feature is
//!   not. A late feature that is a function of aligned ones follows from their changes before, and not from those beside it.
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
/// The same for a free action, whose gain beside the change is at most this share of it.
const WEAK: f64 = 0.03;
const ONLY: f64 = 0.1;
/// The share of an action that does not follow from the observation, from which on it is free.
const MOSTLY_FREE: f64 = 0.5;
/// The error of a change that follows from the changes of aligned features before, as a share of that from those beside it and the
/// action, up to which the feature is late.
const LATE: f64 = 0.25;
/// The share of its changes that are followed by one without a change and then by another, from which on a feature stutters.
const STUTTERS: f64 = 0.02;
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
    /// Changes of each feature, and those that came after a single transition without one.
    changed: Vec<u64>,
    stuttered: Vec<u64>,
}

/// A number that is derived from the action.
struct ActionTerm {
    index: usize,
    name: String,
    /// 1 if the value equals this alternative, and 0 otherwise; `None` for the value itself.
    alternative: Option<f64>,
}

/// A feature whose change follows from the action before, and the gains of that action and of the one beside.
struct Lead {
    feature: usize,
    gain: f64,
    beside: f64,
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
            changed: vec![0; features.len()],
            stuttered: vec![0; features.len()],
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
            self.count_stutters(episode, step);
        }
    }

    /// Counts a change after the transition `step`.
    fn count_stutters(&mut self, episode: &Episode, step: usize) {
        let rows = [step - 1, step, step + 1, step + 2].map(|row| episode.row(row).observation());
        for (index, feature) in self.features.iter().enumerate() {
            let [before, now, after] = [0, 1, 2].map(|row| rows[row][*feature] != rows[row + 1][*feature]);
            self.changed[index] += u64::from(after);
            self.stuttered[index] += u64::from(before && !now && after);
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
        let leads = self.leads();
        let aligned = self.aligned();
        let late = self.late_functions(&aligned);
        match leads.iter().max_by(|a, b| a.gain.total_cmp(&b.gain)) {
            Some(strongest) if !aligned.is_empty() => {
                let mut late: Vec<usize> = late.into_iter().chain(leads.iter().map(|lead| lead.feature)).collect();
                late.sort_unstable();
                late.dedup();
                self.report_late(&late, Some(strongest.gain), schema, diagnosis);
            }
            Some(strongest) => self.report_leads(strongest, schema, diagnosis),
            None if !late.is_empty() => self.report_late(&late, None, schema, diagnosis),
            None => {
                if let Some((feature, gain)) = self.lags() {
                    self.report_lags(feature, gain, schema, diagnosis);
                }
            }
        }
    }

    fn report_leads(&self, lead: &Lead, schema: &Schema, diagnosis: &mut Diagnosis) {
        let stutters = self.stuttered[lead.feature] as f64 / self.changed[lead.feature].max(1) as f64;
        let cause = if stutters > STUTTERS {
            "the game moves in `Update`, once a frame, and is captured at each fixed tick: some ticks see no movement, and the action \
             is that of the next frame. Capture once a frame, behind the movement, with `Recording::capture_after(Last)`"
        } else {
            "the action is read when the next one is there already. A game that moves in `Update` is captured behind its movement, with \
             `Recording::capture_after(Last)`. A game that moves at fixed ticks, and writes the intent of the next tick before the \
             capture, names the schedule that decides: `Recording::read_actions_after(FixedPreUpdate)` for one. Or every observation \
             is captured a tick late; or the game applies actions a tick late, and then this is right"
        };
        diagnosis.add(
            Symptom::ActionLeads,
            Severity::Error,
            shifted("before", lead.gain),
            vec![self.relation(lead.feature, ActionTiming::Before, schema)],
            cause,
        );
    }

    fn report_lags(&self, feature: usize, gain: f64, schema: &Schema, diagnosis: &mut Diagnosis) {
        diagnosis.add(
            Symptom::ActionLags,
            Severity::Error,
            shifted("after", gain),
            vec![self.relation(feature, ActionTiming::After, schema)],
            "the action that is read is the one of the tick before: the recorded component is written after the movement, as by a \
             system that copies the input. Record the component that the movement reads, or order the copy before the movement and \
             name its schedule with `Recording::read_actions_after(FixedUpdate)` for one; or no action changes what is observed, and \
             bots only react",
        );
    }

    fn report_late(&self, late: &[usize], gain: Option<f64>, schema: &Schema, diagnosis: &mut Diagnosis) {
        let names = schema.feature_names();
        let what = match gain {
            Some(gain) => format!(
                "{} features are a tick late: they follow from the action of the transition before, which explains {:.0} % of what the \
                 observation does not, and other features follow from the action beside them",
                late.len(),
                100.0 * gain
            ),
            None => format!(
                "{} features are a tick late: they follow from the changes of other features one transition before",
                late.len()
            ),
        };
        diagnosis.add(
            Symptom::LateFeature,
            Severity::Warning,
            what,
            late.iter().map(|feature| format!("`{}`", names[self.features[*feature]])).collect(),
            "the systems that compute them run before the movement of the tick: order them behind it, or add them to \
             `ExperienceSystems::Stage` in the schedule `ExperienceCapture`; or the game means them to be late, as a memory of the \
             last tick",
        );
    }

    /// A feature and the action that it follows from.
    fn relation(&self, feature: usize, timing: ActionTiming, schema: &Schema) -> String {
        let name = &schema.feature_names()[self.features[feature]];
        format!(
            "`{name}` follows from `{}`",
            self.terms[self.strongest(timing, feature)].name
        )
    }

    /// The features whose changes follow from the action before.
    fn leads(&self) -> Vec<Lead> {
        let before = self.gains(ActionTiming::Before, true);
        let beside = self.gains(ActionTiming::Beside, true);
        let free = self.free_terms();
        let leads = before
            .into_iter()
            .zip(beside)
            .enumerate()
            .map(|(feature, (gain, beside))| Lead { feature, gain, beside });
        leads
            .filter(|lead| {
                let is_strong = lead.gain >= STRONG && lead.gain >= 2.0 * lead.beside;
                let is_only = lead.gain >= WEAK && lead.beside <= ONLY * lead.gain;
                is_strong || (is_only && free[self.strongest(ActionTiming::Before, lead.feature)])
            })
            .collect()
    }

    /// The features that follow from the action beside their change.
    fn aligned(&self) -> Vec<usize> {
        let before = self.gains(ActionTiming::Before, true);
        let beside = self.gains(ActionTiming::Beside, true);
        let gains = before.into_iter().zip(beside).enumerate();
        let aligned = gains.filter(|(_, (before, beside))| *beside >= STRONG && *beside >= 2.0 * before);
        aligned.map(|(feature, _)| feature).collect()
    }

    /// Whether each term does not follow from the observation.
    fn free_terms(&self) -> Vec<bool> {
        let beside = self.variables(ActionTiming::Beside);
        let total = self.regression.errors(&[0], &beside);
        let free = self
            .regression
            .errors(&[self.levels(), self.changes_before()].concat(), &beside);
        free.iter()
            .zip(total)
            .map(|(free, total)| *free > MOSTLY_FREE * total)
            .collect()
    }

    /// The features whose changes follow from the changes of `aligned` ones before, and neither from those beside them nor from
    /// the action.
    fn late_functions(&self, aligned: &[usize]) -> Vec<usize> {
        if aligned.is_empty() {
            return Vec::new();
        }
        let (changes, before) = (self.changes(), self.changes_before());
        let now: Vec<usize> = aligned.iter().map(|feature| changes[*feature]).collect();
        let earlier: Vec<usize> = aligned.iter().map(|feature| before[*feature]).collect();
        let late = [&[0], earlier.as_slice()].concat();
        let mut beside = [&[0], self.variables(ActionTiming::Beside).as_slice(), &now].concat();
        beside.sort_unstable();
        let errors = self.regression.errors(&late, &changes);
        let beside = self.regression.errors(&beside, &changes);
        (0..changes.len())
            .filter(|feature| !aligned.contains(feature) && beside[*feature] > 0.0)
            .filter(|feature| errors[*feature] <= LATE * beside[*feature])
            .collect()
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

fn shifted(neighbour: &str, gain: f64) -> String {
    format!(
        "changes follow from the action of the transition {neighbour}, which explains {:.0} % of what the observation does not, and \
         not from the action beside them",
        100.0 * gain
    )
}

/// At most `max` of the first `count` numbers, evenly chosen.
fn chosen(count: usize, max: usize) -> Vec<usize> {
    (0..count.min(max))
        .map(|index| index * count / count.min(max))
        .collect()
}

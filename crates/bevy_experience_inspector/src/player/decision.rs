//! Decision view of the Player tab: the probabilities and means of a policy's model, and the recorded action beside them.

use super::{
    super::{
        format, policies, style,
        table::{self, TableCell, TableColumn},
    },
    PlayerTab,
};
use bevy_egui::egui::{Ui, vec2};
use bevy_experience::{
    policy::{PolicyDecision, Sampling},
    schema::{DType, Schema, Space},
};
use std::collections::VecDeque;

const COLUMNS: [TableColumn; 5] = [
    TableColumn::text("Action", 1.12, "The column of the action."),
    TableColumn::text("Choice", 0.66, "An alternative of a discrete column."),
    TableColumn::number(
        "Policy",
        1.2,
        "The probability of the alternative, as the policy samples it; or the mean of a number, and its standard deviation.",
    ),
    TableColumn::number("Chosen", 0.6, "What the policy has chosen."),
    TableColumn::number(
        "Recorded",
        0.72,
        "What the transition has recorded. It differs where a system of the game has changed the action since.",
    ),
];

/// The decisions for the selected player that were drawn, oldest first.
#[derive(Default)]
pub(super) struct DecisionHistory(VecDeque<PolicyDecision>);

impl DecisionHistory {
    /// Keeps a decision, unless it is known, and at most `max`.
    pub(super) fn add(&mut self, decision: &PolicyDecision, max: usize) {
        if self.0.back() == Some(decision) {
            return;
        }
        self.0.retain(|known| known.tick < decision.tick);
        while self.0.len() >= max {
            self.0.pop_front();
        }
        self.0.push_back(decision.clone());
    }

    /// The decision on the observation of a tick.
    fn at(&self, tick: i64) -> Option<&PolicyDecision> {
        self.0.iter().find(|decision| decision.tick == tick)
    }

    fn last(&self) -> Option<&PolicyDecision> {
        self.0.back()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PlayerTab {
    /// Draws the decision for the transition that is shown, or the last one if none is. `is_controlled`: a policy acts for the
    /// player.
    pub(super) fn draw_decision(&self, ui: &mut Ui, schema: &Schema, is_controlled: bool) {
        let shown = self.shown_rows(schema);
        let decision = match shown {
            Some((before, _)) => self.decisions.at(before.header().tick),
            None => self.decisions.last(),
        };
        let Some(decision) = decision else {
            if is_controlled {
                ui.horizontal_wrapped(|ui| {
                    ui.strong("Policy");
                    ui.weak("Its outputs were not read at this transition: they are while the player is shown.");
                });
            }
            return;
        };
        draw_title(ui, decision);
        if decision.heads.is_empty() {
            return;
        }
        let recorded: Option<Vec<f64>> = shown.map(|(_, after)| after.action().collect());
        let rows = rows(schema, decision, recorded.as_deref());
        let height = style::row_height(ui) * (rows.len().min(MAX_VISIBLE_ROWS) as f32);
        table::header(ui, &COLUMNS, None);
        let warning = style::warning_color(ui);
        ui.allocate_ui(vec2(ui.available_width(), height), |ui| {
            ui.set_min_height(height);
            table::body(ui, "decision", rows.len(), |ui, range| {
                for index in range {
                    let row = &rows[index];
                    table::row(ui, &COLUMNS, index, false, |column| match column {
                        0 => TableCell::new(&*row.action),
                        1 => TableCell::new(&*row.choice),
                        2 => TableCell {
                            text: row.policy.clone(),
                            bar: row.probability,
                            color: None,
                        },
                        3 => TableCell::new(&*row.chosen),
                        _ if row.differs => TableCell::new(&*row.recorded).colored(warning),
                        _ => TableCell::new(&*row.recorded),
                    });
                }
            });
        });
        ui.add_space(6.0);
    }
}

/// Rows of the table before it scrolls.
const MAX_VISIBLE_ROWS: usize = 9;

fn draw_title(ui: &mut Ui, decision: &PolicyDecision) {
    ui.horizontal_wrapped(|ui| {
        ui.strong("Policy");
        ui.weak(format!("{} {}", decision.policy, decision.version));
        match decision.sampling {
            Sampling::Greedy => ui.weak("greedy"),
            Sampling::Stochastic { temperature } => {
                ui.weak(format!("sampled at temperature {}", format::value(temperature.into())))
            }
        };
        match decision.failure {
            Some(failure) => ui.colored_label(style::error_color(ui), policies::failure_text(failure)),
            None => ui.weak(format!("log-probability {}", format::value(decision.log_prob))),
        };
    });
}

/// A row of the table: an alternative of a discrete element, or a continuous element.
#[derive(Default)]
struct DecisionRow {
    action: String,
    choice: String,
    /// The probability or the mean, as text.
    policy: String,
    probability: Option<f32>,
    chosen: String,
    recorded: String,
    /// The recorded action is not the one that was chosen.
    differs: bool,
}

fn rows(schema: &Schema, decision: &PolicyDecision, recorded: Option<&[f64]>) -> Vec<DecisionRow> {
    const MARK: &str = "●";
    let is_written = decision.failure.is_none();
    let mark = |is_marked: bool| if is_marked { MARK.to_owned() } else { String::new() };
    let mut rows = Vec::new();
    let mut first = 0;
    for (column, head) in schema.action().iter().zip(&decision.heads) {
        for (element, name) in column.element_names().enumerate() {
            let value = head.values.get(element).copied().unwrap_or(f64::NAN);
            let recorded = recorded.and_then(|recorded| recorded.get(first + element).copied());
            let differs = is_written
                && recorded.is_some_and(|recorded| match column.dtype {
                    DType::F32 => recorded as f32 != value as f32,
                    _ => recorded != value,
                });
            let Space::Discrete { n, labels } = &column.space else {
                let [mean, deviation] = [&head.means, &head.deviations].map(|values| values.get(element).copied());
                rows.push(DecisionRow {
                    action: name,
                    policy: number_text(mean.unwrap_or(f64::NAN), deviation.unwrap_or(f64::NAN)),
                    chosen: if is_written {
                        format::aligned(value)
                    } else {
                        String::new()
                    },
                    recorded: recorded.map(format::aligned).unwrap_or_default(),
                    differs,
                    ..DecisionRow::default()
                });
                continue;
            };
            let n = usize::try_from(*n).unwrap_or(usize::MAX);
            let probabilities = head.probabilities.chunks(n.max(1)).nth(element).unwrap_or_default();
            for (alternative, &probability) in probabilities.iter().enumerate() {
                let is = |value: f64| value == alternative as f64;
                rows.push(DecisionRow {
                    action: if alternative == 0 { name.clone() } else { String::new() },
                    choice: labels
                        .get(alternative)
                        .cloned()
                        .unwrap_or_else(|| choice_name(column.dtype, alternative)),
                    policy: format!("{:.1} %", 100.0 * probability),
                    probability: Some(probability as f32).filter(|probability| probability.is_finite()),
                    chosen: mark(is_written && is(value)),
                    recorded: mark(recorded.is_some_and(is)),
                    differs,
                });
            }
        }
        first += column.width();
    }
    rows
}

/// The name of an alternative without a label.
fn choice_name(dtype: DType, alternative: usize) -> String {
    match (dtype, alternative) {
        (DType::Bool, 0) => "false".to_owned(),
        (DType::Bool, 1) => "true".to_owned(),
        _ => alternative.to_string(),
    }
}

fn number_text(mean: f64, deviation: f64) -> String {
    if deviation.is_finite() {
        format!("{} ± {}", format::aligned(mean), format::aligned(deviation))
    } else {
        format::aligned(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_experience::policy::HeadDecision;

    #[test]
    fn a_history_has_the_last_decision_of_each_tick() {
        let mut history = DecisionHistory::default();
        for (tick, log_prob) in [(5, -1.0), (6, -2.0), (6, -3.0), (7, -4.0), (10, -5.0)] {
            let mut decision = PolicyDecision::default();
            (decision.tick, decision.log_prob) = (tick, log_prob);
            history.add(&decision, 3);
        }
        let found = |tick| history.at(tick).map(|decision| decision.log_prob);
        assert_eq!(
            [5, 6, 7, 8, 10].map(found),
            [None, Some(-3.0), Some(-4.0), None, Some(-5.0)]
        );
    }

    #[test]
    fn alternatives_have_names_and_a_changed_action_is_marked() {
        let schema = Schema::new("test").with_action([bevy_experience::schema::Column::scalar(
            "jump",
            DType::Bool,
            Space::Discrete { n: 2, labels: vec![] },
        )]);
        let mut head = HeadDecision::default();
        head.values = vec![1.0];
        head.probabilities = vec![0.25, 0.75];
        let mut decision = PolicyDecision::default();
        decision.heads = vec![head];
        let found = |recorded: f64| -> Vec<_> {
            rows(&schema, &decision, Some(&[recorded]))
                .into_iter()
                .map(|row| {
                    [
                        row.choice,
                        row.policy,
                        row.chosen,
                        row.recorded,
                        row.differs.to_string(),
                    ]
                    .join("|")
                })
                .collect()
        };
        assert_eq!(found(1.0), ["false|25.0 %|||false", "true|75.0 %|●|●|false"]);
        assert_eq!(found(0.0), ["false|25.0 %||●|true", "true|75.0 %|●||true"]);
    }
}

//! Checks whether actions ever change.

use super::{Diagnosis, MIN_TRANSITIONS, Severity, Symptom};
use experience_core::{
    schema::{Column, Schema},
    transition::Episode,
};

/// Compares the values of the action with the first ones.
///
/// The last transition of an episode counts for itself: its action is read when the end is applied, which may be before the game
/// clears an intent.
pub(super) struct ConstantActionCheck {
    values: Vec<ActionValue>,
    transitions: u64,
}

struct ActionValue {
    name: String,
    first: Option<f64>,
    changes: bool,
    changes_at_ends: bool,
}

impl ConstantActionCheck {
    pub(super) fn new(schema: &Schema) -> Self {
        let names = schema.action().iter().flat_map(Column::element_names);
        let value = |name| ActionValue {
            name,
            first: None,
            changes: false,
            changes_at_ends: false,
        };
        Self {
            values: names.map(value).collect(),
            transitions: 0,
        }
    }

    pub(super) fn add(&mut self, episode: &Episode) {
        self.transitions += episode.len() as u64;
        for transition in episode.transitions() {
            for (value, found) in self.values.iter_mut().zip(transition.action()) {
                if transition.is_last() && episode.len() > 1 {
                    value.changes_at_ends |= value.first.is_some_and(|first| first != found);
                } else {
                    value.changes |= *value.first.get_or_insert(found) != found;
                }
            }
        }
    }

    /// `moves` is whether any feature of the observation changes.
    pub(super) fn report(self, moves: bool, diagnosis: &mut Diagnosis) {
        if self.transitions < MIN_TRANSITIONS {
            return;
        }
        let constant: Vec<&ActionValue> = self.values.iter().filter(|value| !value.changes).collect();
        if constant.is_empty() {
            return;
        }
        let at_ends = constant.iter().any(|value| value.changes_at_ends);
        let places = constant.iter().filter_map(|value| {
            let exception = if value.changes_at_ends {
                ", but for the last of an episode"
            } else {
                ""
            };
            Some(format!("{} = {}{exception}", value.name, value.first?))
        });
        if constant.len() < self.values.len() {
            diagnosis.add(
                Symptom::ConstantAction,
                Severity::Note,
                format!("{} of {} values of the action never change", constant.len(), self.values.len()),
                places.collect(),
                "no player used them, so a policy cannot learn their effect from this data; or they last for less than a tick, as \
                 `just_pressed` does, and are cleared before the capture reads them: read them after the schedule that uses them, with \
                 `Recording::read_actions_after(FixedUpdate)` for one",
            );
            return;
        }
        let (what, cause) = if moves || at_ends {
            (
                "the action is the same in every transition, and the observation moves",
                "the input is cleared before the capture reads it: read it after the schedule that writes it, before the game \
                 consumes it, with `Recording::read_actions_after(FixedPreUpdate)` for one; or there was no input, and something else \
                 moves the player",
            )
        } else {
            (
                "neither the action nor the observation ever changes",
                "there was no input, or the recorded components are not those that the game uses",
            )
        };
        diagnosis.add(
            Symptom::ConstantAction,
            Severity::Error,
            what.to_owned(),
            places.collect(),
            cause,
        );
    }
}

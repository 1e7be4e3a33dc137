//! Checks actions against the masks of their observations.

use super::{Diagnosis, MAX_PLACES, Severity, Symptom};
use experience_core::{schema::Space, transition::Episode};

/// Counts actions that are forbidden by the mask of their observation.
#[derive(Default)]
pub(super) struct MaskCheck {
    actions: u64,
    forbidden: u64,
    places: Vec<String>,
}

impl MaskCheck {
    pub(super) fn add(&mut self, episode: &Episode) {
        let schema = episode.schema();
        let [column] = schema.action() else { return };
        let Space::Discrete { n, .. } = column.space else {
            return;
        };
        // The meaning of a mask with another width is unknown.
        if !schema.is_single_discrete() || n != schema.action_mask_width() as u64 {
            return;
        }
        for transition in episode.transitions() {
            let Some(action) = transition.action().next() else {
                continue;
            };
            self.actions += 1;
            let is_allowed =
                (action as usize) < schema.action_mask_width() && transition.before().allows(action as usize);
            if !is_allowed {
                self.forbidden += 1;
                if self.places.len() < MAX_PLACES {
                    let id = episode.info().episode_id;
                    self.places
                        .push(format!("episode {id}, step {}: action {action}", transition.step()));
                }
            }
        }
    }

    pub(super) fn report(self, diagnosis: &mut Diagnosis) {
        if self.forbidden > 0 {
            diagnosis.add(
                Symptom::ForbiddenAction,
                Severity::Error,
                format!("{} of {} actions are forbidden by the mask of their observation", self.forbidden, self.actions),
                self.places,
                "the mask is computed after the action was applied, so it belongs to a later tick; or the game applies actions \
                 that its own mask forbids",
            );
        }
    }
}

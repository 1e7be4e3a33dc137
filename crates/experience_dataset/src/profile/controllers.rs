//! What the controllers of a recording did.

use experience_core::transition::{Episode, Transition};
use serde::Serialize;

/// What one controller did in a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ControllerProfile {
    /// Its label; `None` for the actions without one.
    pub controller: Option<String>,
    /// The transitions whose action it chose.
    pub transitions: u64,
    /// The sum of their rewards.
    pub reward: f64,
    /// The episodes in which it chose every action.
    pub episodes: u64,
    /// The mean return of these episodes; `None` if there are none.
    pub mean_return: Option<f64>,
}

/// Adds an episode to the profiles of all controllers. Returns the index of its controller, or `None` if several chose its actions.
pub(super) fn add(profiles: &mut Vec<ControllerProfile>, episode: &Episode) -> Option<usize> {
    let mut current: Option<(Option<&str>, usize)> = None;
    let mut is_single = true;
    for transition in episode.transitions() {
        let label = transition.controller();
        let index = match current {
            Some((known, index)) if known == label => index,
            before => {
                is_single &= before.is_none();
                let found = profiles
                    .iter()
                    .position(|profile| profile.controller.as_deref() == label);
                let index = found.unwrap_or(profiles.len());
                if found.is_none() {
                    profiles.push(ControllerProfile {
                        controller: label.map(str::to_owned),
                        ..Default::default()
                    });
                }
                current = Some((label, index));
                index
            }
        };
        let profile = &mut profiles[index];
        profile.transitions += 1;
        profile.reward += transition.reward();
    }
    let (_, index) = current.filter(|_| is_single)?;
    let profile = &mut profiles[index];
    let total: f64 = episode.transitions().map(Transition::reward).sum();
    profile.episodes += 1;
    let before = profile.mean_return.unwrap_or(0.0);
    profile.mean_return = Some(before + (total - before) / profile.episodes as f64);
    Some(index)
}

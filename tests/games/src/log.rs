//! [`Log`]: what a game says it did, written by the game's own systems.

use bevy::prelude::*;
use std::collections::BTreeMap;

/// One action of a player, as the game consumed it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) state: Vec<f32>,
    pub(crate) action: Vec<f32>,
    pub(crate) reward: f64,
    pub(crate) next_state: Vec<f32>,
    /// `Some(true)` if the step terminated the episode.
    pub(crate) end: Option<bool>,
}

/// The steps of all players, in order.
#[derive(Resource, Default)]
pub struct Log {
    players: BTreeMap<i64, Player>,
    /// What was simulated ahead of its inputs, by frame and player.
    predicted: BTreeMap<(i64, i64), Prediction>,
    /// Frames of players that were simulated again with another action or result.
    pub(crate) mispredicted: usize,
}

/// A simulation of a player's frame that is not final.
#[derive(PartialEq)]
struct Prediction {
    action: Vec<f32>,
    reward: f64,
    next_state: Vec<f32>,
}

#[derive(Default)]
struct Player {
    state: Option<Vec<f32>>,
    steps: Vec<Step>,
}

impl Log {
    /// A player has acted, which led to `next_state`. The first call of an episode only states where it begins.
    pub fn step(&mut self, player: i64, action: &[f32], reward: f64, next_state: &[f32]) {
        let player = self.players.entry(player).or_default();
        if let Some(state) = player.state.replace(next_state.to_vec()) {
            player.steps.push(Step {
                state,
                action: action.to_vec(),
                reward,
                next_state: next_state.to_vec(),
                end: None,
            });
        }
    }

    /// A player has acted in a frame that can be simulated again, which replaces it.
    pub fn predict(&mut self, frame: i64, player: i64, action: &[f32], reward: f64, next_state: &[f32]) {
        let prediction = Prediction {
            action: action.to_vec(),
            reward,
            next_state: next_state.to_vec(),
        };
        if let Some(last) = self.predicted.get(&(frame, player)) {
            self.mispredicted += usize::from(*last != prediction);
        }
        self.predicted.insert((frame, player), prediction);
    }

    /// The frames until `frame` are not simulated again.
    pub fn confirm(&mut self, frame: i64) {
        let open = self.predicted.split_off(&(frame + 1, i64::MIN));
        for ((_, player), step) in core::mem::replace(&mut self.predicted, open) {
            self.step(player, &step.action, step.reward, &step.next_state);
        }
    }

    /// Counts frames that a game has predicted wrongly, by its own account.
    pub fn count_mispredicted(&mut self, frames: usize) {
        self.mispredicted += frames;
    }

    /// The last step of a player was the last of its episode.
    pub fn end(&mut self, player: i64, terminated: bool) {
        let player = self.players.entry(player).or_default();
        player.state = None;
        if let Some(step) = player.steps.last_mut() {
            step.end = Some(terminated);
        }
    }

    /// A player that stays has been reset to a state, in which its next episode begins.
    pub fn restart(&mut self, player: i64, state: &[f32]) {
        self.players.entry(player).or_default().state = Some(state.to_vec());
    }

    pub(crate) fn players(&self) -> impl Iterator<Item = (i64, &[Step])> {
        self.players.iter().map(|(&player, log)| (player, log.steps.as_slice()))
    }
}

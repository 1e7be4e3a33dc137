//! Observation of a bot: its own fighter, and the nearest rivals and coins within [`SIGHT`].
//!
//! Equals the observation that is recorded, so that the bots' policies can be learned from the recorded data.

use bevy_math::Vec2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{
    MatchId,
    fighter::{Body, Gear},
    grid::Spot,
    random::random_position,
    record::RIVALS,
    rules::SIGHT,
    spatial_index::{IndexedCoin, IndexedFighter, SpatialIndex},
};

/// Another fighter in a bot's observation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rival {
    /// Its position relative to the observing fighter.
    pub offset: Vec2,
    /// In units per second.
    pub velocity: Vec2,
}

/// The observation of one fighter, computed on demand from the spatial index.
pub(crate) struct Observation<'a> {
    index: &'a SpatialIndex,
    match_id: MatchId,
    agent: i64,
    /// Seconds per tick.
    pub dt: f32,
    /// The position of the fighter.
    pub position: Vec2,
    /// The body of the fighter.
    pub body: &'a Body,
    /// The cooldowns of the fighter.
    pub gear: &'a Gear,
}

impl<'a> Observation<'a> {
    pub(crate) fn new(
        index: &'a SpatialIndex,
        dt: f32,
        match_id: MatchId,
        agent: i64,
        position: Vec2,
        body: &'a Body,
        gear: &'a Gear,
    ) -> Self {
        Self {
            index,
            match_id,
            agent,
            dt,
            position,
            body,
            gear,
        }
    }

    /// The nearest living fighter among the [`RIVALS`] nearest fighters within [`SIGHT`].
    pub(crate) fn rival(&self) -> Option<Rival> {
        // Dead fighters count among the nearest, as in the recording.
        let mut nearest: [Option<(f32, &Spot<IndexedFighter>)>; RIVALS] = [None; RIVALS];
        let mut farthest = f32::INFINITY;
        self.index
            .fighters
            .for_each_within(self.match_id, self.position, SIGHT, |distance, spot| {
                // Early exit: most fighters are farther away than the last of the nearest.
                if distance > farthest || spot.value.agent == self.agent {
                    return;
                }
                let mut candidate = (distance, spot);
                for entry in &mut nearest {
                    match entry {
                        None => {
                            *entry = Some(candidate);
                            break;
                        }
                        Some(kept) if (candidate.0, candidate.1.value.agent) < (kept.0, kept.1.value.agent) => {
                            core::mem::swap(kept, &mut candidate);
                        }
                        Some(_) => {}
                    }
                }
                farthest = nearest[RIVALS - 1].map_or(f32::INFINITY, |(distance, _)| distance);
            });
        let (_, alive) = nearest
            .into_iter()
            .flatten()
            .find(|(_, spot)| spot.value.health > 0.0)?;
        Some(Rival {
            offset: alive.position - self.position,
            velocity: alive.value.velocity,
        })
    }

    /// The offset to the nearest coin within [`SIGHT`].
    pub(crate) fn coin(&self) -> Option<Vec2> {
        let mut nearest: Option<(f32, &Spot<IndexedCoin>)> = None;
        self.index
            .coins
            .for_each_within(self.match_id, self.position, SIGHT, |distance, spot| {
                if nearest.is_none_or(|(other, kept)| (distance, spot.value.number) < (other, kept.value.number)) {
                    nearest = Some((distance, spot));
                }
            });
        nearest.map(|(_, spot)| spot.position - self.position)
    }
}

/// A random destination, with a time limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Route {
    /// The destination.
    pub goal: Vec2,
    /// Seconds until another goal is chosen, even if this one was not reached.
    pub time_left: f32,
}

impl Route {
    /// The direction to the goal. Chooses another goal when this one is reached or the time is over.
    pub(crate) fn follow(&mut self, observation: &Observation, rng: &mut ChaCha8Rng) -> Vec2 {
        self.time_left -= observation.dt;
        if self.time_left <= 0.0 || self.goal.distance_squared(observation.position) < 1.0 {
            self.goal = random_position(rng, observation.index.half);
            self.time_left = rng.random_range(2.0..8.0);
        }
        (self.goal - observation.position).normalize_or_zero()
    }
}

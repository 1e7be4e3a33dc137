//! What a bot gets to see: itself, the nearest others and the nearest coins, as far as a fighter sees.
//!
//! It is what the recording observes, so that whatever a bot does can be learnt from its data.

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

/// Another fighter, as a bot sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rival {
    /// From the one who looks.
    pub offset: Vec2,
    /// In units a second.
    pub velocity: Vec2,
}

/// The world through a fighter's eyes.
pub(crate) struct Sight<'a> {
    field: &'a SpatialIndex,
    match_id: MatchId,
    agent: i64,
    /// Seconds since the last look.
    pub dt: f32,
    /// Where it stands.
    pub position: Vec2,
    /// Its own body.
    pub body: &'a Body,
    /// What it carries.
    pub gear: &'a Gear,
}

impl<'a> Sight<'a> {
    pub(crate) fn new(
        field: &'a SpatialIndex,
        dt: f32,
        match_id: MatchId,
        agent: i64,
        position: Vec2,
        body: &'a Body,
        gear: &'a Gear,
    ) -> Self {
        Self {
            field,
            match_id,
            agent,
            dt,
            position,
            body,
            gear,
        }
    }

    /// The nearest other who is alive, among the [`RIVALS`] nearest bodies in sight.
    pub(crate) fn rival(&self) -> Option<Rival> {
        // Corpses count among the nearest, as they do in the recording.
        let mut nearest: [Option<(f32, &Spot<IndexedFighter>)>; RIVALS] = [None; RIVALS];
        let mut farthest = f32::INFINITY;
        self.field
            .fighters
            .for_each_within(self.match_id, self.position, SIGHT, |distance, spot| {
                // Most are farther than the last of the nearest, and this is all they cost.
                if distance > farthest || spot.what.agent == self.agent {
                    return;
                }
                let mut candidate = (distance, spot);
                for place in &mut nearest {
                    match place {
                        None => {
                            *place = Some(candidate);
                            break;
                        }
                        Some(kept) if (candidate.0, candidate.1.what.agent) < (kept.0, kept.1.what.agent) => {
                            core::mem::swap(kept, &mut candidate);
                        }
                        Some(_) => {}
                    }
                }
                farthest = nearest[RIVALS - 1].map_or(f32::INFINITY, |(distance, _)| distance);
            });
        let (_, alive) = nearest.into_iter().flatten().find(|(_, spot)| spot.what.health > 0.0)?;
        Some(Rival {
            offset: alive.position - self.position,
            velocity: alive.what.velocity,
        })
    }

    /// The way to the nearest coin in sight.
    pub(crate) fn coin(&self) -> Option<Vec2> {
        let mut nearest: Option<(f32, &Spot<IndexedCoin>)> = None;
        self.field
            .coins
            .for_each_within(self.match_id, self.position, SIGHT, |distance, spot| {
                if nearest.is_none_or(|(other, kept)| (distance, spot.what.number) < (other, kept.what.number)) {
                    nearest = Some((distance, spot));
                }
            });
        nearest.map(|(_, spot)| spot.position - self.position)
    }
}

/// A place to go to, for as long as it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Route {
    /// Where to.
    pub goal: Vec2,
    /// Seconds until another goal is chosen even if this one was not reached.
    pub patience: f32,
}

impl Route {
    /// The direction to the goal. Chooses another goal when this one is reached or patience is at its end.
    pub(crate) fn follow(&mut self, sight: &Sight, rng: &mut ChaCha8Rng) -> Vec2 {
        self.patience -= sight.dt;
        if self.patience <= 0.0 || self.goal.distance_squared(sight.position) < 1.0 {
            self.goal = random_position(rng, sight.field.half);
            self.patience = rng.random_range(2.0..8.0);
        }
        (self.goal - sight.position).normalize_or_zero()
    }
}

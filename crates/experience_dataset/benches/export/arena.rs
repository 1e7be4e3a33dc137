//! A synthetic arena game with the columns of `examples/arena` and values that compress alike.
//!
//! Positions are continuous, health and cooldowns take few values, rivals and coins are observed only when near, and most
//! rewards are equal. A transition takes 183 bytes of a shard, and one of `examples/arena` 200 (`cargo bench
//! -p experience_dataset --bench encodings`, all values plain).

use crate::workload::{RowRecorder, Workload};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Episode, Outcome},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::sync::Arc;

const FIGHTERS: usize = 16;
const COINS: usize = 32;
const HALF: f32 = 32.0;
const SIGHT: f32 = 20.0;
const DT: f32 = 1.0 / 60.0;

type Vec2 = [f32; 2];

fn schema() -> Arc<Schema> {
    let body = ["body.velocity.x", "body.velocity.y", "body.health"];
    let mut names: Vec<String> = ["x", "y", "velocity.x", "velocity.y", "facing.x", "facing.y"]
        .into_iter()
        .chain(["health", "shot_in", "dash_in"])
        .map(str::to_owned)
        .collect();
    for rival in 0..3 {
        let parts = ["present", "dx", "dy"].into_iter().chain(body);
        names.extend(parts.map(|part| format!("fighter[{rival}].{part}")));
    }
    for coin in 0..4 {
        names.extend(["present", "dx", "dy"].map(|part| format!("coin[{coin}].{part}")));
    }
    let unit = |name: &str| Column::scalar(name, DType::F32, Space::bounded(-1.0, 1.0));
    let deed = Space::Discrete {
        n: 3,
        labels: Vec::new(),
    };
    Schema::new("fighter")
        .with_observation(names.into_iter().map(Column::feature))
        .with_action(["steer.x", "steer.y", "aim.x", "aim.y"].map(unit))
        .with_action([Column::scalar("deed", DType::I64, deed)])
        .with_reward_terms(["alive", "coin", "hit"])
        .into_shared()
}

#[derive(Clone)]
struct Fighter {
    at: Vec2,
    velocity: Vec2,
    goal: Vec2,
    steer: Vec2,
    facing: Vec2,
    health: f32,
    shot_in: f32,
    dash_in: f32,
    deed: i64,
    /// Ticks until the respawn.
    respawn_in: u32,
    terms: [f32; 3],
}

fn random_position(rng: &mut StdRng) -> Vec2 {
    [0, 1].map(|_| rng.random_range(-HALF..HALF))
}

fn minus(a: Vec2, b: Vec2) -> Vec2 {
    [a[0] - b[0], a[1] - b[1]]
}

fn square(a: Vec2) -> f32 {
    a[0] * a[0] + a[1] * a[1]
}

fn unit(a: Vec2) -> Vec2 {
    let length = square(a).sqrt().max(1e-6);
    a.map(|part| part / length)
}

fn turned(a: Vec2, angle: f32) -> Vec2 {
    let (sin, cos) = angle.sin_cos();
    [a[0] * cos - a[1] * sin, a[0] * sin + a[1] * cos]
}

impl Fighter {
    fn new(rng: &mut StdRng) -> Self {
        Self {
            at: random_position(rng),
            velocity: [0.0; 2],
            goal: random_position(rng),
            steer: [0.0; 2],
            facing: [1.0, 0.0],
            health: 100.0,
            shot_in: 0.0,
            dash_in: 0.0,
            deed: 0,
            respawn_in: 0,
            terms: [0.0; 3],
        }
    }

    fn walk(&mut self, rival: Option<Vec2>, rng: &mut StdRng) {
        let offset = minus(self.goal, self.at);
        if square(offset) < 1.0 {
            self.goal = random_position(rng);
        }
        let ready = |clock: f32| clock == 0.0;
        self.deed = match rng.random_range(0..120) {
            0..4 if rival.is_some() && ready(self.shot_in) => 1,
            4 if ready(self.dash_in) => 2,
            _ => 0,
        };
        self.steer = unit(offset).map(|part| 0.7 * part);
        self.facing = turned(unit(rival.unwrap_or(offset)), rng.random_range(-0.2..0.2));
        self.shot_in = if self.deed == 1 {
            0.5
        } else {
            (self.shot_in - DT).max(0.0)
        };
        self.dash_in = if self.deed == 2 {
            2.0
        } else {
            (self.dash_in - DT).max(0.0)
        };
        for axis in 0..2 {
            let target = self.steer[axis] * if self.deed == 2 { 24.0 } else { 6.0 };
            self.velocity[axis] += (target - self.velocity[axis]) * 10.0 * DT;
            self.at[axis] = (self.at[axis] + self.velocity[axis] * DT).clamp(-HALF, HALF);
        }
    }
}

/// The nearest of `others` within sight, nearest first: index and offset.
fn nearest<const N: usize>(at: Vec2, others: impl Iterator<Item = (usize, Vec2)>) -> [Option<(usize, Vec2)>; N] {
    let mut seen: Vec<_> = others
        .map(|(index, position)| (index, minus(position, at)))
        .filter(|(_, offset)| square(*offset) < SIGHT * SIGHT)
        .collect();
    seen.sort_by(|a, b| square(a.1).total_cmp(&square(b.1)));
    core::array::from_fn(|slot| seen.get(slot).copied())
}

/// Plays `ticks` ticks with 16 fighters.
pub fn play(ticks: i64) -> Workload {
    let schema = schema();
    let layout = schema.layout();
    let mut rng = StdRng::seed_from_u64(7);
    let mut fighters: Vec<_> = (0..FIGHTERS).map(|_| Fighter::new(&mut rng)).collect();
    let mut coins: Vec<_> = (0..COINS).map(|_| random_position(&mut rng)).collect();
    let mut recorders: Vec<_> = (0..)
        .take(FIGHTERS)
        .map(|agent| RowRecorder::new(&schema, agent))
        .collect();
    let mut episodes: Vec<Episode> = Vec::new();
    for tick in 0..ticks {
        let before = fighters.clone();
        let alive = |index: usize| {
            let others = before.iter().enumerate();
            others
                .filter(move |(other, fighter)| *other != index && fighter.respawn_in == 0)
                .map(|(other, fighter)| (other, fighter.at))
        };
        for index in 0..FIGHTERS {
            let fighter = &mut fighters[index];
            if fighter.respawn_in > 0 {
                fighter.respawn_in -= 1;
                if fighter.respawn_in == 0 {
                    *fighter = Fighter::new(&mut rng);
                }
                continue;
            }
            let rivals = nearest::<3>(fighter.at, alive(index));
            fighter.walk(rivals[0].map(|(_, offset)| offset), &mut rng);
            fighter.terms = [0.01, 0.0, 0.0];
            for coin in &mut coins {
                if square(minus(*coin, fighter.at)) < 1.0 {
                    *coin = random_position(&mut rng);
                    fighter.terms[1] = 1.0;
                }
            }
            if let (1, Some((rival, _))) = (fighter.deed, rivals[0])
                && rng.random_bool(0.3)
            {
                fighter.terms[2] = 0.5;
                fighters[rival].health -= 20.0;
            }
        }
        for (index, recorder) in recorders.iter_mut().enumerate() {
            let fighter = &fighters[index];
            if fighter.respawn_in > 0 {
                continue;
            }
            let mut features = Vec::with_capacity(schema.observation_width());
            features.extend([fighter.at, fighter.velocity, fighter.facing].as_flattened());
            features.extend([fighter.health, fighter.shot_in, fighter.dash_in]);
            for rival in nearest::<3>(fighter.at, alive(index)) {
                features.extend(rival.map_or([0.0; 6], |(other, [dx, dy])| {
                    let Fighter {
                        velocity: [x, y],
                        health,
                        ..
                    } = fighters[other];
                    [1.0, dx, dy, x, y, health]
                }));
            }
            for coin in nearest::<4>(fighter.at, coins.iter().copied().enumerate()) {
                features.extend(coin.map_or([0.0; 3], |(_, [dx, dy])| [1.0, dx, dy]));
            }
            let reward = fighter.terms.iter().copied().map(f64::from).sum();
            recorder.push(tick, reward, |row| {
                row[layout.observation()].copy_from_slice(bytemuck::cast_slice(&features));
                let [.., deed] = layout.action_offsets() else {
                    unreachable!("the action has five columns");
                };
                let moves = [fighter.steer, fighter.facing];
                row[layout.action().start..][..16].copy_from_slice(bytemuck::cast_slice(&moves));
                row[*deed..][..8].copy_from_slice(&fighter.deed.to_ne_bytes());
                row[layout.reward_terms()].copy_from_slice(bytemuck::cast_slice(&fighter.terms));
            });
            let ended = if fighter.health <= 0.0 {
                fighters[index].respawn_in = 180;
                Some(Outcome::Terminated)
            } else {
                (tick % 7200 == 7199 || tick + 1 == ticks).then_some(Outcome::Truncated)
            };
            if let Some(outcome) = ended {
                episodes.extend(recorder.end(episodes.len() as u32, outcome));
            }
        }
    }
    Workload { schema, episodes }
}

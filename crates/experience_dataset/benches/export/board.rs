//! A synthetic board game with wide rows: four players, observations of nine planes of 20×20, and 1,600 masked moves.
//!
//! The planes hold owners, terrain, armies that grow, and visibility.

use crate::workload::{RowRecorder, Workload};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::Outcome,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::sync::Arc;

const PLAYERS: usize = 4;
const SIDE: usize = 20;
const CELLS: usize = SIDE * SIDE;
const PLANES: usize = 9;
const MOVES: usize = 4 * CELLS;

fn schema() -> Arc<Schema> {
    let planes = Column {
        shape: vec![PLANES, SIDE, SIDE],
        ..Column::feature("board")
    };
    let choice = Space::Discrete {
        n: MOVES as u64,
        labels: Vec::new(),
    };
    Schema::new("general")
        .with_observation([planes])
        .with_action([Column::scalar("move", DType::I64, choice)])
        .with_action_mask(MOVES)
        .into_shared()
}

/// The neighbour of `cell` in a direction, if it is on the board.
fn beside(cell: usize, direction: usize) -> Option<usize> {
    let (x, y) = (cell % SIDE, cell / SIDE);
    match direction {
        0 => (x > 0).then(|| cell - 1),
        1 => (x + 1 < SIDE).then(|| cell + 1),
        2 => (y > 0).then(|| cell - SIDE),
        _ => (y + 1 < SIDE).then(|| cell + SIDE),
    }
}

/// Plays `steps` steps with four players. A game has 500 steps.
pub fn play(steps: i64) -> Workload {
    let schema = schema();
    let layout = schema.layout();
    let mut rng = StdRng::seed_from_u64(11);
    let mut recorders: Vec<_> = (0..)
        .take(PLAYERS)
        .map(|agent| RowRecorder::new(&schema, agent))
        .collect();
    let mut episodes = Vec::new();
    let (mut owners, mut armies, mut rock) = ([PLAYERS; CELLS], [0_u32; CELLS], [false; CELLS]);
    for step in 0..steps {
        if step % 500 == 0 {
            (owners, armies) = ([PLAYERS; CELLS], [0; CELLS]);
            rock = core::array::from_fn(|_| rng.random_bool(0.2));
            for player in 0..PLAYERS {
                let cell = rng.random_range(0..CELLS);
                (owners[cell], armies[cell], rock[cell]) = (player, 1, false);
            }
        }
        for cell in 0..CELLS {
            let grows = if step % 25 == 0 {
                1
            } else {
                u32::from(step % 2 == 0 && cell % 40 == 0)
            };
            armies[cell] += grows * u32::from(owners[cell] < PLAYERS);
        }
        for (player, recorder) in recorders.iter_mut().enumerate() {
            let mut mask = [false; MOVES];
            let mut choices = Vec::new();
            for (choice, allowed) in mask.iter_mut().enumerate() {
                let (cell, direction) = (choice / 4, choice % 4);
                let is_free = |to: usize| !rock[to];
                if owners[cell] == player && armies[cell] > 1 && beside(cell, direction).is_some_and(is_free) {
                    *allowed = true;
                    choices.push(choice);
                }
            }
            let mut reward = 0.0;
            let choice = choices
                .get(rng.random_range(0..choices.len().max(1)))
                .copied()
                .unwrap_or(0);
            if let Some(to) = beside(choice / 4, choice % 4).filter(|_| mask[choice]) {
                let moving = armies[choice / 4] - 1;
                armies[choice / 4] = 1;
                if owners[to] == player {
                    armies[to] += moving;
                } else if moving > armies[to] {
                    (owners[to], armies[to], reward) = (player, moving - armies[to], 1.0);
                } else {
                    armies[to] -= moving;
                }
            }
            let is_visible = |cell: usize| {
                owners[cell] == player
                    || (0..4).any(|direction| beside(cell, direction).is_some_and(|near| owners[near] == player))
            };
            recorder.push(step, reward, |row| {
                let planes: &mut [f32] = bytemuck::cast_slice_mut(&mut row[layout.observation()]);
                for cell in 0..CELLS {
                    let seen = is_visible(cell);
                    let owner = owners[cell];
                    let values = [
                        f32::from(u8::from(seen)),
                        f32::from(u8::from(seen && rock[cell])),
                        f32::from(u8::from(owner == player)),
                        f32::from(u8::from(seen && owner < PLAYERS && owner != player)),
                        f32::from(u8::from(seen && owner == PLAYERS)),
                        if seen { armies[cell] as f32 } else { 0.0 },
                        if owner == player { armies[cell] as f32 } else { 0.0 },
                        f32::from(u8::from(cell % 40 == 0)),
                        (step % 50) as f32 / 50.0,
                    ];
                    for (plane, value) in values.into_iter().enumerate() {
                        planes[plane * CELLS + cell] = value;
                    }
                }
                for (bits, allowed) in row[layout.mask()].iter_mut().zip(mask.chunks(8)) {
                    *bits = allowed
                        .iter()
                        .enumerate()
                        .fold(0, |bits, (index, allowed)| bits | u8::from(*allowed) << index);
                }
                row[layout.action_offsets()[0]..][..8].copy_from_slice(&(choice as i64).to_ne_bytes());
            });
            if step % 500 == 499 || step + 1 == steps {
                episodes.extend(recorder.end(episodes.len() as u32, Outcome::Truncated));
            }
        }
    }
    Workload { schema, episodes }
}

//! The client: predicts, and simulates again what the server has corrected.

use crate::{Confirmed, Inputs, Ship, Simulate, Thrust};
use bevy::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The ticks that the client has simulated and the server has not confirmed.
#[derive(Resource, Default)]
pub struct Predictions {
    /// The last tick that the server has confirmed.
    confirmed: i64,
    /// The input of each later tick, and the state in which it ended.
    ticks: Vec<(Thrust, Ship)>,
    pub mispredicted: usize,
}

/// The player takes no more input.
#[derive(Resource)]
pub struct Stopped;

/// A player that keeps each input for random times.
#[derive(Resource)]
struct Player(StdRng);

pub fn plugin(app: &mut App) {
    app.init_resource::<Predictions>()
        .insert_resource(Player(StdRng::seed_from_u64(games::seed())))
        .add_observer(|added: On<Add, Confirmed>, mut commands: Commands| {
            commands
                .entity(added.entity)
                .insert((Ship::default(), Thrust::default()));
        })
        .add_systems(FixedUpdate, (reconcile, predict, send).chain());
}

/// Takes the ticks that the server has sent, and simulates those after them again.
fn reconcile(world: &mut World, mut ships: Local<QueryState<&Confirmed>>) {
    let Ok(confirmed) = ships.single(world).cloned() else {
        return;
    };
    let mut predictions = core::mem::take(&mut *world.resource_mut::<Predictions>());
    let new = usize::try_from(confirmed.newest - predictions.confirmed).unwrap_or(0);
    let first = confirmed
        .ships
        .len()
        .checked_sub(new)
        .expect("the server repeats enough ticks");
    for &ship in &confirmed.ships[first..] {
        let (thrust, predicted) = predictions.ticks.remove(0);
        predictions.confirmed += 1;
        predictions.mispredicted += usize::from(predicted != ship);
        set(world, thrust, Some(ship));
        end_tick(world, predictions.confirmed, predictions.confirmed);
    }
    if new > 0 {
        for (tick, (thrust, predicted)) in (predictions.confirmed + 1..).zip(&mut predictions.ticks) {
            *predicted = simulate(world, *thrust);
            end_tick(world, tick, predictions.confirmed);
        }
    }
    world.insert_resource(predictions);
}

/// Simulates the next tick, whose input the server does not know yet.
fn predict(world: &mut World, mut ships: Local<QueryState<&Thrust>>) {
    let Ok(&(mut thrust)) = ships.single(world) else {
        return;
    };
    if world.contains_resource::<Stopped>() {
        return;
    }
    let random = &mut world.resource_mut::<Player>().0;
    if random.random_ratio(1, 12) {
        thrust = Thrust(Vec2::new(
            random.random_range(-4..=4) as f32,
            random.random_range(-4..=4) as f32,
        ));
    }
    let ship = simulate(world, thrust);
    let mut predictions = world.resource_mut::<Predictions>();
    predictions.ticks.push((thrust, ship));
    let (confirmed, count) = (predictions.confirmed, predictions.ticks.len() as i64);
    end_tick(world, confirmed + count, confirmed);
}

fn send(predictions: Res<Predictions>, mut messages: MessageWriter<Inputs>) {
    messages.write(Inputs {
        first: predictions.confirmed + 1,
        thrusts: predictions.ticks.iter().map(|&(thrust, _)| thrust).collect(),
    });
}

fn simulate(world: &mut World, thrust: Thrust) -> Ship {
    set(world, thrust, None);
    world.run_schedule(Simulate);
    let mut ships = world.query::<&Ship>();
    *ships.single(world).expect("there is one ship")
}

/// Sets the input, and the state if it is given.
fn set(world: &mut World, thrust: Thrust, state: Option<Ship>) {
    let mut ships = world.query::<(&mut Thrust, &mut Ship)>();
    let (mut input, mut ship) = ships.single_mut(world).expect("there is one ship");
    *input = thrust;
    if let Some(state) = state {
        *ship = state;
    }
}

/// A tick has been simulated, or has been set to what the server sent.
fn end_tick(_world: &mut World, _simulated: i64, _confirmed: i64) {}

//! The server: applies the inputs in order, with the wind, and logs what happened.

use crate::{Confirmed, Inputs, Ship, Simulate, Thrust, score};
use bevy::prelude::*;
use bevy_replicon::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Ticks that are sent again with each tick.
const HISTORY: usize = 48;

/// A tick of how many has a gust of wind.
const GUSTS: u32 = 25;

#[derive(Resource)]
struct Wind(StdRng);

/// The inputs that arrived, from the next tick.
#[derive(Resource, Default)]
struct Queue(Vec<Thrust>);

pub fn plugin(app: &mut App) {
    app.insert_resource(Wind(StdRng::seed_from_u64(games::seed() + 1)))
        .init_resource::<Queue>()
        .init_resource::<games::Log>()
        .add_systems(Startup, |mut commands: Commands| {
            commands.spawn((Replicated, Ship::default(), Thrust::default(), Confirmed::default()));
        })
        .add_systems(FixedUpdate, (receive, advance).chain());
}

fn receive(mut messages: MessageReader<FromClient<Inputs>>, mut queue: ResMut<Queue>, ship: Single<&Confirmed>) {
    for FromClient { message, .. } in messages.read() {
        let next = ship.newest + 1 + queue.0.len() as i64;
        let known = usize::try_from(next - message.first).expect("the client sends all inputs that are not confirmed");
        queue.0.extend(message.thrusts.iter().skip(known));
    }
}

fn advance(world: &mut World) {
    let mut ships = world.query::<(&mut Ship, &mut Thrust, &mut Confirmed)>();
    for thrust in core::mem::take(&mut world.resource_mut::<Queue>().0) {
        let wind = &mut world.resource_mut::<Wind>().0;
        let gust = if wind.random_ratio(1, GUSTS) {
            Vec2::new(wind.random_range(-1.0..1.0), wind.random_range(-1.0..1.0))
        } else {
            Vec2::ZERO
        };
        for (_, mut input, _) in ships.iter_mut(world) {
            *input = thrust;
        }
        world.run_schedule(Simulate);
        let (mut ship, _, mut confirmed) = ships.single_mut(world).expect("there is one ship");
        ship.speed += gust;
        let ship = *ship;
        confirmed.newest += 1;
        confirmed.ships.push(ship);
        if confirmed.ships.len() > HISTORY {
            confirmed.ships.remove(0);
        }
        let state = [ship.place.x, ship.place.y, ship.speed.x, ship.speed.y];
        world
            .resource_mut::<games::Log>()
            .step(0, &thrust.0.to_array(), score(&ship), &state);
    }
}

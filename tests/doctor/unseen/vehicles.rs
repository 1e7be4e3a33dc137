//! Vehicles: gravity and thrust, angles, drag, and a steering wheel that turns slowly.

use super::Held;
use crate::game::{Random, Rates};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Diagnosis, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::Time;

/// An engine accelerates, and gravity too. The fault: each tick ends with the decision for the next.
pub fn lander(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Engine, Held)]
    struct Lander {
        x: f32,
        height: f32,
        speed_x: f32,
        climb: f32,
    }
    #[derive(Component, Reflect, Default, Clone, Copy)]
    enum Engine {
        #[default]
        Off,
        Left,
        Main,
        Right,
    }
    fn decide(time: Res<Time>, mut landers: Query<(&mut Engine, &mut Held)>, mut random: ResMut<Random>) {
        for (mut engine, mut held) in &mut landers {
            if held.expires(time.delta_secs(), &mut random) {
                *engine = [Engine::Off, Engine::Left, Engine::Main, Engine::Right][random.below(4) as usize];
            }
        }
    }
    fn fly(time: Res<Time>, mut landers: Query<(&Engine, &mut Lander, &mut Reward)>) {
        let delta = time.delta_secs();
        for (engine, mut lander, mut reward) in &mut landers {
            let (x, up) = match engine {
                Engine::Off => (0.0, 0.0),
                Engine::Left => (-2.0, 0.0),
                Engine::Main => (0.0, 6.0),
                Engine::Right => (2.0, 0.0),
            };
            lander.speed_x += x * delta;
            lander.climb += (up - 1.6) * delta;
            lander.x += lander.speed_x * delta;
            lander.height += lander.climb * delta;
            reward.add("descent", f64::from(-lander.climb * delta));
        }
    }
    fn land(landers: Query<(Entity, &Lander)>, mut commands: Commands) {
        for (entity, lander) in &landers {
            if !(0.0..20.0).contains(&lander.height) {
                commands.trigger(EndEpisode::terminated(entity, "landed"));
            }
        }
    }
    fn launch(ended: On<EpisodeEnded>, mut landers: Query<&mut Lander>, mut random: ResMut<Random>) {
        if let Ok(mut lander) = landers.get_mut(ended.entity) {
            *lander = Lander {
                x: 5.0 * random.signed(),
                height: 8.0 + 4.0 * random.next(),
                ..Lander::default()
            };
        }
    }

    let rates = Rates { frames: 60, ticks: 50 };
    let recording = Recording::<Lander>::new("lander").observe::<Lander>().act::<Engine>();
    let recording = if broken {
        recording.read_actions_after(FixedLast)
    } else {
        recording
    };
    rates.diagnose(80, recording, |app| {
        if broken {
            app.add_systems(FixedUpdate, (fly, land, decide).chain());
        } else {
            app.add_systems(FixedUpdate, (decide, fly, land).chain());
        }
        app.add_observer(launch);
        for x in 0..3_u8 {
            let lander = Lander {
                x: f32::from(x),
                height: 10.0,
                ..Lander::default()
            };
            app.world_mut().spawn(lander);
        }
    })
}

/// A heading turns, and the tank drives along it. The fault: the distance to the wall ahead is measured before the tank moves.
pub fn tank(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Tracks, Held, Heading, Range)]
    struct Tank {
        x: f32,
        y: f32,
        cos: f32,
        sin: f32,
    }
    #[derive(Component, Default)]
    struct Heading(f32);
    #[derive(Component, Reflect, Default)]
    struct Range(f32);
    #[derive(Component, Reflect, Default)]
    struct Tracks {
        turn: f32,
        throttle: f32,
    }
    fn steer(time: Res<Time>, mut tanks: Query<(&mut Tracks, &mut Held)>, mut random: ResMut<Random>) {
        for (mut tracks, mut held) in &mut tanks {
            if held.expires(time.delta_secs(), &mut random) {
                (tracks.turn, tracks.throttle) = (random.signed(), random.next());
            }
        }
    }
    fn drive(time: Res<Time>, mut tanks: Query<(&Tracks, &mut Heading, &mut Tank, &mut Reward)>) {
        let delta = time.delta_secs();
        for (tracks, mut heading, mut tank, mut reward) in &mut tanks {
            heading.0 += 2.0 * tracks.turn * delta;
            (tank.sin, tank.cos) = heading.0.sin_cos();
            tank.x += 4.0 * tracks.throttle * tank.cos * delta;
            tank.y += 4.0 * tracks.throttle * tank.sin * delta;
            reward.add("way", f64::from(tracks.throttle * delta));
        }
    }
    fn measure(mut tanks: Query<(&Tank, &mut Range)>) {
        for (tank, mut range) in &mut tanks {
            let wall = |at: f32, direction: f32| (10.0 - at * direction.signum()) / direction.abs().max(0.001);
            range.0 = wall(tank.x, tank.cos).min(wall(tank.y, tank.sin));
        }
    }
    fn crash(tanks: Query<(Entity, &Tank)>, mut commands: Commands) {
        for (entity, tank) in &tanks {
            if tank.x.abs().max(tank.y.abs()) > 9.5 {
                commands.trigger(EndEpisode::terminated(entity, "crash"));
            }
        }
    }
    fn repair(ended: On<EpisodeEnded>, mut tanks: Query<(&mut Tank, &mut Heading)>, mut random: ResMut<Random>) {
        if let Ok((mut tank, mut heading)) = tanks.get_mut(ended.entity) {
            heading.0 = 3.0 * random.signed();
            let (sin, cos) = heading.0.sin_cos();
            *tank = Tank {
                x: 4.0 * random.signed(),
                y: 4.0 * random.signed(),
                cos,
                sin,
            };
        }
    }

    let rates = Rates { frames: 60, ticks: 30 };
    let recording = Recording::<Tank>::new("tank")
        .observe::<Tank>()
        .observe::<Range>()
        .act::<Tracks>();
    rates.diagnose(150, recording, |app| {
        app.add_systems(FixedPreUpdate, steer).add_observer(repair);
        if broken {
            app.add_systems(FixedUpdate, (measure, drive, crash).chain());
        } else {
            app.add_systems(FixedUpdate, (drive, measure, crash).chain());
        }
        for x in 0..3_u8 {
            let tank = Tank {
                x: f32::from(x),
                cos: 1.0,
                ..Tank::default()
            };
            app.world_mut().spawn(tank);
        }
    })
}

/// Thrust against drag, with one of four keys. The fault: the recorded copy of the key is made before the key is read.
pub fn spaceship(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Drive, Shown, Held, Heading)]
    struct Ship {
        x: f32,
        y: f32,
        speed_x: f32,
        speed_y: f32,
        cos: f32,
        sin: f32,
    }
    #[derive(Component, Default)]
    struct Heading(f32);
    #[derive(Reflect, Default, Clone, Copy, PartialEq)]
    enum Key {
        #[default]
        Coast,
        Thrust,
        Left,
        Right,
    }
    #[derive(Component, Default)]
    struct Drive(Key);
    #[derive(Component, Reflect, Default)]
    struct Shown(Key);
    fn press(time: Res<Time>, mut ships: Query<(&mut Drive, &mut Held)>, mut random: ResMut<Random>) {
        for (mut drive, mut held) in &mut ships {
            if held.expires(time.delta_secs(), &mut random) {
                drive.0 = [Key::Coast, Key::Thrust, Key::Thrust, Key::Left, Key::Right][random.below(5) as usize];
            }
        }
    }
    fn copy(mut ships: Query<(&Drive, &mut Shown)>) {
        for (drive, mut shown) in &mut ships {
            shown.0 = drive.0;
        }
    }
    fn fly(time: Res<Time>, mut ships: Query<(&Drive, &mut Heading, &mut Ship, &mut Reward)>) {
        let delta = time.delta_secs();
        for (drive, mut heading, mut ship, mut reward) in &mut ships {
            heading.0 += match drive.0 {
                Key::Left => 3.0 * delta,
                Key::Right => -3.0 * delta,
                Key::Coast | Key::Thrust => 0.0,
            };
            (ship.sin, ship.cos) = heading.0.sin_cos();
            let thrust = if drive.0 == Key::Thrust { 8.0 } else { 0.0 };
            ship.speed_x += (thrust * ship.cos - ship.speed_x) * delta;
            ship.speed_y += (thrust * ship.sin - ship.speed_y) * delta;
            ship.x += ship.speed_x * delta;
            ship.y += ship.speed_y * delta;
            reward.add("way", f64::from(ship.speed_x.hypot(ship.speed_y) * delta));
        }
    }
    fn leave(ships: Query<(Entity, &Ship)>, mut commands: Commands) {
        for (entity, ship) in &ships {
            if ship.x.hypot(ship.y) > 15.0 {
                commands.trigger(EndEpisode::terminated(entity, "left"));
            }
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut ships: Query<(&mut Ship, &mut Heading)>, mut random: ResMut<Random>) {
        if let Ok((mut ship, mut heading)) = ships.get_mut(ended.entity) {
            heading.0 = 3.0 * random.signed();
            let (sin, cos) = heading.0.sin_cos();
            *ship = Ship {
                x: random.signed(),
                y: random.signed(),
                cos,
                sin,
                ..Ship::default()
            };
        }
    }

    let rates = Rates { frames: 75, ticks: 60 };
    let recording = Recording::<Ship>::new("ship").observe::<Ship>().act::<Shown>();
    rates.diagnose(80, recording, |app| {
        if broken {
            app.add_systems(FixedUpdate, (copy, press, fly, leave).chain());
        } else {
            app.add_systems(FixedUpdate, (press, copy, fly, leave).chain());
        }
        app.add_observer(begin);
        for _ in 0..3 {
            let ship = Ship {
                cos: 1.0,
                ..Ship::default()
            };
            app.world_mut().spawn(ship);
        }
    })
}

/// Wheels follow the steering slowly. The fault: the system that ends the lap puts the car back.
pub fn racer(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Pedals, Held)]
    struct Car {
        along: f32,
        aside: f32,
        heading: f32,
        wheels: f32,
        speed: f32,
    }
    #[derive(Component, Reflect, Default)]
    struct Pedals {
        wheel: f32,
        gas: f32,
    }
    fn press(time: Res<Time>, mut cars: Query<(&mut Pedals, &Car, &mut Held)>, mut random: ResMut<Random>) {
        for (mut pedals, car, mut held) in &mut cars {
            if held.expires(time.delta_secs(), &mut random) {
                pedals.wheel = (random.signed() - car.heading - 0.1 * car.aside).clamp(-1.0, 1.0);
                pedals.gas = random.next();
            }
        }
    }
    fn drive(time: Res<Time>, mut cars: Query<(&Pedals, &mut Car, &mut Reward)>) {
        let delta = time.delta_secs();
        for (pedals, mut car, mut reward) in &mut cars {
            car.wheels += (pedals.wheel - car.wheels) * (6.0 * delta).min(1.0);
            car.speed += (10.0 * pedals.gas - 0.8 * car.speed) * delta;
            car.heading += 0.3 * car.wheels * car.speed * delta;
            let (sin, cos) = car.heading.sin_cos();
            car.along += car.speed * cos * delta;
            car.aside += car.speed * sin * delta;
            reward.add("way", f64::from(car.speed * cos * delta));
        }
    }
    fn finish_and_reset(mut cars: Query<(Entity, &mut Car)>, mut commands: Commands) {
        for (entity, mut car) in &mut cars {
            if car.along.abs() > 20.0 || car.aside.abs() > 20.0 {
                commands.trigger(EndEpisode::terminated(entity, "lap"));
                *car = Car::default();
            }
        }
    }
    fn finish(cars: Query<(Entity, &Car)>, mut commands: Commands) {
        for (entity, car) in &cars {
            if car.along.abs() > 20.0 || car.aside.abs() > 20.0 {
                commands.trigger(EndEpisode::terminated(entity, "lap"));
            }
        }
    }
    fn reset(ended: On<EpisodeEnded>, mut cars: Query<&mut Car>) {
        if let Ok(mut car) = cars.get_mut(ended.entity) {
            *car = Car::default();
        }
    }

    let rates = Rates { frames: 50, ticks: 100 };
    let recording = Recording::<Car>::new("car").observe::<Car>().act::<Pedals>();
    rates.diagnose(60, recording, |app| {
        app.add_systems(FixedPreUpdate, press);
        if broken {
            app.add_systems(FixedUpdate, (drive, finish_and_reset).chain());
        } else {
            app.add_systems(FixedUpdate, (drive, finish).chain())
                .add_observer(reset);
        }
        for _ in 0..3 {
            app.world_mut().spawn(Car::default());
        }
    })
}

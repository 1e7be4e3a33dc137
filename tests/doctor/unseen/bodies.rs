//! Bodies: jumps, torques, a pole that falls, joints.

use super::Held;
use crate::game::{Age, Random, Rates, finish};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Diagnosis, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::Time;

/// A platformer with pits, at 120 ticks per second. The fault: the end is noticed before the movement.
pub fn jumper(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Keys, Held)]
    struct Body {
        x: f32,
        height: f32,
        climb: f32,
    }
    #[derive(Component, Reflect, Default)]
    struct Keys {
        run: i8,
        jump: bool,
    }
    fn press(time: Res<Time>, mut bodies: Query<(&mut Keys, &mut Held)>, mut random: ResMut<Random>) {
        for (mut keys, mut held) in &mut bodies {
            if held.expires(time.delta_secs(), &mut random) {
                keys.run = [-1, 0, 1, 1][random.below(4) as usize];
                keys.jump = random.below(3) == 0;
            }
        }
    }
    fn run(time: Res<Time>, mut bodies: Query<(&Keys, &mut Body, &mut Reward)>) {
        let delta = time.delta_secs();
        for (keys, mut body, mut reward) in &mut bodies {
            let is_over_pit = body.x.rem_euclid(5.0) > 4.0;
            let stands = body.height <= 0.0 && !is_over_pit;
            if stands {
                (body.height, body.climb) = (0.0, if keys.jump { 6.0 } else { 0.0 });
            } else {
                body.climb -= 15.0 * delta;
            }
            body.height += body.climb * delta;
            let way = 4.0 * f32::from(keys.run) * delta;
            body.x += way;
            reward.add("way", f64::from(way));
        }
    }
    fn end(bodies: Query<(Entity, &Body)>, mut commands: Commands) {
        for (entity, body) in &bodies {
            if body.height < -1.0 {
                commands.trigger(EndEpisode::terminated(entity, "fell"));
            } else if body.x > 20.0 {
                commands.trigger(EndEpisode::terminated(entity, "goal"));
            }
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut bodies: Query<&mut Body>, mut random: ResMut<Random>) {
        if let Ok(mut body) = bodies.get_mut(ended.entity) {
            *body = Body {
                x: 3.0 * random.next(),
                ..Body::default()
            };
        }
    }

    let rates = Rates { frames: 60, ticks: 120 };
    let recording = Recording::<Body>::new("jumper").observe::<Body>().act::<Keys>();
    rates.diagnose(60, recording, |app| {
        app.add_systems(FixedPreUpdate, press).add_observer(begin);
        if broken {
            app.add_systems(FixedUpdate, (end, run).chain());
        } else {
            app.add_systems(FixedUpdate, (run, end).chain());
        }
        for _ in 0..3 {
            app.world_mut().spawn(Body::default());
        }
    })
}

/// A torque accelerates an angle, at 200 ticks per second. The fault: the recorded copy of the torque is made before it is set.
pub fn pendulum(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Torque, Shown, Held, Angle, Age)]
    struct Pendulum {
        cos: f32,
        sin: f32,
        speed: f32,
    }
    #[derive(Component, Default)]
    struct Angle(f32);
    #[derive(Component, Default)]
    struct Torque(f32);
    #[derive(Component, Reflect, Default)]
    struct Shown(f32);
    fn push(time: Res<Time>, mut pendulums: Query<(&mut Torque, &mut Held)>, mut random: ResMut<Random>) {
        for (mut torque, mut held) in &mut pendulums {
            if held.expires(time.delta_secs(), &mut random) {
                torque.0 = 12.0 * random.signed();
            }
        }
    }
    fn copy(mut pendulums: Query<(&Torque, &mut Shown)>) {
        for (torque, mut shown) in &mut pendulums {
            shown.0 = torque.0;
        }
    }
    fn swing(time: Res<Time>, mut pendulums: Query<(&Torque, &mut Angle, &mut Pendulum, &mut Reward, &mut Age)>) {
        let delta = time.delta_secs();
        for (torque, mut angle, mut pendulum, mut reward, mut age) in &mut pendulums {
            pendulum.speed += (torque.0 - 9.81 * pendulum.sin - 0.2 * pendulum.speed) * delta;
            angle.0 += pendulum.speed * delta;
            (pendulum.sin, pendulum.cos) = angle.0.sin_cos();
            reward.add("height", f64::from(-pendulum.cos * delta));
            age.0 += 1;
        }
    }
    fn begin(
        ended: On<EpisodeEnded>,
        mut pendulums: Query<(&mut Pendulum, &mut Angle, &mut Age)>,
        mut random: ResMut<Random>,
    ) {
        if let Ok((mut pendulum, mut angle, mut age)) = pendulums.get_mut(ended.entity) {
            angle.0 = 3.0 * random.signed();
            let (sin, cos) = angle.0.sin_cos();
            *pendulum = Pendulum { cos, sin, speed: 0.0 };
            age.0 = 0;
        }
    }

    let rates = Rates { frames: 60, ticks: 200 };
    let recording = Recording::<Pendulum>::new("pendulum")
        .observe::<Pendulum>()
        .act::<Shown>();
    rates.diagnose(40, recording, |app| {
        if broken {
            app.add_systems(FixedUpdate, (copy, push, swing, finish).chain());
        } else {
            app.add_systems(FixedUpdate, (push, copy, swing, finish).chain());
        }
        app.add_observer(begin);
        for _ in 0..3 {
            let pendulum = Pendulum {
                cos: 1.0,
                ..Pendulum::default()
            };
            app.world_mut().spawn(pendulum);
        }
    })
}

/// A pole falls on a cart that is pushed left or right. The fault: the place of its tip is computed before the movement.
pub fn cart_and_pole(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Push, Tip)]
    struct Cart {
        x: f32,
        speed: f32,
        angle: f32,
        turn: f32,
    }
    #[derive(Component, Reflect, Default)]
    struct Tip {
        x: f32,
        height: f32,
    }
    #[derive(Component, Reflect, Default)]
    enum Push {
        #[default]
        Left,
        Right,
    }
    fn decide(mut carts: Query<(&Cart, &mut Push)>, mut random: ResMut<Random>) {
        for (cart, mut push) in &mut carts {
            let falls_right = cart.angle + 0.3 * cart.turn + 0.1 * random.signed() > 0.0;
            *push = if falls_right { Push::Right } else { Push::Left };
        }
    }
    fn roll(time: Res<Time>, mut carts: Query<(&Push, &mut Cart, &mut Reward)>) {
        let delta = time.delta_secs();
        for (push, mut cart, mut reward) in &mut carts {
            let force = if matches!(push, Push::Right) { 10.0 } else { -10.0 };
            let (sin, cos) = cart.angle.sin_cos();
            let inertia = (force + 0.05 * cart.turn * cart.turn * sin) / 1.1;
            let turn = (9.8 * sin - cos * inertia) / (0.5 * (4.0 / 3.0 - 0.1 * cos * cos / 1.1));
            let acceleration = inertia - 0.05 * turn * cos / 1.1;
            cart.x += cart.speed * delta;
            cart.angle += cart.turn * delta;
            cart.speed += acceleration * delta;
            cart.turn += turn * delta;
            reward.add("upright", 1.0);
        }
    }
    fn look(mut carts: Query<(&Cart, &mut Tip)>) {
        for (cart, mut tip) in &mut carts {
            (tip.x, tip.height) = (cart.x + cart.angle.sin(), cart.angle.cos());
        }
    }
    fn fall(carts: Query<(Entity, &Cart)>, mut commands: Commands) {
        for (entity, cart) in &carts {
            if cart.angle.abs() > 0.3 || cart.x.abs() > 2.4 {
                commands.trigger(EndEpisode::terminated(entity, "fell"));
            }
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut carts: Query<&mut Cart>, mut random: ResMut<Random>) {
        if let Ok(mut cart) = carts.get_mut(ended.entity) {
            *cart = Cart {
                x: 0.05 * random.signed(),
                speed: 0.05 * random.signed(),
                angle: 0.05 * random.signed(),
                turn: 0.05 * random.signed(),
            };
        }
    }

    let rates = Rates { frames: 50, ticks: 50 };
    let recording = Recording::<Cart>::new("cart")
        .observe::<Cart>()
        .observe::<Tip>()
        .act::<Push>();
    rates.diagnose(60, recording, |app| {
        app.add_systems(FixedPreUpdate, decide).add_observer(begin);
        if broken {
            app.add_systems(FixedUpdate, (look, roll, fall).chain());
        } else {
            app.add_systems(FixedUpdate, (roll, look, fall).chain());
        }
        for _ in 0..3 {
            app.world_mut().spawn(Cart::default());
        }
    })
}

/// Motors turn two joints, in `Update` at 30 frames per second. The fault: it is captured at fixed ticks.
pub fn arm(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Motors, Held)]
    struct Arm {
        shoulder: f32,
        elbow: f32,
    }
    #[derive(Component, Reflect, Default)]
    struct Motors {
        shoulder: f32,
        elbow: f32,
    }
    fn set(time: Res<Time>, mut arms: Query<(&mut Motors, &mut Held)>, mut random: ResMut<Random>) {
        for (mut motors, mut held) in &mut arms {
            if held.expires(time.delta_secs(), &mut random) {
                (motors.shoulder, motors.elbow) = (random.signed(), random.signed());
            }
        }
    }
    fn turn(time: Res<Time>, mut arms: Query<(&Motors, &mut Arm, &mut Reward)>) {
        let delta = time.delta_secs();
        for (motors, mut arm, mut reward) in &mut arms {
            arm.shoulder += 3.0 * motors.shoulder * delta;
            arm.elbow += 4.0 * motors.elbow * delta;
            let reach = arm.shoulder.cos() + (arm.shoulder + arm.elbow).cos();
            reward.add("reach", f64::from(reach * delta));
        }
    }
    fn touch(arms: Query<(Entity, &Arm)>, mut commands: Commands) {
        for (entity, arm) in &arms {
            if arm.shoulder.abs() > 1.5 || arm.elbow.abs() > 2.0 {
                commands.trigger(EndEpisode::terminated(entity, "stop"));
            }
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut arms: Query<&mut Arm>, mut random: ResMut<Random>) {
        if let Ok(mut arm) = arms.get_mut(ended.entity) {
            (arm.shoulder, arm.elbow) = (random.signed(), random.signed());
        }
    }

    let rates = Rates { frames: 30, ticks: 64 };
    let recording = Recording::<Arm>::new("arm").observe::<Arm>().act::<Motors>();
    let recording = if broken {
        recording.capture_after(FixedLast).read_actions_after(FixedLast)
    } else {
        recording
    };
    rates.diagnose(100, recording, |app| {
        app.add_systems(PreUpdate, set)
            .add_systems(Update, (turn, touch).chain())
            .add_observer(begin);
        for _ in 0..3 {
            app.world_mut().spawn(Arm::default());
        }
    })
}

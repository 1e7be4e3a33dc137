//! Players that are spawned and despawned.

use super::Held;
use crate::game::{Age, Random, Rates};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Diagnosis, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::Time;

/// Soldiers that come and go. The fault: they are rewarded in the tick in which they are spawned.
pub fn soldiers(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(March, Held, Age)]
    struct Soldier {
        x: f32,
        strength: f32,
    }
    #[derive(Component, Reflect, Default)]
    struct March(i8);
    fn enlist(soldiers: Query<(), With<Soldier>>, mut commands: Commands, mut random: ResMut<Random>) {
        if soldiers.count() < 6 {
            commands.spawn(Soldier {
                x: 5.0 * random.signed(),
                strength: 10.0,
            });
        }
    }
    fn welcome<const AGE: u32>(mut soldiers: Query<(&Age, &mut Reward), With<Soldier>>) {
        for (age, mut reward) in &mut soldiers {
            if age.0 == AGE {
                reward.add("bounty", 1.0);
            }
        }
    }
    fn order(time: Res<Time>, mut soldiers: Query<(&mut March, &mut Held)>, mut random: ResMut<Random>) {
        for (mut march, mut held) in &mut soldiers {
            if held.expires(time.delta_secs(), &mut random) {
                march.0 = random.below(3) as i8 - 1;
            }
        }
    }
    fn march(time: Res<Time>, mut soldiers: Query<(&March, &mut Soldier, &mut Age)>) {
        for (march, mut soldier, mut age) in &mut soldiers {
            soldier.x += 3.0 * f32::from(march.0) * time.delta_secs();
            soldier.strength -= (0.5 + soldier.x.abs()) * time.delta_secs();
            age.0 += 1;
        }
    }
    fn fall(soldiers: Query<(Entity, &Soldier)>, mut commands: Commands) {
        for (entity, soldier) in &soldiers {
            if soldier.strength <= 0.0 {
                commands.trigger(EndEpisode::terminated(entity, "fell"));
                commands.entity(entity).despawn();
            }
        }
    }

    let rates = Rates { frames: 60, ticks: 40 };
    let recording = Recording::<Soldier>::new("soldier").observe::<Soldier>().act::<March>();
    rates.diagnose(60, recording, |app| {
        app.add_systems(FixedPreUpdate, (enlist, order).chain())
            .add_systems(FixedUpdate, (march, fall).chain());
        if broken {
            app.add_systems(FixedUpdate, welcome::<0>.before(march));
        } else {
            app.add_systems(FixedUpdate, welcome::<2>.before(march));
        }
    })
}

/// Dashes against friction, with a pause in between. The fault: who leaves the field is despawned before the movement.
pub fn dashers(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Dash)]
    struct Dasher {
        x: f32,
        speed: f32,
        pause: f32,
    }
    #[derive(Component, Reflect, Default)]
    enum Dash {
        #[default]
        Rest,
        Left,
        Right,
    }
    fn press(mut dashers: Query<&mut Dash>, mut random: ResMut<Random>) {
        for mut dash in &mut dashers {
            *dash = match random.below(20) {
                0 => Dash::Left,
                1 => Dash::Right,
                _ => Dash::Rest,
            };
        }
    }
    fn slide(time: Res<Time>, mut dashers: Query<(&Dash, &mut Dasher, &mut Reward)>) {
        let delta = time.delta_secs();
        for (dash, mut dasher, mut reward) in &mut dashers {
            let impulse = match dash {
                Dash::Rest => 0.0,
                Dash::Left => -8.0,
                Dash::Right => 8.0,
            };
            dasher.pause = (dasher.pause - delta).max(0.0);
            if impulse != 0.0 && dasher.pause == 0.0 {
                dasher.speed += impulse;
                dasher.pause = 0.3;
            }
            dasher.speed *= 1.0 - 2.0 * delta;
            dasher.x += dasher.speed * delta;
            reward.add("middle", f64::from(-dasher.x.abs() * delta));
        }
    }
    fn leave(dashers: Query<(Entity, &Dasher)>, mut commands: Commands, mut random: ResMut<Random>) {
        for (entity, dasher) in &dashers {
            if dasher.x.abs() > 6.0 {
                commands.entity(entity).despawn();
                commands.spawn(Dasher {
                    x: random.signed(),
                    ..Dasher::default()
                });
            }
        }
    }

    let rates = Rates { frames: 60, ticks: 64 };
    let rules = EpisodeRules {
        on_despawn: Outcome::Terminated,
        ..EpisodeRules::default()
    };
    let recording = Recording::<Dasher>::new("dasher")
        .observe::<Dasher>()
        .act::<Dash>()
        .episodes(rules);
    rates.diagnose(80, recording, |app| {
        app.add_systems(FixedPreUpdate, press);
        if broken {
            app.add_systems(FixedUpdate, (leave, slide).chain());
        } else {
            app.add_systems(FixedUpdate, (slide, leave).chain());
        }
        for _ in 0..3 {
            app.world_mut().spawn(Dasher::default());
        }
    })
}

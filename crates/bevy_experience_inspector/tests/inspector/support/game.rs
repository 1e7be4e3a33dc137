//! A small recorded game: fighters move, take damage, collect coins and die, on a fixed schedule without randomness.

use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_inspector::ExperienceInspectorPlugin;
use bevy_reflect::Reflect;

#[derive(Component)]
pub struct Fighter;

#[derive(Component, Reflect)]
pub struct Place {
    pub x: f32,
    pub y: f32,
}

#[derive(Component, Reflect)]
pub struct Health(pub f32);

#[derive(Component, Reflect)]
pub struct Sight {
    pub nearest_coin: [f32; 2],
    pub nearest_enemy: [f32; 2],
    pub coins_in_reach: f32,
    /// Constant.
    pub shield: f32,
}

#[derive(Reflect, Clone, Copy)]
pub enum Stance {
    Hold,
    Chase,
    Flee,
}

#[derive(Component, Reflect)]
pub struct Intent {
    pub turn: f32,
    pub fire: bool,
    pub stance: Stance,
}

/// Ticks since the fighter was spawned.
#[derive(Component)]
pub struct Age(u32);

/// A recording of the fighters, without a sink.
pub fn recording() -> Recording<Fighter> {
    Recording::<Fighter>::new("fighter")
        .observe::<Place>()
        .observe::<Health>()
        .observe::<Sight>()
        .act::<Intent>()
        .reward_terms(["alive", "coin", "hit"])
        .episodes(EpisodeRules {
            non_finite: NonFinite::Keep,
            ..Default::default()
        })
        .scaling(PlayerScaling {
            expected_players: 1000,
            ..Default::default()
        })
}

/// An app with the inspector and `fighters` fighters, after `ticks` ticks.
pub fn play(fighters: usize, ticks: usize) -> TestApp {
    let mut test = TestApp::new();
    test.add_plugins(ExperienceInspectorPlugin::default());
    set_up(&mut test, fighters);
    test.ticks(ticks);
    test
}

/// Adds the game and its recording to an app, without the inspector.
pub fn set_up(test: &mut TestApp, fighters: usize) {
    test.record(recording());
    add_systems(test, FixedUpdate);
    for index in 0..fighters {
        spawn_fighter(test, index);
    }
}

/// Adds the systems of the game to a schedule.
pub fn add_systems(test: &mut TestApp, schedule: impl ScheduleLabel) {
    test.add_systems(schedule, (simulate, end_dead_episodes).chain())
        .add_observer(restore_health);
}

/// Spawns the fighter with agent id `100 + index`.
pub fn spawn_fighter(test: &mut TestApp, index: usize) -> Entity {
    let offset = index as f32;
    let fighter = (
        Fighter,
        AgentId(100 + index as i64),
        Place { x: offset, y: -offset },
        Health(100.0),
        Sight {
            nearest_coin: [0.0; 2],
            nearest_enemy: [0.0; 2],
            coins_in_reach: 0.0,
            shield: 1.0,
        },
        Intent {
            turn: 0.0,
            fire: false,
            stance: Stance::Hold,
        },
        Age(0),
    );
    test.world_mut().spawn(fighter).id()
}

pub fn simulate(
    mut fighters: Query<(
        &AgentId,
        &mut Place,
        &mut Health,
        &mut Sight,
        &mut Intent,
        &mut Age,
        &mut Reward,
        Has<PolicyControlled>,
    )>,
) {
    for (agent, mut place, mut health, mut sight, mut intent, mut age, mut reward, by_policy) in &mut fighters {
        age.0 += 1;
        let phase = age.0 as f32 * 0.05 + agent.0 as f32;
        place.x = 20.0 * phase.sin();
        place.y = 12.0 * (phase * 0.7).cos();
        sight.nearest_coin = [(phase * 1.3).sin() * 4.0, (phase * 1.1).cos() * 4.0];
        sight.nearest_enemy = [(phase * 0.3).sin() * 9.0, (phase * 0.4).cos() * 9.0];
        sight.coins_in_reach = (phase.sin() * 2.5).max(0.0).floor();
        if !by_policy {
            intent.turn = (phase * 2.0).sin();
            intent.fire = age.0.is_multiple_of(7);
            intent.stance = match (phase * 0.2).sin() {
                wave if wave > 0.4 => Stance::Chase,
                wave if wave < -0.6 => Stance::Flee,
                _ => Stance::Hold,
            };
        }
        reward.add("alive", 0.01);
        if age.0.is_multiple_of(29) {
            reward.add("coin", 1.0);
        }
        if (age.0 + agent.0 as u32).is_multiple_of(17) {
            health.0 -= 12.5;
            reward.add("hit", -0.25);
        }
    }
}

fn end_dead_episodes(fighters: Query<(Entity, &Health)>, mut commands: Commands) {
    for (fighter, health) in &fighters {
        if health.0 <= 0.0 {
            commands.trigger(EndEpisode::terminated(fighter, "death"));
        }
    }
}

fn restore_health(ended: On<EpisodeEnded>, mut fighters: Query<&mut Health>) {
    if let Ok(mut health) = fighters.get_mut(ended.entity) {
        health.0 = 100.0;
    }
}

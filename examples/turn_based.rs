//! Records a turn-based game for two players: a step lasts from one turn of a player to its next.
//!
//! The game is Nim: the players take one to three sticks in turn, and the one that takes the last stick wins.
//!
//!     cargo run --example turn_based
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, transition::Episode};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::time::Duration;

#[derive(Component)]
struct Seat;

#[derive(Component, Reflect)]
struct Sticks(u8);

#[derive(Component, Reflect)]
enum Take {
    One,
    Two,
    Three,
}

#[derive(Resource)]
struct Table {
    seats: [Entity; 2],
    turn: usize,
    sticks: u8,
}

fn main() {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Seat>::new("seat")
                .observe::<Sticks>()
                .act::<Take>()
                .reward_terms(["result"])
                .decision_on_demand()
                .sink(sink.clone()),
        )
        .add_systems(Startup, sit_down)
        .add_systems(FixedUpdate, play.run_if(|table: Res<Table>| table.sticks > 0));
    for _ in 0..12 {
        app.update();
    }
    let mut experience = app.world_mut().resource_mut::<Experience>();
    experience.close(Duration::from_secs(10));

    for transition in sink.episodes().iter().flat_map(Episode::transitions) {
        let (agent, action) = (transition.episode().info().agent_id, transition.action().next());
        let (sticks, next) = (transition.observation()[0], transition.next_observation()[0]);
        let reward = transition.reward();
        println!("player {agent}: {sticks} sticks, action {action:?}, then {next}, reward {reward}");
    }
}

fn sit_down(mut commands: Commands) {
    let seats = [0, 1].map(|id| commands.spawn((Seat, AgentId(id), Sticks(12), Take::One)).id());
    commands.insert_resource(Table {
        seats,
        turn: 0,
        sticks: 12,
    });
    commands.trigger(RequestDecision::of(seats[0]));
}

/// The player whose turn it is takes sticks, and the other one is asked.
fn play(mut table: ResMut<Table>, mut players: Query<(&mut Sticks, &mut Take, &mut Reward)>, mut commands: Commands) {
    let (seat, other) = (table.seats[table.turn], table.seats[1 - table.turn]);
    let count = (table.sticks % 4).max(1);
    table.sticks -= count;
    for (mut sticks, ..) in &mut players {
        sticks.0 = table.sticks;
    }
    let Ok([mine, mut theirs]) = players.get_many_mut([seat, other]) else {
        return;
    };
    let (_, mut take, mut reward) = mine;
    *take = match count {
        1 => Take::One,
        2 => Take::Two,
        _ => Take::Three,
    };
    if table.sticks == 0 {
        reward.add("result", 1.0);
        theirs.2.add("result", -1.0);
        commands.trigger(EndEpisode::terminated(seat, "win"));
        commands.trigger(EndEpisode::terminated(other, "loss"));
    } else {
        table.turn = 1 - table.turn;
        commands.trigger(RequestDecision::of(other));
    }
}

//! Decisions whose action is not a component of the player: a resource, a component of a related entity, the result of a system.

use super::{Board, COLUMNS, Column, Seat, View};
use crate::log_lines::LogLines;
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_reflect::Reflect;

/// The move of the only local player.
#[derive(Resource, Reflect, Clone, Copy)]
struct Chosen(u8);

fn recording() -> Recording<Seat> {
    Recording::new("player").observe::<View>().decision_on_demand()
}

/// One player, and the entity on which it is seated, which holds a [`Column`], too.
fn one_player(recording: Recording<Seat>) -> (TestApp, Entity, Entity) {
    let mut test = TestApp::new();
    test.record(recording);
    test.insert_resource(Chosen(0));
    let chair = test.world_mut().spawn(Column::A).id();
    let player = (Seat, Board::default().view(0), ChildOf(chair));
    let player = test.world_mut().spawn(player).id();
    test.ticks(1);
    (test, player, chair)
}

/// Asks the player in each tick until it has chosen each of `columns`, and ends the episode. `decide` writes a choice. Returns the
/// recorded choices.
fn play(
    (mut test, player, chair): (TestApp, Entity, Entity),
    columns: &[u8],
    decide: impl Fn(&mut World, Entity, Entity, u8),
) -> Vec<f64> {
    for &column in columns {
        for _ in 0..3 {
            test.world_mut().trigger(RequestDecision::of(player));
            test.ticks(1);
        }
        decide(test.world_mut(), player, chair, column);
        test.ticks(1);
    }
    test.world_mut().trigger(EndEpisode::terminated(player, "draw"));
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(episodes.len(), 1);
    let transitions = episodes[0].transitions();
    transitions.map(|step| step.action().next().unwrap()).collect()
}

fn write_resource(world: &mut World, _: Entity, _: Entity, column: u8) {
    world.resource_mut::<Chosen>().0 = column;
}

fn write_related(world: &mut World, _: Entity, chair: Entity, column: u8) {
    *world.get_mut::<Column>(chair).unwrap() = COLUMNS[usize::from(column)];
}

#[test]
fn a_request_before_the_resource_of_the_action_is_written_is_ignored() {
    let recorded = play(
        one_player(recording().act_resource::<Chosen>()),
        &[2, 2, 1],
        write_resource,
    );
    assert_eq!(recorded, [2.0, 2.0, 1.0]);
}

#[test]
fn a_request_before_the_related_entity_of_the_action_is_written_is_ignored() {
    let game = one_player(recording().act_related::<ChildOf, Column>());
    let recorded = play(game, &[3, 3, 1], write_related);
    assert_eq!(recorded, [3.0, 3.0, 1.0]);
}

fn choose(choices: PlayerChoices<'_>, chosen: Res<Chosen>) {
    for (_, choice) in choices {
        *choice = i64::from(chosen.0);
    }
}

#[test]
fn an_action_of_a_system_is_decided_by_the_event_of_the_game() {
    let game = one_player(recording().act_discrete_system("chosen", 4, choose));
    let decide = |world: &mut World, player: Entity, chair: Entity, column: u8| {
        write_resource(world, player, chair, column);
        world.trigger(DecisionMade::by(player));
    };
    assert_eq!(play(game, &[2, 2, 1], decide), [2.0, 2.0, 1.0]);
}

#[test]
fn an_action_of_a_system_that_does_not_change_is_reported_without_the_event() {
    let log = LogLines::default();
    let recorded = log.collect(|| {
        let game = one_player(recording().act_discrete_system("chosen", 4, choose));
        play(game, &[2, 1], write_resource)
    });
    assert_eq!(
        recorded,
        [2.0, 1.0],
        "requests that repeat before the choice begin no step"
    );
    let warning = log.warning();
    assert!(
        warning.contains("`DecisionMade`") && warning.contains("`act_resource`"),
        "{warning}"
    );
}

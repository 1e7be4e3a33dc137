//! Rewards after the end of an episode: the reward window, and rewards of teams.

use crate::{
    log_lines::LogLines,
    player::{Age, Player, grow},
};
use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use proptest::prelude::*;

#[derive(Component, Clone, PartialEq)]
enum Team {
    Red,
    Blue,
}

fn recording(window: u32, start: EpisodeStart) -> Recording<Player> {
    Recording::new("player")
        .reward_terms(["late"])
        .team::<Team>()
        .episodes(EpisodeRules {
            start,
            reward_window: window,
            ..Default::default()
        })
}

fn player(id: i64, team: Team) -> (Player, Age, AgentId, Team) {
    (Player, Age(0.0), AgentId(id), team)
}

/// The reward of each transition.
fn rewards(episode: &Episode) -> Vec<f64> {
    episode.transitions().map(Transition::reward).collect()
}

fn give(test: &mut TestApp, player: Entity, amount: f64) {
    test.world_mut().get_mut::<Reward>(player).unwrap().add("late", amount);
}

fn play(recording: Recording<Player>) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording.observe::<Age>());
    test.add_systems(FixedUpdate, grow);
    test
}

#[test]
fn a_reward_within_the_window_counts_to_the_last_step() {
    for (window, late) in [(0, 0.0), (3, 8.0), (4, 8.0)] {
        let mut test = play(recording(window, EpisodeStart::OnEvent));
        let id = test.world_mut().spawn(player(0, Team::Red)).id();
        test.ticks(3);
        test.world_mut().trigger(EndEpisode::terminated(id, "death"));
        test.ticks(1);
        test.ticks(2);
        give(&mut test, id, 8.0);
        test.ticks(5);
        let episode = test.finish().remove(0);
        assert_eq!(rewards(&episode), [0.0, late], "a window of {window}");
        assert_eq!(episode.row(2).reward_terms(), [late as f32]);
        assert_eq!(
            (episode.outcome(), episode.reason().as_str()),
            (Outcome::Terminated, "death")
        );
        assert_eq!(test.report().orphaned_rewards, u64::from(late == 0.0));
    }
}

#[test]
fn a_reward_after_the_window_is_orphaned() {
    let mut test = play(recording(3, EpisodeStart::OnEvent));
    let id = test.world_mut().spawn(player(0, Team::Red)).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(id, "death"));
    test.ticks(4);
    give(&mut test, id, 8.0);
    test.ticks(2);
    assert_eq!(rewards(&test.finish()[0]), [0.0, 0.0]);
    assert_eq!(test.report().orphaned_rewards, 1);
}

#[test]
fn the_last_step_has_the_time_and_the_observation_of_the_end() {
    for when in [FinalObservation::AtTrigger, FinalObservation::AtCapture] {
        let rules = |window| EpisodeRules {
            start: EpisodeStart::OnEvent,
            final_observation: when,
            reward_window: window,
            ..Default::default()
        };
        let rows = |window| {
            let mut test = play(Recording::new("player").episodes(rules(window)).decision_interval(2));
            let id = test.world_mut().spawn(player(0, Team::Red)).id();
            test.ticks(5);
            test.add_systems(FixedUpdate, move |ages: Query<&Age>, mut commands: Commands| {
                if ages.get(id).unwrap().0 == 6.0 {
                    commands.trigger(EndEpisode::truncated(id, "time_limit"));
                }
            });
            test.ticks(7);
            let episode = test.finish().remove(0);
            (0..=episode.len())
                .map(|row| {
                    let header = *episode.row(row).header();
                    (
                        header.tick,
                        header.timestamp.to_bits(),
                        header.ticks,
                        episode.row(row).observation()[0],
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(rows(4), rows(0), "{when:?}");
        assert!(rows(0).len() > 2);
    }
}

#[test]
fn the_next_episode_closes_the_window() {
    let mut test = play(recording(100, EpisodeStart::OnEvent));
    let id = test.world_mut().spawn(player(0, Team::Red)).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(id, "death"));
    test.ticks(2);
    give(&mut test, id, 2.0);
    test.world_mut().trigger(BeginEpisode { entity: id });
    test.ticks(1);
    give(&mut test, id, 4.0);
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(rewards(&episodes[0]), [0.0, 2.0]);
    assert_eq!(rewards(&episodes[1]), [4.0, 0.0]);
}

#[test]
fn with_episodes_that_follow_at_once_the_window_closes_at_once() {
    let mut test = play(recording(100, EpisodeStart::AtOnce));
    let id = test.world_mut().spawn(player(0, Team::Red)).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(id, "death"));
    test.ticks(1);
    give(&mut test, id, 4.0);
    test.ticks(2);
    let episodes = test.finish();
    assert_eq!(rewards(&episodes[0]), [0.0, 0.0]);
    assert_eq!(rewards(&episodes[1])[0], 4.0);
}

#[test]
fn a_player_that_was_despawned_gets_late_rewards() {
    let mut test = play(recording(3, EpisodeStart::AtOnce));
    let id = test.world_mut().spawn(player(0, Team::Red)).id();
    test.world_mut().spawn(player(1, Team::Blue));
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(id, "death"));
    test.world_mut().despawn(id);
    test.world_mut().trigger(GiveReward::new(id, "late", 1.0));
    test.ticks(3);
    test.world_mut().trigger(GiveReward::new(id, "late", 2.0));
    assert_eq!(test.world().resource::<Experience>().players("player").count(), 1);
    test.ticks(2);
    let log = LogLines::default();
    log.collect(|| test.world_mut().trigger(GiveReward::new(id, "late", 4.0)));
    assert!(log.warning().contains("`GiveReward` (`late`)"));
    let episodes = test.finish();
    assert_eq!(rewards(&episodes[0]), [0.0, 3.0]);
    assert_eq!(episodes[0].reason(), &EndReason::DEATH);
    assert_eq!(test.report().orphaned_rewards, 1);
}

#[test]
fn a_player_that_joins_again_closes_the_window() {
    let mut test = play(recording(100, EpisodeStart::AtOnce));
    for _ in 0..3 {
        let id = test.world_mut().spawn(player(7, Team::Red)).id();
        test.ticks(3);
        test.world_mut().despawn(id);
        test.ticks(1);
        test.world_mut().trigger(GiveReward::new(id, "late", 1.0));
        test.ticks(1);
    }
    let episodes = test.finish();
    assert_eq!(episodes.len(), 3);
    for episode in &episodes {
        assert_eq!(episode.info().agent_id, 7);
        assert_eq!(rewards(episode), [0.0, 1.0]);
        assert_eq!(episode.reason(), &EndReason::LEFT);
    }
    assert_eq!((test.report().refused_agents, test.report().orphaned_rewards), (0, 0));
}

#[test]
fn a_marker_that_returns_closes_the_window() {
    let mut test = play(recording(100, EpisodeStart::AtOnce));
    let id = test.world_mut().spawn(player(7, Team::Red)).id();
    test.ticks(3);
    test.world_mut().entity_mut(id).remove::<Player>();
    test.ticks(2);
    give(&mut test, id, 2.0);
    test.ticks(1);
    test.world_mut().entity_mut(id).insert(Player);
    test.ticks(3);
    let episodes = test.finish();
    assert_eq!(rewards(&episodes[0]), [0.0, 2.0]);
    assert_eq!(episodes.len(), 2);
}

#[test]
fn a_team_reward_reaches_the_living_and_the_dead_of_the_team() {
    let mut test = play(recording(10, EpisodeStart::OnEvent));
    test.record(Recording::<Player>::new("other").observe::<Age>().team::<Team>());
    let ids: Vec<_> = [Team::Red, Team::Red, Team::Red, Team::Blue]
        .into_iter()
        .enumerate()
        .map(|(id, team)| test.world_mut().spawn(player(id as i64, team)).id())
        .collect();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::terminated(ids[0], "death"));
    test.world_mut().trigger(EndEpisode::terminated(ids[1], "death"));
    test.world_mut().despawn(ids[1]);
    test.ticks(4);
    test.world_mut().trigger(GiveTeamReward::new(Team::Red, "late", 1.0));
    test.ticks(1);
    let all = test.finish();
    let totals: Vec<_> = all.iter().map(Episode::total_reward).collect();
    assert_eq!(totals, [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(rewards(&all[0]), [0.0, 1.0]);
    assert_eq!(rewards(&all[1]), [0.0, 1.0]);
    assert_eq!(test.report().orphaned_rewards, 0);
    // In the other recording the dead have no window, and the living get it once.
    let other = test.finish_recording("other");
    let living = other.iter().find(|episode| episode.info().agent_id == 2).unwrap();
    assert_eq!(living.total_reward(), 1.0);
}

#[test]
fn a_team_reward_that_reaches_no_player_is_counted() {
    let mut test = play(recording(2, EpisodeStart::AtOnce));
    let id = test.world_mut().spawn(player(0, Team::Red)).id();
    test.world_mut().spawn(player(1, Team::Blue));
    test.ticks(3);
    test.world_mut().despawn(id);
    test.ticks(3);
    test.world_mut().trigger(GiveTeamReward::new(Team::Red, "late", 1.0));
    test.ticks(1);
    test.finish();
    assert_eq!(test.report().orphaned_rewards, 1);
}

#[test]
fn a_pause_a_shutdown_and_opting_out_close_the_window() {
    let ends = |close: fn(&mut TestApp, Entity)| {
        let mut test = play(recording(100, EpisodeStart::OnEvent));
        let id = test.world_mut().spawn(player(0, Team::Red)).id();
        test.ticks(3);
        test.world_mut().trigger(EndEpisode::terminated(id, "death"));
        test.ticks(2);
        close(&mut test, id);
        let episodes = test.finish();
        assert_eq!(test.report().pending, 0);
        episodes
            .iter()
            .map(|episode| (episode.len(), episode.reason().to_string()))
            .collect::<Vec<_>>()
    };
    let death = [(2, "death".to_owned())];
    assert_eq!(ends(|_, _| {}), death);
    let pause = |test: &mut TestApp, _: Entity| {
        test.world_mut().resource_mut::<Experience>().pause("a test");
        test.ticks(1);
    };
    assert_eq!(ends(pause), death);
    let opt_out = |test: &mut TestApp, id: Entity| {
        test.world_mut().entity_mut(id).insert(DoNotRecord);
        test.ticks(2);
    };
    assert_eq!(ends(opt_out), []);
}

#[test]
fn an_end_within_the_window_is_ignored() {
    let mut test = play(recording(10, EpisodeStart::OnEvent));
    let id = test.world_mut().spawn(player(0, Team::Red)).id();
    test.ticks(3);
    test.world_mut().trigger(EndEpisode::truncated(id, "time_limit"));
    test.ticks(2);
    test.world_mut().trigger(EndEpisode::terminated(id, "death"));
    test.ticks(1);
    let episode = test.finish().remove(0);
    assert_eq!(
        (episode.outcome(), episode.reason()),
        (Outcome::Truncated, &EndReason::TIME_LIMIT)
    );
    assert_eq!(test.report().ignored_ends, 1);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    End,
    Begin,
    Leave,
    Join,
}

/// The reward of each episode of one player, and the number of rewards that no episode takes. At each tick the event comes
/// first, then a reward of 2 to the power of the tick.
fn model(events: &[Event], window: usize) -> (Vec<f64>, u64) {
    let (mut totals, mut orphans) = (Vec::new(), 0);
    let (mut is_here, mut begins) = (true, true);
    // The sum of the open episode, with its number of transitions.
    let mut open: Option<(f64, usize)> = None;
    // The sum of the episode whose end is held back, with the number of captures since then.
    let mut held: Option<(f64, usize)> = None;
    for (tick, event) in events.iter().enumerate() {
        let amount = f64::from(1 << tick);
        let mut ended = None;
        let has_joined = matches!(event, Event::Join) && !is_here;
        match event {
            Event::End if is_here && open.is_some() => ended = open.take(),
            Event::Leave if is_here => {
                ended = open.take();
                (is_here, begins) = (false, false);
            }
            Event::Begin if is_here && open.is_none() => begins = true,
            Event::Join if !is_here => (is_here, begins) = (true, true),
            _ => {}
        }
        if let Some((sum, _)) = ended {
            held = Some((sum + amount, 0));
        } else if let Some((sum, transitions)) = &mut open {
            *sum += amount;
            *transitions += 1;
        } else if let Some((sum, captures)) = &mut held {
            *captures += 1;
            // The reward of a new entity is not for the one that left.
            if has_joined {
                orphans += 1;
            } else {
                *sum += amount;
            }
        } else {
            orphans += 1;
        }
        let begins_now = is_here && open.is_none() && begins && ended.is_none();
        if let Some((sum, _)) = held.filter(|&(_, captures)| captures >= window || begins_now) {
            totals.push(sum);
            held = None;
        }
        if begins_now {
            open = Some((0.0, 0));
            begins = false;
        }
    }
    totals.extend(held.map(|(sum, _)| sum));
    totals.extend(open.filter(|&(_, transitions)| transitions > 0).map(|(sum, _)| sum));
    (totals, orphans)
}

#[derive(Resource)]
struct Script {
    events: Vec<Event>,
    tick: usize,
    id: Entity,
}

fn play_event(world: &mut World) {
    let script = world.resource::<Script>();
    let (event, tick, mut id) = (script.events[script.tick], script.tick, script.id);
    match (event, world.get_entity(id).is_ok()) {
        (Event::End, true) => world.trigger(EndEpisode::terminated(id, "death")),
        (Event::Begin, true) => world.trigger(BeginEpisode { entity: id }),
        (Event::Leave, true) => {
            world.despawn(id);
        }
        (Event::Join, false) => id = world.spawn(player(0, Team::Red)).id(),
        _ => {}
    }
    world.trigger(GiveReward::new(id, "late", f64::from(1 << tick)));
    let mut script = world.resource_mut::<Script>();
    (script.tick, script.id) = (tick + 1, id);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_games_credit_each_reward_once(
        events in prop::collection::vec(
            prop_oneof![
                6 => Just(Event::Nothing),
                2 => Just(Event::End),
                2 => Just(Event::Begin),
                1 => Just(Event::Leave),
                2 => Just(Event::Join),
            ],
            1..24,
        ),
        window in 0..5_usize,
    ) {
        let mut test = play(recording(u32::try_from(window).unwrap(), EpisodeStart::OnEvent));
        let id = test.world_mut().spawn(player(0, Team::Red)).id();
        test.insert_resource(Script { events: events.clone(), tick: 0, id });
        test.add_systems(FixedUpdate, play_event);
        test.ticks(events.len());
        let episodes = test.finish();
        let totals: Vec<_> = episodes.iter().map(Episode::total_reward).collect();
        let (expected, orphans) = model(&events, window);
        prop_assert_eq!(totals, expected);
        prop_assert_eq!(test.report().orphaned_rewards, orphans);
    }
}

//! Set-ups that record nothing, or not what was meant, are logged once each, with the remedy.

use crate::{
    log_lines::LogLines,
    player::{Age, Player, grow},
    support::{Choice, assert_warning, log, play},
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{episode::RecordMode, prelude::*, recording::SetupError, test_app::TestApp};
use bevy_reflect::Reflect;
use bevy_transform::components::Transform;

#[derive(Component, Reflect)]
enum Move {
    Left,
    Right,
    Jump,
}

#[derive(Component, Reflect)]
struct Allowed([bool; 2]);

#[derive(Component, Reflect)]
struct MatchNumber(i32);

#[derive(Component, bevy_reflect::TypePath)]
struct Food;

#[test]
fn a_component_that_is_on_a_child_is_reported_also_for_players_with_short_lives() {
    let log = log(|| {
        let mut test = TestApp::new();
        test.record(Recording::<Player>::new("player").observe::<Age>().act::<Choice>());
        for _ in 0..40 {
            let player = test.world_mut().spawn((Player, Choice(0.0))).id();
            let body = test.world_mut().spawn(ChildOf(player)).id();
            test.world_mut().spawn((Age(0.0), ChildOf(body)));
            test.ticks(7);
            test.world_mut().despawn(player);
        }
    });
    assert_warning(&log, &["`player`", "::Age`", "up to 1", "a child of a player"]);
    assert!(!log.warning().contains("Choice"), "all players have it");
}

#[test]
fn a_component_that_no_player_has_is_reported_at_the_end_of_a_short_run() {
    let log = log(|| {
        let mut test = TestApp::new();
        test.record(Recording::<Player>::new("player").observe::<Age>().act::<Choice>());
        test.world_mut().spawn((Player, Age(0.0)));
        test.world_mut().spawn((Player, Age(0.0)));
        test.ticks(10);
        test.finish();
    });
    assert_warning(&log, &["::Choice`", "up to 2"]);
}

#[test]
fn players_that_get_their_components_later_are_not_reported() {
    let log = log(|| {
        let mut test = play(Recording::new("player"));
        for _ in 0..200 {
            let player = test.world_mut().spawn(Player).id();
            test.ticks(1);
            test.world_mut().entity_mut(player).insert(Age(0.0));
            test.ticks(2);
            test.world_mut().despawn(player);
        }
        test.finish();
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

#[test]
fn a_marker_that_no_entity_had_is_reported_at_the_end() {
    let log = LogLines::default();
    log.collect(|| {
        let mut test = play(Recording::new("player"));
        test.ticks(500);
        assert!(log.warnings().is_empty(), "players may join late");
        test.finish();
    });
    assert_warning(&log, &["`player`", "::Player`", "marker"]);
}

#[test]
fn a_mask_of_another_length_than_the_action_is_reported_at_set_up() {
    let log = log(|| {
        let mut test = TestApp::new();
        test.record(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .act::<Move>()
                .action_mask::<Allowed>(),
        );
        let _ = [Move::Left, Move::Right, Move::Jump];
    });
    assert_warning(&log, &["mask has 2 values", "3 choices", "`action_mask`"]);
    let log = self::log(|| {
        let mut test = TestApp::new();
        let recording = Recording::<Player>::new("player").observe::<Age>().act::<Choice>();
        test.record(recording.action_mask::<Allowed>());
    });
    assert_warning(&log, &["no discrete columns", "remove `action_mask`"]);
}

#[test]
fn change_ticks_that_have_no_effect_are_reported_at_set_up() {
    let log = log(|| {
        let recording = || Recording::<Player>::new("player").observe::<Age>().trust_change_ticks();
        TestApp::new().record(recording());
        TestApp::new().record(recording().mode(RecordMode::OnChange));
    });
    assert_warning(&log, &["`trust_change_ticks`", "`RecordMode::OnChange`"]);
}

#[test]
fn reward_terms_that_are_never_given_are_reported_if_others_are() {
    for (given, is_reported) in [("coins", true), ("hit", false)] {
        let log = log(|| {
            let mut test = TestApp::new();
            test.record(
                Recording::<Player>::new("player")
                    .observe::<Age>()
                    .reward_terms(["coin", "hit"]),
            );
            test.add_systems(FixedUpdate, move |mut players: Query<&mut Reward>| {
                players.iter_mut().for_each(|mut reward| reward.add(given, 1.0));
            });
            test.world_mut().spawn((Player, Age(0.0)));
            test.ticks(5);
            test.finish();
        });
        let warnings = log.warnings();
        let reported: Vec<_> = warnings
            .iter()
            .filter(|line| line.contains("no reward was given"))
            .collect();
        assert_eq!(reported.len(), usize::from(is_reported), "{warnings:?}");
        assert!(
            reported.iter().all(|line| line.contains("[\"coin\", \"hit\"]")),
            "{reported:?}"
        );
    }
}

#[test]
fn a_reward_for_a_recording_that_does_not_exist_is_reported() {
    let log = log(|| {
        let mut test = play(Recording::new("player"));
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        test.ticks(1);
        let mut reward = test.world_mut().get_mut::<Reward>(player).unwrap();
        reward.add_to("player", "coin", 1.0);
        reward.add_to("playr", "coin", 1.0);
        test.ticks(300);
    });
    assert_warning(&log, &["`coin`", "`playr`", "`Reward::add_to`"]);
}

#[test]
fn events_on_entities_that_are_not_players_are_reported() {
    let log = log(|| {
        let mut test = play(Recording::new("player"));
        let player = test.world_mut().spawn((Player, Age(0.0))).id();
        let hitbox = test.world_mut().spawn(ChildOf(player)).id();
        test.ticks(2);
        for _ in 0..2 {
            test.world_mut().trigger(EndEpisode::terminated(hitbox, "death"));
            test.world_mut().trigger(BeginEpisode { entity: hitbox });
        }
        test.ticks(2);
    });
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (line, event) in warnings.iter().zip(["`EndEpisode` (`death`)", "`BeginEpisode`"]) {
        assert!(line.contains(event) && line.contains("a child of the player"), "{line}");
    }
    let log = self::log(|| {
        let mut test = play(Recording::new("player"));
        let other = test.world_mut().spawn_empty().id();
        test.world_mut().trigger(EndEpisode::terminated(other, "death"));
    });
    assert_warning(&log, &["is not a player of `player`", "insert the marker"]);
}

#[test]
fn players_that_wait_for_an_event_that_is_never_triggered_are_reported_at_the_end() {
    for begins in [true, false] {
        let log = log(|| {
            let mut test = play(Recording::new("player").episodes(EpisodeRules {
                start: EpisodeStart::OnEvent,
                ..Default::default()
            }));
            let player = test.world_mut().spawn((Player, Age(0.0))).id();
            test.ticks(3);
            test.world_mut().trigger(EndEpisode::terminated(player, "death"));
            test.ticks(3);
            if begins {
                test.world_mut().trigger(BeginEpisode { entity: player });
            }
            test.ticks(3);
            test.finish();
        });
        let warnings = log.warnings();
        assert_eq!(warnings.len(), usize::from(!begins), "{warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|line| line.contains("`BeginEpisode` was never triggered"))
        );
    }
}

#[test]
fn kinds_of_a_list_that_never_exist_are_reported_at_the_end() {
    let log = log(|| {
        let mut test = TestApp::new();
        let list = EntityList::new("things", 2)
            .kind::<Player>("player")
            .kind::<Food>("food");
        test.record(Recording::<Player>::new("player").observe_entities(list));
        test.world_mut().spawn((Player, Transform::default()));
        test.world_mut().spawn(Food);
        test.ticks(3);
        test.world_mut().write_message(AppExit::Success);
        test.update();
    });
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("::Food`") && warnings[0].contains("`observe_entities`"));
}

#[test]
fn neighbours_and_match_ids_that_never_exist_are_reported_at_the_end() {
    let log = log(|| {
        let mut test = TestApp::new();
        test.record(
            Recording::<Player>::new("player")
                .observe_nearest::<Food>(1, 10.0)
                .match_id::<MatchNumber>(),
        );
        test.world_mut().spawn((Player, Transform::default()));
        test.world_mut().spawn(Food);
        test.ticks(3);
        test.world_mut().write_message(AppExit::Success);
        test.update();
    });
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("::MatchNumber`") && warnings[0].contains("`match_id`"));
    assert!(warnings[1].contains("::Food`") && warnings[1].contains("`Transform`"));
}

#[test]
fn a_value_that_is_not_finite_is_reported_with_what_happens_to_it() {
    for (non_finite, consequence) in [
        (NonFinite::EndEpisode, "before it; none begins with such an observation"),
        (NonFinite::Replace(-1.0), "it is recorded as -1"),
    ] {
        let log = log(|| {
            let mut test = TestApp::new();
            let rules = EpisodeRules {
                non_finite,
                ..Default::default()
            };
            test.record(Recording::<Player>::new("player").observe::<Age>().episodes(rules));
            let player = test.world_mut().spawn((Player, Age(0.0))).id();
            test.ticks(3);
            test.world_mut().get_mut::<Age>(player).unwrap().0 = f32::NAN;
            test.ticks(1);
        });
        let line = log.warning();
        assert!(line.contains(consequence), "{line}");
        let drops = line.contains("dropped") || line.contains("episode ends") || line.contains("none begins");
        assert_eq!(drops, non_finite == NonFinite::EndEpisode, "{line}");
    }
}

#[test]
fn a_sink_folder_that_cannot_be_written_is_refused_at_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let recording = || Recording::<Player>::new("player").observe::<Age>();
    let refused = TestApp::new()
        .try_add_recording(recording().sink(DatasetSink::new(&file)))
        .err();
    assert!(matches!(refused, Some(SetupError::Sink { .. })), "{refused:?}");
    let mut test = TestApp::new();
    test.record(recording());
    assert!(matches!(
        test.try_add_recording(recording()).err(),
        Some(SetupError::DuplicateName(_))
    ));
}

#[test]
fn columns_of_one_name_are_refused_with_the_remedy_of_their_part() {
    let error = |recording: Recording<Player>| {
        let error = TestApp::new().try_add_recording(recording).err();
        error.expect("two columns have one name").to_string()
    };
    let observed = || Recording::<Player>::new("player").observe::<Age>();
    let observation = error(observed().observe_with::<Age>(["age"], |_, _| ()));
    assert!(observation.contains("`observe_with`"), "{observation}");
    let action = error(observed().act::<Choice>().act::<Choice>());
    assert!(
        action.contains("`act_with`") && !action.contains("observe_with"),
        "{action}"
    );
    let terms = error(observed().reward_terms(["coin", "coin"]));
    assert!(
        terms.contains("`reward_terms`") && !terms.contains("ColumnName"),
        "{terms}"
    );
}

#[test]
fn types_that_cannot_be_recorded_are_refused_with_methods_that_exist_for_them() {
    #[derive(Component, Reflect)]
    struct Cooldown(bevy_time::Timer);
    #[derive(Resource, Reflect)]
    struct Weather(String);
    #[derive(Component, Reflect)]
    struct Nickname(String);
    let error = |recording: Recording<Player>| {
        let error = TestApp::new().try_add_recording(recording).err();
        error.expect("the type is refused").to_string()
    };
    let observed = || Recording::<Player>::new("player").observe::<Age>();
    let action = error(observed().act::<Cooldown>());
    assert!(action.contains("`act_with`") && !action.contains("observe"), "{action}");
    let resource = error(observed().observe_resource::<Weather>());
    assert!(resource.contains("`observe_resource_with`"), "{resource}");
    assert!(
        !resource.contains("observe_fields") && !resource.contains("observe_with"),
        "{resource}"
    );
    let optional = error(observed().observe_optional::<Nickname>());
    assert!(optional.contains("`observe_optional_with`"), "{optional}");
    let related = error(observed().act_related::<ChildOf, Cooldown>());
    assert!(related.contains("`act_related_with`"), "{related}");
}

#[test]
fn a_game_that_is_set_up_well_logs_no_warning() {
    let log = log(|| {
        let mut test = TestApp::new();
        test.record(
            Recording::<Player>::new("player")
                .observe::<Age>()
                .act::<Choice>()
                .reward_terms(["step"]),
        );
        test.add_systems(
            FixedUpdate,
            (grow, |mut players: Query<&mut Reward>| {
                players.iter_mut().for_each(|mut reward| reward.add("step", 1.0));
            }),
        );
        let player = test.world_mut().spawn((Player, Age(0.0), Choice(0.0))).id();
        test.ticks(150);
        test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
        test.ticks(150);
        test.world_mut().despawn(player);
        test.ticks(2);
        test.finish();
    });
    assert!(log.warnings().is_empty(), "{:?}", log.warnings());
}

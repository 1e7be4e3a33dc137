//! Random games: each component of a ghost is, bit by bit, that of the player in the game, in each step.

use crate::game::{self, Body, HeroState, Intent, Mind, Screen, Shield, Stance, Stunned};
use bevy_experience_replay::Replay;
use bevy_math::Vec2;
use proptest::{collection::vec, num::f32 as floats, prelude::*, sample::Index};

fn float() -> impl Strategy<Value = f32> {
    floats::NORMAL | floats::SUBNORMAL | floats::ZERO | floats::POSITIVE | floats::NEGATIVE
}

fn stance() -> impl Strategy<Value = Stance> {
    prop_oneof![Just(Stance::Stand), Just(Stance::Crouch), Just(Stance::Lie)]
}

fn body() -> impl Strategy<Value = Body> {
    let numbers = (float(), float(), any::<u8>(), any::<i16>(), 0..1_u32 << 24);
    let others = (
        stance(),
        any::<[bool; 3]>(),
        prop::option::of(float()),
        prop::option::of(stance()),
    );
    (numbers, others).prop_map(|((x, y, lives, debt, fuel), (stance, is_wet, charge, mood))| Body {
        place: Vec2::new(x, y),
        lives,
        debt,
        fuel,
        stance,
        is_wet,
        charge,
        mood,
    })
}

fn intent() -> impl Strategy<Value = Intent> {
    let numbers = (float(), prop::num::f64::NORMAL, any::<i64>(), any::<bool>());
    (numbers, (stance(), stance(), stance())).prop_map(
        |((turn, fine, target, is_shooting), (stance, first, second))| Intent {
            turn,
            fine,
            target,
            stance,
            stances: [first, second],
            is_shooting,
        },
    )
}

fn state() -> impl Strategy<Value = HeroState> {
    let shield = (float(), any::<u8>()).prop_map(|(strength, layers)| Shield { strength, layers });
    let mind = (float(), float(), float()).prop_map(|(fear, hope, secret)| Mind { fear, hope, secret });
    (
        body(),
        mind,
        any::<[[u8; 4]; 3]>(),
        prop::option::of(shield),
        prop::option::of(Just(Stunned)),
        intent(),
    )
        .prop_map(|(body, mind, pixels, shield, stunned, intent)| HeroState {
            body,
            mind,
            screen: Screen::new(pixels),
            shield,
            stunned,
            intent,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..Default::default() })]

    #[test]
    fn a_ghost_shows_what_the_player_had(script in vec(state(), 2..12), seeks in vec(any::<Index>(), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        game::play(folder.path(), &script);
        let episode = game::episode(folder.path());
        prop_assert_eq!(episode.len(), script.len() - 1);

        let mut app = game::app();
        let ghost = game::spawn_ghost(&mut app, Replay::new(episode).with_actions());
        // Played step by step. The text of a float determines its bits.
        for step in 0..script.len() {
            app.ticks(1);
            prop_assert_eq!(game::replay(&mut app, ghost).step(), step);
            let shown = format!("{:?}", game::state_of(&mut app, ghost));
            prop_assert_eq!(shown, format!("{:?}", game::expected(&script, step)));
        }
        let report = game::replay(&mut app, ghost).report().unwrap().clone();
        prop_assert_eq!(report.unrestored().count(), 0);
        prop_assert_eq!(report.rounded().count(), 0);
        prop_assert_eq!(report.missing, Vec::<&str>::new());
        // Any other order of steps shows the same.
        for seek in seeks {
            let step = seek.index(script.len());
            game::replay(&mut app, ghost).seek(step);
            app.ticks(1);
            let shown = format!("{:?}", game::state_of(&mut app, ghost));
            prop_assert_eq!(shown, format!("{:?}", game::expected(&script, step)));
        }
    }
}

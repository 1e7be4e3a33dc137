//! Policies in ONNX files, with the model of the benchmark: `benches/policy/make.py` writes it.

use super::*;

#[derive(Component)]
struct Player;

macro_rules! components {
    ($($name:ident),*) => {
        $(#[derive(Component, Reflect)] struct $name([f32; 4]);)*
    };
}
components!(Place, Motion, Aim, Strength);

#[derive(Reflect, Default)]
enum Deed {
    #[default]
    Hold,
    Shoot,
    Dash,
}

mod game {
    use super::*;

    #[derive(Component, Reflect, Default)]
    pub struct Intent {
        turn: f32,
        deed: Deed,
    }
}

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/policy/player.onnx");

#[test]
fn a_file_plays_the_recording_that_it_was_made_for_and_no_other() {
    let play = || {
        let mut test = TestApp::new();
        test.record(
            Recording::<Player>::new("player")
                .observe::<Place>()
                .observe::<Motion>()
                .observe::<Aim>()
                .observe::<Strength>()
                .act::<game::Intent>()
                .policy_info(),
        );
        test.add_policy(
            Policy::<Player>::for_recording("player")
                .onnx(MODEL)
                .sampling(Sampling::Stochastic { temperature: 1.0 })
                .seed(3),
        );
        test.add_systems(FixedUpdate, |mut places: Query<&mut Place>| {
            places.iter_mut().for_each(|mut place| place.0[1] += 0.25);
        });
        for player in 0..3_u8 {
            let values = [f32::from(player), 1.0, -0.5, 0.25];
            let observed = (Place(values), Motion(values), Aim(values), Strength(values));
            let agent = AgentId(i64::from(player));
            test.world_mut().spawn((
                Player,
                agent,
                observed,
                game::Intent::default(),
                PolicyControlled::default(),
            ));
        }
        test.ticks(30);
        let episodes = test.finish();
        let transitions: Vec<_> = episodes.iter().flat_map(Episode::transitions).collect();
        assert_eq!(transitions.len(), 3 * 29);
        let rows = transitions.iter().map(|transition| {
            assert!(info(*transition, "policy_version") > 0.0 && info(*transition, "behavior_logp").is_finite());
            transition.action().collect::<Vec<_>>()
        });
        rows.collect::<Vec<_>>()
    };
    let rows = play();
    assert_eq!(play(), rows, "the same seed and model");
    assert!(rows.iter().any(|row| row[1] != rows[0][1]), "deeds are sampled");

    let mut test = TestApp::new();
    test.init_resource::<Weather>();
    test.record(recording());
    let error = test
        .try_add_policy(Policy::<Fighter>::for_recording("fighter").onnx(MODEL))
        .err()
        .unwrap()
        .to_string();
    for part in [
        "player.onnx` was trained for another schema of recording `fighter`",
        "the model lacks the features `body.place`",
        "the recording lacks the features `place[0]`",
        "the model does not decide the action `intent.push`",
        "the action `intent.deed` is one of Hold, Push, Stop here and one of Hold, Shoot, Dash in the model",
        "the action mask has 5 bits here and 0 in the model",
        "train a model on data of this recording",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

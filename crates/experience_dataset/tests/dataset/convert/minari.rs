//! `convert` to Minari.

use super::*;
use crate::episodes::{choice, tensor};
use experience_dataset::convert::{MinariObservations, to_minari};
use hdf5_pure::File as Hdf5;

fn converted(all: &[Episode]) -> (TempDir, Value, Hdf5) {
    let (_root, recording) = dataset(all);
    let to = tempdir().unwrap();
    let path = to_minari(&recording, to.path(), "a/p-v0", MinariObservations::Lists, &mut |_| {}).unwrap();
    let metadata = serde_json::from_slice(&fs::read(path.join("data/metadata.json")).unwrap()).unwrap();
    let file = Hdf5::from_bytes(fs::read(path.join("data/main_data.hdf5")).unwrap()).unwrap();
    (to, metadata, file)
}

fn space(metadata: &Value, name: &str) -> Value {
    serde_json::from_str(metadata[name].as_str().expect("spaces are strings")).unwrap()
}

#[test]
fn episodes_have_their_final_observations() {
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 4);
    let (_to, metadata, file) = converted(&all);
    assert_eq!(
        (&metadata["total_episodes"], &metadata["total_steps"]),
        (&4.into(), &40.into())
    );
    assert_eq!(
        (&metadata["jpeg_encoding"], &metadata["data_format"]),
        (&false.into(), &"hdf5".into())
    );
    for (index, episode) in all.iter().enumerate() {
        let path = |name: &str| format!("episode_{index}/{name}");
        let seen: Vec<f32> = (0..=10)
            .flat_map(|row| episode.row(row).observation().to_vec())
            .collect();
        let observations = file.dataset(&path("observations")).unwrap();
        assert_eq!(observations.shape().unwrap(), [11, 9]);
        assert_eq!(observations.read_f32().unwrap(), seen);
        let rewards: Vec<f64> = episode
            .transitions()
            .map(experience_core::transition::Transition::reward)
            .collect();
        assert_eq!(file.dataset(&path("rewards")).unwrap().read_f64().unwrap(), rewards);
        let shots: Vec<i64> = episode
            .transitions()
            .map(|transition| transition.action().nth(2).unwrap() as i64)
            .collect();
        assert_eq!(file.dataset(&path("actions/shoot")).unwrap().read_i64().unwrap(), shots);
        assert_eq!(
            file.dataset(&path("infos/action_mask")).unwrap().shape().unwrap(),
            [11, 3]
        );
        // The info of an action is at the step that it led to.
        let logp = file.dataset(&path("infos/behavior_logp")).unwrap().read_f32().unwrap();
        assert_eq!(
            f64::from(logp[1]),
            episode.transition(0).after().info("behavior_logp").unwrap()[0]
        );
    }
}

#[test]
fn spaces_describe_the_actions() {
    let with = |action: Vec<Column>| {
        let schema = Schema::new("p").with_observation([Column::scalar("x", DType::F32, Space::bounded(-1.0, 2.0))]);
        let (_to, metadata, _file) = converted(&episodes(&schema.with_action(action).into_shared(), RUN, 2));
        assert_eq!(space(&metadata, "observation_space")["high"], serde_json::json!([2.0]));
        space(&metadata, "action_space")
    };
    let one = |name: &str, n| Column::scalar(name, DType::U8, choice(n));
    let float = |name: &str| Column::scalar(name, DType::F32, Space::unbounded());
    assert_eq!(with(vec![one("c", 5)])["n"], 5);
    assert_eq!(with(vec![one("c", 5), one("d", 2)])["nvec"], serde_json::json!([5, 2]));
    let packed = with(vec![float("a"), tensor("b", DType::F32, &[2])]);
    assert_eq!(
        (&packed["shape"][0], &packed["low"][0]),
        (&3.into(), &"-Infinity".into())
    );
    let parts = with(vec![float("a/../b"), one("c", 3), tensor("d", DType::I16, &[2, 2])]);
    assert_eq!(parts["subspaces"]["c"]["n"], 3);
    assert_eq!(
        parts["subspaces"]["d"]["low"],
        serde_json::json!([[-32768, -32768], [-32768, -32768]])
    );
    assert!(parts["subspaces"]["a%2F..%2Fb"].is_object());
}

#[test]
fn parts_of_a_mixed_action_have_one_value_or_more() {
    let schema = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([
            Column::scalar("aim", DType::F32, Space::bounded(-1.0, 1.0)),
            Column::scalar("many", DType::U64, Space::bounded(0.5, 2e19)),
            Column::scalar("deed", DType::U8, choice(3)),
            Column {
                space: choice(4),
                ..tensor("slots", DType::U8, &[2, 2])
            },
        ])
        .into_shared();
    let (_to, metadata, file) = converted(&episodes(&schema, RUN, 2));
    let action = space(&metadata, "action_space")["subspaces"].clone();
    // A `Box` of shape `[]` has no dimension that a loader can batch.
    assert_eq!(action["aim"]["shape"], serde_json::json!([1]));
    assert_eq!(action["aim"]["low"], serde_json::json!([-1.0]));
    // The bounds are the integers within those of the source.
    assert_eq!(action["many"]["low"], serde_json::json!([1]));
    assert_eq!(action["many"]["high"], serde_json::json!([u64::MAX]));
    assert_eq!(action["deed"]["n"], 3);
    assert_eq!(
        (&action["slots"]["type"], &action["slots"]["nvec"]),
        (&"MultiDiscrete".into(), &serde_json::json!([[4, 4], [4, 4]]))
    );
    let shape = |name: &str| {
        file.dataset(&format!("episode_0/actions/{name}"))
            .unwrap()
            .shape()
            .unwrap()
    };
    assert_eq!(shape("aim"), [10, 1]);
    assert_eq!(shape("deed"), [10]);
    assert_eq!(shape("slots"), [10, 2, 2]);
}

#[test]
fn every_info_column_is_there() {
    let schema = Schema::new("p")
        .with_observation([Column::feature("x")])
        .with_action([Column::scalar("c", DType::U8, choice(3))])
        .with_info(["tick", "info.tick", "reward"].map(|name| Column::scalar(name, DType::F32, Space::unbounded())))
        .with_reward_terms(["coin"])
        .into_shared();
    let all = episodes(&schema, RUN, 1);
    let (_to, _metadata, file) = converted(&all);
    let read = |name: &str| {
        let read = file.dataset(&format!("episode_0/infos/{name}")).unwrap().read_f32();
        read.unwrap()
    };
    let after = all[0].transition(4).after();
    for (name, column) in [
        ("info.tick", "info.tick"),
        ("info.info.tick", "tick"),
        ("reward", "reward"),
    ] {
        assert_eq!(f64::from(read(name)[5]), after.info(column).unwrap()[0], "{name}");
    }
    assert_eq!(read("reward.coin")[5], after.reward_terms()[0]);
}

#[test]
fn recordings_that_minari_cannot_represent_are_refused() {
    let (_root, recording) = dataset(&episodes(&fighter().into_shared(), RUN, 2));
    let to = tempdir().unwrap();
    for id in [
        "",
        "../x-v0",
        "/x-v0",
        "x",
        "x-v0/../y-v0",
        "x\0-v0",
        &format!("{}\u{1f980}-v0", "x".repeat(10_000)),
    ] {
        assert!(
            to_minari(&recording, to.path(), id, MinariObservations::Lists, &mut |_| {}).is_err(),
            "{id}"
        );
    }
    assert_eq!(listing(to.path()), [""; 0]);
    to_minari(&recording, to.path(), "x-v0", MinariObservations::Lists, &mut |_| {}).unwrap();
    let again = to_minari(&recording, to.path(), "x-v0", MinariObservations::Lists, &mut |_| {}).unwrap_err();
    assert!(again.to_string().contains("is not empty"));
    let idle = Schema::new("p").with_observation([Column::feature("x")]).into_shared();
    let (_root, recording) = dataset(&episodes(&idle, RUN, 2));
    assert!(
        to_minari(&recording, to.path(), "y-v0", MinariObservations::Lists, &mut |_| {})
            .unwrap_err()
            .to_string()
            .contains("no action")
    );
}

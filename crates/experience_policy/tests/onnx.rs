//! Models in ONNX files: what the Python package's trainer exports, and damaged copies of it. `models/make.py` writes them.
#![cfg(feature = "onnx")]

use experience_core::schema::Schema;
use experience_policy::{
    ActionBatch, ModelError, ModelWatcher, ObservationBatch, OnnxModel, PolicyLayout, PolicyModel, Sampling,
};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

#[derive(Deserialize)]
struct Expected {
    schema: Schema,
    observation: Vec<Vec<f32>>,
    /// One per head.
    outputs: Vec<Vec<Vec<f32>>>,
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

fn expected() -> Expected {
    serde_json::from_str(&fs::read_to_string(models().join("fighter.json")).unwrap()).unwrap()
}

fn layout() -> Arc<PolicyLayout> {
    Arc::new(PolicyLayout::of(&expected().schema))
}

fn load(name: &str) -> Result<OnnxModel, ModelError> {
    OnnxModel::load(models().join(name), &layout())
}

#[test]
fn the_outputs_are_those_of_torch() {
    let expected = expected();
    let layout = layout();
    let mut model = load("fighter.onnx").unwrap();
    for players in [expected.observation.len(), 1] {
        let mut observations = ObservationBatch::new(layout.clone());
        for (agent, features) in expected.observation.iter().take(players).enumerate() {
            observations.push(agent as i64, features, &[]);
        }
        let mut actions = ActionBatch::new(layout.clone());
        actions.begin(players);
        model.act(&observations, &mut actions).unwrap();
        for player in 0..players {
            for (head, outputs) in expected.outputs.iter().enumerate() {
                let found: Vec<f32> = match layout.heads()[head].alternatives() {
                    Some(_) => actions.logits(player, head).to_vec(),
                    None => actions.means(player, head).iter().map(|&mean| mean as f32).collect(),
                };
                assert_eq!(found.len(), outputs[player].len());
                for (found, expected) in found.iter().zip(&outputs[player]) {
                    let difference = (found - expected).abs() / (1.0 + expected.abs());
                    assert!(difference <= 1e-5, "{found} and {expected}");
                }
            }
        }
        assert_eq!(actions.decide(&observations, Sampling::Greedy, 0).decided, players);
        // The file has the deviation of the continuous head.
        actions.begin(players);
        model.act(&observations, &mut actions).unwrap();
        actions.decide(&observations, Sampling::Stochastic { temperature: 1.0 }, 0);
        assert!(actions.log_prob(0).is_finite() && actions.log_prob(0) != 0.0);
    }
}

#[test]
fn each_damaged_file_is_refused_with_its_fault_and_a_remedy() {
    for (name, parts) in [
        (
            "nan_weight",
            &[
                "the weight `hidden.0.weight`",
                "NaN or infinite at 2 places",
                "train it again",
            ][..],
        ),
        (
            "other_features",
            &[
                "another schema of recording `fighter`",
                "lacks the features `charge`",
                "lacks the features `mana`",
            ],
        ),
        (
            "no_metadata",
            &[
                "has no `bevy_experience.format` in its metadata",
                "bevy-experience train",
            ],
        ),
        (
            "no_output",
            &[
                "has no output `action.deed`",
                "its outputs are `action.steer`, `deed`, `action.boost`",
            ],
        ),
        (
            "narrow_input",
            &["takes the inputs `observation` [batch, 3]", "`float32 [batch, 8]`"],
        ),
        (
            "newer_operators",
            &["uses operator set 99", "9 to 18 are supported", "opset_version=18"],
        ),
        ("unknown_operator", &["cannot be run", "Teleport"]),
        (
            "wide_output",
            &["the output `action.boost`", "needed for the action `boost`"],
        ),
        (
            "missing",
            &["missing.onnx` cannot be read", "give the path of a model file"],
        ),
    ] {
        let error = load(&format!("{name}.onnx")).err().expect(name).to_string();
        for part in parts {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}

#[test]
fn a_file_that_is_cut_or_overwritten_never_panics() {
    let whole = fs::read(models().join("fighter.onnx")).unwrap();
    let layout = layout();
    let mut refused = 0;
    for len in (0..whole.len()).step_by(97) {
        refused += usize::from(OnnxModel::from_bytes("cut.onnx", &whole[..len], &layout).is_err());
    }
    assert_eq!(refused, whole.len().div_ceil(97), "a part of a file is never a model");
    for at in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        // A flipped weight is another model; anything else is refused.
        let _ = OnnxModel::from_bytes("damaged.onnx", &damaged, &layout);
    }
}

#[test]
fn a_schema_that_differs_in_what_a_policy_does_not_see_is_accepted() {
    let schema = expected().schema.with_reward_terms(["bonus"]);
    assert_ne!(schema.hash(), expected().schema.hash());
    let path = models().join("fighter.onnx");
    OnnxModel::load(&path, &PolicyLayout::of(&schema)).unwrap();
    let masked = OnnxModel::load(&path, &PolicyLayout::of(&schema.with_action_mask(5)));
    let error = masked.err().unwrap().to_string();
    assert!(
        error.contains("the action mask has 5 bits here and 0 in the model"),
        "{error}"
    );
}

#[test]
fn the_version_is_the_content_of_the_file() {
    let version = load("fighter.onnx").unwrap().version();
    assert!(version > 0 && version < 1 << 53);
    assert_eq!(version, load("fighter.onnx").unwrap().version());
}

#[test]
fn a_file_that_changes_is_loaded_again_and_a_bad_one_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.onnx");
    fs::copy(models().join("fighter.onnx"), &path).unwrap();
    let layout = layout();
    let watcher = ModelWatcher::new(&path, Duration::from_millis(10), move |path| {
        Ok(Box::new(OnnxModel::load(path, &layout)?) as Box<dyn PolicyModel>)
    })
    .unwrap();
    let wait = || {
        let start = Instant::now();
        loop {
            if let Some(loaded) = watcher.poll() {
                return loaded;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "the file was not loaded");
            thread::sleep(Duration::from_millis(5));
        }
    };
    thread::sleep(Duration::from_millis(60));
    assert!(watcher.poll().is_none(), "an unchanged file is not loaded");
    fs::write(&path, b"not a model").unwrap();
    let error = wait().err().unwrap().to_string();
    assert!(error.contains("policy.onnx"), "{error}");
    // A missing file is about to be replaced.
    fs::remove_file(&path).unwrap();
    thread::sleep(Duration::from_millis(60));
    assert!(watcher.poll().is_none());
    fs::copy(models().join("fighter.onnx"), &path).unwrap();
    assert_eq!(wait().unwrap().version(), load("fighter.onnx").unwrap().version());
}

"""The trainer: it learns what follows from the observation, and exports what it learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from writer import MIXED, Life, column, discrete, fixed, schema

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import bevy_experience as bx  # noqa: E402
from bevy_experience.cli import main  # noqa: E402
from bevy_experience.train import Fitted, Settings, export, fit, report  # noqa: E402
from bevy_experience.train.heads import class_weights, mask_parts  # noqa: E402
from bevy_experience.train.notes import repeated_actions  # noqa: E402

EVERY_FEATURE = ("position", "body", "coin", "mode=Idle", "mode=Run", "mode=Hide", "armed", "charge")
FAST = Settings(hidden=(32,), epochs=24, batch_size=64, learning_rate=3e-3)


def replaced(table: pa.Table, **columns: object) -> pa.Table:
    for name, values in columns.items():
        name = name.replace("__", ".")
        values = fixed(values) if isinstance(values, np.ndarray) and values.ndim == 2 else pa.array(values)
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def matrix(table: pa.Table, name: str) -> np.ndarray:
    return np.array(table[name].to_pylist(), np.float32)


def learnable(table: pa.Table) -> pa.Table:
    """Shoots, rarely, where `position.x` is large, dashes never; steers by `body.health`."""
    observation = matrix(table, "observation")
    deed = np.where(observation[:, 0] > 62, 1, 0)
    steer = np.stack([observation[:, 1] / 100, -observation[:, 1] / 100], 1).astype(np.float32)
    return replaced(table, action__deed=deed, action__steer=steer)


@pytest.fixture
def parts(record) -> tuple[bx.Transitions, bx.Transitions]:
    return record([Life(length=20) for _ in range(60)], extra=learnable, per_shard=60).split(0.8, 0.2)


@pytest.fixture
def fitted(parts) -> Fitted:
    return fit(*parts, FAST)


def test_it_learns_what_follows_from_the_observation(parts, fitted: Fitted) -> None:
    deed, steer = fitted.scores["deed"], fitted.scores["steer"]
    assert deed.accuracy > 0.95 and deed.recall[1] > 0.9 and np.isnan(deed.recall[2])
    assert steer.accuracy > 0.95 and len(steer.deviation) == 2 and max(steer.deviation) < 0.05
    # `boost` is random.
    assert 0.3 < fitted.scores["boost"].accuracy < 0.7
    assert fitted.valid_losses[fitted.best_epoch] == min(fitted.valid_losses) < fitted.valid_losses[0]
    batch = parts[1][:]
    with torch.no_grad():
        found = fitted.policy(torch.from_numpy(batch.observation))[0].numpy()
    assert np.abs(found - batch.actions["steer"]).mean() < 0.05


def test_a_seed_gives_the_same_policy(parts, fitted: Fitted) -> None:
    again = fit(*parts, FAST)
    assert again.valid_losses == fitted.valid_losses
    assert all(torch.equal(a, b) for a, b in zip(again.policy.parameters(), fitted.policy.parameters(), strict=True))
    other = fit(*parts, Settings(hidden=(32,), epochs=2, batch_size=64, seed=1))
    assert other.train_losses[0] != fitted.train_losses[0]


def test_it_stops_where_held_out_data_gets_no_better(record) -> None:
    train, valid = record(30).split(0.7, 0.3)
    fitted = fit(train, valid, Settings(hidden=(64, 64), epochs=60, patience=2, batch_size=16, learning_rate=1e-2))
    assert len(fitted.valid_losses) == fitted.best_epoch + 3 < 60
    assert fitted.valid_losses[fitted.best_epoch] == min(fitted.valid_losses)


def test_the_file_has_the_outputs_and_says_what_they_are(parts, fitted: Fitted, tmp_path: Path) -> None:
    found, path = parts[1].schema, tmp_path / "models" / "fighter.onnx"
    observation = parts[1]["observation"]
    assert export(fitted, found, path, observation) < 1e-5
    assert [entry.name for entry in path.parent.iterdir()] == ["fighter.onnx"]
    model = onnx.load(path)
    shapes = {
        value.name: [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "observation": ["batch", 8],
        "action.steer": ["batch", 2],
        "action.deed": ["batch", 3],
        "action.boost": ["batch", 2],
    }
    notes = {entry.key.removeprefix("bevy_experience."): entry.value for entry in model.metadata_props}
    assert notes["schema_hash"] == found.hash and json.loads(notes["features"]) == list(found.features)
    steer, deed, boost = json.loads(notes["heads"])
    assert steer["low"] == -1 and steer["shape"] == [2] and len(steer["std"]) == 2 and steer["output"] == "action.steer"
    assert deed == {
        "name": "deed",
        "output": "action.deed",
        "kind": "discrete",
        "dtype": "int64",
        "shape": [],
        "n": 3,
        "labels": ["Hold", "Shoot", "Dash"],
    }
    assert (
        boost["dtype"] == "bool" and notes["recording"] == "fighter" and json.loads(notes["normalization"])["included"]
    )


def test_another_runtime_computes_the_same(parts, fitted: Fitted, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path, observation = tmp_path / "fighter.onnx", parts[1]["observation"]
    export(fitted, parts[1].schema, path, observation)
    outputs = runtime.InferenceSession(str(path)).run(None, {"observation": observation})
    with torch.no_grad():
        expected = fitted.policy(torch.from_numpy(observation.copy()))
    for found, wanted in zip(outputs, expected, strict=True):
        assert np.allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-5)


def test_weights_that_are_not_finite_are_not_exported(parts, fitted: Fitted, tmp_path: Path) -> None:
    with torch.no_grad():
        fitted.policy.outputs[0].weight[0, 0] = float("nan")
    with pytest.raises(bx.UnsuitableError, match="differ from torch's by nan"):
        export(fitted, parts[0].schema, tmp_path / "fighter.onnx", parts[1]["observation"])
    assert list(tmp_path.glob("*.onnx*")) == []


def test_reports(parts, fitted: Fitted) -> None:
    found = parts[0].schema
    text = report.text(fitted, found)
    assert "deed: held-out loss" in text and f"Shoot {fitted.scores['deed'].recall[1]:.3f}" in text
    assert "explained variance 0.9" in text and "held-out loss" in text.splitlines()[0]
    picture = report.picture(fitted, found)
    assert picture.startswith("<svg") and picture.count("<polyline") == 2 and "deed: Shoot" in picture


def test_weights_of_rare_classes(parts) -> None:
    head = parts[0].schema.heads["deed"]
    counts = np.bincount(parts[0]["action.deed"], minlength=3)
    weights = class_weights(parts[0], head, 0.5).numpy()
    assert weights[2] == 0 and weights[1] / weights[0] == pytest.approx((counts[0] / counts[1]) ** 0.5)
    assert (weights * counts).sum() == pytest.approx(counts.sum())
    assert class_weights(parts[0], head, 0.0).numpy()[:2].tolist() == [1, 1]


def test_a_mask_is_divided_among_the_discrete_heads() -> None:
    found = bx.Schema.parse(schema(action=MIXED, action_mask=5), "0")
    masks = mask_parts(found, np.array([[True, False, True, False, True]]))
    assert masks["deed"].tolist() == [[[True, False, True]]] and masks["boost"].tolist() == [[[False, True]]]
    assert mask_parts(bx.Schema.parse(schema(action_mask=4), "0"), np.ones((1, 4), bool)) == {}


def test_a_masked_alternative_has_no_part_in_the_loss(record) -> None:
    """Where the mask leaves one choice, the loss is 0 although nothing was learned."""
    action = [column("deed", "i64", space=discrete(3))]

    def extra(table: pa.Table) -> pa.Table:
        mask = np.eye(3, dtype=bool)[table["action"].to_numpy()]
        return replaced(table, action_mask=mask, next_action_mask=mask)

    train, valid = record(20, schema(action=action, action_mask=3), extra=extra).split(0.5, 0.5)
    fitted = fit(train, valid, Settings(hidden=(8,), epochs=1))
    assert fitted.valid_losses[0] == pytest.approx(0, abs=1e-6) and fitted.scores["deed"].accuracy == 1


def test_advantages_prefer_actions_that_paid(record) -> None:
    """Both actions are as common, and one of them is rewarded."""
    action = [column("deed", "i64", space=discrete(2))]

    def extra(table: pa.Table) -> pa.Table:
        return replaced(table, reward=table["action"].to_numpy().astype(np.float64))

    train, valid = record([Life(length=10) for _ in range(80)], schema(action=action), extra=extra, per_shard=80).split(
        0.8, 0.2
    )
    preference = {}
    for algorithm in ("bc", "awr"):
        settings = Settings(
            algorithm=algorithm, hidden=(16,), epochs=15, patience=15, batch_size=64, gamma=0.5, beta=0.5
        )
        policy = fit(train, valid, settings).policy
        with torch.no_grad():
            preference[algorithm] = float(policy(torch.from_numpy(valid[:].observation))[0].softmax(-1)[:, 1].mean())
    assert 0.35 < preference["bc"] < 0.65 and preference["awr"] > preference["bc"] + 0.1


def test_data_that_cannot_be_trained_on(record) -> None:
    recording = record([Life(terminated=False, reason="gap") for _ in range(4)], schema(action=[]))
    with pytest.raises(bx.UnsuitableError, match="nothing to imitate"):
        fit(*recording.split(0.5, 0.5))
    recording = record(
        [Life(terminated=False, reason="gap") for _ in range(4)],
        schema(images=[column("eye", "u8", (2, 2, 1))]),
        folder="eye",
    )
    with pytest.raises(bx.UnsuitableError, match="has images"):
        fit(*recording.split(0.5, 0.5))
    recording = record([Life(terminated=False, reason="gap") for _ in range(4)], folder="whole")
    with pytest.raises(bx.UnsuitableError, match="part is empty"):
        fit(recording, recording.where(terminated=True))
    fitted = fit(*recording.split(0.5, 0.5), Settings(hidden=(4,), epochs=1))
    assert np.isfinite(fitted.valid_losses[0])


def test_an_action_that_never_varies_is_noted(record) -> None:
    def extra(table: pa.Table) -> pa.Table:
        rows = table.num_rows
        return replaced(table, action__deed=np.zeros(rows, np.int64), action__steer=np.full((rows, 2), 0.5, np.float32))

    train, valid = record(20, extra=extra).split(0.5, 0.5)
    fitted = fit(train, valid, Settings(hidden=(8,), epochs=3))
    assert fitted.notes == ["`steer` never varies in the training part", "`deed` never varies in the training part"]
    with torch.no_grad():
        steer = fitted.policy(torch.from_numpy(valid[:].observation))[0]
    assert torch.isfinite(steer).all() and "note: `deed` never varies" in report.text(fitted, train.schema)


def test_one_episode_and_none_are_refused_by_the_command(record, tmp_path: Path, capsys) -> None:
    for count, reason in (
        (0, "`fighter` has no transitions: record play until an episode ends"),
        (1, "1 episode cannot be divided into 2 parts: record more"),
    ):
        record([Life(length=20) for _ in range(count)])
        assert main(["train", str(tmp_path / "dataset"), "--out", str(tmp_path / "fighter.onnx")]) == 3
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "fighter.onnx").exists()


@pytest.mark.parametrize("algorithm", ["bc", "awr"])
def test_episodes_that_are_all_truncated_are_trained_on(record, tmp_path: Path, algorithm: str, capsys) -> None:
    record([Life(length=20, terminated=False, reason="gap") for _ in range(10)], extra=learnable)
    out = tmp_path / "fighter.onnx"
    command = ["train", str(tmp_path / "dataset"), "--out", str(out), "--epochs", "2", "--hidden", "8"]
    assert main([*command, "--algorithm", algorithm]) == 0
    assert "10 episodes end at a gap" in capsys.readouterr().out and out.exists()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"epochs": 0}, "`epochs` is 0: give 1 or more"),
        ({"batch_size": 0}, "`batch_size` is 0: give 1 or more"),
        ({"learning_rate": -1.0}, "`learning_rate` is -1.0: give a number above 0"),
        ({"beta": 0.0}, "`beta` is 0.0: give a number above 0"),
        ({"gamma": 1.5}, "`gamma` is 1.5: give a number from 0 to 1"),
        ({"ignored": ("mana",)}, "no feature `mana` to ignore; its features are position.x"),
        ({"ignored": EVERY_FEATURE}, "all features are ignored"),
    ],
)
def test_settings_that_are_refused(parts, setting: dict, reason: str) -> None:
    with pytest.raises(bx.UnsuitableError, match=reason):
        fit(*parts, Settings(**setting))


def test_a_feature_that_repeats_the_last_action_is_noted_and_can_be_ignored(record, tmp_path: Path) -> None:
    """`charge` is the last `deed`, which is mostly the one before."""

    def extra(table: pa.Table) -> pa.Table:
        rng = np.random.default_rng(0)
        deed = np.repeat(rng.integers(0, 2, table.num_rows // 10 + 1), 10)[: table.num_rows]
        before, after = matrix(table, "observation"), matrix(table, "next_observation")
        after[:, 7] = deed
        before[1:, 7] = deed[:-1]
        return replaced(table, observation=before, next_observation=after, action__deed=deed)

    train, valid = record([Life(length=20) for _ in range(40)], extra=extra, per_shard=40).split(0.5, 0.5)
    [note] = repeated_actions(train)
    assert note.startswith("`charge` is the last `deed`") and note.endswith("leave it out with --ignore charge")
    settings = Settings(hidden=(16,), epochs=4, batch_size=32)
    assert note in fit(train, valid, settings).notes
    fitted = fit(train, valid, Settings(hidden=(16,), epochs=4, batch_size=32, ignored=("charge",)))
    assert note not in fitted.notes
    observation = valid[:].observation.copy()
    path = tmp_path / "fighter.onnx"
    assert export(fitted, train.schema, path, observation) < 1e-5
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(onnx.load(path))
    outputs = evaluator.run(None, {"observation": observation})
    observation[:, 7] += 5
    again = evaluator.run(None, {"observation": observation})
    assert all(np.array_equal(a, b) for a, b in zip(outputs, again, strict=True))
    assert fitted.scores["deed"].accuracy < fit(train, valid, settings).scores["deed"].accuracy


def test_a_head_that_does_not_follow_from_the_observation_is_noted(record) -> None:
    train, valid = record(30).split(0.5, 0.5)
    fitted = fit(train, valid, Settings(hidden=(64, 64), epochs=4, patience=4, batch_size=8, learning_rate=1e-2))
    assert fitted.scores["steer"].accuracy < 0
    assert any(note.startswith("`steer` is predicted no better than by its mean") for note in fitted.notes)


def test_the_command(record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record([Life(length=20, agent=index % 3) for index in range(30)], extra=learnable, per_shard=30)
    out = tmp_path / "models" / "fighter.onnx"
    command = [
        "train",
        str(tmp_path / "dataset"),
        "--out",
        str(out),
        "--epochs",
        "2",
        "--hidden",
        "16",
        "--where",
        "agent_id=1,2",
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "600 transitions in 30 episodes" in printed and "deed: held-out loss" in printed and "wrote `" in printed
    assert "trains on 360 transitions, and holds out 40" in printed
    assert {path.suffix for path in out.parent.iterdir()} == {".onnx", ".txt", ".svg"}
    for wrong, reason in (
        (["--recording", "walker"], "has no recording `walker`"),
        (["--where", "colour=red"], "there is no condition `colour`"),
        (["--where", "agent_id=red"], "is not of the kind of `agent_id`"),
        (["--where", "agent_id"], "write it as KEY=VALUE"),
        (["--where", "agent_id=77"], "nothing to train on"),
        (["--where", "controller=bot"], "no column `controller`"),
        (["--split-by", "run"], "1 run cannot be divided into 2 parts"),
    ):
        assert main([*command, *wrong]) == 3
        assert reason in capsys.readouterr().err
    assert main(["train", str(tmp_path), "--out", str(out)]) == 3
    with pytest.raises(SystemExit) as stopped:
        main(["train"])
    assert stopped.value.code == 2

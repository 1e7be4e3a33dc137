"""Datasets converted with `experience convert --to lerobot`: layout, and with the package `lerobot` loading and training."""

import json
import os
from pathlib import Path

import numpy
import pandas
import pyarrow.parquet
import pytest


@pytest.fixture(scope="module")
def converted() -> Path:
    """The converted dataset's folder."""
    root = os.environ.get("EXPERIENCE_LEROBOT")
    if not root:
        pytest.skip("EXPERIENCE_LEROBOT names no folder")
    return Path(root).resolve()


@pytest.fixture(scope="module")
def info(converted: Path) -> dict:
    return json.loads((converted / "meta" / "info.json").read_text())


@pytest.fixture(scope="module")
def frames(converted: Path) -> pyarrow.Table:
    return pyarrow.parquet.read_table(converted / "data")


@pytest.fixture(scope="module")
def source(recording: Path) -> pyarrow.Table:
    """The rows of the source dataset, in the order of the files, which is that of the frames."""
    return pyarrow.parquet.read_table(recording / "data")


def matrix(table: pyarrow.Table, name: str) -> numpy.ndarray:
    column = table[name].combine_chunks()
    if pyarrow.types.is_fixed_size_list(column.type):
        column = column.flatten()
    return column.to_numpy().reshape(len(table), -1)


def test_every_column_is_described_with_its_type_and_shape(info: dict, frames: pyarrow.Table) -> None:
    assert set(frames.column_names) == set(info["features"])
    types = {"float32": pyarrow.float32(), "int64": pyarrow.int64(), "bool": pyarrow.bool_(), "string": pyarrow.string()}
    for name, feature in info["features"].items():
        kind = frames.schema.field(name).type
        if feature["shape"] == [1]:
            assert kind == types[feature["dtype"]], name
        else:
            assert [kind.list_size] == feature["shape"] == [len(feature["names"])], name
            assert kind.value_type == types[feature["dtype"]], name


def test_frames_are_the_datasets_transitions(info: dict, frames: pyarrow.Table, source: pyarrow.Table) -> None:
    assert info["codebase_version"] == "v3.0" and isinstance(info["fps"], int)
    assert info["total_frames"] == len(frames) == len(source)
    for name, column in {"observation.state": "observation", "observation.environment_state": "observation"}.items():
        assert (matrix(frames, name) == matrix(source, column)).all(), name
    assert (matrix(frames, "action") == matrix(source, "action").astype(numpy.float32)).all()
    for name, column in {"next.terminated": "terminated", "next.truncated": "truncated", "agent_id": "agent_id", "tick": "tick"}.items():
        assert (frames[name].to_numpy() == source[column].to_numpy()).all(), name
    controllers = source["controller"].cast(pyarrow.string()).fill_null("")
    assert frames["controller"].to_pylist() == controllers.to_pylist()
    assert (frames["next.reward"].to_numpy() == source["reward"].to_numpy().astype(numpy.float32)).all()
    assert (frames["next.done"].to_numpy() == (source["terminated"].to_numpy() | source["truncated"].to_numpy())).all()


def test_episodes_are_contiguous(converted: Path, info: dict, frames: pyarrow.Table) -> None:
    episodes = pandas.read_parquet(converted / "meta" / "episodes")
    assert info["total_episodes"] == len(episodes) and info["splits"] == {"train": f"0:{len(episodes)}"}
    assert (episodes["episode_index"] == numpy.arange(len(episodes))).all()
    assert (episodes["dataset_to_index"] - episodes["dataset_from_index"] == episodes["length"]).all()
    assert (episodes["dataset_from_index"].to_numpy()[1:] == episodes["dataset_to_index"].to_numpy()[:-1]).all()
    assert (frames["index"].to_numpy() == numpy.arange(len(frames))).all()
    starts = episodes["dataset_from_index"].to_numpy()
    assert (frames["frame_index"].to_numpy()[starts] == 0).all()
    assert frames["next.done"].to_numpy()[episodes["dataset_to_index"].to_numpy() - 1].all()
    frame, time = frames["frame_index"].to_numpy(), frames["timestamp"].to_numpy()
    assert numpy.allclose(time, frame / info["fps"], atol=1e-4)
    tasks = pandas.read_parquet(converted / "meta" / "tasks.parquet")
    assert tasks.index.name == "task" and tasks["task_index"].tolist() == [0]


def test_stats_are_those_of_the_frames(converted: Path, frames: pyarrow.Table) -> None:
    stats = json.loads((converted / "meta" / "stats.json").read_text())
    for name in ("action", "observation.state", "observation.environment_state", "next.reward"):
        values = matrix(frames, name)
        # In double precision, because NumPy's sum over a column of hundred thousands of `float32` is off by a thousandth.
        exact = values.astype(numpy.float64)
        assert stats[name]["count"] == [len(frames)], name
        assert numpy.allclose(stats[name]["mean"], exact.mean(axis=0), rtol=1e-6, atol=1e-6), name
        assert numpy.allclose(stats[name]["std"], exact.std(axis=0), rtol=1e-6, atol=1e-6), name
        assert (numpy.array(stats[name]["min"], numpy.float32) == values.min(axis=0)).all(), name
        assert (numpy.array(stats[name]["max"], numpy.float32) == values.max(axis=0)).all(), name


def test_lerobot_loads_it_and_a_policy_takes_a_step(converted: Path, info: dict) -> None:
    pytest.importorskip("lerobot")
    import torch
    from lerobot.configs.types import FeatureType
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.datasets.utils import dataset_to_policy_features
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    plain = LeRobotDataset("local/converted", root=converted)
    assert len(plain) == info["total_frames"] and plain.num_episodes == info["total_episodes"]
    features = dataset_to_policy_features(plain.meta.features)
    outputs = {name: feature for name, feature in features.items() if feature.type is FeatureType.ACTION}
    inputs = {name: feature for name, feature in features.items() if name not in outputs and name.startswith("observation")}
    config = ACTConfig(
        input_features=inputs,
        output_features=outputs,
        chunk_size=4,
        n_action_steps=4,
        dim_model=32,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_decoder_layers=1,
        device="cpu",
    )
    policy = ACTPolicy(config)
    deltas = {"action": [index / info["fps"] for index in range(4)]}
    dataset = LeRobotDataset("local/converted", root=converted, delta_timestamps=deltas)
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True)))
    assert batch["observation.state"].shape[0] == 8 and batch["action"].shape[1] == 4
    assert len(batch["controller"]) == 8 and all(isinstance(label, str) for label in batch["controller"])
    loss, _ = policy.forward(batch)
    before = [parameter.detach().clone() for parameter in policy.parameters()]
    loss.backward()
    torch.optim.SGD(policy.parameters(), lr=0.1).step()
    assert torch.isfinite(loss)
    assert any((old != new).any() for old, new in zip(before, policy.parameters()))

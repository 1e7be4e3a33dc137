"""Datasets converted with `experience convert --to minari`, opened with Minari and compared with their source."""

import os
import subprocess
from pathlib import Path

import numpy
import pyarrow.parquet
import pytest

from rows import Rows, rows_of_arrow

minari = pytest.importorskip("minari")


@pytest.fixture(scope="module")
def converted() -> "minari.MinariDataset":
    """The converted dataset."""
    root = os.environ.get("EXPERIENCE_MINARI")
    if not root:
        pytest.skip("EXPERIENCE_MINARI names no folder")
    os.environ["MINARI_DATASETS_PATH"] = str(Path(root).resolve())
    [metadata] = Path(root).glob("**/metadata.json")
    return minari.load_dataset(str(metadata.parent.parent.relative_to(root)))


@pytest.fixture(scope="module")
def source(recording: Path) -> Rows:
    """The rows of the source dataset, in the order of the files, which is that of the converted episodes."""
    return rows_of_arrow(pyarrow.parquet.read_table(recording / "data"))


def episodes(source: Rows) -> dict[int, slice]:
    first = numpy.flatnonzero(source.first)
    ends = numpy.append(first[1:], len(source))
    return {int(source["episode_id"][start]): slice(start, end) for start, end in zip(first, ends)}


def test_all_episodes_and_steps_are_there(converted: "minari.MinariDataset", source: Rows) -> None:
    assert converted.total_episodes == source.first.sum()
    assert converted.total_steps == len(source)


def test_episodes_are_those_of_the_dataset(converted: "minari.MinariDataset", source: Rows, experience: dict) -> None:
    theirs = episodes(source)
    metadata = list(converted.storage.get_episode_metadata(converted.episode_indices))
    parts = [column["name"] for column in experience["schema"]["action"]]
    for episode, told in zip(converted.iterate_episodes(), metadata):
        rows = theirs.pop(int(told["episode_id"]))
        steps = rows.stop - rows.start
        assert len(episode) == steps and told["agent_id"] == source["agent_id"][rows][0]
        assert episode.observations.shape[0] == steps + 1
        assert episode.observations.dtype == numpy.float32
        assert (episode.observations[:-1] == source["observation"][rows]).all()
        assert (episode.observations[-1] == source["next_observation"][rows][-1]).all()
        assert episode.rewards.dtype == numpy.float64 and (episode.rewards == source["reward"][rows]).all()
        assert (episode.terminations == source["terminated"][rows].astype(bool)).all()
        assert (episode.truncations == source["truncated"][rows].astype(bool)).all()
        assert (episode.terminations | episode.truncations).tolist() == [False] * (steps - 1) + [True]
        assert (episode.infos["tick"][:-1] == source["tick"][rows]).all()
        if isinstance(episode.actions, dict):
            start = 0
            for name, column in zip(parts, experience["schema"]["action"]):
                width = int(numpy.prod(column["shape"], dtype=int))
                packed = source["action"][rows][:, start : start + width]
                assert (episode.actions[name].reshape(steps, width).astype(numpy.float32) == packed).all()
                start += width
        else:
            assert (episode.actions.reshape(steps, -1) == source["action"][rows].reshape(steps, -1)).all()
    assert not theirs


def test_values_lie_in_the_spaces(converted: "minari.MinariDataset", experience: dict) -> None:
    space = converted.observation_space
    assert list(space.shape) == experience["observation_space"]["shape"]
    low = [-numpy.inf if bound is None else bound for bound in experience["observation_space"]["low"]]
    assert (space.low == numpy.array(low, numpy.float32)).all()
    episode = next(iter(converted.iterate_episodes()))
    assert all(observation in space for observation in episode.observations)
    for step in range(len(episode)):
        action = episode.actions
        action = {name: part[step] for name, part in action.items()} if isinstance(action, dict) else action[step]
        assert action in converted.action_space, action


def test_episodes_can_be_sampled(converted: "minari.MinariDataset") -> None:
    converted.set_seed(7)
    sampled = list(converted.sample_episodes(3))
    assert len(sampled) == 3 and all(len(episode) > 0 for episode in sampled)
    one = converted[int(sampled[0].id)]
    assert (one.observations == sampled[0].observations).all()


def test_lists_are_arrays_with_masks(experience_command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = os.environ.get("EXPERIENCE_LISTS")
    if not source:
        pytest.skip("EXPERIENCE_LISTS names no folder")
    subprocess.run(
        [experience_command, "convert", source, "--to", "minari", "--id", "units-v0", "-o", tmp_path],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    converted = minari.load_dataset("units-v0")
    space = converted.observation_space
    assert set(space) == {"observation", "observation.units", "observation.units_mask"}
    assert space["observation.units"].shape == (3, 6)
    episode = next(iter(converted.iterate_episodes()))
    units, mask = (episode.observations[f"observation.{name}"] for name in ("units", "units_mask"))
    assert (units[..., 0] == mask).all() and 0 < mask.sum() < mask.size
    assert (units[mask == 0] == 0).all()
    for step in range(len(episode) + 1):
        assert {name: part[step] for name, part in episode.observations.items()} in space

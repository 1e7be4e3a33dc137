"""Windows, against a loop over each episode."""

from __future__ import annotations

import numpy as np
import pytest
from writer import schema

import bevy_experience as bx


def naive(recording: bx.Transitions, length: int, stride: int, pad: str, gamma: float) -> list[dict]:
    found = []
    for episode in recording.episodes:
        for anchor in range(0, len(episode), stride):
            first = anchor - length + 1 if pad == "left" else anchor
            steps = range(first, first + length)
            if pad == "drop" and steps[-1] >= len(episode):
                continue
            window = {"mask": [0 <= step < len(episode) for step in steps]}
            for name, values in (
                ("observation", episode.observations),
                ("reward", episode.rewards),
                ("action.deed", episode.actions["deed"]),
            ):
                zero = np.zeros_like(values[0])
                window[name] = [values[step] if 0 <= step < len(episode) else zero for step in steps]
            window["step"] = [step if 0 <= step < len(episode) else 0 for step in steps]
            window["return_to_go"] = [
                sum(gamma**k * reward for k, reward in enumerate(episode.rewards[step:]))
                if 0 <= step < len(episode)
                else 0.0
                for step in steps
            ]
            found.append(window)
    return found


@pytest.mark.parametrize("pad", ["left", "right", "drop"])
@pytest.mark.parametrize(
    ("length", "stride", "gamma"), [(1, 1, 1.0), (4, 1, 1.0), (4, 3, 0.9), (20, 5, 1.0), (3, 9, 1.0)]
)
def test_windows_equal_a_loop(record, rng, pad: str, length: int, stride: int, gamma: float) -> None:
    recording = record(25)
    for selection in (recording, recording.where(min_length=3), recording.split(0.5, 0.5)[1]):
        expected = naive(selection, length, stride, pad, gamma)
        windows = selection.windows(length, stride=stride, pad=pad, gamma=gamma)
        assert len(windows) == len(expected)
        order = rng.permutation(len(windows))
        found = windows[order]
        for name in expected[0] if expected else ():
            assert np.allclose(found[name], np.array([expected[row][name] for row in order])), name
            assert found[name].shape[:2] == (len(order), length)


def test_batches_of_windows(record) -> None:
    windows = record(20).windows(4, columns=["observation", "match_id", "end_reason", "tick"])
    batches = list(windows.batches(8, seed=2))
    assert sum(len(batch["mask"]) for batch in batches) == len(windows)
    first = batches[0]
    assert set(first) == {"observation", "match_id", "end_reason", "tick", "step", "mask", "return_to_go"}
    assert (np.ma.getmaskarray(first["match_id"]) == ~first["mask"]).all()
    assert first["end_reason"].shape == (8, 4)
    assert sum(1 for _ in windows.batches(8, drop_last=True)) == len(windows) // 8
    assert windows[-1]["mask"].tolist() == windows[len(windows) - 1]["mask"].tolist()
    assert windows[windows[:]["mask"].all(axis=1)]["mask"].all()
    assert windows[2:5].observation.shape == (3, 4, 8)
    for wrong in (len(windows), -len(windows) - 1):
        with pytest.raises(IndexError):
            windows[wrong]


def test_heads_of_windows_keep_their_type(record) -> None:
    batch = record(5).windows(3)[:4]
    assert batch.actions["boost"].dtype == bool and batch.actions["steer"].shape == (4, 3, 2)
    assert batch.flat_action.shape == (4, 3, 4)
    masks = record(5, schema(action_mask=3), folder="masked").windows(3, columns=["action_mask", "next_observation"])[
        :4
    ]
    assert masks.action_mask.shape == (4, 3, 3) and masks.next_observation.shape == (4, 3, 8)


def test_settings_that_do_not_exist(record) -> None:
    recording = record(1)
    for settings in (
        {"length": 0},
        {"length": 2, "stride": 0},
        {"length": 2, "pad": "both"},
        {"length": 2, "gamma": 2.0},
    ):
        with pytest.raises(bx.UnsuitableError):
            recording.windows(**settings)
    with pytest.raises(bx.NoSuchColumnError):
        recording.windows(2, columns=["speed"])

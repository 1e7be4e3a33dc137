"""Returns and transitions of several steps, against a loop over each episode."""

from __future__ import annotations

import numpy as np
import pytest
from writer import Life, lives

import bevy_experience as bx


def naive(episode: bx.Episode, start: int, n: int, gamma: float, per_tick: bool) -> dict:
    reward, discount = 0.0, 1.0
    ticks = episode.columns["ticks"]
    for step in range(start, min(start + n, len(episode))):
        reward += discount * episode.rewards[step]
        discount *= gamma ** int(ticks[step]) if per_tick else gamma
    is_end = step + 1 == len(episode)
    return {
        "reward": reward,
        "discount": 0.0 if is_end and episode.terminated else discount,
        "steps": step + 1 - start,
        "observation": episode.observations[start],
        "next_observation": episode.observations[step + 1],
        "terminated": is_end and episode.terminated,
        "truncated": is_end and not episode.terminated,
    }


@pytest.mark.parametrize(
    ("n", "gamma", "per_tick"),
    [(1, 0.9, False), (3, 0.9, False), (50, 0.99, False), (4, 0.5, True), (2, 1.0, False), (3, 0.0, False)],
)
def test_n_steps_equal_a_loop(record, rng, n: int, gamma: float, per_tick: bool) -> None:
    recording = record([*lives(20, rng), *(Life(ticks=3, length=4) for _ in range(3))])
    for selection in (recording, recording.where(min_length=3), recording.filter(recording["reward"] > -0.5)):
        expected = [
            naive(episode, start, n, gamma, per_tick) for episode in selection.episodes for start in range(len(episode))
        ]
        order = rng.permutation(len(selection))
        found = selection.n_step(n, gamma, per_tick=per_tick)[order]
        for name in expected[0]:
            values = np.array([expected[row][name] for row in order])
            assert np.allclose(found[name], values), name
        assert len(selection.n_step(n, gamma)) == len(selection)


def test_one_step_is_a_transition(record) -> None:
    recording = record(10)
    one, plain = recording.n_step(1, 0.9)[:], recording[:]
    for name in plain:
        assert (one[name] == plain[name]).all(), name


def test_columns_of_n_steps(record) -> None:
    steps = record(3).n_step(2, 0.9)
    batch = steps.take([0, 1], columns=["tick"])
    assert set(batch) == {"tick", "reward", "discount", "steps", "terminated", "truncated"}
    for n, gamma in ((0, 0.9), (1, 1.1), (1, -0.1)):
        with pytest.raises(bx.UnsuitableError):
            record(1).n_step(n, gamma)


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.0])
def test_returns_to_go_equal_a_loop(record, gamma: float) -> None:
    recording = record(15)
    expected = [
        sum(gamma**k * reward for k, reward in enumerate(episode.rewards[start:]))
        for episode in recording.episodes
        for start in range(len(episode))
    ]
    assert np.allclose(bx.returns_to_go(recording, gamma), expected)
    half = recording.where(terminated=True)
    assert np.allclose(
        bx.returns_to_go(half, gamma),
        bx.returns_to_go(recording, gamma)[np.isin(recording["episode_id"], half["episode_id"])],
    )


def test_a_truncated_return_is_bootstrapped() -> None:
    assert bx.discounted(np.array([1.0, 2.0]), 0.5, bootstrap=8.0).tolist() == [4.0, 6.0]

"""The ring of the last transitions, and its sum tree."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from writer import schema as definition

import bevy_experience as bx
from bevy_experience._sum_tree import SumTree
from bevy_experience.replay_ring import ReplayRing

SCHEMA = bx.Schema.parse(definition(), "0" * 16)


def batch(first: int, rows: int, episode: int = 0) -> bx.Batch:
    values = np.arange(first, first + rows)
    columns = {
        "observation": np.repeat(values[:, None], 3, 1).astype(np.float32),
        "reward": values.astype(np.float64),
        "episode_id": np.full(rows, episode, np.int64),
    }
    return bx.Batch(SCHEMA, columns)


@pytest.mark.parametrize("leaves", [1, 2, 3, 64, 1000])
def test_leaves_are_drawn_in_proportion_to_their_values(leaves: int, rng: np.random.Generator) -> None:
    tree = SumTree(leaves)
    values = rng.random(leaves) * (rng.random(leaves) < 0.7)
    values[0] += 0.5
    tree.set(np.arange(leaves), values)
    assert tree.total == pytest.approx(values.sum())
    drawn = tree.draw(200_000, rng)
    frequency = np.bincount(drawn, minlength=leaves) / len(drawn)
    assert len(frequency) == leaves and (frequency[values == 0] == 0).all()
    # One draw from each of the equal ranges: the error is far below that of independent draws.
    assert np.abs(frequency - values / values.sum()).max() < 1e-4
    tree.set(np.array([0]), np.array([0.0]))
    assert tree.total == pytest.approx(values[1:].sum())


@pytest.mark.parametrize("leaves", [1, 2, 3, 64, 1000])
def test_a_range_of_leaves_is_filled_as_leaf_by_leaf(leaves: int, rng: np.random.Generator) -> None:
    filled, single = SumTree(leaves), SumTree(leaves)
    for _ in range(20):
        start, stop = sorted(rng.integers(0, leaves + 1, 2).tolist())
        value = float(rng.random())
        filled.fill(start, stop, value)
        single.set(np.arange(start, stop), value)
        assert filled.total == single.total
    everything = np.arange(leaves)
    assert (filled[everything] == single[everything]).all()
    assert (filled.draw(100, np.random.default_rng(1)) == single.draw(100, np.random.default_rng(1))).all()


def test_of_leaves_named_twice_the_last_value_stays() -> None:
    tree = SumTree(5)
    tree.set(np.array([4, 1, 4, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert tree.total == 7 and (tree[np.arange(5)] == [0, 4, 0, 0, 3]).all()


def test_priorities_that_begin_late_are_those_of_all_transitions() -> None:
    early, late = ReplayRing(10, alpha=1.0, seed=1), ReplayRing(10, alpha=1.0, seed=1)
    early.update_priorities(np.zeros(0, np.int64), np.zeros(0))
    for ring in (early, late):
        for first in (0, 7, 14):
            ring.add(batch(first, 7, episode=first))
        ring.forget([14])
        assert len(ring) == 3
    for _ in range(3):
        drawn = [ring.sample_prioritized(50) for ring in (early, late)]
        assert (drawn[0].ids == drawn[1].ids).all() and set(drawn[0].ids) == {11, 12, 13}
        assert (drawn[0].weights == drawn[1].weights).all()
        for ring in (early, late):
            ring.update_priorities(np.array([11, 12]), np.array([3.0, 0.5]))


def test_the_last_transitions_are_held() -> None:
    ring = ReplayRing(10, seed=1)
    with pytest.raises(bx.UnsuitableError, match="empty"):
        ring.sample(1)
    for first in range(0, 27, 4):
        ring.add(batch(first, 4))
    assert (len(ring), ring.added) == (10, 28)
    sample = ring.sample(2000)
    assert set(sample.reward) == set(range(18, 28))
    assert (sample.observation[:, 0] == sample.reward).all()
    ring.add(batch(100, 25))
    assert set(ring.sample(2000).reward) == set(range(115, 125))


def test_priorities_decide_what_is_drawn_and_weights_correct_it() -> None:
    ring = ReplayRing(100, alpha=1.0, seed=1)
    ring.add(batch(0, 100))
    first = ring.sample_prioritized(1000)
    assert (first.weights == 1).all() and (first.ids == first.batch.reward).all()
    priorities = np.arange(1.0, 101.0)
    ring.update_priorities(np.arange(100), priorities)
    drawn = ring.sample_prioritized(100_000, beta=1.0)
    frequency = np.bincount(drawn.ids, minlength=100) / 100_000
    assert np.abs(frequency - priorities / priorities.sum()).max() < 1e-3
    # With full correction, the weighted mean is that of uniform draws.
    mean = (drawn.weights * drawn.batch.reward).sum() / drawn.weights.sum()
    assert mean == pytest.approx(49.5, abs=0.5)
    assert drawn.weights.max() == 1 and drawn.weights.dtype == np.float32


def test_priorities_of_overwritten_transitions_are_left_out() -> None:
    ring = ReplayRing(8, alpha=1.0, seed=1)
    ring.add(batch(0, 8))
    old = ring.sample_prioritized(8).ids
    ring.add(batch(8, 8))
    ring.update_priorities(old, np.full(len(old), 1e9))
    assert (ring.sample_prioritized(1000).weights == 1).all()
    ids = ring.sample_prioritized(1000)
    assert (ids.ids == ids.batch.reward).all()
    for wrong in (np.nan, -1.0):
        with pytest.raises(bx.UnsuitableError):
            ring.update_priorities(ids.ids[:1], np.array([wrong]))


def test_forgotten_episodes_are_not_drawn() -> None:
    ring = ReplayRing(20, seed=1)
    ring.add(batch(0, 10, episode=1))
    ring.add(batch(10, 10, episode=2))
    ring.forget([1, 99])
    assert len(ring) == 10
    assert set(ring.sample(1000).reward) == set(range(10, 20))
    drawn = ring.sample_prioritized(1000)
    assert set(drawn.batch.reward) == set(range(10, 20))
    ring.update_priorities(np.arange(20), np.ones(20))
    assert set(ring.sample_prioritized(1000).batch.reward) == set(range(10, 20))
    ring.add(batch(20, 10, episode=3))
    assert len(ring) == 20


def test_threads_share_a_ring() -> None:
    ring = ReplayRing(1000, seed=1)
    ring.add(batch(0, 1000))
    stop = threading.Event()

    def write() -> None:
        first = 1000
        while not stop.is_set():
            ring.add(batch(first, 50))
            first += 50

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(200):
        drawn = ring.sample_prioritized(64)
        assert (drawn.batch.observation[:, 0] == drawn.batch.reward).all() and (drawn.ids == drawn.batch.reward).all()
        ring.update_priorities(drawn.ids, np.abs(drawn.batch.reward))
    stop.set()
    writer.join()


def test_other_columns_are_refused() -> None:
    ring = ReplayRing(10)
    ring.add(batch(0, 1))
    with pytest.raises(bx.UnsuitableError, match="other columns"):
        ring.add(bx.Batch(SCHEMA, {"reward": np.zeros(1)}))
    for settings in ({"capacity": 0}, {"capacity": 1, "alpha": -1.0}):
        with pytest.raises(bx.UnsuitableError):
            ReplayRing(**settings)

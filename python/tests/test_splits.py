"""Splits: no row of one part tells of a row of another."""

from __future__ import annotations

import numpy as np
import pytest
from writer import Life

import bevy_experience as bx


def chained(rng: np.random.Generator) -> list[Life]:
    """Episodes of three runs and several matches and agents, many of which continue others."""
    episodes = []
    for run in (5, 6, 0x7FFFFFFF):
        for number in range(60):
            previous = number - 3
            is_continued = previous >= 0 and rng.random() < 0.6
            agent = episodes[previous - number].agent if is_continued else int(rng.integers(-3, 4))
            episodes.append(
                Life(
                    agent=agent,
                    run=run,
                    match=None if number > 50 else number // 10,
                    number=number,
                    length=int(rng.integers(1, 6)),
                    continues=(run << 32) + previous if is_continued else None,
                )
            )
    return episodes


def key(table: dict, row: int, by: str) -> object:
    agent, run = table["agent_id"][row], table["run"][row]
    match = table["match_id"].tolist()[row]
    return {
        "episode": table["episode_id"][row],
        "agent": (agent, run if agent < 0 else None),
        "run": run,
        "match": (run, match),
    }[by]


@pytest.mark.parametrize("by", ["episode", "agent", "run", "match"])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_group_and_no_chain_is_in_two_parts(record, rng, by: str, seed: int) -> None:
    recording = record(chained(rng), per_shard=7)
    parts = recording.split(0.6, 0.2, 0.2, by=by, seed=seed)
    seen: dict[object, int] = {}
    chains: dict[int, int] = {}
    for number, part in enumerate(parts):
        table = part.episodes.table
        assert len(part)
        for row, episode in enumerate(table["episode_id"].tolist()):
            assert seen.setdefault(key(table, row, by), number) == number
            assert chains.setdefault(episode, number) == number
    table = recording.episodes.table
    for episode, continues in zip(table["episode_id"].tolist(), table["continues"].tolist(), strict=True):
        if continues is not None:
            assert chains[episode] == chains[continues]
    assert sum(map(len, parts)) == len(recording)
    again = recording.split(0.6, 0.2, 0.2, by=by, seed=seed)
    assert [part["tick"].tolist() for part in again] == [part["tick"].tolist() for part in parts]


def test_a_chain_stays_together_where_its_middle_is_filtered_out(record) -> None:
    for seed in range(20):
        episodes = [Life(length=2, number=0)]
        episodes += [Life(length=9, number=1, continues=episodes[0].run << 32)]
        episodes += [Life(length=2, number=2, continues=(0x2A << 32) + 1), Life(length=2, number=3, agent=9)]
        recording = record(episodes).where(max_length=3)
        parts = recording.split(0.5, 0.5, seed=seed)
        ids = [set((part["episode_id"] & 0xFFFFFFFF).tolist()) for part in parts]
        assert {0, 2} in ids and {3} in ids


def test_episodes_that_continue_one_that_was_lost_stay_together(record) -> None:
    lost = (0x2A << 32) + 50
    recording = record([Life(continues=lost), Life(continues=lost), Life()])
    for seed in range(10):
        assert sorted(len(part) for part in recording.split(0.5, 0.5, seed=seed)) == [5, 10]


def test_negative_agent_ids_are_other_players_in_each_run(record) -> None:
    parts = record([Life(agent=-1, run=1), Life(agent=-1, run=2)]).split(0.5, 0.5, by="agent")
    assert [len(part) for part in parts] == [5, 5]
    with pytest.raises(bx.UnsuitableError, match="1 agent cannot"):
        record([Life(agent=1, run=1), Life(agent=1, run=2)]).split(0.5, 0.5, by="agent")


def test_parts_have_about_the_sizes_that_were_asked_for(record) -> None:
    recording = record([Life(length=4) for _ in range(200)], per_shard=50)
    sizes = [len(part) / len(recording) for part in recording.split(0.7, 0.2, 0.1)]
    assert sizes == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    (tenth,) = recording.split(0.1)
    assert len(tenth) / len(recording) == pytest.approx(0.1, abs=0.02)
    seeds = {tuple(recording.split(0.5, 0.5, seed=seed)[0]["episode_id"].tolist()) for seed in range(5)}
    assert len(seeds) == 5
    halves = tenth.split(0.5, 0.5)
    assert sum(map(len, halves)) == len(tenth) and all(map(len, halves))


def test_few_groups_give_one_to_each_part(record) -> None:
    recording = record([Life(length=10, run=1), Life(length=1, run=2), Life(length=1, run=3)])
    for seed in range(20):
        assert all(len(part) for part in recording.split(0.8, 0.1, 0.1, by="run", seed=seed))
    with pytest.raises(bx.UnsuitableError, match="3 runs cannot be divided into 4 parts"):
        recording.split(0.7, 0.1, 0.1, 0.1, by="run")
    for fractions in ((), (0.5, 0.6), (-0.1, 0.5), (0.0, 1.0)):
        with pytest.raises(bx.UnsuitableError, match="positive numbers whose sum is at most 1"):
            recording.split(*fractions)
    with pytest.raises(bx.UnsuitableError, match="by='day'"):
        recording.split(0.5, by="day")


def test_most_episodes_stay_in_their_part_when_a_run_is_added(record) -> None:
    first = [Life(length=4, run=1) for _ in range(100)]
    before = set(record(first).split(0.8, 0.2)[1]["episode_id"].tolist())
    more = [Life(length=4, run=1) for _ in range(100)] + [Life(length=4, run=2) for _ in range(20)]
    after = set(record(more).split(0.8, 0.2)[0]["episode_id"].tolist())
    assert len(before & after) <= 5

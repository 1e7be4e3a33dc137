"""Random access, batches, filters and episodes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from writer import CONTINUOUS, Life, column, discrete, schema

import bevy_experience as bx


def test_positions(record) -> None:
    recording = record(10)
    reward, count = recording["reward"], len(recording)
    mask = reward > 0
    for index in (3, -1, slice(2, 20, 3), slice(None, None, -1), [5, -2, 5], np.array([1, 2]), mask, np.array([], int)):
        expected = np.atleast_1d(reward[index])
        assert recording[index].reward.tolist() == expected.tolist()
        half = recording.where(terminated=False)
        if not isinstance(index, np.ndarray) or index.dtype != bool:
            assert half[index].reward.tolist() == np.atleast_1d(half["reward"][index]).tolist()
    for index in (count, -count - 1, [0, count]):
        with pytest.raises(IndexError, match=f"of {count} rows"):
            recording[index]
    with pytest.raises(IndexError, match="a mask of shape"):
        recording[np.ones(3, bool)]


def test_a_column_that_does_not_exist_names_those_that_do(record) -> None:
    recording = record(2)
    for access in (
        lambda: recording["speed"],
        lambda: recording.take(0, columns=["speed"]),
        lambda: recording[0]["speed"],
    ):
        with pytest.raises(bx.NoSuchColumnError, match=r"no column `speed`; it has .*reward"):
            access()


def test_a_batch_has_the_action_of_its_kind(record) -> None:
    batch = record(4)[:5]
    assert batch.actions["steer"].shape == (5, 2) and batch.actions["boost"].dtype == bool
    assert batch.flat_action.shape == (5, 4) and batch.flat_action[:, 2].tolist() == batch.actions["deed"].tolist()
    with pytest.raises(bx.UnsuitableError, match=r"heads of several types \(steer, deed, boost\)"):
        batch.action  # noqa: B018
    assert "observation: float32 (5, 8)" in repr(batch) and len(batch) == len(list(batch))


def test_continuous_heads_are_views_of_one_array(record) -> None:
    recording = record(4, schema(action=CONTINUOUS))
    batch = recording[:6]
    assert batch.action.shape == (6, 3) and batch.action is batch.flat_action
    assert np.shares_memory(batch.actions["throttle"], batch.action) and batch.actions["throttle"].shape == (6,)
    assert recording.episodes[0].actions["steer"].shape == (len(recording.episodes[0]), 2)


def test_batches_hold_every_row_once(record) -> None:
    recording = record(30)
    ids = np.arange(len(recording))
    for selection in (recording, recording.where(terminated=True)):
        expected = sorted(zip(selection["episode_id"].tolist(), selection["step"].tolist(), strict=True))
        for shuffle in (True, False):
            batches = list(selection.batches(16, shuffle=shuffle, seed=1, columns=["episode_id", "step"]))
            assert {len(batch["step"]) for batch in batches[:-1]} == {16}
            found = [
                pair
                for batch in batches
                for pair in zip(batch["episode_id"].tolist(), batch["step"].tolist(), strict=True)
            ]
            assert sorted(found) == expected and (found == expected or shuffle)
    first, again, other = ([batch.reward.tolist() for batch in recording.batches(16, seed=seed)] for seed in (1, 1, 2))
    assert first == again != other
    assert sum(len(batch.reward) for batch in recording.batches(16, drop_last=True)) == len(ids) // 16 * 16
    with pytest.raises(bx.UnsuitableError, match="`size` must be 1 or more"):
        next(recording.batches(0))
    drawn = recording.sample(1000, np.random.default_rng(0))
    assert drawn.observation.shape == (1000, 8) and len(set(drawn.reward.tolist())) > len(ids) / 2


def test_filters(record) -> None:
    episodes = [
        Life(agent=1, rewards=[1, 2], length=2, tags=("good",)),
        Life(agent=2, rewards=[5], length=1, terminated=False, reason="time_limit", tags=("good", "late")),
        Life(agent=-1, rewards=[-1, -1, -1], length=3, run=9),
        Life(agent=1, rewards=[0], length=1, reason="goal", run=9),
    ]
    recording = record(episodes)

    def chosen(**conditions) -> list[int]:
        return [round(episode.total_reward) for episode in recording.where(**conditions).episodes]

    # Runs are read in the order of their names.
    assert chosen() == [-3, 0, 3, 5]
    assert chosen(tag="good") == [3, 5] and chosen(tag=["late", "bad"]) == [5] and chosen(without_tag="good") == [-3, 0]
    assert (
        chosen(end_reason="death") == [-3, 3]
        and chosen(end_reason=("goal", "time_limit")) == [0, 5]
        and chosen(end_reason="x") == []
    )
    assert chosen(terminated=False) == [5] and chosen(agent_id=1) == [0, 3] and chosen(agent_id=[2, -1]) == [-3, 5]
    assert chosen(run=9) == [-3, 0] and chosen(run=9, agent_id=1) == [0] and chosen(episode_id=(9 << 32) + 1) == [0]
    assert (
        chosen(min_return=3) == [3, 5] and chosen(max_return=0) == [-3, 0] and chosen(min_length=2, max_length=2) == [3]
    )
    assert chosen(return_quantile=(0.5, 1.0)) == [3, 5] and chosen(return_quantile=(0, 0.25)) == [-3]
    with pytest.raises(bx.UnsuitableError, match="two numbers from 0 to 1"):
        chosen(return_quantile=(1, 0))
    with pytest.raises(TypeError, match="colour"):
        recording.where(colour="red")
    with pytest.raises(bx.NoSuchColumnError, match="no column `controller`"):
        recording.where(controller="bot")


CONTROLLER = schema(info=[column("controller", "i64", space=discrete(3, ("person", "bot", "policy")))])


@pytest.mark.parametrize("where", ["info", "column"])
def test_a_change_of_the_controller_cuts_an_episode(record, where: str) -> None:
    episodes = [
        Life(length=6, controllers=[0, 0, 1, 1, 1, 0]),
        Life(length=2, controllers=[1, 1]),
        Life(length=2, controllers=[2, 2]),
    ]

    def extra(table: pa.Table) -> pa.Table:
        words = pa.array(["person", "bot", "policy"]).take(table["info.controller"].combine_chunks())
        return table.append_column("controller", words.dictionary_encode())

    recording = record(episodes, CONTROLLER, extra=extra if where == "column" else None)
    bot, person = recording.where(controller="bot"), recording.where(controller=["person", "policy"])
    assert bot["step"].tolist() == [2, 3, 4, 0, 1] and person["step"].tolist() == [0, 1, 5, 0, 1]
    assert len(recording.where(controller="absent")) == 0
    # A part that stops before the end of its episode bootstraps from the next observation.
    assert bot[:].truncated.tolist() == bot["truncated"].tolist() == [False, False, True, False, False]
    assert bot[:].terminated.tolist() == [False, False, False, False, True]
    assert (bot[2].next_observation == recording[5].observation).all()
    first, second = bot.episodes
    assert (first.first_step, first.terminated, first.end_reason, len(first.observations)) == (2, False, None, 4)
    assert (second.first_step, second.terminated, second.end_reason) == (0, True, "death")
    assert bot.windows(3)[2]["mask"].tolist() == [[True, True, True]] and bot.windows(3)[3]["mask"].tolist() == [
        [False, False, True]
    ]
    steps = bot.n_step(5, 0.5)[:]
    assert steps["steps"].tolist() == [3, 2, 1, 2, 1] and steps["discount"].tolist() == [0.125, 0.25, 0.5, 0, 0]
    assert steps.truncated.tolist() == [True, True, True, False, False]


def test_all_versions_of_a_policy_are_selected(record) -> None:
    labels = ("policy:a@b@3", "policy:a@b@21", "policy:a@4", "script:a@5")
    controllers = schema(info=[column("controller", "i64", space=discrete(4, labels))])
    recording = record([Life(length=5, controllers=[0, 1, 2, 3, 0])], controllers)

    def steps(controller: str) -> list[int]:
        return recording.where(controller=controller)["step"].tolist()

    assert steps("policy:a@b@*") == [0, 1, 4] and steps("policy:a@*") == [2] and steps("policy:a@b@21") == [1]
    assert steps("script:a@*") == steps("policy:b@*") == steps("policy:*") == []


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_column_without_a_controller_is_as_no_column(record, kind: pa.DataType) -> None:
    # A game that does not say who acted, and one that has a column of its own for it.
    def extra(table: pa.Table) -> pa.Table:
        return table.append_column("controller", pa.nulls(len(table), kind))

    plain = record(5, extra=extra)
    assert "controller" not in plain.columns
    with pytest.raises(bx.NoSuchColumnError, match="no column `controller`"):
        plain.where(controller="person")
    own = record([Life(length=2, controllers=[1, 0])], CONTROLLER, extra=extra, folder="own")
    assert own.where(controller="bot")["step"].tolist() == [0]


def test_rows_can_be_filtered(record) -> None:
    recording = record(20)
    mask = recording["reward"] > 0
    kept = recording.filter(mask)
    assert kept["reward"].tolist() == recording["reward"][mask].tolist()
    assert len(kept.filter(np.zeros(len(kept), bool))) == 0
    assert kept.filter(np.ones(len(kept), bool)).segments.start.tolist() == kept.segments.start.tolist()
    with pytest.raises(IndexError, match="does not select"):
        recording.filter(mask[1:])


def test_episodes(record) -> None:
    episodes = [
        Life(length=3, match=None, tags=("a",)),
        Life(length=2, terminated=False, reason="split", agent=4),
        Life(length=2, agent=4, continues=(0x2A << 32) + 1),
    ]
    recording = record(episodes, schema(action_mask=3, info=[column("logp")]))
    first, second, third = recording.episodes
    assert (first.match_id, second.match_id, first.tags) == (None, 0, {"a"})
    assert (first.continues, third.continues) == (None, second.episode_id)
    assert first.terminated and not first.truncated and second.truncated and second.end_reason == "split"
    assert (
        first.observations.shape == (4, 8) and first.action_masks.shape == (4, 3) and first.flat_actions.shape == (3, 4)
    )
    assert first.columns["info.logp"].shape == (3,) and first.columns["tick"].tolist() == [100, 101, 102]
    assert first.total_reward == pytest.approx(recording.episodes.table["return"][0])
    assert (recording[:3].next_action_mask == first.action_masks[1:]).all()
    assert [len(e) for e in recording.episodes[1:]] == [2, 2] and len(recording.episodes[-1]) == 2
    with pytest.raises(IndexError):
        recording.episodes[3]
    table = recording.episodes.table
    assert table["length"].tolist() == [3, 2, 2] and table["match_id"].tolist() == [None, 0, 0]
    assert recording["end_reason"].tolist() == [None, None, "death", None, "split", None, "death"]
    assert "3 transitions of agent 1" in repr(first) and "7 rows of 3 episodes" in repr(recording)

"""Invariants of a dataset with every loader: whole episodes, aligned rows, and counts that match the accounts."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import numpy
import pyarrow.parquet

from rows import Rows, bits


def test_steps_are_contiguous_from_zero(rows: Rows) -> None:
    assert (rows["step"][rows.first] == 0).all()
    inside = ~rows.first[1:]
    assert (numpy.diff(rows["step"])[inside] == 1).all()


def test_next_observation_is_the_next_rows_observation_inside_an_episode(rows: Rows) -> None:
    inside = ~rows.last[:-1] & rows.has_next[:-1]
    observation, following = bits(rows["observation"]), bits(rows["next_observation"])
    assert (following[:-1][inside] == observation[1:][inside]).all()


def test_every_last_row_has_the_true_final_observation(rows: Rows) -> None:
    """The final observation differs from the first one of the player's next episode, which is after the reset."""
    assert rows.has_next[rows.last].all()
    first, last = numpy.flatnonzero(rows.first), numpy.flatnonzero(rows.last)
    order = numpy.lexsort((rows["tick"][first], rows["agent_id"][first], rows["run"][first]))
    first, last = first[order], last[order]
    again = numpy.logical_and.reduce([numpy.diff(rows[name][first]) == 0 for name in ("run", "agent_id")])
    # After a terminated episode the world was reset; after a truncated one it may continue.
    again &= rows["terminated"][last[:-1]].astype(bool)
    ended, began = last[:-1][again], first[1:][again]
    if len(ended):
        final, initial = bits(rows["next_observation"])[ended], bits(rows["observation"])[began]
        # Some may be equal by chance.
        assert (final != initial).any(axis=1).mean() > 0.5, "final observations are those after the reset"


def test_end_flags_stand_on_last_rows_only_and_always(rows: Rows) -> None:
    terminated, truncated = rows["terminated"].astype(bool), rows["truncated"].astype(bool)
    assert not (terminated & truncated).any()
    assert ((terminated | truncated) == rows.last).all()
    assert (rows.has_reason == rows.last).all()


def test_the_spaces_are_those_of_the_columns(rows: Rows, experience: dict) -> None:
    for name in ("observation", "action"):
        space, values = experience[f"{name}_space"], rows[name]
        if space["type"] == "Discrete":
            assert ((values >= 0) & (values < space["n"])).all()
            continue
        assert list(values.shape[1:]) == space["shape"]
        low, high = (
            numpy.array([infinity if bound is None else bound for bound in space[side]])
            for side, infinity in (("low", -numpy.inf), ("high", numpy.inf))
        )
        assert ((values >= low) & (values <= high)).all(), name


def test_ticks_lead_from_one_row_to_the_next(rows: Rows) -> None:
    assert (rows["ticks"] >= 0).all()
    inside = ~rows.last[:-1]
    assert ((rows["tick"] + rows["ticks"])[:-1][inside] == rows["tick"][1:][inside]).all()
    assert (numpy.diff(rows["timestamp"])[inside] >= 0).all()


def test_an_episode_belongs_to_one_player_of_one_run(rows: Rows) -> None:
    inside = ~rows.first[1:]
    for name in ("agent_id", "run", "continues"):
        assert (numpy.diff(rows[name])[inside] == 0).all(), name
    assert (rows["episode_id"] >> 32 == rows["run"]).all()


def test_changed_has_a_bit_for_each_feature_that_differs(rows: Rows) -> None:
    known = rows.has_next
    differs = bits(rows["observation"])[known] != bits(rows["next_observation"])[known]
    assert (numpy.packbits(differs, axis=1, bitorder="little") == rows["changed"][known]).all()


def test_a_next_mask_is_the_next_rows_mask(rows: Rows) -> None:
    if "action_mask" in rows.columns:
        inside = ~rows.last[:-1]
        assert (rows["next_action_mask"][:-1][inside] == rows["action_mask"][1:][inside]).all()


def test_columns_are_as_wide_as_the_description_says(rows: Rows, experience: dict) -> None:
    assert rows["observation"].dtype == numpy.float32
    assert rows["observation"].shape[1] == len(experience["features"])
    space = experience["observation_space"]
    assert space["shape"] == [rows["observation"].shape[1]] == [len(space["low"])] == [len(space["high"])]
    for term in experience["schema"]["reward_terms"]:
        assert rows[f"reward.{term}"].dtype == numpy.float32
    for info in experience["schema"]["info"]:
        assert f"info.{info['name']}" in rows.columns


def test_action_holds_all_of_its_parts(rows: Rows, experience: dict) -> None:
    if rows["action"].ndim == 1:
        assert rows["action"].dtype == numpy.int64
        return
    start = 0
    for column in experience["schema"]["action"]:
        width = int(numpy.prod(column["shape"], dtype=int))
        part = rows.columns.get(f"action.{column['name']}")
        if part is not None:
            packed = rows["action"][:, start : start + width]
            assert (packed == part.reshape(len(rows), width).astype(numpy.float32)).all()
        start += width
    assert start == rows["action"].shape[1]


def test_counts_are_those_of_the_accounts(rows: Rows, runs: list[dict]) -> None:
    ids, lengths = numpy.unique(rows["run"], return_counts=True)
    written = dict(zip(ids.tolist(), lengths.tolist()))
    last = rows.last
    for run in runs:
        account = run["account"]
        assert run["status"] in ("closed", "recovered")  # not "running": the account is final
        assert account["recorded"] == sum(account[part] for part in ("exported", "dropped", "discarded", "pending"))
        assert account["exported"] == written.pop(run["run"], 0)
        mine = rows["run"] == run["run"]
        assert account["episodes"] == int((mine & last).sum())
        assert account["exported"] == sum(shard["transitions"] for shard in run["shards"])
        assert account["episodes"] == sum(shard["episodes"] for shard in run["shards"])
    assert not written, "rows of runs without an account"


def test_totals_by_agent_are_those_of_the_rows(rows: Rows, recording: Path, experience_command: str) -> None:
    printed = subprocess.run(
        [experience_command, "info", str(recording.parent), "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    infos = [json.loads(line) for line in printed.stdout.splitlines()]
    (info,) = (info for info in infos if info["folder"] == recording.name)
    totals = {int(agent): totals for agent, totals in info["agent_totals"].items()}
    transitions = Counter(rows["agent_id"].tolist())
    assert {agent: counts["transitions"] for agent, counts in totals.items()} == transitions
    episodes = Counter(rows["agent_id"][rows.last].tolist())
    assert {agent: counts["episodes"] for agent, counts in totals.items()} == episodes
    rewards = sum(counts["total_reward"] for counts in totals.values())
    assert numpy.isclose(rows["reward"].sum(), rewards)


def test_counts_are_those_of_the_summary(runs: list[dict], summary: dict) -> None:
    account = runs[-1]["account"]
    for count in ("recorded", "exported", "dropped", "discarded", "pending", "episodes"):
        assert account[count] == summary[count], count


def test_all_players_of_a_tick_of_a_match_can_be_joined(rows: Rows) -> None:
    # A row belongs to the tick in which it begins; later ticks of a longer transition are not counted.
    key = numpy.stack([rows["run"], numpy.where(rows.has_match, rows["match_id"], -1), rows["tick"]])
    ticks, where, players = numpy.unique(key, axis=1, return_inverse=True, return_counts=True)
    where = where.ravel()
    assert players.max() > 1, "no tick has two players"
    with_agent = numpy.stack([where, rows["agent_id"]])
    assert numpy.unique(with_agent, axis=1).shape[1] == len(rows), "an agent has two rows in one tick"
    # All rows of a tick have one timestamp.
    time = numpy.full(ticks.shape[1], numpy.nan)
    time[where] = rows["timestamp"]
    assert (time[where] == rows["timestamp"]).all()


def test_all_shards_have_one_schema(shards: list[Path]) -> None:
    one = pyarrow.parquet.read_schema(shards[0])
    for shard in shards[1:]:
        assert pyarrow.parquet.read_schema(shard).equals(one, check_metadata=True), shard


def test_a_shard_holds_whole_episodes_in_order(shards: list[Path], runs: list[dict]) -> None:
    accounts = {shard["file"]: shard for run in runs for shard in run["shards"]}
    assert set(accounts) == {shard.name for shard in shards}
    for path in shards:
        table = pyarrow.parquet.read_table(path, columns=["episode_id", "step", "terminated", "truncated"])
        ids, step = table["episode_id"].to_numpy(), table["step"].to_numpy()
        ends = table["terminated"].to_numpy() | table["truncated"].to_numpy()
        starts = step == 0
        assert starts[0] and ends[-1]
        assert (starts[1:] == ends[:-1]).all()
        assert len(numpy.unique(ids)) == starts.sum(), "the rows of an episode are not contiguous"
        assert accounts[path.name]["episodes"] == int(starts.sum())
        assert accounts[path.name]["transitions"] == len(ids)

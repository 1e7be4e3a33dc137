"""The cache: equal to the shards, and built anew when they change."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from writer import CONTINUOUS, DISCRETE, MIXED, Life, column, lives, schema, write

import bevy_experience as bx
from bevy_experience import _shards
from bevy_experience._cache import _key

WIDE = [column("board", shape=(20, 20))]
SCHEMAS = {
    "mixed": schema(),
    "continuous": schema(action=CONTINUOUS, reward_terms=[]),
    "discrete": schema(action=DISCRETE, action_mask=3),
    "wide": schema(observation=WIDE, action_mask=2, info=[column("behavior_logp"), column("hint", "i64", (2,))]),
    "no action": schema(action=[]),
    "nothing observed": schema(observation=[]),
    "no features": schema(observation=[], images=[column("eye", "u8", (2, 3, 1))]),
    "image": schema(images=[column("eye", "u8", (4, 5, 3)), column("map", "u8", (2, 2, 1))]),
}


def tables(recording: bx.Recording) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in recording.shards]).combine_chunks()


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("batch_rows", [1, 3, 16_384])
def test_every_column_is_that_of_the_shards(record, monkeypatch, kind: str, batch_rows: int) -> None:
    monkeypatch.setattr(_shards, "_BATCH_ROWS", batch_rows)
    recording = record(11, SCHEMAS[kind], per_shard=3, row_group=7)
    table = tables(recording)
    assert len(recording) == table.num_rows and recording.accounts.episodes == 11
    for name in table.column_names:
        if name == "action" and recording.schema.has_parts:
            flat = recording[:].flat_action
            assert flat.dtype == np.float32 and flat.tolist() == table[name].to_pylist()
            with pytest.raises(bx.UnsuitableError, match=r"several types: read action\.steer, action\.deed"):
                recording["action"]
            continue
        found, expected = recording[name], table[name].to_pylist()
        if name.startswith(("observation.", "next_observation.")):
            assert found.dtype == np.uint8
            kept = [row for row, image in enumerate(expected) if image is not None]
            assert [bytes(image) for image in found[kept]] == [expected[row] for row in kept]
        elif name in ("match_id", "continues"):
            assert found.tolist() == expected
        elif name == "next_observation":
            kept = [row for row, value in enumerate(expected) if value is not None]
            assert (found[kept] == np.array([expected[row] for row in kept], np.float32)).all()
        else:
            assert (
                found.tolist() == expected
                or (found.reshape(len(found), -1) == np.array(expected).reshape(len(found), -1)).all()
            ), name
    returns = [episode.total_reward for episode in recording.episodes]
    assert np.allclose(recording.episodes.table["return"], returns)
    heads = recording[:].actions
    for head in SCHEMAS[kind]["action"]:
        values = heads[head["name"]]
        assert values.shape == (len(recording), *head["shape"])
        assert values.dtype == {"f32": "float32", "i64": "int64", "u8": "uint8", "bool": "bool"}[head["dtype"]]


@pytest.mark.parametrize("kind", ["mixed", "wide", "image"])
def test_the_next_observation_is_that_of_the_next_row_or_the_final_one(record, kind: str) -> None:
    recording = record(9, SCHEMAS[kind])
    last = recording["terminated"] | recording["truncated"]
    names = ["observation"] + [f"observation.{image.name}" for image in recording.schema.images]
    for name in names:
        before, after = recording[name], recording[f"next_{name}"]
        assert (after[:-1][~last[:-1]] == before[1:][~last[:-1]]).all()
    rows = np.random.default_rng(0).permutation(len(recording))
    assert (recording[rows].next_observation == recording["next_observation"][rows]).all()
    for episode in recording.episodes:
        assert len(episode.observations) == len(episode) + 1


def test_stored_columns_are_views_of_files(record) -> None:
    recording = record(3)
    for name in ("observation", "reward", "action.steer", "terminated", "tick"):
        values = recording[name]
        assert values is recording[name] or values.base is not None
        assert not values.flags.writeable and np.shares_memory(values, recording[name])


def test_the_cache_is_built_once(record, cache: Path, monkeypatch) -> None:
    first = record(4)[:].reward

    def refuse(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr("bevy_experience._build.StoreBuilder.build", refuse)
    again = bx.open(cache.parent / "dataset")["fighter"]
    assert (again[:].reward == first).all()
    assert len(list(cache.glob("fighter-*/*"))) == 1


def reopen(recording: bx.Recording) -> bx.Recording:
    return bx.open(recording.path.parent)[recording.path.name]


def test_a_new_shard_a_removed_one_and_a_changed_one_build_it_anew(record) -> None:
    recording = record(8, per_shard=2)
    rows, shards = len(recording), recording.shards
    removed = pq.read_metadata(shards[0]).num_rows
    shards[0].unlink()
    assert len(reopen(recording)) == rows - removed
    table = pq.read_table(shards[1])
    index = table.column_names.index("reward")
    status = shards[1].stat()
    changed = table.set_column(index, "reward", pa.array(np.full(table.num_rows, 5.0)))
    pq.write_table(changed, shards[1])
    os.utime(shards[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (reopen(recording)["reward"][: table.num_rows] == 5).all()
    write(recording.path.parent, [Life(run=7, length=3)], seed=5)
    assert len(reopen(recording)) == rows - removed + 3
    # A recording that was opened before keeps its rows.
    assert len(recording) == rows and recording[:].reward.shape == (rows,)


def test_a_file_of_the_same_name_length_and_time_is_told_from_another(tmp_path: Path) -> None:
    path, definition = tmp_path / "a.parquet", bx.Schema.parse(schema(), "0")
    keys = set()
    for reward in (1.0, 2.0):
        pq.write_table(pa.table({"reward": [reward]}), path)
        os.utime(path, ns=(0, 0))
        keys.add((path.stat().st_size, _key(definition, [path], {}, skip_damaged=False)))
    assert len({size for size, _ in keys}) == 1 and len(keys) == 2
    # The writer's checksum changes with rows that leave the footer as it is.
    assert _key(definition, [path], {path.name: 1}, skip_damaged=False) != _key(
        definition, [path], {path.name: 2}, skip_damaged=False
    )


def test_a_cache_that_lost_a_file_is_built_anew(record, cache: Path) -> None:
    recording = record(3)
    expected = recording["reward"].tolist()
    (folder,) = cache.glob("fighter-*/*")
    (folder / "0.bin").write_bytes(b"short")
    assert reopen(recording)["reward"].tolist() == expected
    (folder / "meta.json").write_text("{")
    assert reopen(recording)["reward"].tolist() == expected


def test_old_caches_and_interrupted_builds_are_removed(record, cache: Path) -> None:
    recording = record(3)
    len(recording)
    (home,) = cache.iterdir()
    old = time.time() - 2 * 24 * 3600
    (first,) = home.iterdir()
    interrupted, fresh = home / ".building-old", home / ".building-new"
    interrupted.mkdir()
    fresh.mkdir()
    for path in (first / "meta.json", interrupted):
        os.utime(path, (old, old))
    write(recording.path.parent, [Life(run=9)])
    len(reopen(recording))
    left = set(home.iterdir())
    assert first not in left and interrupted not in left and fresh in left and len(left) == 2


PROGRAM = """
import sys
import bevy_experience
print(sum(bevy_experience.open(sys.argv[1])["fighter"]["reward"]))
"""


def test_processes_build_the_cache_at_once(record, cache: Path) -> None:
    recording = record(200, per_shard=10)
    command = [sys.executable, "-c", PROGRAM, str(recording.path.parent)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    sums = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(sums) == 1 and len(list(cache.glob("fighter-*/*"))) == 1


def test_a_selection_can_be_pickled(record) -> None:
    recording = record(12)
    for selection in (recording, recording.where(terminated=True), recording.split(0.5, 0.5)[0]):
        data = pickle.dumps(selection)
        assert len(data) < 20_000
        copy = pickle.loads(data)
        assert (copy[:].reward == selection[:].reward).all() and copy.schema == selection.schema


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(record, tmp_path: Path) -> None:
    record(1)
    (tmp_path / "file").write_text("")
    dataset = bx.open(tmp_path / "dataset", cache=tmp_path / "file" / "cache")
    with pytest.raises(bx.UnsuitableError, match="BEVY_EXPERIENCE_CACHE"):
        len(dataset["fighter"])


def test_memory_is_bounded_while_the_cache_is_built(tmp_path: Path) -> None:
    """Of a recording of 60 MiB."""
    episodes = [Life(length=1000) for _ in range(40)]
    write(
        tmp_path / "dataset",
        episodes,
        schema(observation=[column("x", shape=(200,))], action=MIXED),
        per_shard=40,
        row_group=4000,
    )
    program = """
import resource, sys
import bevy_experience, pyarrow
recording = bevy_experience.open(sys.argv[1])["fighter"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
len(recording)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "dataset")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000, f"{int(done.stdout) >> 10} MiB"


def test_the_cache_has_the_folder_that_the_system_provides(monkeypatch, tmp_path: Path) -> None:
    from bevy_experience import _cache

    monkeypatch.delenv("BEVY_EXPERIENCE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert _cache.default_folder() == tmp_path / "bevy-experience"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _cache.default_folder().parts[-3:] == ("Library", "Caches", "bevy-experience")


def test_a_live_dataset_is_read_as_it_was_opened(tmp_path: Path, rng) -> None:
    """Shards in `partial/` and files that are hidden are no rows."""
    folder = write(tmp_path / "dataset", lives(3, rng), status="running")
    (folder / "partial").mkdir()
    shard = next((folder / "data").iterdir())
    (folder / "partial" / (shard.name + ".tmp")).write_bytes(b"half")
    (folder / "data" / ".hidden.parquet").write_bytes(b"")
    (folder / "journal" / "0000002a").mkdir(parents=True)
    accounts = bx.open(tmp_path / "dataset")["fighter"].accounts
    assert accounts.episodes == 3 and len(accounts.unfinished) == 1 and len(accounts.journals) == 1
    assert any("has not ended" in sentence for sentence in accounts.missing())
    json.dumps(accounts.missing())

"""Datasets that `experience filter`, `split` and `compact` have written.

EXPERIENCE_COMMAND=target/debug/experience pytest tests/test_curation.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from writer import Life, lives, write

import bevy_experience as bx


def run(*arguments: str | Path, code: int = 0) -> dict:
    command = os.environ.get("EXPERIENCE_COMMAND")
    if not command:
        pytest.skip("EXPERIENCE_COMMAND names no command")
    done = subprocess.run([command, "--json", "--quiet", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def episodes(rng: np.random.Generator) -> list[Life]:
    found = lives(60, rng)
    for number, life in enumerate(found):
        life.run, life.agent = 5 + number % 2, number % 5 - 1
        life.tags = ("won",) if number % 7 == 0 else ()
        life.match = number // 10 if number % 3 else None
    return found


@pytest.fixture
def dataset(tmp_path: Path, rng: np.random.Generator) -> Path:
    write(tmp_path / "dataset", episodes(rng))
    return tmp_path / "dataset"


def only(folder: Path) -> bx.Recording:
    (recording,) = bx.open(folder).values()
    return recording


def assert_same_rows(found: bx.Transitions, expected: bx.Transitions) -> None:
    assert len(found) == len(expected) > 0
    for name in expected.columns:
        a, b = found[name], expected[name]
        # `episode` numbers the episodes of the recording, and words have codes of their own in each.
        if name not in ("end_reason", "episode") and not name.endswith("controller"):
            np.testing.assert_array_equal(np.ma.getdata(a), np.ma.getdata(b), err_msg=name)


@pytest.mark.parametrize(
    ("options", "conditions"),
    [
        (["--agent", "1,-1"], {"agent_id": (1, -1)}),
        (["--tag", "won"], {"tag": "won"}),
        (["--without-tag", "won", "--terminated"], {"without_tag": "won", "terminated": True}),
        (["--return-quantile", "0.25..0.8"], {"return_quantile": (0.25, 0.8)}),
        (["--min-return", "-0.5", "--max-length", "6"], {"min_return": -0.5, "max_length": 6}),
        (["--run", "00000005"], {"run": 5}),
    ],
)
def test_filter_selects_the_episodes_of_where(dataset: Path, tmp_path: Path, options: list, conditions: dict) -> None:
    source, to = only(dataset), tmp_path / "filtered"
    filtered = run("filter", dataset, "-o", to, *options)["filtered"]
    found, expected = only(to), source.where(**conditions)
    assert_same_rows(found, expected)
    assert filtered["episodes"] == len(expected.episodes)
    accounts = found.accounts
    assert accounts.filtered_transitions == len(source) - len(expected) == accounts.totals.discarded
    (sentence,) = [text for text in accounts.missing() if "left out" in text]
    assert sentence.startswith(f"{len(source) - len(expected):,} transitions were left out of the dataset: filter: ")
    ids = set(found["episode_id"].tolist())
    assert set(found.tags) == ids & set(source.tags)


@pytest.mark.parametrize("by", ["episode", "agent", "match"])
def test_split_writes_the_parts_of_split(dataset: Path, tmp_path: Path, by: str) -> None:
    for seed in (0, 7):
        to = tmp_path / f"split-{seed}"
        run("split", dataset, "-o", to, "--by", by, "--seed", str(seed))
        parts = only(dataset).split(0.8, 0.1, 0.1, by=by, seed=seed)
        for name, expected in zip(("train", "validation", "test"), parts, strict=True):
            assert_same_rows(only(to / name), expected)


def test_compact_changes_no_row(dataset: Path, tmp_path: Path) -> None:
    before = only(dataset)
    copy = shutil.copytree(dataset, tmp_path / "copy")
    run("compact", copy)
    after = only(copy)
    assert (len(before.shards), len(after.shards)) == (16, 2)
    order = np.lexsort((after["step"], after["episode_id"]))
    assert (order == np.arange(len(after))).all()
    assert_same_rows(after, before)
    assert after.accounts.totals == before.accounts.totals and not after.accounts.missing()
    run("compact", dataset, "-o", tmp_path / "other")
    assert_same_rows(only(tmp_path / "other"), before)


def pending(folder: Path) -> list[str]:
    """Leave the compaction of run 6 as a process that died in the middle does."""
    data = folder / "data"
    account = folder / "runs/00000006.json"
    old = json.loads(account.read_text())["shards"]
    new = {"file": "00000006-00008.parquet", "episodes": 30, "transitions": sum(s["transitions"] for s in old)}
    table = pa.concat_tables([pq.read_table(data / shard["file"]) for shard in old])
    pq.write_table(table.unify_dictionaries(), data / new["file"])
    document = {"changes": 1, "pending": {"run": 6, "old": old, "new": [new]}, "compacted": {"00000005": 1}}
    (folder / "compaction.json").write_text(json.dumps(document))
    return [shard["file"] for shard in old]


def test_a_compaction_that_was_interrupted_shows_each_row_once(dataset: Path) -> None:
    (folder,) = [path for path in dataset.iterdir() if path.is_dir()]
    before = only(dataset)
    rows, shards = before["tick"].tolist(), len(before.shards)
    old = pending(folder)
    # All new shards are there, and some of the old ones are removed.
    (folder / "data" / old[0]).unlink()
    found = only(dataset)
    assert len(found.shards) == shards - len(old) + 1
    assert found["tick"].tolist() == rows and not found.accounts.missing()
    assert found.accounts.totals == before.accounts.totals


def test_new_shards_are_hidden_until_all_are_there(dataset: Path) -> None:
    (folder,) = [path for path in dataset.iterdir() if path.is_dir()]
    before = only(dataset)
    old = pending(folder)
    document = json.loads((folder / "compaction.json").read_text())
    document["pending"]["new"].append({"file": "00000006-00009.parquet", "episodes": 1, "transitions": 1})
    (folder / "compaction.json").write_text(json.dumps(document))
    found = only(dataset)
    assert [path.name for path in found.shards] == [path.name for path in before.shards]
    assert len(found) == len(before) and not found.accounts.missing()
    (folder / "data" / old[0]).unlink()
    with pytest.raises(bx.UnsuitableError, match="run `experience compact`"):
        _ = only(dataset).shards


def test_a_reader_of_shards_that_were_compacted_gets_an_error(dataset: Path) -> None:
    (folder,) = [path for path in dataset.iterdir() if path.is_dir()]
    recording = only(dataset)
    assert len(recording.shards) == 16
    (folder / "data/00000005-00003.parquet").unlink()
    (folder / "compaction.json").write_text(json.dumps({"changes": 3, "compacted": {"00000005": 8}}))
    with pytest.raises(bx.UnsuitableError, match="has compacted it since the dataset was opened"):
        len(recording)
    (folder / "compaction.json").write_text("{")
    with pytest.raises(bx.DamagedError, match=r"compaction\.json"):
        _ = only(dataset).shards


def test_episodes_that_were_discarded_after_their_end_are_skipped(tmp_path: Path, rng: np.random.Generator) -> None:
    found = lives(10, rng)
    for number in (2, 3, 9):
        found[number].tags = ("discarded", "won")
    write(tmp_path, found)
    recording = only(tmp_path)
    ids = [life.id for number, life in enumerate(found) if number not in (2, 3, 9)]
    assert recording.episodes.table["episode_id"].tolist() == ids
    assert np.unique(recording["episode_id"]).tolist() == ids and len(recording.discarded) == 3
    skipped = sum(found[number].length for number in (2, 3, 9))
    assert len(recording) == sum(life.length for life in found) - skipped
    assert recording.accounts.discarded_transitions == skipped
    sentence = f"{skipped} transitions were discarded after their episodes had ended, and are skipped"
    assert recording.accounts.missing() == [sentence]
    with pytest.raises(bx.UnsuitableError, match="7 episodes cannot be divided into 8 parts"):
        recording.split(*[0.1] * 8)
    assert not len(recording.where(tag="won"))


def test_split_and_filter_leave_out_what_was_discarded(tmp_path: Path, rng: np.random.Generator) -> None:
    found = episodes(rng)
    for number in (0, 7, 20):
        found[number].tags = ("discarded",)
    write(tmp_path / "dataset", found)
    source = only(tmp_path / "dataset")
    run("split", tmp_path / "dataset", "-o", tmp_path / "parts", "--by", "match")
    for name, part in zip(("train", "validation", "test"), source.split(0.8, 0.1, 0.1, by="match"), strict=True):
        assert_same_rows(only(tmp_path / "parts" / name), part)
    run("filter", tmp_path / "dataset", "-o", tmp_path / "some", "--return-quantile", "0.5..1")
    assert_same_rows(only(tmp_path / "some"), source.where(return_quantile=(0.5, 1.0)))
    assert run("compact", tmp_path / "dataset")["compacted"][0]["discarded"] == 3
    after = only(tmp_path / "dataset")
    assert_same_rows(after, source)
    assert not after.discarded and after.accounts.transitions == len(after)

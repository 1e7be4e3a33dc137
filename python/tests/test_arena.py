"""A dataset that a game recorded, beside what the command `experience` reads of it.

EXPERIENCE_DATASET=data/arena EXPERIENCE_COMMAND=target/debug/experience pytest tests/test_arena.py
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import bevy_experience as bx
from bevy_experience.filters import controllers

ROWS = 2000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> bx.Dataset:
    named = os.environ.get("EXPERIENCE_DATASET")
    if not named:
        pytest.skip("EXPERIENCE_DATASET names no dataset")
    return bx.open(Path(named), cache=tmp_path_factory.mktemp("cache"))


def run(dataset: bx.Dataset, *arguments: str) -> list[dict]:
    command = os.environ.get("EXPERIENCE_COMMAND")
    if not command:
        pytest.skip("EXPERIENCE_COMMAND names no command")
    verb, *rest = arguments
    done = subprocess.run(
        [command, "--json", "--quiet", verb, str(dataset.path), *rest], capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_counts_are_those_of_info_and_validate(dataset: bx.Dataset) -> None:
    for info, valid in zip(run(dataset, "info"), run(dataset, "validate"), strict=True):
        recording, overview = dataset[info["folder"]], info["overview"]
        assert recording.schema.hash == info["schema_hash"] and recording.schema.definition == info["schema"]
        assert len(recording) == overview["transitions"] == valid["validation"]["transitions"]
        assert recording.accounts.episodes == info["episodes"] == valid["validation"]["episodes"]
        assert len(recording.shards) == overview["shards"] and valid["valid"]
        assert [run.id for run in recording.accounts.runs] == [run["run"] for run in overview["runs"]]
        for ours, theirs in zip(recording.accounts.runs, overview["runs"], strict=True):
            assert ours.counts.recorded == theirs["account"]["recorded"] and ours.status == theirs["status"]
        table = recording.episodes.table
        for agent, totals in info["agent_totals"].items():
            own = table["agent_id"] == int(agent)
            assert (own.sum(), table["length"][own].sum()) == (totals["episodes"], totals["transitions"])
            assert table["return"][own].sum() == pytest.approx(totals["total_reward"])


def test_rows_are_those_of_head(dataset: bx.Dataset) -> None:
    for name in dataset:
        recording = dataset[name]
        rows = run(dataset, "head", "--recording", recording.name, "-n", str(ROWS))
        batch = recording.take(
            slice(0, len(rows)),
            columns=[c for c in recording.columns if c != "action" or not recording.schema.has_parts],
        )
        assert len(rows) == min(ROWS, len(recording))
        for column in batch:
            if column not in rows[0]:
                continue
            expected = [row.get(column) for row in rows]
            if batch[column].dtype == np.uint8 and column.startswith(("observation.", "next_observation.")):
                images = [None if text is None else base64.b64decode(text) for text in expected]
                assert all(
                    image is None or image == bytes(own) for image, own in zip(images, batch[column], strict=True)
                )
                assert any(image is not None for image in images)
                continue
            found = batch[column].tolist()
            if column == "controller":
                _, labels = controllers(recording)
                found = [None if code < 0 else labels[code] for code in found]
            if column in ("episode_id", "agent_id", "match_id", "run", "continues"):
                found = [None if value is None else str(value) for value in found]
            if batch[column].dtype == np.float32:
                found, expected = np.array(found), np.array(expected, np.float32)
                # `policy_info` is NaN where no policy acted.
                assert np.array_equal(found, expected, equal_nan=True), column
            else:
                assert found == expected, column


def test_returns_and_ends_are_those_of_stats(dataset: bx.Dataset) -> None:
    for stats in run(dataset, "stats"):
        found = stats["stats"]
        table = dataset[stats["recording"]].episodes.table
        assert table["terminated"].sum() == found["terminated"] and table["truncated"].sum() == found["truncated"]
        reasons, counts = np.unique(table["end_reason"].astype(str), return_counts=True)
        assert dict(zip(reasons.tolist(), counts.tolist(), strict=True)) == found["reasons"]
        assert table["return"].mean() == pytest.approx(found["returns"]["mean"])


def test_summaries_are_those_of_info_and_stats(dataset: bx.Dataset) -> None:
    for info, stats in zip(run(dataset, "info"), run(dataset, "stats"), strict=True):
        recording, theirs = dataset[info["folder"]], info["overview"]["summary"]
        # Every shard has one, and no row is read for it.
        assert theirs["transitions"] == info["overview"]["transitions"] and recording._footers is not None
        found, rows = recording.summary(), recording.filter(np.ones(len(recording), bool))
        scale, measured = recording.normalization(), rows.normalization()
        for name in ("mean", "std", "low", "high"):
            assert np.allclose(getattr(scale, name), getattr(measured, name), rtol=1e-6), name
        assert (scale.flags == measured.flags).all() and scale.count == measured.count
        for same in (rows.summary(), found):
            assert same.transitions == theirs["transitions"]
            for profiles in (theirs, stats["profile"]):
                features = profiles["observation"]
                assert list(same.observation.names) == [feature["name"] for feature in features]
                for ours, name in (("count", "count"), ("non_finite", "non_finite"), ("min", "min"), ("max", "max")):
                    assert getattr(same.observation, ours).tolist() == [feature[name] for feature in features]
                assert np.allclose(same.observation.mean, [f["mean"] for f in features], rtol=1e-9, atol=1e-12)
                assert np.allclose(same.observation.std, [f["deviation"] for f in features], rtol=1e-6, atol=1e-9)
                assert same.reward.mean[0] == pytest.approx(profiles["reward"]["mean"])
                steps = {found["controller"]: found["transitions"] for found in profiles["controllers"]}
                assert same.controllers == steps
                counts = {a["name"]: [c["count"] for c in a["classes"]] for a in profiles["action_classes"]}
                assert {name: classes.counts.tolist() for name, classes in same.action_classes.items()} == counts


def test_the_bots_of_the_arena_say_who_acted(dataset: bx.Dataset) -> None:
    if "fighter" not in dataset:
        pytest.skip("the dataset is not the arena's")
    fighter = dataset["fighter"]
    codes, labels = controllers(fighter)
    assert sorted(labels) == ["script:collector", "script:hunter", "script:wanderer"]
    # A match has an equal number of each, by the number of the agent in its match.
    agents = fighter["agent_id"]
    assert all(len(np.unique(agents[codes == code] % 16 % 3)) == 1 for code in range(3)) and (codes >= 0).all()
    hunter = fighter.where(controller="script:hunter")
    assert len(hunter) == (codes == labels.index("script:hunter")).sum() > 0
    assert not hunter["truncated"][hunter["terminated"]].any()
    (stats,) = run(dataset, "stats", "--recording", "fighter")
    for profile in stats["profile"]["controllers"]:
        own = fighter.where(controller=profile["controller"])
        assert (len(own), len(own.episodes)) == (profile["transitions"], profile["episodes"])
        assert own.episodes.table["return"].mean() == pytest.approx(profile["mean_return"])
    (deed,) = stats["profile"]["action_classes"]
    counts = np.bincount(fighter["action.intent.deed"], minlength=3)
    assert [c["label"] for c in deed["classes"]] == list(fighter.schema.heads["intent.deed"].space.labels)
    assert [c["count"] for c in deed["classes"]] == counts.tolist()


def test_every_row_has_its_successor(dataset: bx.Dataset) -> None:
    for recording in dataset.values():
        for batch in recording.batches(4096, shuffle=False):
            last = batch.terminated | batch.truncated
            for name in (name for name in batch if name.startswith("next_")):
                following = batch[name.removeprefix("next_")][1:]
                assert (batch[name][:-1][~last[:-1]] == following[~last[:-1]]).all(), name
        assert last[-1]

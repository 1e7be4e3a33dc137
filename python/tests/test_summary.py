"""Summaries: from the rows, from the footers of shards, and footers that are not used."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from writer import DISCRETE, MIXED, column, discrete, schema

import bevy_experience as bx
from bevy_experience import _footers, summary

KEY = "bevy_experience.summary"


def block(moments: bx.Moments) -> dict:
    def numbers(values: np.ndarray) -> str:
        return base64.b64encode(values.astype("<f8").tobytes()).decode()

    counted = {str(index): int(count) for index, count in enumerate(moments.non_finite) if count}
    names = ("min", "max", "mean", "squares")
    bits = np.packbits(moments.binary, bitorder="little").tobytes()
    arrays = {name: numbers(getattr(moments, name)) for name in names}
    return arrays | {"non_finite": counted, "binary": base64.b64encode(bits).decode()}


def footer(found: bx.Summary, definition: bx.Schema) -> dict:
    """The document that the writer of the format makes of the rows."""
    indices = summary.class_labels(definition)
    labelled = {label: steps for label, steps in found.controllers.items() if label is not None}
    return {
        "version": 1,
        "transitions": found.transitions,
        "observation": block(found.observation),
        "action": [
            {
                "index": index,
                "counts": found.action_classes[name].counts.tolist(),
                "others": found.action_classes[name].others,
            }
            for index, (name, _) in indices.items()
        ],
        "controllers": labelled,
        "unlabelled": found.controllers.get(None, 0),
        "reward": block(found.reward),
    }


def label(table: pa.Table) -> pa.Table:
    """Add who acted: two controllers, and rows without one."""
    words = ["person", None, "script:hunter", "script:hunter"]
    labels = pa.array([words[row % 4] for row in range(table.num_rows)], pa.string())
    return table.append_column("controller", labels.dictionary_encode())


def summarized(recording: bx.Recording, change=lambda document: None) -> bx.Recording:
    """Write each shard again with the summary of its rows; ``change`` may damage that of the last."""
    first = 0
    for index, path in enumerate(recording.shards):
        table = pq.read_table(path)
        mask = np.zeros(len(recording), bool)
        mask[first : first + len(table)] = True
        first += len(table)
        document = footer(recording.filter(mask).summary(), recording.schema)
        if index == len(recording.shards) - 1:
            change(document)
        metadata = {**table.schema.metadata, KEY: json.dumps(document)}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    return bx.open(recording.path.parent)[recording.path.name]


def same(a: bx.Summary, b: bx.Summary) -> None:
    assert a.transitions == b.transitions and a.controllers == b.controllers
    for ours, theirs in ((a.observation, b.observation), (a.reward, b.reward)):
        assert ours.names == theirs.names
        for name in ("count", "non_finite", "min", "max", "binary"):
            assert (getattr(ours, name) == getattr(theirs, name)).all(), name
        assert np.allclose(ours.mean, theirs.mean, rtol=1e-12, atol=1e-12)
        assert np.allclose(ours.std, theirs.std, rtol=1e-9, atol=1e-9)
    assert a.action_classes.keys() == b.action_classes.keys()
    for name, ours in a.action_classes.items():
        theirs = b.action_classes[name]
        assert (ours.labels, ours.others) == (theirs.labels, theirs.others) and (ours.counts == theirs.counts).all()


@pytest.fixture
def own_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files of pyarrow for those of the writer of the format."""
    monkeypatch.setattr(_footers, "_WRITER", "parquet-cpp-arrow")


FLOATS = [column("a", space=discrete(4)), column("b", space=discrete(300))]
PLAIN = [column("steer", shape=(2,))]
KEYS = [column("keys", "bool", (3,), discrete(2)), column("aim", "f64", space=discrete(3))]


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 25])
@pytest.mark.parametrize(
    "action", [MIXED, DISCRETE, FLOATS, PLAIN, KEYS], ids=["mixed", "one", "floats", "none", "keys"]
)
def test_a_summary_is_that_of_the_rows(record, monkeypatch, chunk: int, action: list[dict]) -> None:
    monkeypatch.setattr(summary, "_CHUNK_BYTES", chunk)
    recording = record(30, schema(action=action), extra=label)
    for selection in (recording, recording.where(terminated=True)):
        found = selection.summary()
        assert found.transitions == len(selection)
        values = selection["observation"].astype(np.float64)
        assert (found.observation.min == values.min(0)).all() and (found.observation.max == values.max(0)).all()
        assert np.allclose(found.observation.mean, values.mean(0), rtol=1e-12)
        assert np.allclose(found.observation.std, values.std(0), rtol=1e-9)
        assert (found.observation.binary == ((values == 0) | (values == 1)).all(0)).all()
        assert found.reward.names == ("reward", "reward.alive", "reward.hit")
        assert found.reward.mean[2] == pytest.approx(selection["reward.hit"].astype(np.float64).mean())
        heads = selection.take(slice(None)).actions
        names = [name for head in selection.schema.action if head.is_discrete for name in head.element_names()]
        assert list(found.action_classes) == names
        for head in (head for head in selection.schema.action if head.is_discrete):
            flat = heads[head.name].reshape(len(selection), -1)
            for element, name in enumerate(head.element_names()):
                counts = [(flat[:, element] == number).sum() for number in range(min(head.space.n, 256))]
                classes = found.action_classes[name]
                assert classes.counts.tolist() == counts and classes.others == len(selection) - sum(counts)
                assert classes.most_frequent == classes.labels[int(np.argmax(counts))]
        codes = selection["controller"]
        words = [*recording._source.store.labels("controller"), None]
        steps = {words[code]: (codes == code).sum() for code in np.unique(codes)}
        assert found.controllers == steps and list(found.controllers.values()) == sorted(steps.values(), reverse=True)


@pytest.mark.usefixtures("own_writer")
def test_footers_have_the_summary_of_the_rows(record) -> None:
    recording = record(30, extra=label)
    from_rows, scale = recording.summary(), recording.normalization()
    assert recording._footers is None and len(recording.shards) > 2
    again = summarized(recording)
    same(again.summary(), from_rows)
    found = again.normalization()
    # No row was read.
    assert "store" not in vars(again)
    for name in ("low", "high", "flags"):
        assert (getattr(found, name) == getattr(scale, name)).all(), name
    assert np.allclose(found.mean, scale.mean, rtol=1e-6) and np.allclose(found.std, scale.std, rtol=1e-6)
    assert (found.count, found.features) == (scale.count, scale.features)
    # A selection is measured from its rows.
    assert again.where(terminated=True).summary().transitions < len(recording)


def test_the_footers_of_other_programs_are_not_used(record) -> None:
    recording = record(10)
    again = summarized(recording)
    # pyarrow keeps the metadata of a table of which rows were changed.
    path = again.shards[-1]
    table = pq.read_table(path)
    assert KEY.encode() in table.schema.metadata
    again = bx.open(recording.path.parent)[recording.path.name]
    assert again._footers is None
    same(again.summary(), recording.summary())


def _lie(document: dict, key: str, field: str, values: np.ndarray) -> None:
    document[key][field] = base64.b64encode(values.astype("<f8").tobytes()).decode()


DAMAGE = {
    "version": lambda d: d.update(version=2),
    "transitions": lambda d: d.update(transitions=d["transitions"] + 1),
    "width": lambda d: _lie(d, "observation", "mean", np.zeros(3)),
    "nan": lambda d: _lie(d, "observation", "max", np.full(8, np.nan)),
    "order": lambda d: _lie(d, "observation", "mean", np.full(8, 1e9)),
    "squares": lambda d: _lie(d, "reward", "squares", np.full(3, -1.0)),
    "base64": lambda d: d["reward"].update(min="?"),
    "binary": lambda d: d["reward"].update(binary=""),
    "non_finite": lambda d: d["reward"].update(non_finite={"3": 1}),
    "classes": lambda d: d["action"].pop(),
    "others": lambda d: d["action"][0].update(others=1),
    "controllers": lambda d: d.update(controllers={"person": 10**30}),
    "negative controllers": lambda d: d.update(
        controllers={**d["controllers"], "other": -1}, unlabelled=d["unlabelled"] + 1
    ),
    "negative others": lambda d: d["action"][0].update(
        others=d["action"][0]["others"] - 100,
        counts=[d["action"][0]["counts"][0] + 100, *d["action"][0]["counts"][1:]],
    ),
    "missing": lambda d: d.pop("reward"),
}


def test_a_deeply_nested_footer_is_not_used(record) -> None:
    class Footer:
        metadata: ClassVar = {_footers.KEY: b"[" * 1_000_000}
        created_by = "bevy_experience 0.1.0"
        num_rows = 1

    assert _footers.read(record(2).schema, Footer()) is None


@pytest.mark.usefixtures("own_writer")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_footer_is_not_used(record, damage: str) -> None:
    recording = record(20)
    expected = recording.summary()
    again = summarized(recording, DAMAGE[damage])
    assert again._footers is None
    same(again.summary(), expected)


@pytest.mark.usefixtures("own_writer")
def test_discarded_episodes_are_left_out(record) -> None:
    recording = summarized(record(20))
    assert recording._footers is not None
    episode = int(recording.episodes.table["episode_id"][3])
    tags = recording.path / "runs" / "0000002a.tags.jsonl"
    tags.write_text(json.dumps({"episode_id": episode, "agent_id": 1, "tag": "discarded"}) + "\n")
    again = bx.open(recording.path.parent)[recording.path.name]
    assert again.summary().transitions == len(again) < len(recording)


def test_an_empty_selection_and_a_recording_of_images(record, tmp_path: Path) -> None:
    nothing = record(4).where(tag="none").summary()
    assert nothing.transitions == 0 and (nothing.observation.count == 0).all() and not nothing.controllers
    assert nothing.action_classes["deed"].most_frequent is None
    images = [{"name": "eye", "dtype": "u8", "shape": [2, 2, 3], "space": {"type": "Box", "low": 0, "high": 255}}]
    found = record(4, schema(name="pictures", observation=[], images=images)).summary()
    assert found.transitions > 0 and found.observation.names == ()

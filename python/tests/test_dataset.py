"""Opening a dataset: recordings, schemas, and the errors of paths that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from writer import DISCRETE, FEATURES, Life, column, discrete, schema, schema_hash, write

import bevy_experience as bx
from bevy_experience._experience_json import read_schema
from bevy_experience.dataset import folder_name

RECORDED = Path(__file__).parent / "data" / "fighter.json"


def test_the_hash_of_a_schema_is_that_of_the_writer(tmp_path: Path) -> None:
    (tmp_path / "experience.json").write_text(RECORDED.read_text())
    found = read_schema(tmp_path)
    assert found.hash == "687fe961b0bd2e65"
    assert found.features[0] == "transform.translation.x" and found.observation_width == 39
    assert list(found.heads)[-1] == "intent.deed" and found.heads["intent.deed"].space.labels == (
        "Hold",
        "Shoot",
        "Dash",
    )
    assert found.has_parts and not found.is_continuous and found.reward_terms == ("alive", "coin", "hit")
    assert np.flatnonzero(found.flags).tolist() == [9, 15, 21, 27, 30, 33, 36]


def test_a_schema_that_was_edited_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "experience.json").write_text(RECORDED.read_text().replace("intent.aim.x", "intent.aim.z"))
    with pytest.raises(bx.DamagedError, match="does not have the hash"):
        read_schema(tmp_path)


@pytest.mark.parametrize("number", [1e-7, 1e16, 0.1, -0.0, 123456789012345680.0, 3.4028234663852886e38])
def test_numbers_are_hashed_as_they_are_written(tmp_path: Path, number: float) -> None:
    """Rust writes `1e16` where Python writes `1e+16`."""
    definition = schema(observation=[column("x", space={"type": "Box", "low": None, "high": "NUMBER"})])
    text = json.dumps(definition, separators=(",", ":")).replace(
        '"NUMBER"', repr(number).replace("e+", "e").replace("e-0", "e-")
    )
    from bevy_experience._siphash import siphash24

    document = f'{{"format": 1, "schema_hash": "{siphash24(text.encode()):016x}", "schema": {text}}}'
    (tmp_path / "experience.json").write_text(document)
    assert read_schema(tmp_path).observation[0].space.high == number


def listed(folder: Path, **changes: object) -> bx.Schema:
    """A schema of ``x`` and a list of two units, as the writer describes it."""
    names = ("x", "units[0].present", "units[0].dx", "units[1].present", "units[1].dx", "units.overflow")
    definition = schema(observation=[column(name) for name in names])
    units = {"name": "units", "start": 1, "stop": 5, "capacity": 2, "features": ["present", "dx"], "overflow": 5}
    document = {"format": 1, "schema_hash": schema_hash(definition), "schema": definition, "lists": [units | changes]}
    (folder / "experience.json").write_text(json.dumps(document, separators=(",", ":")))
    return read_schema(folder)


def test_lists_of_entities_are_views_with_a_mask(tmp_path: Path) -> None:
    found = listed(tmp_path)
    observation = np.array([[9, 1, 0.5, 0, 0, 0], [8, 1, 2.0, 1, 3.0, 7]], np.float32)
    batch = bx.Batch(found, {"observation": observation})
    assert batch.entities["units"].tolist() == [[[1, 0.5], [0, 0]], [[1, 2.0], [1, 3.0]]]
    assert batch.entity_masks["units"].tolist() == [[True, False], [True, True]]
    assert np.shares_memory(batch.entities["units"], observation)
    windows = bx.Batch(found, {"observation": observation[None]})
    assert windows.entities["units"].shape == (1, 2, 2, 2) and windows.entity_masks["units"].shape == (1, 2, 2)


@pytest.mark.parametrize("changes", [{"stop": 6}, {"start": 4, "stop": 8}, {"overflow": 6}, {"features": []}])
def test_a_list_that_is_not_in_the_observation_is_damage(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(bx.DamagedError, match="the list `units`"):
        listed(tmp_path, **changes)


def test_names_of_elements() -> None:
    parse = bx.Column.parse
    assert list(parse(column("board", shape=(2, 2))).element_names())[1:3] == ["board[0][1]", "board[1][0]"]
    assert list(parse(column("mode", shape=(2,), labels=("A", "B"))).element_names()) == ["mode=A", "mode=B"]
    assert list(parse(column("x")).element_names()) == ["x"]


def test_a_dataset_is_a_mapping_of_its_recordings(tmp_path: Path) -> None:
    write(tmp_path, [Life()])
    write(tmp_path, [Life()], schema(name="a/b"), folder="a%2Fb")
    (tmp_path / "README.md").write_text("the card")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "other").mkdir()
    dataset = bx.open(tmp_path)
    assert list(dataset) == ["a%2Fb", "fighter"] and len(dataset) == 2 and dataset.card == "the card"
    assert dataset["a/b"].name == "a/b" and dataset.recording("fighter").path == tmp_path / "fighter"
    with pytest.raises(bx.NoSuchRecordingError, match=r"has no recording `walker`; it has a%2Fb, fighter"):
        dataset["walker"]
    assert "walker" not in dataset and dataset.get("walker") is None


@pytest.mark.parametrize(
    ("name", "folder"), [("", "%empty"), ("CON", "%43ON"), ("com1", "%63om1"), ("a b", "a%20b"), ("🦀", "%F0%9F%A6%80")]
)
def test_names_of_folders(name: str, folder: str) -> None:
    assert folder_name(name) == folder


def test_other_columns_are_a_recording_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, [Life()])
    other = schema(action=DISCRETE)
    folder = f"fighter@{schema_hash(other)}"
    write(tmp_path, [Life(), Life()], other, folder=folder)
    dataset = bx.open(tmp_path)
    assert len(dataset["fighter"].episodes) == 1 and len(dataset[folder].episodes) == 2
    assert dataset["fighter"].accounts.other_schemas == (folder,)
    assert any(folder in sentence for sentence in dataset["fighter"].accounts.missing())


def test_a_path_that_is_no_dataset_names_the_one_that_is_meant(tmp_path: Path) -> None:
    with pytest.raises(bx.NotADatasetError, match="does not exist"):
        bx.open(tmp_path / "absent")
    recording = write(tmp_path / "data" / "arena", [Life()])
    for within in (recording, recording / "data", next((recording / "data").iterdir())):
        with pytest.raises(bx.NotADatasetError, match="belongs to the recording `fighter`"):
            bx.open(within)
    with pytest.raises(bx.NotADatasetError, match=r"has datasets in it: open one of them: `.*arena`"):
        bx.open(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(bx.NotADatasetError, match=r"no folder in it has an `experience.json`"):
        bx.open(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(bx.NotADatasetError, match="it is a file"):
        bx.open(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "experience.json"),
        ("[]", "its format is None"),
        ('{"format": 2}', "its format is 2"),
        ('{"format": 1}', "schema_hash"),
        ('{"format": 1, "schema_hash": "0", "schema": {}}', "does not have the hash"),
    ],
)
def test_a_damaged_schema_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    write(tmp_path, [Life()])
    (tmp_path / "fighter" / "experience.json").write_text(text)
    with pytest.raises(bx.DamagedError, match=reason):
        bx.open(tmp_path)


def test_spaces_and_flags(record) -> None:
    found = record(1).schema
    low, high = found.observation_bounds
    assert low.shape == (FEATURES,) and np.isinf(low[0]) and (low[1], high[1]) == (0, 100)
    # `coin[0].present` and the one-hot; whether `armed` is a flag is known from the values alone.
    assert np.flatnonzero(found.flags).tolist() == [2, 3, 4, 5]
    assert np.flatnonzero(found.unit_bounded).tolist() == [2, 3, 4, 5, 6, 7]
    low, high = found.action_bounds
    assert high.tolist() == [1, 1, 2, 1] and found.action_width == 4


def test_a_discrete_head_keeps_its_type(record) -> None:
    recording = record(3, schema(action=DISCRETE))
    assert recording["action"].dtype == np.int64
    assert recording[:3].actions["deed"].dtype == np.uint8
    assert recording[:3].action.tolist() == recording[:3].actions["deed"].tolist()
    float_choice = [column("deed", "f32", space=discrete(3))]
    assert bx.Schema.parse(schema(action=float_choice), "0").has_parts

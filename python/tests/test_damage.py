"""Files that are damaged, empty or of another schema, and rows that break a rule of episodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from writer import Life, schema, write

import bevy_experience as bx


def opened(root: Path, **settings) -> bx.Recording:
    return bx.open(root / "dataset", **settings)["fighter"]


def change(path: Path, edit) -> None:
    pq.write_table(edit(pq.read_table(path)), path)


def setter(name: str, row: int, value):
    def edit(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[row] = value
        index = table.column_names.index(name)
        kind = table.schema.field(name).type
        # pyarrow 14 does not write nulls of fixed-size lists.
        kind = pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind
        return table.set_column(index, name, pa.array(values, kind))

    return edit


# An episode of 3 rows, and one of 4.
TWO = [Life(length=3), Life(length=4, agent=2)]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (setter("step", 5, 7), r"episode 180388626433 has step 7 where step 2 should be"),
        (setter("step", 0, 1), r"has step 1 where step 0 should be"),
        (setter("agent_id", 1, 9), "has no last row"),
        (setter("episode_id", 4, 9), "has no last row"),
        (setter("run", 4, 9), "has no last row"),
        (setter("terminated", 2, False), r"episode 180388626432 has no last row"),
        (setter("terminated", 6, False), r"episode 180388626433 has no last row"),
        (setter("truncated", 2, True), "is both terminated and truncated"),
        (setter("end_reason", 2, None), "ends without a reason"),
        (setter("next_observation", 2, None), "has no final `next_observation`"),
        (setter("ticks", 4, -1), "a transition of negative duration"),
        (lambda table: table.slice(1), r"has step 1 where step 0 should be"),
        (setter("continues", 4, 1), "has no last row"),
    ],
)
def test_rows_that_break_a_rule(tmp_path: Path, edit, reason: str) -> None:
    folder = write(tmp_path / "dataset", TWO)
    path = next((folder / "data").iterdir())
    change(path, edit)
    with pytest.raises(bx.DamagedError, match=reason) as error:
        len(opened(tmp_path))
    assert str(path) in str(error.value) and 'damaged="skip"' in str(error.value)


def test_whole_episodes_before_the_damage_are_kept_if_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", [*TWO, Life(length=5), Life(length=2)], per_shard=3)
    first, second = sorted((folder / "data").iterdir())
    change(first, setter("step", 5, 7))
    recording = opened(tmp_path, damaged="skip")
    assert recording.episodes.table["length"].tolist() == [3, 2]
    assert recording["step"].tolist() == [0, 1, 2, 0, 1]
    assert (recording[2].next_observation == recording.episodes[0].observations[-1]).all()
    (damage,) = recording.accounts.damaged
    assert damage.path == first and "has step 7" in damage.reason
    assert any(str(first) in sentence for sentence in recording.accounts.missing())
    assert any(
        "9 transitions are in the accounts, and in no shard" in sentence for sentence in recording.accounts.missing()
    )
    assert second.exists()


def test_every_cut_of_a_shard_is_damage(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", TWO)
    path = next((folder / "data").iterdir())
    content = path.read_bytes()
    for length in [0, 1, 4, 11, *range(12, len(content), len(content) // 12), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(bx.DamagedError):
            len(opened(tmp_path))
        assert len(opened(tmp_path, damaged="skip")) == 0


def test_no_flipped_byte_crashes(tmp_path: Path, rng) -> None:
    folder = write(tmp_path / "dataset", TWO)
    path = next((folder / "data").iterdir())
    content = path.read_bytes()
    for place in rng.integers(4, len(content), 60):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            assert len(opened(tmp_path)) <= 7
        except bx.ExperienceError:
            continue


def test_columns_of_another_kind(tmp_path: Path) -> None:
    def cast(name: str, kind: pa.DataType):
        def edit(table: pa.Table) -> pa.Table:
            index = table.column_names.index(name)
            values = table[name].combine_chunks()
            return table.set_column(
                index, name, pa.array(values.to_pylist(), kind) if pa.types.is_nested(kind) else values.cast(kind)
            )

        return edit

    def of_lists(width: int):
        def edit(table: pa.Table) -> pa.Table:
            index = table.column_names.index("observation")
            return table.set_column(
                index, "observation", pa.array([[1.0] * width] * table.num_rows, pa.list_(pa.float32()))
            )

        return edit

    cases = [
        (
            lambda table: table.drop_columns(["reward"]) if hasattr(table, "drop_columns") else table.drop(["reward"]),
            "no column `reward`",
        ),
        (cast("reward", pa.string()), "column `reward` is string and should be float64"),
        (cast("terminated", pa.int8()), "column `terminated` is int8 and should be bool"),
        (of_lists(3), "list whose length is not 8"),
        (setter("reward", 1, None), "value is missing in column `reward`"),
        (setter("episode_id", 1, None), "value is missing in column `episode_id`"),
        (
            lambda table: table.replace_schema_metadata({"bevy_experience.schema_hash": "0" * 16}),
            "was written with the schema 0000000000000000",
        ),
    ]
    for edit, reason in cases:
        folder = write(tmp_path / "dataset", TWO)
        change(next((folder / "data").iterdir()), edit)
        with pytest.raises(bx.DamagedError, match=reason):
            len(opened(tmp_path))


def test_accounts_and_tags_that_are_damaged(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", [Life(tags=("good",))])
    account, tags = folder / "runs" / "0000002a.json", folder / "runs" / "0000002a.tags.jsonl"
    lines = tags.read_text()
    tags.write_text(lines + '{"episode_id": 1, "agent_id": 1, "tag": "cut sho')
    assert opened(tmp_path).tags == {0x2A << 32: frozenset({"good"})}
    tags.write_text("nonsense\n" + lines)
    with pytest.raises(bx.DamagedError, match=r"tags.jsonl` is damaged: line 1"):
        opened(tmp_path).tags  # noqa: B018
    tags.unlink()
    account.rename(folder / "runs" / "0000002b.json")
    with pytest.raises(bx.DamagedError, match="account of run 0000002a, and its name is not"):
        len(opened(tmp_path))
    (folder / "runs" / "0000002b.json").write_text("{}")
    with pytest.raises(bx.DamagedError, match="KeyError"):
        len(opened(tmp_path))
    recording = opened(tmp_path, damaged="skip")
    assert len(recording) == 5 and len(recording.accounts.damaged) == 1


def test_an_empty_recording(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", [])
    recording = opened(tmp_path)
    assert len(recording) == 0 and recording[:].observation.shape == (0, 8)
    assert recording["observation"].shape == (0, 8) and recording["next_observation"].shape == (0, 8)
    assert list(recording.batches(4)) == [] and list(recording.episodes) == [] and len(recording.windows(3)) == 0
    assert recording.episodes.table["end_reason"].shape == (0,)
    assert len(recording.where(end_reason="death", return_quantile=(0.5, 1))) == 0
    for action in (
        recording.normalization,
        lambda: recording.sample(1, np.random.default_rng()),
        lambda: recording.split(0.5, 0.5),
    ):
        with pytest.raises(bx.UnsuitableError):
            action()
    for part in ("data", "runs"):
        (folder / part).rmdir()
    assert len(opened(tmp_path)) == 0 and opened(tmp_path).accounts.missing() == []


def test_a_recording_of_one_transition(tmp_path: Path) -> None:
    write(tmp_path / "dataset", [Life(length=1, terminated=False, reason="crash")])
    recording = opened(tmp_path)
    assert len(recording) == 1 and recording[0].truncated.tolist() == [True]
    assert recording.windows(4)[0]["mask"].tolist() == [[False, False, False, True]]
    assert recording.n_step(3, 0.9)[0]["discount"].tolist() == [0.9]
    assert (recording.normalization().std > 0).all()
    with pytest.raises(bx.UnsuitableError, match="1 episode cannot be divided into 2 parts"):
        recording.split(0.5, 0.5)
    assert len(recording.split(1.0)[0]) == 1


def test_a_recording_of_truncated_episodes_alone(tmp_path: Path) -> None:
    write(tmp_path / "dataset", [Life(terminated=False, reason="time_limit") for _ in range(6)])
    recording = opened(tmp_path)
    assert not recording["terminated"].any() and recording["truncated"].sum() == 6
    assert len(recording.where(terminated=True)) == 0 and len(recording.where(end_reason="time_limit")) == 30
    assert (recording.n_step(9, 1.0)[:]["discount"] == 1).all()


def test_a_shard_that_is_removed_after_its_folder_was_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", [Life(), Life(), Life()], per_shard=1)
    recording = opened(tmp_path)
    assert len(recording.shards) == 3
    recording.shards[1].unlink()
    assert len(recording) == 10
    assert any("5 transitions are in the accounts, and in no shard" in text for text in recording.accounts.missing())
    (folder / "data" / "0000002a-00009.parquet").mkdir()
    with pytest.raises(bx.DamagedError, match="it is a folder"):
        len(opened(tmp_path))


def test_a_setting_that_does_not_exist(tmp_path: Path) -> None:
    write(tmp_path / "dataset", [Life()], schema())
    with pytest.raises(ValueError, match='it is "raise" or "skip"'):
        opened(tmp_path, damaged="ignore")

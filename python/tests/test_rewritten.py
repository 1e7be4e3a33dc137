"""Shards that pyarrow, pandas and polars have read and written back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from writer import Life, column, lives, schema, write

import bevy_experience as bx

SCHEMAS = {
    "narrow": schema(action_mask=3, info=[column("hint", "u8", (2,)), column("seen", "bool")]),
    "images": schema(images=[column("eye", "u8", (4, 5, 3))]),
    "wide": schema(observation=[column("board", shape=(300,))]),
}


def with_pandas(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(path)
    frame["note"] = "a column of another program"
    frame[frame.columns[::-1]].to_parquet(path)


def with_nullable_pandas(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pandas.read_parquet(path, dtype_backend="numpy_nullable").to_parquet(path, index=False)


def with_polars(path: Path) -> None:
    polars = pytest.importorskip("polars")
    polars.read_parquet(path).write_parquet(path)


def with_large_types(path: Path) -> None:
    table = pq.read_table(path)
    columns = []
    for name in table.column_names:
        values, kind = table[name].combine_chunks(), table.schema.field(name).type
        if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
            wide = pa.float64() if pa.types.is_floating(kind.value_type) else kind.value_type
            columns.append(pa.array(values.to_pylist(), pa.large_list(wide)))
        elif pa.types.is_dictionary(kind):
            columns.append(pa.array(values.to_pylist(), pa.large_string()))
        elif pa.types.is_integer(kind):
            columns.append(values.cast(pa.int64()))
        else:
            columns.append(values)
    pq.write_table(pa.table(columns, names=table.column_names), path)


def with_floats_for_ids(path: Path) -> None:
    """As pandas does of small ids with nulls."""
    table = pq.read_table(path)
    for name in ("match_id", "continues"):
        values = [float("nan") if value is None else float(value) for value in table[name].to_pylist()]
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.float64()))
    pq.write_table(table, path)


TOOLS = [with_pandas, with_nullable_pandas, with_polars, with_large_types, with_floats_for_ids]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", SCHEMAS)
def test_rewritten_shards_have_the_same_rows(record, rng, tool: Callable[[Path], None], kind: str) -> None:
    episodes = [*lives(5, rng), Life(match=None)]
    before = record(episodes, SCHEMAS[kind], per_shard=3)
    expected = {
        name: before[name].tolist() for name in before.columns if name != "action" or not before.schema.has_parts
    }
    for path in before.shards:
        tool(path)
    after = bx.open(before.path.parent)["fighter"]
    for name, values in expected.items():
        assert after[name].tolist() == values, name
        assert after[name].dtype == before[name].dtype


def with_nulls_for_nan(path: Path) -> None:
    """As pandas does, also where a column has no value, and where it makes integers of floats."""
    table = pq.read_table(path)
    for name in table.column_names:
        values = table[name].combine_chunks()
        if name == "info.none":
            changed = pa.nulls(len(values))
        elif name == "info.whole":
            changed = pa.array([None if value != value else int(value) for value in values.to_pylist()])
        elif pa.types.is_floating(values.type):
            changed = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        else:
            continue
        table = table.set_column(table.column_names.index(name), name, changed)
    pq.write_table(table, path)


@pytest.mark.parametrize("tool", [with_nulls_for_nan, with_pandas, with_nullable_pandas, with_polars])
def test_nan_is_read_where_pandas_writes_a_missing_value(record, rng, tool: Callable[[Path], None]) -> None:
    floats = [column("logp", "f32"), column("none", "f64"), column("whole", "f32"), column("latent", "f64", (2,))]
    recorded = record(lives(5, rng), schema(info=floats), per_shard=3)
    for path in recorded.shards:
        put_nan(path)
    before = bx.open(recorded.path.parent)["fighter"]
    names = [name for name in before.columns if before[name].dtype.kind == "f"]
    expected = {name: np.array(before[name]) for name in names}
    assert {name for name in names if np.isnan(expected[name]).any()} >= {
        "observation", "reward.hit", "info.logp", "info.none", "info.whole", "info.latent",
    }  # fmt: skip
    for path in before.shards:
        tool(path)
    after = bx.open(before.path.parent)["fighter"]
    for name, values in expected.items():
        np.testing.assert_array_equal(np.array(after[name]), values, name)


def put_nan(path: Path) -> None:
    """Replace values of each column of floats but ``timestamp`` and ``reward``."""
    table = pq.read_table(path)
    for name in table.column_names:
        values, kind = table[name].combine_chunks(), table.schema.field(name).type
        if name in ("timestamp", "reward"):
            continue
        if pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type) and values.null_count == 0:
            items = np.array(values.flatten().to_numpy())
            items[1::3] = np.nan
            changed = pa.FixedSizeListArray.from_arrays(pa.array(items), kind.list_size)
        elif pa.types.is_floating(kind):
            numbers = np.array(values.to_numpy(zero_copy_only=False))
            numbers = np.trunc(numbers) if name == "info.whole" else numbers
            numbers[slice(None) if name == "info.none" else slice(0, None, 2)] = np.nan
            changed = pa.array(numbers)
        else:
            continue
        table = table.set_column(table.column_names.index(name), name, changed)
    pq.write_table(table, path)


def test_a_missing_reward_is_damage(tmp_path: Path) -> None:
    folder = write(tmp_path, [Life()])
    path = next((folder / "data").iterdir())
    table = pq.read_table(path)
    rewards = pa.array([None, *table["reward"].to_pylist()[1:]], pa.float64())
    pq.write_table(table.set_column(table.column_names.index("reward"), "reward", rewards), path)
    with pytest.raises(bx.DamagedError, match="a value is missing in column `reward`"):
        len(bx.open(tmp_path)["fighter"])


def test_ids_that_lost_digits_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, [Life(run=0x7FFFFFFF)])
    path = next((folder / "data").iterdir())
    table = pq.read_table(path)
    ids = table["episode_id"].to_numpy().astype(np.float64)
    pq.write_table(table.set_column(0, "episode_id", pa.array(ids)), path)
    with pytest.raises(bx.OtherSchemaError, match="lost its last digits as a float"):
        len(bx.open(tmp_path)["fighter"])
    fractions = table.set_column(table.column_names.index("step"), "step", pa.array(np.full(table.num_rows, 0.5)))
    pq.write_table(fractions, path)
    with pytest.raises(bx.OtherSchemaError, match="no integer"):
        len(bx.open(tmp_path)["fighter"])

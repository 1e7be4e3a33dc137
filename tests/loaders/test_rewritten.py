"""Shards that pandas, polars and DuckDB have filtered and written back, read with the command `experience`."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy
import pandas
import polars
import pyarrow.compute
import pyarrow.parquet
import pytest


def with_pandas(source: Path, to: Path, agent: int) -> None:
    frame = pandas.read_parquet(source)
    frame[frame["agent_id"] != agent].to_parquet(to, index=False)


def with_pandas_index(source: Path, to: Path, agent: int) -> None:
    """With nullable types, an index, and a column of its own."""
    frame = pandas.read_parquet(source, dtype_backend="numpy_nullable")
    frame = frame[frame["agent_id"] != agent].set_index("episode_id", append=True).reset_index("episode_id")
    frame["advantage"] = 0.5
    frame.to_parquet(to)


def with_polars(source: Path, to: Path, agent: int) -> None:
    polars.read_parquet(source).filter(polars.col("agent_id") != agent).write_parquet(to)


def with_polars_categories(source: Path, to: Path, agent: int) -> None:
    """With a column of categories, a wider integer, lists without a fixed size, and another order of the columns."""
    frame = polars.read_parquet(source).filter(polars.col("agent_id") != agent)
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, polars.Array)]
    frame = frame.with_columns(
        polars.col("end_reason").cast(polars.String).cast(polars.Categorical),
        polars.col("step").cast(polars.Int64),
        polars.col("reward").cast(polars.Float32),
        *(polars.col(name).arr.to_list() for name in lists),
    )
    frame.select(reversed(frame.columns)).write_parquet(to)


def with_duckdb(source: Path, to: Path, agent: int) -> None:
    duckdb.sql(f"COPY (SELECT * FROM '{source}' WHERE agent_id <> {agent}) TO '{to}' (FORMAT parquet)")


def with_pyarrow(source: Path, to: Path, agent: int) -> None:
    table = pyarrow.parquet.read_table(source)
    pyarrow.parquet.write_table(table.filter(pyarrow.compute.field("agent_id") != agent), to)


WRITERS = [with_pandas, with_pandas_index, with_polars, with_polars_categories, with_duckdb, with_pyarrow]


@pytest.fixture(scope="module")
def source(request: pytest.FixtureRequest, root: Path) -> Path:
    """The dataset whose shards are rewritten: a small one, if the arena can be played."""
    return request.getfixturevalue("small_dataset") if "EXPERIENCE_ARENA" in os.environ else root


@pytest.mark.parametrize("write", WRITERS)
def test_a_filtered_shard_is_read(
    write: Callable[[Path, Path, int], None], experience_command: str, source: Path, recording: Path, tmp_path: Path
) -> None:
    def run(*arguments: object, codes: tuple[int, ...] = (0,)) -> None:
        done = subprocess.run([experience_command, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode in codes, done.stdout + done.stderr

    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    shards = sorted((copy / recording.name / "data").glob("*.parquet"))
    agents = pyarrow.parquet.read_table(shards[0], columns=["agent_id"])["agent_id"].to_numpy()
    values, counts = numpy.unique(agents, return_counts=True)
    agent, kept = int(values[0]), 0
    for shard in shards:
        before = tmp_path / "before.parquet"
        shard.rename(before)
        write(before, shard, agent)
        kept += pyarrow.parquet.read_metadata(shard).num_rows
    assert 0 < kept <= pyarrow.parquet.read_table(source / recording.name / "data", columns=["step"]).num_rows - counts[0]
    run("stats", copy, "--recording", recording.name)
    # The accounts still count the rows that were removed; erasing brings them up to date.
    run("erase", copy, "--agent", agent)
    run("validate", copy)
    # It may find symptoms in the game.
    run("doctor", copy, codes=(0, 1))
    converted = tmp_path / "rows.jsonl"
    run("convert", copy, "--recording", recording.name, "--to", "jsonl", "-o", converted)
    with converted.open() as lines:
        assert sum(1 for _ in lines) == kept
    merged = tmp_path / "merged"
    run("merge", copy, "-o", merged)
    run("validate", merged)


def test_the_shards_of_a_merge_have_one_schema(experience_command: str, source: Path, recording: Path, tmp_path: Path) -> None:
    """Also where one of the shards was rewritten, so that `datasets` loads the result."""
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    first = sorted((copy / recording.name / "data").glob("*.parquet"))[0]
    before = tmp_path / "before.parquet"
    first.rename(before)
    with_polars_categories(before, first, -1)
    merged = tmp_path / "merged"
    subprocess.run([experience_command, "merge", copy, "-o", merged], check=True, capture_output=True)
    schemas = {str(pyarrow.parquet.read_schema(path)) for path in (merged / recording.name / "data").glob("*.parquet")}
    assert schemas == {str(pyarrow.parquet.read_schema(sorted((source / recording.name / "data").glob("*.parquet"))[0]))}

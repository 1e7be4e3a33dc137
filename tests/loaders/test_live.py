"""A dataset that a game writes, and one that a killed game has left, read with each loader."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import duckdb
import pandas
import polars
import pyarrow.dataset
import pyarrow.parquet
import pytest

# Each opens a folder as its documentation shows it, and counts the rows.
READERS = {
    "pyarrow": lambda data: pyarrow.parquet.read_table(data, columns=["step"]).num_rows,
    "pyarrow.dataset": lambda data: pyarrow.dataset.dataset(data).count_rows(),
    "pandas": lambda data: len(pandas.read_parquet(data, columns=["step"])),
    "polars": lambda data: polars.scan_parquet(data).select(polars.len()).collect().item(),
    "polars glob": lambda data: polars.scan_parquet(data / "*").select(polars.len()).collect().item(),
    "duckdb": lambda data: duckdb.sql(f"SELECT count(*) FROM read_parquet('{data}/*')").fetchall()[0][0],
    "duckdb, all folders": lambda data: duckdb.sql(
        f"SELECT count(*) FROM read_parquet('{data.parent.parent}/**/*.parquet')"
    ).fetchall()[0][0],
    "datasets": lambda data: sum(1 for _ in datasets.load_dataset(str(data), split="train", streaming=True).take(3)),
}


@pytest.fixture(scope="module")
def game(arena: str, small_dataset: Path) -> Iterator[subprocess.Popen]:
    """A game that writes to the dataset, in real time."""
    game = subprocess.Popen(
        [arena, "--out", small_dataset, "--realtime", "--churn", "--ticks", "1000000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    partial = small_dataset / "fighter" / "partial"
    deadline = time.monotonic() + 60
    while not (partial.is_dir() and any(partial.iterdir())):
        assert game.poll() is None and time.monotonic() < deadline, "the game writes no shard"
        time.sleep(0.05)
    yield game
    game.kill()
    game.wait()


def read_repeatedly(data: Path) -> None:
    for name, reader in READERS.items():
        for _ in range(3):
            assert reader(data) > 0, name


def test_a_folder_that_is_being_written_can_be_read(game: subprocess.Popen, small_dataset: Path) -> None:
    data = small_dataset / "fighter" / "data"
    assert all(path.suffix == ".parquet" for path in data.iterdir())
    read_repeatedly(data)
    assert game.poll() is None


def test_a_folder_that_a_killed_game_has_left_can_be_read(game: subprocess.Popen, small_dataset: Path) -> None:
    game.send_signal(signal.SIGKILL)
    game.wait()
    partial = small_dataset / "fighter" / "partial"
    assert any(partial.iterdir()), "the game was writing no shard"
    read_repeatedly(small_dataset / "fighter" / "data")

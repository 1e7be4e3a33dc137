"""Fixtures: the folders and descriptions of the dataset, and its rows read with each loader."""

import json
import os
import subprocess
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest

from rows import Rows, rows_of_arrow, rows_of_pandas


@pytest.fixture(scope="session")
def root() -> Path:
    """The dataset's folder."""
    named = os.environ.get("EXPERIENCE_DATASET")
    if not named:
        pytest.exit("name the dataset: EXPERIENCE_DATASET=data/arena", returncode=2)
    path = Path(named).resolve()
    if not path.is_dir():
        pytest.exit(f"EXPERIENCE_DATASET: {path} is not a folder", returncode=2)
    return path


@pytest.fixture(scope="session")
def recording(root: Path) -> Path:
    """The recording's folder."""
    return root / os.environ.get("EXPERIENCE_RECORDING", "fighter")


@pytest.fixture(scope="session")
def experience_command() -> str:
    """The command `experience`."""
    command = os.environ.get("EXPERIENCE_COMMAND")
    if not command:
        pytest.skip("EXPERIENCE_COMMAND names no command")
    return command


@pytest.fixture(scope="session")
def experience(recording: Path) -> dict:
    """The description of the columns, `experience.json`."""
    return json.loads((recording / "experience.json").read_text())


@pytest.fixture(scope="session")
def shards(recording: Path) -> list[Path]:
    """All finished shards, sorted by name."""
    found = sorted((recording / "data").glob("*.parquet"))
    assert found, f"no shards in {recording / 'data'}"
    return found


@pytest.fixture(scope="session")
def runs(recording: Path) -> list[dict]:
    """The accounts of all runs, oldest first."""
    found = [json.loads(path.read_text()) for path in sorted((recording / "runs").glob("*.json"))]
    assert found, f"no accounts in {recording / 'runs'}"
    return sorted(found, key=lambda run: run["started"])


@pytest.fixture(scope="session")
def summary() -> dict:
    """The JSON summary of the newest run."""
    named = os.environ.get("EXPERIENCE_SUMMARY")
    if not named:
        pytest.skip("EXPERIENCE_SUMMARY names no file")
    return json.loads(Path(named).read_text())


@pytest.fixture(scope="module")
def arena() -> str:
    """The command `arena`."""
    command = os.environ.get("EXPERIENCE_ARENA")
    if not command:
        pytest.skip("EXPERIENCE_ARENA names no command")
    return command


@pytest.fixture(scope="module")
def small_dataset(arena: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the arena with one finished run of a few seconds."""
    out = tmp_path_factory.mktemp("small") / "arena"
    subprocess.run([arena, "--out", out, "--ticks", "300"], check=True, capture_output=True)
    return out


def load_pyarrow(recording: Path, cache: Path) -> Rows:
    return rows_of_arrow(pyarrow.parquet.read_table(recording / "data"))


def load_pandas(recording: Path, cache: Path) -> Rows:
    return rows_of_pandas(pandas.read_parquet(recording / "data"))


def load_polars(recording: Path, cache: Path) -> Rows:
    import polars

    return rows_of_arrow(polars.read_parquet(recording / "data").to_arrow())


def load_datasets(recording: Path, cache: Path) -> Rows:
    import datasets

    loaded = datasets.load_dataset(str(recording.parent), recording.name, split="train", cache_dir=str(cache))
    return rows_of_arrow(loaded.with_format("arrow")[:])


def load_duckdb(recording: Path, cache: Path) -> Rows:
    import duckdb

    shards = str(recording / "data" / "*.parquet")
    return rows_of_arrow(duckdb.sql("SELECT * FROM read_parquet($shards)", params={"shards": shards}).to_arrow_table())


LOADERS = {"pyarrow": load_pyarrow, "pandas": load_pandas}
# The environment with the oldest versions has pyarrow and pandas alone.
if "EXPERIENCE_OLDEST" not in os.environ:
    LOADERS |= {"polars": load_polars, "datasets": load_datasets, "duckdb": load_duckdb}


@pytest.fixture(scope="session", params=LOADERS)
def rows(request: pytest.FixtureRequest, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """All rows, once with each loader."""
    return LOADERS[request.param](recording, tmp_path_factory.mktemp("cache"))

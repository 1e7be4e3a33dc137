"""Datasets at addresses of object stores, against the S3 server of the Rust tests where it was built."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from writer import lives, write

import bevy_experience
from bevy_experience._store_path import StorePath, dataset_path
from bevy_experience.errors import ExperienceError, NotADatasetError

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(os.environ.get("EXPERIENCE_S3_SERVER", ROOT / "target" / "debug" / "s3-server"))


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if not SERVER.is_file():
        pytest.skip("needs the S3 server: `cargo build -p stores`")
    folder = tmp_path / "buckets"
    folder.mkdir()
    server = subprocess.Popen([SERVER, folder, "games"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("# ready"):
                break
            name, _, value = line.removeprefix("export ").strip().partition("=")
            monkeypatch.setenv(name, value)
        yield folder
    finally:
        server.kill()
        server.communicate()


def test_an_address_is_read_as_a_folder_is(buckets: Path, tmp_path: Path) -> None:
    local = tmp_path / "local"
    write(local, lives(10, np.random.default_rng(1)))
    (local / "README.md").write_text("---\n---\n")
    shutil.copytree(local, buckets / "games" / "arena" / "v1")
    here = bevy_experience.open(local, cache=tmp_path / "cache")
    there = bevy_experience.open("s3://games/arena/v1", cache=tmp_path / "cache")
    assert list(here) == list(there)
    assert there.card == here.card
    for name in here:
        assert len(there[name]) == len(here[name])
        rows = np.arange(len(here[name]))
        np.testing.assert_array_equal(there[name].take(rows)["observation"], here[name].take(rows)["observation"])
        assert [run.id for run in there[name].accounts.runs] == [run.id for run in here[name].accounts.runs]
        assert there[name].tags == here[name].tags
    with pytest.raises(NotADatasetError, match="belongs to the recording"):
        bevy_experience.open(f"s3://games/arena/v1/{next(iter(here))}")
    with pytest.raises(NotADatasetError):
        bevy_experience.open("s3://games/nothing")


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    for address in ("s3://AKIAKEY:s3cr3t@games/arena", "az://container/x?sig=s3cr3t"):
        with pytest.raises(ExperienceError, match="must not hold credentials") as refused:
            bevy_experience.open(address)
        assert "s3cr3t" not in str(refused.value)
    with pytest.raises(ExperienceError, match="s3://bucket/prefix"):
        bevy_experience.open("http://games/arena")


def test_a_path_is_one_of_its_store() -> None:
    path = dataset_path("S3://games/arena/")
    assert str(path / "fighter" / "data") == "s3://games/arena/fighter/data"
    assert [str(parent) for parent in path.parents] == ["s3://games"]
    assert pickle.loads(pickle.dumps(path)) == path
    assert (path / "a.parquet").stem == "a"
    assert isinstance(path, StorePath)
    assert dataset_path("file:///srv/data") == Path("/srv/data")
    assert dataset_path("file://localhost/srv/a#b") == Path("/srv/a#b")
    with pytest.raises(ExperienceError, match="absolute path"):
        dataset_path("file://srv/data")

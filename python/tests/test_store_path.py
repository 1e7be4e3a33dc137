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
from bevy_experience._store_path import StorePath, _azure_options, _filesystem, _gcs_options, dataset_path
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


@pytest.mark.parametrize(
    ("scheme", "variable"),
    [
        ("s3", "AWS_ENDPOINT_URL"),
        ("s3", "AWS_ENDPOINT_URL_S3"),
        ("gs", "GOOGLE_BASE_URL"),
        ("az", "AZURE_STORAGE_ENDPOINT"),
    ],
)
def test_credentials_in_the_address_of_a_server_are_refused_and_not_repeated(
    scheme: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filesystem.cache_clear()
    monkeypatch.setenv(variable, "http://someone:s3cr3t@127.0.0.1:9")
    with pytest.raises(ExperienceError, match=variable) as refused:
        bevy_experience.open(f"{scheme}://games/arena")
    assert "s3cr3t" not in str(refused.value) and "someone" not in str(refused.value)
    _filesystem.cache_clear()


def test_the_settings_of_stores_are_those_of_games(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "games")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "key")
    assert _azure_options() == {"account_name": "games", "account_key": "key"}
    for endpoint, authority in (("https://games.blob.example", ".blob.example"), ("https://host:1", "host:1")):
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
        assert _azure_options()["blob_storage_authority"] == authority
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:4443")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    assert _gcs_options() == {"endpoint_override": "127.0.0.1:4443", "scheme": "http", "anonymous": True}

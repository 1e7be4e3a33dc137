from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from writer import Life, lives, write

import bevy_experience


class Certificate(NamedTuple):
    """The files of a certificate that signs itself and of its key, and the certificate, in PEM."""

    file: Path
    key: Path
    pem: bytes


MakeCertificate = Callable[[str], Certificate]


@pytest.fixture
def make_certificate(tmp_path: Path) -> MakeCertificate:
    """Makes a certificate for a host, such as ``IP:127.0.0.1``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl")

    def make(host: str) -> Certificate:
        folder = tmp_path / f"certificate{len(list(tmp_path.glob('certificate*')))}"
        folder.mkdir()
        file, key = folder / "server.pem", folder / "server.key"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
        extensions = ["-addext", f"subjectAltName={host}", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*command.split(), "-out", file, "-keyout", key, *extensions], check=True, capture_output=True)
        return Certificate(file, key, file.read_bytes())

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the caches of a test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BEVY_EXPERIENCE_CACHE", str(folder))
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., bevy_experience.Recording]:
    """Writes episodes, and opens their recording."""

    def record(
        episodes: list[Life] | int = 10, definition: dict | None = None, **settings
    ) -> bevy_experience.Recording:
        if isinstance(episodes, int):
            episodes = lives(episodes, np.random.default_rng(3))
        folder = write(tmp_path / "dataset", episodes, definition, **settings)
        return bevy_experience.open(tmp_path / "dataset")[folder.name]

    return record

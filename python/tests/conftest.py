from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from writer import Life, lives, write

import bevy_experience


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

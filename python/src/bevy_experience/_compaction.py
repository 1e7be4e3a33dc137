"""The file `compaction.json` of a recording: which shards `experience compact` has replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._shards import list_files
from .errors import DamagedError, UnsuitableError

NAME = "compaction.json"
# The folder changes at most a few times, each in the time of one rename.
_ATTEMPTS = 100


class Compactions:
    """Which shards of a recording were replaced, and which are being replaced.

    While the exchange of shards is pending, readers see the old shards, or the new ones once all of
    them are in the folder.
    """

    def __init__(self, recording: Path) -> None:
        self._recording = recording
        path = recording / NAME
        try:
            self._document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            pending = self._document.get("pending") or {}
            self._run = f"{int(pending['run']):08x}" if pending else None
            self._old = {str(shard["file"]): shard for shard in pending.get("old", ())}
            self._new = {str(shard["file"]): shard for shard in pending.get("new", ())}
            self._below = {str(run): int(below) for run, below in self._document.get("compacted", {}).items()}
        except FileNotFoundError:
            self._document, self._run, self._old, self._new, self._below = {}, None, {}, {}, {}
        except (ValueError, KeyError, TypeError, AttributeError, IsADirectoryError) as error:
            raise DamagedError(path, f"{type(error).__name__}: {error}") from None

    def visible(self, listed: list[Path]) -> list[Path] | None:
        """Select the shards that readers see; ``None`` if the folder changed while it was listed."""
        if self._run is None:
            return listed
        names = {path.name for path in listed}
        if names.issuperset(self._new):
            hidden = self._old
        elif names.issuperset(self._old):
            hidden = self._new
        else:
            return None
        return [path for path in listed if path.name not in hidden]

    def resolve(self, run: str, shards: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replace the shards in the account of a run by those that readers see."""
        if run != self._run or not all((self._recording / "data" / name).exists() for name in self._new):
            return shards
        kept = [shard for shard in shards if shard["file"] not in self._old and shard["file"] not in self._new]
        return [*kept, *self._new.values()]

    def has_replaced(self, path: Path) -> bool:
        """Whether a shard that is not there was compacted."""
        run, _, index = path.stem.partition("-")
        is_below = index.isdecimal() and int(index) < self._below.get(run, 0)
        return is_below or path.name in self._old

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compactions) and self._document == other._document

    __hash__ = None  # type: ignore[assignment]


def visible_shards(recording: Path) -> list[Path]:
    """List the shards of a recording, in which each row is once, sorted by name.

    Raises
    ------
    UnsuitableError
        If shards were deleted while they were compacted.
    """
    for _ in range(_ATTEMPTS):
        before = Compactions(recording)
        visible = before.visible(list_files(recording / "data", ".parquet"))
        if visible is not None and Compactions(recording) == before:
            return visible
    raise UnsuitableError(
        f"`{recording}`: shards were deleted while they were compacted; run `experience compact`, which ends the "
        "compaction"
    )


def check_not_compacted(path: Path) -> None:
    """Raise if a shard that is not there was compacted: its rows are in another one."""
    if Compactions(path.parent.parent).has_replaced(path):
        raise UnsuitableError(f"`{path}`: another process has compacted it since the dataset was opened; open it again")

"""The cache of a recording: its rows as arrays that are mapped into memory, built once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

from ._build import StoreBuilder
from ._shards import footer_checksum
from ._store import META, VERSION, ArrayStore
from .errors import UnsuitableError
from .schema import Schema

VARIABLE = "BEVY_EXPERIENCE_CACHE"
# Caches of other contents of a recording, and folders of builds that were interrupted, are removed
# after this time. A process that has mapped one of them keeps its arrays.
_KEEP_SECONDS = 24 * 3600


def default_folder() -> Path:
    """Name the folder of all caches: ``$BEVY_EXPERIENCE_CACHE``, or one in the user's cache."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "bevy-experience"


def open_store(
    schema: Schema,
    recording: Path,
    shards: list[Path],
    checksums: dict[str, int],
    *,
    cache: Path,
    skip_damaged: bool,
) -> ArrayStore:
    """Open the cache of the shards of a recording, and build it if it does not exist.

    Several processes can do this at once: each builds in a folder of its own, and the first to
    finish renames its folder to that of the cache.
    """
    identity = hashlib.sha256(str(recording.resolve()).encode()).hexdigest()[:16]
    home = cache / f"{recording.name}-{identity}"
    folder = home / _key(schema, shards, checksums, skip_damaged=skip_damaged)
    found = _open(folder)
    if found is not None:
        return found
    try:
        home.mkdir(parents=True, exist_ok=True)
        _remove_old(home, keep=folder)
        temporary = home / f".building-{os.getpid()}-{secrets.token_hex(4)}"
        temporary.mkdir()
        try:
            StoreBuilder(schema, temporary, skip_damaged=skip_damaged).build(shards)
            _publish(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(cache)):
            raise
        raise UnsuitableError(
            f"cannot write the cache of `{recording}` to `{home}`: {error}; name another folder with "
            f"`open(..., cache=...)` or the variable {VARIABLE}"
        ) from error
    return ArrayStore(folder)


def _key(schema: Schema, shards: list[Path], checksums: dict[str, int], *, skip_damaged: bool) -> str:
    """Compute the identity of a content: of the names, lengths and checksums of all shards."""
    files = []
    for path in shards:
        try:
            status = path.stat()
            footer = 0 if path.is_dir() else footer_checksum(path)
        except FileNotFoundError:
            continue
        files.append((path.name, status.st_size, status.st_mtime_ns, footer, checksums.get(path.name)))
    content = json.dumps([VERSION, schema.hash, skip_damaged, files])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _open(folder: Path) -> ArrayStore | None:
    try:
        store = ArrayStore(folder)
        # The time of the last use, for `_remove_old`.
        os.utime(folder / META)
    except (OSError, ValueError, KeyError):
        return None
    return store


def _publish(temporary: Path, folder: Path) -> None:
    for _ in range(2):
        try:
            temporary.rename(folder)
        except OSError:
            if _open(folder) is not None:
                # Another process was first.
                return
            # An incomplete cache, such as one of which files were removed.
            shutil.rmtree(folder, ignore_errors=True)
        else:
            return
    temporary.rename(folder)


def _remove_old(home: Path, *, keep: Path) -> None:
    now = time.time()
    for entry in home.iterdir():
        used = entry / META if (entry / META).exists() else entry
        try:
            age = now - used.stat().st_mtime
        except FileNotFoundError:
            continue
        if entry != keep and age > _KEEP_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)

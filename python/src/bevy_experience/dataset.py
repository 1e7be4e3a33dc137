"""A dataset on disk, opened for reading."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from ._cache import default_folder
from ._experience_json import NAME
from ._store_path import dataset_path
from .errors import NoSuchRecordingError, NotADatasetError
from .recording import Recording

# Letters, digits, `_` and `-` are kept in the name of a recording's folder.
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_MAX_NAMED = 10


def open_dataset(
    path: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    damaged: Literal["raise", "skip"] = "raise",
) -> Dataset:
    """Open a dataset.

    Parameters
    ----------
    path : str or os.PathLike
        The folder that was given to ``DatasetSink::new``, or the address of an object store:
        ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``. Files are read by
        ranges then, with the credentials and settings of the environment.
    cache : str or os.PathLike, optional
        The folder for the memory-mapped caches. By default that of the environment variable
        ``BEVY_EXPERIENCE_CACHE``, or a folder in the user's cache.
    damaged : {"raise", "skip"}
        What to do about files that cannot be read. ``"skip"`` leaves out the rows of a shard after
        the damage, and the accounts name the file.

    Returns
    -------
    Dataset
        The dataset. Shards are read when the rows of a recording are first used.

    Raises
    ------
    NotADatasetError
        If the folder is missing, or has no recording in it. The error names a dataset around or in
        it.
    DamagedError
        If the schema of a recording is damaged.
    """
    return Dataset(dataset_path(path), Path(cache) if cache else default_folder(), damaged)


class Dataset(Mapping[str, Recording]):
    """The recordings in a folder, by name; see `open_dataset`.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    """

    def __init__(self, path: Path, cache: Path, damaged: Literal["raise", "skip"]) -> None:
        if damaged not in ("raise", "skip"):
            raise ValueError(f'damaged={damaged!r}: it is "raise" or "skip"')
        self.path = path
        folders = _recording_folders(path)
        if not folders:
            raise _not_a_dataset(path)
        skip = damaged == "skip"
        self._recordings = {folder.name: Recording.open(folder, cache=cache, skip_damaged=skip) for folder in folders}

    @property
    def card(self) -> str:
        """The dataset card, ``README.md``; empty if there is none."""
        try:
            return (self.path / "README.md").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def recording(self, name: str) -> Recording:
        """Return the recording called ``name``.

        Parameters
        ----------
        name : str
            The name of a recording. ``fighter@<schema hash>`` is one with other columns than
            ``fighter``.

        Raises
        ------
        NoSuchRecordingError
            If there is none; the error lists the existing ones.
        """
        own = self._recordings.get(folder_name(name))
        if own is not None and own.schema.name == name:
            return own
        try:
            return self._recordings[name]
        except KeyError:
            raise NoSuchRecordingError(self.path, name, self._recordings) from None

    def __getitem__(self, name: str) -> Recording:
        return self.recording(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._recordings)

    def __len__(self) -> int:
        return len(self._recordings)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, recordings: {', '.join(self)})"


def folder_name(name: str) -> str:
    """Name the folder of a recording, in which characters are escaped.

    A long name has a hash in its folder, by which it cannot be found; use the folder's name.
    """
    if not name:
        return "%empty"
    first = name.upper()
    is_device = first in ("CON", "PRN", "AUX", "NUL") or (
        first[:3] in ("COM", "LPT") and first[3:].isdecimal() and len(first) == 4
    )
    return "".join(
        chr(byte) if byte in _PLAIN and not (index == 0 and is_device) else f"%{byte:02X}"
        for index, byte in enumerate(name.encode())
    )


def _recording_folders(path: Path) -> list[Path]:
    """List the folders with a schema in them, sorted by name."""
    try:
        entries = list(path.iterdir())
    except NotADirectoryError:
        return []
    except FileNotFoundError:
        raise NotADatasetError(f"`{path}` does not exist") from None
    return sorted(entry for entry in entries if entry.name[0] != "." and (entry / NAME).is_file())


def _not_a_dataset(path: Path) -> NotADatasetError:
    """Name the dataset that was probably meant."""
    absolute = path.resolve()
    for folder in [absolute, *absolute.parents][:3]:
        if (folder / NAME).is_file():
            return NotADatasetError(
                f"`{path}` belongs to the recording `{folder.name}` of a dataset: open the dataset, "
                f"`{folder.parent}`, and choose the recording in it"
            )
    reason = "it is a file"
    if path.is_dir():
        within = sorted(entry for entry in path.iterdir() if entry.is_dir())
        datasets = [f"`{entry}`" for entry in within if _recording_folders(entry)]
        if datasets:
            named = ", ".join(datasets[:_MAX_NAMED])
            return NotADatasetError(f"`{path}` is not a dataset, and has datasets in it: open one of them: {named}")
        reason = "no folder in it has an `experience.json`"
    return NotADatasetError(
        f"`{path}` is not a dataset: {reason}; a dataset is the folder given to `DatasetSink::new`, "
        "and each folder with an `experience.json` in it is a recording"
    )

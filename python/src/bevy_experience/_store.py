"""Arrays in files that are mapped into memory, and the writer of such files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

META = "meta.json"
VERSION = 1


class ArrayWriter:
    """Appends rows of one type and shape to a file."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path = path
        self.dtype = dtype
        self.shape = shape
        self.rows = 0
        self._file: BinaryIO = path.open("wb")

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    def append(self, values: NDArray[Any]) -> None:
        """Append ``values``, of shape ``(rows, *shape)``."""
        contiguous = np.ascontiguousarray(values, self.dtype)
        self._file.write(contiguous.data if contiguous.size else b"")
        self.rows += len(values)

    def truncate(self, rows: int) -> None:
        """Remove all rows after the first ``rows``."""
        self._file.seek(rows * self._row_bytes)
        self._file.truncate()
        self.rows = rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def describe(self) -> dict[str, Any]:
        """Describe the file for `ArrayStore`."""
        return {
            "file": self.path.name,
            "dtype": self.dtype.str,
            "shape": [self.rows, *self.shape],
        }


class ArrayStore:
    """The arrays of a recording, in a folder of files that are mapped into memory.

    A store can be pickled: the copy maps the same files.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.

    Raises
    ------
    ValueError
        If the folder is incomplete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        if self.meta.get("version") != VERSION:
            raise ValueError(f"`{folder}` has the version {self.meta.get('version')}")
        self._arrays: dict[str, NDArray[Any]] = {}
        for name, array in self.meta["arrays"].items():
            self._arrays[name] = _map(folder / array["file"], array["dtype"], array["shape"])

    def __reduce__(self) -> tuple[type[ArrayStore], tuple[Path]]:
        return ArrayStore, (self.folder,)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    @property
    def rows(self) -> int:
        """The number of transitions."""
        return int(self.meta["rows"])

    @property
    def episodes(self) -> int:
        """The number of episodes."""
        return int(self.meta["episodes"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def labels(self, name: str) -> list[str]:
        """List the words that the codes of the column ``name`` stand for."""
        return list(self.meta["labels"].get(name, ()))


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Write the description of a store. It is the last file that is written."""
    with (folder / META).open("w", encoding="utf-8") as file:
        json.dump({"version": VERSION, **meta}, file)
        file.flush()
        os.fsync(file.fileno())


def _map(path: Path, dtype: str, shape: list[int]) -> NDArray[Any]:
    kind = np.dtype(dtype)
    expected = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    size = path.stat().st_size
    if size != expected:
        raise ValueError(f"`{path}` has {size} bytes and should have {expected}")
    if not expected:
        return np.zeros(shape, kind)
    mapped = np.memmap(path, kind, "r", shape=tuple(shape))
    # Indexing a plain array is several times faster than indexing the subclass.
    return np.asarray(mapped).view(np.ndarray)

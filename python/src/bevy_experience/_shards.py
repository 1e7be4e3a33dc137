"""Opens shards, the Parquet files of a recording, and reads them in batches."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ._footers import read as read_footer
from ._store_path import is_store_error, parquet_source
from .errors import DamagedError, ExperienceError, OtherSchemaError
from .schema import Schema
from .summary import Summary

_SCHEMA_HASH_KEY = b"bevy_experience.schema_hash"
# Target size of a batch, in bytes of an observation.
_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 16_384
# A column chunk is read through a buffer of this size, and not at once.
_BUFFER_BYTES = 1 << 20
_FOOTER_END = 8


def list_files(folder: Path, suffix: str) -> list[Path]:
    """List the files in ``folder`` whose names end with ``suffix``, sorted; none if it is absent.

    Hidden files are skipped.
    """
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError:
        return []
    return sorted(path for path in entries if path.name.endswith(suffix) and not path.name.startswith("."))


def footer_checksum(path: Path) -> int:
    """Compute the CRC-32 of a file's Parquet footer, or of the end of a file that has none."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER_END))
        end = file.read(_FOOTER_END)
        footer = int.from_bytes(end[:4], "little") + _FOOTER_END
        file.seek(max(0, size - min(footer, 1 << 20)))
        return zlib.crc32(file.read())


class ShardReader:
    """An open shard whose columns were checked.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    path : pathlib.Path
        The file.
    required : list of str
        The columns that must be in the file.

    Raises
    ------
    FileNotFoundError
        If the file was removed, by retention or an erasure.
    DamagedError
        If the file is no Parquet file, or has other columns.
    """

    def __init__(self, schema: Schema, path: Path, required: list[str]) -> None:
        self.schema = schema
        self.path = path
        if path.is_dir():
            raise DamagedError(path, "it is a folder")
        try:
            self._file = pq.ParquetFile(parquet_source(path), buffer_size=_BUFFER_BYTES, pre_buffer=False)
            self._arrow_schema = self._file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise _decode_error(path, error) from error
        try:
            self._check(required)
        except DamagedError:
            self.close()
            raise

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def rows(self) -> int:
        """The number of transitions."""
        return int(self._file.metadata.num_rows)

    @property
    def summary(self) -> Summary | None:
        """The summary in the footer; ``None`` if there is none that can be used."""
        return read_footer(self.schema, self._file.metadata)

    def has_column(self, name: str) -> bool:
        """Whether the file has a column of this name."""
        return name in self._arrow_schema.names

    def batches(self, columns: list[str]) -> Iterator[Any]:
        """Read ``columns`` of all rows, some thousand at a time.

        Yields
        ------
        pyarrow.RecordBatch
        """
        width = 4 * self.schema.observation_width + sum(image.width for image in self.schema.images)
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, width)))
        try:
            # pyarrow 26 keeps the row groups of one iterator in memory, so each has its own.
            for group in range(self._file.num_row_groups):
                yield from self._file.iter_batches(batch_size=rows, row_groups=[group], columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise _decode_error(self.path, error) from error

    def _check(self, required: list[str]) -> None:
        metadata = self._arrow_schema.metadata or {}
        found = metadata.get(_SCHEMA_HASH_KEY)
        if found is not None and found.decode() != self.schema.hash:
            raise OtherSchemaError(
                self.path,
                f"it was written with the schema {found.decode()}, and the recording has {self.schema.hash}",
            )
        for name in required:
            if name not in self._arrow_schema.names:
                raise OtherSchemaError(self.path, f"it has no column `{name}`")


def _decode_error(path: Path, error: Exception) -> Exception:
    """Tell damage from errors of the system, such as a missing permission."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if is_store_error(path, error):
        return ExperienceError(f"cannot read `{path}`: {error}")
    if isinstance(error, pa.ArrowNotImplementedError) or "Expected all lists" in str(error):
        return DamagedError(path, f"pyarrow {pa.__version__} cannot read it ({error}), and a newer one may")
    if isinstance(error, pa.ArrowMemoryError):
        return ExperienceError(f"cannot read `{path}`: {error}")
    return DamagedError(path, str(error))

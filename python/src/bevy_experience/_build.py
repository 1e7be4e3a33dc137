"""Writes the arrays of a recording from its shards. Memory holds one batch of rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ._columns import EPISODE_COLUMNS, FLAG_COLUMNS, final_columns, row_columns
from ._compaction import check_not_compacted
from ._conform import ColumnError, MissingValueError, Values, strings
from ._episode_index import EpisodeIndex, EpisodeRows, EpisodeRuleError
from ._shards import ShardReader
from ._store import ArrayWriter, write_meta
from .errors import DamagedError, OtherSchemaError
from .schema import Schema

CONTROLLER = "controller"


class Skipped(NamedTuple):
    """A damaged shard, of which the rows after the damage were left out."""

    file: str
    reason: str


class StoreBuilder:
    """Builds the files of an `ArrayStore` from the shards of a recording.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    folder : pathlib.Path
        An empty folder for the files.
    skip_damaged : bool
        Whether to leave out rows after the damage of a file, instead of raising.
    """

    def __init__(self, schema: Schema, folder: Path, *, skip_damaged: bool) -> None:
        self._schema = schema
        self._folder = folder
        self._skip_damaged = skip_damaged
        self._skipped: list[Skipped] = []
        self._missing: list[str] = []
        self._writers: dict[str, ArrayWriter] = {}
        self._labels: dict[str, dict[str, int]] = {"end_reason": {}}
        self._has_controller = False
        self._rows = row_columns(schema)
        self._finals = final_columns(schema)
        for column in self._rows:
            self._add(column.name, column.dtype, column.shape)
        for column in self._finals:
            self._add(column.name, column.dtype, column.shape)
        self._add("episode", np.dtype(np.int32))
        for column in FLAG_COLUMNS:
            self._add(column.name, column.dtype)
        for column in (*FLAG_COLUMNS, *EPISODE_COLUMNS):
            self._add(f"episodes.{column.name}", column.dtype)
            if column.nullable:
                self._add(f"episodes.{column.name}.valid", np.dtype(bool))
        for name in ("first_row", "length"):
            self._add(f"episodes.{name}", np.dtype(np.int64))
        self._add("episodes.end_reason", np.dtype(np.int32))
        self._add("episodes.return", np.dtype(np.float64))
        self._index = EpisodeIndex()

    def _add(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> None:
        path = self._folder / f"{len(self._writers)}.bin"
        self._writers[name] = ArrayWriter(path, dtype, shape)

    def build(self, shards: list[Path]) -> None:
        """Write the arrays of all rows of ``shards``, and the description of the store."""
        try:
            self._has_controller = any(self._has_column(path, CONTROLLER) for path in shards)
            if self._has_controller:
                self._labels[CONTROLLER] = {}
                self._add(CONTROLLER, np.dtype(np.int32))
            for path in shards:
                self._add_shard(path)
            self._drop_unlabelled_controllers()
        finally:
            for writer in self._writers.values():
                writer.close()
        write_meta(
            self._folder,
            {
                "rows": self._index.rows,
                "episodes": self._index.episodes,
                "arrays": {name: writer.describe() for name, writer in self._writers.items()},
                "labels": {name: list(words) for name, words in self._labels.items()},
                "skipped": [list(skipped) for skipped in self._skipped],
                "missing": self._missing,
            },
        )

    def _has_column(self, path: Path, name: str) -> bool:
        try:
            with ShardReader(self._schema, path, []) as shard:
                return shard.has_column(name)
        except (DamagedError, FileNotFoundError):
            # Reported when its rows are read.
            return False

    def _drop_unlabelled_controllers(self) -> None:
        """Drop the column ``controller`` if no row has one: the game does not say who acted."""
        if self._has_controller and not self._labels[CONTROLLER]:
            writer = self._writers.pop(CONTROLLER)
            writer.close()
            writer.path.unlink()
            del self._labels[CONTROLLER]

    def _add_shard(self, path: Path) -> None:
        columns = [*EPISODE_COLUMNS, *FLAG_COLUMNS, *self._rows, *self._finals]
        required = [*(column.name for column in columns), "end_reason"]
        try:
            with ShardReader(self._schema, path, required) as shard:
                names = list(required)
                if self._has_controller and shard.has_column(CONTROLLER):
                    names.append(CONTROLLER)
                for batch in shard.batches(names):
                    self._add_rows(batch)
            self._index.finish()
        except FileNotFoundError:
            check_not_compacted(path)
            # Retention or an erasure removed it since the folder was listed.
            self._missing.append(path.name)
        except (DamagedError, ColumnError, MissingValueError, EpisodeRuleError) as error:
            damage = _damage(path, error)
            if not self._skip_damaged:
                raise damage from error
            self._skipped.append(Skipped(str(path), damage.reason))
            self._drop_open_episode()

    def _add_rows(self, batch: Any) -> None:
        """Add a batch, or the whole episodes before the first row that breaks a rule."""
        try:
            self._add_batch(batch)
        except (ColumnError, MissingValueError, EpisodeRuleError):
            if not self._skip_damaged or batch.num_rows < 2:
                raise
            half = batch.num_rows // 2
            self._add_rows(batch.slice(0, half))
            self._add_rows(batch.slice(half))

    def _add_batch(self, batch: Any) -> None:
        def convert(column: Any) -> Values:
            return column.convert(batch.column(column.name))  # type: ignore[no-any-return]

        keys = {column.name: convert(column) for column in EPISODE_COLUMNS}
        flags = [convert(column).data for column in FLAG_COLUMNS]
        rows = {column.name: convert(column).data for column in self._rows}
        episodes = self._index.add(keys, flags[0], flags[1], rows["step"])
        if (rows["ticks"] < 0).any():
            raise EpisodeRuleError("an episode has a transition of negative duration")
        last = pa.array(episodes.last)
        reasons = strings("end_reason", batch.column("end_reason").take(last))
        finals = {column.name: column.convert(batch.column(column.name).take(last)) for column in self._finals}
        for name, values in finals.items():
            if values.valid is not None and not values.valid.all():
                episode = episodes.table["episode_id"].data[~values.valid][0]
                raise EpisodeRuleError(f"episode {episode} has no final `{name}`")
        if reasons.null_count:
            episode = episodes.table["episode_id"].data[~_valid(reasons)][0]
            raise EpisodeRuleError(f"episode {episode} ends without a reason")
        controllers = self._controllers(batch) if self._has_controller else None
        # Nothing is written before all columns were checked.
        for name, data in rows.items():
            self._writers[name].append(data)
        self._writers["episode"].append(episodes.of_row)
        for column, data in zip(FLAG_COLUMNS, flags, strict=True):
            self._writers[column.name].append(data)
        for name, values in finals.items():
            self._writers[name].append(values.data)
        if controllers is not None:
            self._writers[CONTROLLER].append(controllers)
        self._add_episodes(episodes, self._codes("end_reason", reasons), rows["reward"])
        self._index.commit(len(episodes.of_row))

    def _add_episodes(self, episodes: EpisodeRows, reasons: NDArray[np.int32], reward: NDArray[np.float64]) -> None:
        writers = self._writers
        for column in EPISODE_COLUMNS:
            values = episodes.table[column.name]
            writers[f"episodes.{column.name}"].append(values.data)
            if column.nullable:
                valid = np.ones(len(values.data), bool) if values.valid is None else values.valid
                writers[f"episodes.{column.name}.valid"].append(valid)
        writers["episodes.terminated"].append(episodes.terminated)
        writers["episodes.truncated"].append(~episodes.terminated)
        writers["episodes.first_row"].append(episodes.first_row)
        writers["episodes.length"].append(episodes.length)
        writers["episodes.end_reason"].append(reasons)
        writers["episodes.return"].append(self._index.returns(episodes, reward))

    def _controllers(self, batch: Any) -> NDArray[np.int32]:
        if CONTROLLER not in batch.schema.names:
            return np.full(batch.num_rows, -1, np.int32)
        return self._codes(CONTROLLER, strings(CONTROLLER, batch.column(CONTROLLER)))

    def _codes(self, name: str, words: Any) -> NDArray[np.int32]:
        """Convert a dictionary array to codes that are the same in all shards; -1 for null."""
        known = self._labels[name]
        codes = [known.setdefault(word, len(known)) for word in words.dictionary.to_pylist()]
        indices = pc.fill_null(words.indices.cast(pa.int64()), -1).to_numpy()
        found: NDArray[np.int32] = np.array([*codes, -1], np.int32)[indices]
        return found

    def _drop_open_episode(self) -> None:
        rows, episodes = self._index.rollback()
        for name, writer in self._writers.items():
            is_table = name.startswith(("episodes.", "next_"))
            writer.truncate(min(writer.rows, episodes if is_table else rows))


def _valid(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False))


def _damage(path: Path, error: Exception) -> DamagedError:
    if isinstance(error, DamagedError):
        return error
    if isinstance(error, ColumnError):
        return OtherSchemaError(path, str(error))
    return DamagedError(path, str(error))

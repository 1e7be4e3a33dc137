"""One recording of a dataset: the episodes of one kind of player, with one schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._cache import open_store
from ._compaction import visible_shards
from ._experience_json import NAME, read_schema
from ._rows import RowSource
from ._segments import Segments
from ._shards import ShardReader, list_files
from ._store import ArrayStore
from .accounts import DISCARDED_TAG, Accounts, Run, account_paths, read_tags
from .errors import DamagedError, ExperienceError, UnsuitableError
from .normalization import Normalization, of_moments
from .schema import Schema
from .summary import Summary
from .transitions import Transitions


class Recording(Transitions):
    """All transitions of one recording.

    The rows are those of the shards that were in the folder when the recording was opened. Open the
    dataset again to read shards that a game has written since.

    Attributes
    ----------
    path : pathlib.Path
        The folder of the recording.
    """

    path: Path

    @classmethod
    def open(cls, path: Path, *, cache: Path, skip_damaged: bool = False) -> Recording:
        """Open the recording in the folder ``path``; see `bevy_experience.open`."""
        recording = cls.__new__(cls)
        recording.path = path
        recording._schema = read_schema(path)
        recording._cache = cache
        recording._skip_damaged = skip_damaged
        return recording

    _schema: Schema
    _cache: Path
    _skip_damaged: bool

    @property
    def name(self) -> str:
        """The name of the recording."""
        return self._schema.name

    @property
    def schema(self) -> Schema:
        """The names, types, shapes and spaces of its columns."""
        return self._schema

    @cached_property
    def shards(self) -> tuple[Path, ...]:
        """The Parquet files of its transitions, sorted by name."""
        return tuple(visible_shards(self.path))

    @cached_property
    def _runs(self) -> tuple[tuple[Run, ...], tuple[DamagedError, ...]]:
        runs, damaged = [], []
        for path in account_paths(self.path):
            try:
                runs.append(Run.read(path, self.path / "data"))
            except DamagedError as error:
                if not self._skip_damaged:
                    raise
                damaged.append(error)
            except FileNotFoundError:
                # A process replaces the accounts of its run.
                continue
        return tuple(runs), tuple(damaged)

    @cached_property
    def store(self) -> ArrayStore:
        """The memory-mapped cache, which is built when it is first used."""
        runs, _ = self._runs
        return open_store(
            self._schema,
            self.path,
            list(self.shards),
            {name: checksum for run in runs for name, checksum in run.checksums.items()},
            cache=self._cache,
            skip_damaged=self._skip_damaged,
        )

    @cached_property
    def _source(self) -> RowSource:  # type: ignore[override]
        return RowSource(self._schema, self.store)

    @cached_property
    def _segments(self) -> Segments:  # type: ignore[override]
        first, length = self.store["episodes.first_row"], self.store["episodes.length"]
        segments = Segments(np.arange(len(first)), first, first + length)
        if not self.discarded:
            return segments
        return segments.select(~self._is_discarded())

    _is_cut = False

    @cached_property
    def tags(self) -> Mapping[int, frozenset[str]]:
        """The tags of each episode, by episode id. Episodes without rows may be among them."""
        return read_tags(self.path, self._runs[0])

    @cached_property
    def discarded(self) -> frozenset[int]:
        """The ids of the episodes that were discarded after they had ended. They are in no selection."""
        return frozenset(episode for episode, tags in self.tags.items() if DISCARDED_TAG in tags)

    def _tags(self) -> Mapping[int, frozenset[str]]:
        return self.tags

    @cached_property
    def _footers(self) -> Summary | None:
        """The summary of all shards, from their footers; ``None`` if rows must be read for it."""
        if self._skip_damaged or self.discarded:
            return None
        combined: Summary | None = None
        for path in self.shards:
            try:
                with ShardReader(self._schema, path, []) as shard:
                    found = shard.summary
            except FileNotFoundError:
                return None
            if found is None:
                return None
            combined = found if combined is None else combined + found
        return combined

    def summary(self) -> Summary:
        """Return moments of the features and rewards, and counts of action classes and controllers.

        They are combined from the footers of the shards. Rows are read if a shard has no summary, as
        those of earlier versions and of other programs, and if episodes were discarded.
        """
        return self._footers or super().summary()

    def normalization(self) -> Normalization:
        """Compute means and deviations, from `summary` where that needs no row.

        They agree with those of the rows to ``float32``; see `bevy_experience.normalization.measure`.
        """
        if self._footers is None:
            return super().normalization()
        if not self._footers.transitions:
            raise UnsuitableError("there is nothing to measure: the selection is empty")
        return of_moments(self._schema, self._footers.observation, self._footers.transitions)

    @cached_property
    def accounts(self) -> Accounts:
        """What the recording holds, and what is missing from it."""
        runs, damaged = self._runs
        store = self.store
        skipped = (DamagedError(Path(file), reason) for file, reason in store.meta["skipped"])
        labels = store.labels("end_reason")
        gap = labels.index("gap") if "gap" in labels else -1
        return Accounts(
            runs=runs,
            transitions=store.rows,
            episodes=store.episodes,
            discarded_transitions=self._discarded_transitions(),
            gaps=int(np.count_nonzero(store["episodes.end_reason"] == gap)),
            damaged=(*damaged, *skipped),
            unfinished=tuple(
                path for part in ("data", "partial", "runs") for path in list_files(self.path / part, ".tmp")
            ),
            journals=_folders(self.path / "journal"),
            damaged_journals=_folders(self.path / "damaged"),
            other_schemas=self._other_schemas(),
        )

    def _discarded_transitions(self) -> int:
        return int(self.store["episodes.length"][self._is_discarded()].sum())

    def _is_discarded(self) -> NDArray[np.bool_]:
        return np.isin(self.store["episodes.episode_id"], np.array(list(self.discarded), np.int64))

    def _other_schemas(self) -> tuple[str, ...]:
        found = []
        for folder in sorted(self.path.parent.iterdir()):
            if folder.name != self.path.name and (folder / NAME).is_file():
                try:
                    name = read_schema(folder).name
                except ExperienceError:
                    continue
                if name == self.name:
                    found.append(folder.name)
        return tuple(found)


def _folders(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted(entry for entry in folder.iterdir() if entry.is_dir()))
    except FileNotFoundError:
        return ()

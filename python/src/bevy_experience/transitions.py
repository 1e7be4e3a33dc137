"""Transitions: some rows of a recording, with random access, filters and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from ._rows import RowSource
from ._segments import Indices, Segments
from .batch import Batch
from .errors import UnsuitableError
from .schema import Schema

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .episodes import Episodes
    from .filters import Conditions
    from .normalization import Normalization
    from .returns import NStep
    from .summary import Summary
    from .windows import Windows, WindowSettings

Index = int | slice | Sequence[int] | NDArray[Any]


class Transitions:
    """Some transitions of a recording: all, or those that a filter or a split selects.

    They are divided into segments, the contiguous rows of one episode. A whole episode is one
    segment. A filter of rows cuts episodes into several; the last row of a segment before the end
    of its episode counts as truncated, because the selection ends there and not the world.

    ``transitions[index]`` copies some of them, by a slice, an array of positions or a mask of
    booleans, and ``transitions["reward"]`` returns a column.
    """

    def __init__(
        self,
        source: RowSource,
        segments: Segments,
        tags: Callable[[], Mapping[int, frozenset[str]]],
    ) -> None:
        self._source = source
        self._segments = segments
        self._tags = tags
        ends = source.store["episodes.first_row"] + source.store["episodes.length"]
        self._is_cut = bool((segments.stop != ends[segments.episode]).any())

    @property
    def schema(self) -> Schema:
        """The schema of the recording."""
        return self._source.schema

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        return self._source.names

    @property
    def segments(self) -> Segments:
        """The contiguous rows of which the selection consists."""
        return self._segments

    def __len__(self) -> int:
        return self._segments.count

    def __repr__(self) -> str:
        count = len(np.unique(self._segments.episode))
        return f"{type(self).__name__}({self.schema.name!r}, {len(self)} rows of {count} episodes)"

    @overload
    def __getitem__(self, index: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: Index) -> Batch: ...
    def __getitem__(self, index: Index | str) -> NDArray[Any] | Batch:
        if isinstance(index, str):
            return self.column(index)
        return self.take(index)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of all rows.

        A view of the memory-mapped cache if the rows are contiguous and the column is stored as it
        is, and a copy otherwise. Those that follow from others are copied: ``next_observation``,
        ``next_action_mask``, ``end_reason``, and the ids. ``match_id`` and ``continues`` are masked
        arrays. ``controller`` has codes, whose labels `controllers` returns.

        Parameters
        ----------
        name : str
            One of `columns`.

        Returns
        -------
        numpy.ndarray
            Shape ``(len(self), ...)``. Views are read-only.
        """
        segments = self._segments
        self._source.check((name,))
        if segments.is_contiguous and not (self._is_cut and name == "truncated"):
            first = int(segments.start[0]) if len(segments) else 0
            if name in self._source.store and not name.startswith("next_"):
                return self._source.store[name][first : first + len(self)]
        return self.take(slice(None), columns=[name])[name]

    def take(self, index: Index, *, columns: Iterable[str] | None = None) -> Batch:
        """Copy some transitions.

        Parameters
        ----------
        index : int, slice, sequence of int or numpy.ndarray
            Positions, negative ones from the end, or a mask ``bool [len(self)]``.
        columns : iterable of str, optional
            The columns; by default those that trainers need.

        Returns
        -------
        Batch
            Arrays of shape ``(B, ...)``, in the order of ``index``.
        """
        names = self._source.default_names if columns is None else tuple(columns)
        self._source.check(names)
        return self._gather(names, self._positions(index))

    def _gather(self, names: tuple[str, ...], positions: Indices) -> Batch:
        rows = self._segments.rows(positions)
        batch = self._source.gather(names, rows)
        if self._is_cut and "truncated" in batch:
            stop = self._segments.stop[self._segments.of(positions)]
            batch["truncated"] |= (rows + 1 == stop) & ~self._source.store["terminated"].take(rows)
        return Batch(self.schema, batch)

    def _positions(self, index: Index) -> Indices:
        count = len(self)
        if isinstance(index, slice):
            return np.arange(*index.indices(count))
        found = np.asarray(index)
        if found.dtype == bool:
            if found.shape != (count,):
                raise IndexError(f"a mask of shape {found.shape} does not select from {count} rows")
            return np.flatnonzero(found)
        positions = found.reshape(-1).astype(np.int64, copy=False)
        if len(positions):
            low, high = positions.min(), positions.max()
            if low < -count or high >= count:
                raise IndexError(f"position {low if low < -count else high} of {count} rows")
            if low < 0:
                positions = np.where(positions < 0, positions + count, positions)
        return positions

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = False,
        columns: Iterable[str] | None = None,
    ) -> Iterator[Batch]:
        """Iterate over all transitions once.

        Parameters
        ----------
        size : int
            Transitions in a batch.
        shuffle : bool
            Whether the order is random.
        seed : int, optional
            The seed of the order.
        drop_last : bool
            Whether to leave out a last batch that is smaller.
        columns : iterable of str, optional
            The columns; by default those that trainers need.

        Yields
        ------
        Batch
            Arrays of shape ``(size, ...)``.
        """
        if size < 1:
            raise UnsuitableError(f"a batch of {size} transitions: `size` must be 1 or more")
        names = self._source.default_names if columns is None else tuple(columns)
        self._source.check(names)
        count = len(self)
        order = np.random.default_rng(seed).permutation(count) if shuffle else None
        for start in range(0, count - size + 1 if drop_last else count, size):
            stop = min(start + size, count)
            yield self._gather(names, np.arange(start, stop) if order is None else order[start:stop])

    def sample(self, size: int, rng: np.random.Generator, *, columns: Iterable[str] | None = None) -> Batch:
        """Draw transitions uniformly, with replacement."""
        if not len(self):
            raise UnsuitableError("there is no transition to draw: the selection is empty")
        return self.take(rng.integers(0, len(self), size), columns=columns)

    def where(self, **conditions: Unpack[Conditions]) -> Transitions:
        """Select episodes, or rows of one controller.

        Parameters
        ----------
        **conditions
            See `bevy_experience.filters.where`: ``tag``, ``without_tag``, ``end_reason``,
            ``terminated``, ``agent_id``, ``run``, ``episode_id``, ``min_return``, ``max_return``,
            ``return_quantile``, ``min_length``, ``max_length``, ``controller``. All must hold.

        Returns
        -------
        Transitions
            The selected transitions.
        """
        from .filters import where

        return where(self, **conditions)

    def filter(self, mask: NDArray[np.bool_]) -> Transitions:
        """Select rows. Episodes are cut where rows between are left out.

        Parameters
        ----------
        mask : numpy.ndarray
            ``bool [len(self)]``.
        """
        if mask.shape != (len(self),):
            raise IndexError(f"a mask of shape {mask.shape} does not select from {len(self)} rows")
        return self._with(self._segments.cut(mask))

    def _with(self, segments: Segments) -> Transitions:
        return Transitions(self._source, segments, self._tags)

    def split(
        self,
        *fractions: float,
        by: Literal["episode", "agent", "run", "match"] = "episode",
        seed: int = 0,
    ) -> tuple[Transitions, ...]:
        """Divide into parts without leaks; see `bevy_experience.splits.split`."""
        from .splits import split

        return split(self, fractions, by=by, seed=seed)

    @property
    def episodes(self) -> Episodes:
        """The episodes, or parts of them, one for each segment."""
        from .episodes import Episodes

        return Episodes(self)

    def normalization(self) -> Normalization:
        """Compute means and deviations; see `bevy_experience.normalization.measure`."""
        from .normalization import measure

        return measure(self)

    def summary(self) -> Summary:
        """Compute moments of the features and rewards, and counts of action classes and controllers."""
        from .summary import measure

        return measure(self)

    def windows(self, length: int, **settings: Unpack[WindowSettings]) -> Windows:
        """Cut sequences of one length; see `bevy_experience.windows.Windows`."""
        from .windows import Windows

        return Windows(self, length, **settings)

    def n_step(self, n: int, gamma: float, *, per_tick: bool = False) -> NStep:
        """Sum the rewards of n steps; see `bevy_experience.returns.NStep`."""
        from .returns import NStep

        return NStep(self, n, gamma, per_tick=per_tick)

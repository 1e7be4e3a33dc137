"""Converts the record batches of a stream to the columns of a `Batch`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._columns import EPISODE_COLUMNS, FLAG_COLUMNS, ColumnSource, final_columns, row_columns
from ._conform import strings
from .errors import NoSuchColumnError
from .schema import Schema

Columns = dict[str, NDArray[Any]]

_WORDS = ("end_reason", "controller")


class StreamColumns:
    """The columns of a stream, and how each is converted.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    names : iterable of str, optional
        The columns of the batches; by default those that trainers need, and ``episode_id``.
    """

    def __init__(self, schema: Schema, names: Iterable[str] | None) -> None:
        sources = (*EPISODE_COLUMNS, *row_columns(schema), *FLAG_COLUMNS, *final_columns(schema))
        self._sources = {source.name: source for source in sources}
        self.schema = schema
        known = (*self._sources, *_WORDS)
        self.names = tuple(
            dict.fromkeys((*(_defaults(schema, self._sources) if names is None else names), "episode_id"))
        )
        for name in self.names:
            if name not in known:
                raise NoSuchColumnError(schema.name, name, known)
        images = {f"next_observation.{image.name}" for image in schema.images}
        sparse = images | ({"next_observation"} if schema.is_wide else set())
        self.joined = tuple(name for name in self.names if name in sparse)
        """The columns that a stream has in the last row of an episode alone."""
        extra: list[str] = []
        if self.joined:
            extra = [
                "agent_id",
                "step",
                "terminated",
                "truncated",
                *(name.removeprefix("next_") for name in self.joined),
            ]
        self.requested = tuple(dict.fromkeys((*self.names, *extra)))
        """The columns that the server sends."""

    def convert(self, batch: Any) -> Columns:
        """Convert a ``pyarrow.RecordBatch``. Arrays may be read-only views of it."""
        columns: Columns = {}
        for name in self.requested:
            array = batch.column(batch.schema.get_field_index(name))
            if name in _WORDS:
                columns[name] = _words(name, array)
                continue
            source: ColumnSource = self._sources[name]
            values = source.convert(array)
            data = values.data
            if source.nullable and name not in self.joined and not name.startswith("next_"):
                valid = np.ones(len(data), np.bool_) if values.valid is None else values.valid
                data = np.ma.MaskedArray(data, ~valid)
            columns[name] = data
        return columns


def _defaults(schema: Schema, sources: Iterable[str]) -> list[str]:
    """The columns of a transition that trainers need, in the order of the server."""
    wanted = ("observation", "action", "reward", "next_observation", "terminated", "truncated")
    masks = ("action_mask", "next_action_mask")
    heads = tuple(f"action.{name}" for name in schema.heads)
    images = tuple(f"observation.{image.name}" for image in schema.images)
    every = {*wanted, *masks, *heads, *images, *(f"next_{name}" for name in images)}
    return [name for name in sources if name in every]


def _words(name: str, array: Any) -> NDArray[Any]:
    dictionary = strings(name, array)
    labels = np.array([*dictionary.dictionary.to_pylist(), None], object)
    codes = dictionary.indices.fill_null(len(labels) - 1).to_numpy(zero_copy_only=False)
    words: NDArray[Any] = labels[codes]
    return words


def concatenate(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Join arrays, of which some may have masks."""
    if any(np.ma.isMaskedArray(part) for part in parts):
        masked: NDArray[Any] = np.ma.concatenate(parts)  # type: ignore[no-untyped-call]
        return masked
    return np.concatenate(parts)


class SuccessorJoin:
    """Fills columns that a stream has in the last row of an episode alone, from the next row.

    A row waits for the next one of its episode, until a row of the agent's next episode arrives. Rows
    of which the next one never comes, because it is filtered or was missed, are left out and counted.
    """

    def __init__(self, columns: StreamColumns) -> None:
        self._columns = columns
        self._held: Columns = {}
        self.incomplete = 0

    def forget(self) -> None:
        """Leave out the rows that wait: transitions after them were missed."""
        if self._held:
            self.incomplete += len(self._held["episode_id"])
        self._held = {}

    def withdraw(self, episodes: list[int]) -> None:
        """Remove rows of discarded episodes."""
        if self._held:
            stays = ~np.isin(self._held["episode_id"], episodes)
            self._held = {name: values[stays] for name, values in self._held.items()} if stays.any() else {}

    def join(self, columns: Columns) -> Columns:
        """Return the rows that are complete, in the order of episodes and steps."""
        if self._held:
            columns = {name: concatenate([self._held[name], values]) for name, values in columns.items()}
        order = np.lexsort((columns["step"], columns["episode_id"]))
        columns = {name: values[order] for name, values in columns.items()}
        episode, step = columns["episode_id"], columns["step"]
        is_end = columns["terminated"] | columns["truncated"]
        same = np.append(episode[1:] == episode[:-1], False)
        follows = same & np.append(step[1:] == step[:-1] + 1, False)
        (before,) = follows.nonzero()
        for name in self._columns.joined:
            columns[name] = columns[name].copy()
            columns[name][before] = columns[name.removeprefix("next_")][before + 1]
        # Of an agent, only the row that arrived last: its episodes follow each other.
        arrived = order.argsort()
        newest = np.zeros(len(order), np.bool_)
        _, from_end = np.unique(columns["agent_id"][arrived][::-1], return_index=True)
        newest[arrived[::-1][from_end]] = True
        waits = newest & ~same & ~is_end
        complete = follows | is_end
        self.incomplete += int((~complete & ~waits).sum())
        self._held = {name: values[waits] for name, values in columns.items()} if waits.any() else {}
        return {name: values[complete] for name, values in columns.items()}

"""Columns of a recording by name: arrays of the cache, and columns that follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._columns import EPISODE_COLUMNS
from ._store import ArrayStore
from .errors import NoSuchColumnError, UnsuitableError
from .schema import Column, Schema

Rows = NDArray[np.int64]

_OF_EPISODE = tuple(column.name for column in EPISODE_COLUMNS)


class RowSource:
    """Reads columns of rows.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    store : ArrayStore
        Its cache.
    """

    def __init__(self, schema: Schema, store: ArrayStore) -> None:
        self.schema = schema
        self.store = store
        stored = [name for name in store.meta["arrays"] if not name.startswith("episodes.")]
        self.names: tuple[str, ...] = tuple(dict.fromkeys([*stored, *_OF_EPISODE, "end_reason"]))
        self._last_row = max(store.rows - 1, 0)

    @property
    def default_names(self) -> tuple[str, ...]:
        """The columns of a transition that trainers need."""
        schema = self.schema
        images = tuple(f"observation.{image.name}" for image in schema.images)
        next_images = tuple(f"next_{name}" for name in images)
        names = (
            *(("observation",) if "observation" in self.store else ()),
            *images,
            *self.action_names,
            "reward",
            *(("next_observation",) if "observation" in self.store else ()),
            *next_images,
            "terminated",
            "truncated",
        )
        return (*names, "action_mask", "next_action_mask") if schema.action_mask else names

    @property
    def action_names(self) -> tuple[str, ...]:
        """The columns of the action: one for each head, or ``action`` alone."""
        if self.schema.has_parts:
            return tuple(f"action.{name}" for name in self.schema.heads)
        return ("action",) if "action" in self.store else ()

    def check(self, names: tuple[str, ...]) -> None:
        """Raise for the first name that is no column."""
        for name in names:
            if name == "action" and self.schema.has_parts:
                heads = ", ".join(self.action_names)
                raise UnsuitableError(
                    f"the action of `{self.schema.name}` has heads of several types: read {heads}, or "
                    "`Batch.flat_action` for a copy of all as float32"
                )
            if name not in self.names:
                raise NoSuchColumnError(self.schema.name, name, self.names)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of all rows; a view of the cache where it is stored as it is."""
        self.check((name,))
        if name in self.store and not name.startswith("next_"):
            return self.store[name]
        return self.gather((name,), np.arange(self.store.rows))[name]

    def gather(self, names: tuple[str, ...], rows: Rows) -> dict[str, NDArray[Any]]:
        """Copy the columns ``names`` of ``rows``."""
        batch: dict[str, NDArray[Any]] = {}
        for name in names:
            if name.startswith("next_"):
                batch[name] = self._next(name, rows)
            elif name == "end_reason":
                batch[name] = self.end_reasons(rows)
            elif name in _OF_EPISODE:
                batch[name] = self.episode_column(name, self.store["episode"].take(rows))
            else:
                batch[name] = self.store[name].take(rows, axis=0)
        return batch

    def episode_column(self, name: str, episodes: NDArray[Any]) -> NDArray[Any]:
        """Return a column of the episode table; a masked array where values may be missing."""
        data = self.store[f"episodes.{name}"].take(episodes)
        mask = f"episodes.{name}.valid"
        if mask not in self.store:
            return data
        masked: NDArray[Any] = np.ma.MaskedArray(data, ~self.store[mask].take(episodes))
        return masked

    def end_reasons(self, rows: Rows) -> NDArray[Any]:
        """Return the end reason of each row: a string in the last row of an episode, or ``None``."""
        words = np.array([*self.store.labels("end_reason"), None], object)
        last = self.is_last(rows)
        codes = np.full(len(rows), -1)
        codes[last] = self.store["episodes.end_reason"].take(self.store["episode"].take(rows[last]))
        reasons: NDArray[Any] = words[codes]
        return reasons

    def is_last(self, rows: Rows) -> NDArray[np.bool_]:
        """Whether each row is the last of its episode."""
        last: NDArray[np.bool_] = self.store["terminated"].take(rows)
        last |= self.store["truncated"].take(rows)
        return last

    def _next(self, name: str, rows: Rows) -> NDArray[Any]:
        """Return the value after each row: of the next row, or of the final observation."""
        current = self.store[name.removeprefix("next_")]
        after = np.minimum(rows + 1, self._last_row)
        values: NDArray[Any] = current.take(after, axis=0)
        (ends,) = self.is_last(rows).nonzero()
        if len(ends):
            episodes = self.store["episode"].take(rows[ends])
            values[ends] = self.store[name].take(episodes, axis=0)
        return values


def split_action(schema: Schema, columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Divide the action columns of a batch into heads, each of its own type and shape.

    The leading dimensions of the columns are kept.
    """
    if schema.has_parts:
        return {name: columns[f"action.{name}"] for name in schema.heads}
    packed = columns.get("action")
    if packed is None:
        return {}
    if schema.is_single_discrete:
        head = schema.action[0]
        return {head.name: packed.reshape(*packed.shape, *head.shape).astype(head.dtype, copy=False)}
    heads, start = {}, 0
    for head in schema.heads.values():
        part = packed[..., start : start + head.width]
        heads[head.name] = part.reshape(*packed.shape[:-1], *head.shape)
        start += head.width
    return heads


def flat_action(schema: Schema, columns: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Pack all heads into ``float32 [..., A]``, in the order of the schema."""
    if not schema.has_parts and not schema.is_single_discrete and "action" in columns:
        return columns["action"]
    heads = split_action(schema, columns)

    def flatten(head: Column, values: NDArray[Any]) -> NDArray[np.float32]:
        lead = values.ndim - len(head.shape)
        return values.reshape(*values.shape[:lead], head.width).astype(np.float32)

    parts = [flatten(head, heads[name]) for name, head in schema.heads.items()]
    return np.concatenate(parts, axis=-1)

"""The schema of a recording: its columns, their types, shapes and spaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# Observations of more bytes than this have `next_observation` only in the last row of an episode.
_WIDE_OBSERVATION = 1024
_DTYPES = {
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "bool": "bool",
}


@dataclass(frozen=True)
class Space:
    """The values that one element of a column can take.

    Attributes
    ----------
    kind : {"box", "discrete"}
        A number in a closed interval, or an integer from 0 to ``n - 1``.
    low, high : float
        The bounds of a box, infinite where there is none; 0 and ``n - 1`` of a discrete space.
    n : int
        The number of alternatives of a discrete space; 0 for a box.
    labels : tuple of str
        One label for each alternative; empty where they have no names.
    """

    kind: Literal["box", "discrete"]
    low: float
    high: float
    n: int = 0
    labels: tuple[str, ...] = ()

    @classmethod
    def parse(cls, space: dict[str, Any]) -> Space:
        """Parse a space of ``experience.json``."""
        if space["type"] == "Discrete":
            n = int(space["n"])
            return cls("discrete", 0.0, float(max(n - 1, 0)), n, tuple(space.get("labels", ())))
        low, high = space.get("low"), space.get("high")
        return cls("box", -np.inf if low is None else float(low), np.inf if high is None else float(high))


@dataclass(frozen=True)
class Column:
    """A named scalar or tensor of one element type.

    Attributes
    ----------
    name : str
        The dotted path of the recorded field, such as ``transform.translation.x``.
    dtype : numpy.dtype
        The type of each element.
    shape : tuple of int
        The shape in C order; empty for a scalar.
    space : Space
        The values that each element can take.
    labels : tuple of str
        One label for each element of a one-dimensional column, such as the alternatives of a
        one-hot; empty where elements have no names.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    space: Space
    labels: tuple[str, ...] = ()

    @classmethod
    def parse(cls, column: dict[str, Any]) -> Column:
        """Parse a column of ``experience.json``."""
        return cls(
            name=str(column["name"]),
            dtype=np.dtype(_DTYPES[column["dtype"]]),
            shape=tuple(int(extent) for extent in column.get("shape", ())),
            space=Space.parse(column["space"]),
            labels=tuple(column.get("labels", ())),
        )

    @property
    def width(self) -> int:
        """The number of elements: the product of the shape, 1 for a scalar."""
        return prod(self.shape)

    @property
    def is_discrete(self) -> bool:
        """Whether each element is one of ``space.n`` alternatives."""
        return self.space.kind == "discrete"

    @property
    def is_flag(self) -> bool:
        """Whether the schema states that each element is 0 or 1.

        These are the alternatives of a one-hot, and the flags ``present`` of a neighbour and
        ``is_some`` of an optional value.
        """
        if (self.space.low, self.space.high) != (0.0, 1.0) or self.is_discrete:
            return False
        return bool(self.labels) or self.name.rpartition(".")[2] in ("present", "is_some")

    def element_names(self) -> Iterator[str]:
        """Name each element, in C order.

        Yields
        ------
        str
            ``name`` for a scalar, ``name=label`` for labelled elements, ``name[i][j]`` otherwise.
        """
        if not self.shape:
            yield self.name
            return
        for position, index in enumerate(product(*map(range, self.shape))):
            if position < len(self.labels):
                yield f"{self.name}={self.labels[position]}"
            else:
                yield self.name + "".join(f"[{part}]" for part in index)


@dataclass(frozen=True)
class EntityList:
    """A list of entities in the flat observation, padded to a fixed number of places.

    Attributes
    ----------
    name : str
        The prefix of its columns.
    start, stop : int
        The part of the observation that it takes.
    capacity : int
        The number of places.
    features : tuple of str
        The names of the features of an entity. The first, ``present``, is the mask.
    overflow : int
        The feature of the observation that counts the entities which did not fit.
    """

    name: str
    start: int
    stop: int
    capacity: int
    features: tuple[str, ...]
    overflow: int

    @classmethod
    def parse(cls, description: dict[str, Any]) -> EntityList:
        """Parse an element of ``lists`` of ``experience.json``.

        Raises
        ------
        ValueError
            If the places do not fill the part of the observation.
        """
        found = cls(
            name=str(description["name"]),
            start=int(description["start"]),
            stop=int(description["stop"]),
            capacity=int(description["capacity"]),
            features=tuple(description["features"]),
            overflow=int(description["overflow"]),
        )
        if not found.features or found.stop - found.start != found.capacity * len(found.features):
            raise ValueError(f"the list `{found.name}` does not fill its part of the observation")
        return found

    def entities(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The entities of observations ``[..., F]``: ``float32 [..., capacity, features]``, a view.

        Places without an entity hold zeros, and follow those with one.
        """
        part = observation[..., self.start : self.stop]
        return part.reshape(*observation.shape[:-1], self.capacity, len(self.features))

    def mask(self, observation: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which places of observations ``[..., F]`` have an entity: ``bool [..., capacity]``."""
        return np.asarray(self.entities(observation)[..., 0] > 0)


@dataclass(frozen=True)
class Schema:
    """The columns of one recording.

    Attributes
    ----------
    name : str
        The name of the recording.
    version : str or None
        The version of the columns' meaning, as the game set it.
    hash : str
        The identity of the schema, 16 hexadecimal digits.
    observation : tuple of Column
        The columns of an observation, in order; always ``float32``.
    images : tuple of Column
        Images that are observed beside them: ``uint8``, of shape ``(height, width, channels)``.
    action : tuple of Column
        The heads of the action, in order, each of its own type.
    action_mask : int
        The number of alternatives that the action mask covers; 0 where there is no mask.
    info : tuple of Column
        Values in addition to the action, such as ``behavior_logp``.
    reward_terms : tuple of str
        The names of the summands of the reward.
    lists : tuple of EntityList
        Lists of entities in the observation.
    """

    name: str
    version: str | None
    hash: str
    observation: tuple[Column, ...]
    images: tuple[Column, ...]
    action: tuple[Column, ...]
    action_mask: int
    info: tuple[Column, ...]
    reward_terms: tuple[str, ...]
    definition: dict[str, Any] = field(repr=False, compare=False)
    lists: tuple[EntityList, ...] = ()

    @classmethod
    def parse(cls, definition: dict[str, Any], schema_hash: str, lists: Iterable[dict[str, Any]] = ()) -> Schema:
        """Parse the ``schema`` and the ``lists`` of ``experience.json``."""

        def columns(key: str) -> tuple[Column, ...]:
            return tuple(Column.parse(column) for column in definition.get(key, ()))

        return cls(
            name=str(definition["name"]),
            version=definition.get("version"),
            hash=schema_hash,
            observation=columns("observation"),
            images=columns("images"),
            action=columns("action"),
            action_mask=int(definition.get("action_mask", 0)),
            info=columns("info"),
            reward_terms=tuple(definition.get("reward_terms", ())),
            definition=definition,
            lists=tuple(map(EntityList.parse, lists)),
        )

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The name of each value of an observation."""
        return tuple(name for column in self.observation for name in column.element_names())

    @property
    def observation_width(self) -> int:
        """The number of values of an observation."""
        return sum(column.width for column in self.observation)

    @property
    def action_width(self) -> int:
        """The number of values of an action, over all heads."""
        return sum(column.width for column in self.action)

    @cached_property
    def observation_bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The lowest and the highest value of each feature, ``float32 [F]`` each."""
        return _bounds(self.observation)

    @cached_property
    def action_bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The bounds of each value of the flat action, ``float32 [A]`` each."""
        return _bounds(self.action)

    @cached_property
    def flags(self) -> NDArray[np.bool_]:
        """Which features the schema declares as 0 or 1, ``bool [F]``; see `Column.is_flag`."""
        return _expand(self.observation, [column.is_flag for column in self.observation], np.bool_)

    @cached_property
    def unit_bounded(self) -> NDArray[np.bool_]:
        """Which features have the bounds 0 and 1, ``bool [F]``: also those of a ``bool`` field."""
        low, high = self.observation_bounds
        return np.asarray((low == 0.0) & (high == 1.0))

    @property
    def heads(self) -> dict[str, Column]:
        """The heads of the action by name. A head without elements is left out."""
        return {column.name: column for column in self.action if column.width > 0}

    @property
    def is_single_discrete(self) -> bool:
        """Whether the action is one discrete scalar, which is stored as one integer."""
        return len(self.action) == 1 and self.action[0].width == 1 and self.action[0].is_discrete

    @property
    def has_parts(self) -> bool:
        """Whether the column ``action`` alone would lose the type or the space of a head."""
        if self.is_single_discrete:
            return self.action[0].dtype.kind == "f"
        discrete = sum(column.is_discrete for column in self.action)
        other_types = any(column.dtype != np.float32 for column in self.action)
        return other_types or 0 < discrete < len(self.action)

    @property
    def is_continuous(self) -> bool:
        """Whether every value of the action is a ``float32`` in a box."""
        return not self.has_parts and not any(column.is_discrete for column in self.action)

    @property
    def is_wide(self) -> bool:
        """Whether ``next_observation`` is stored only in the last row of an episode."""
        return 4 * self.observation_width > _WIDE_OBSERVATION


def _bounds(columns: tuple[Column, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    low = _expand(columns, [column.space.low for column in columns], np.float32)
    high = _expand(columns, [column.space.high for column in columns], np.float32)
    return low, high


def _expand(columns: tuple[Column, ...], values: list[Any], dtype: type[Any]) -> NDArray[Any]:
    """Repeat the value of each column for its elements."""
    return np.repeat(np.array(values, dtype), [column.width for column in columns])

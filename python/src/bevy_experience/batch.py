"""Batches: columns of some transitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._rows import flat_action, split_action
from .errors import NoSuchColumnError, UnsuitableError
from .schema import Schema


class Batch(Mapping[str, NDArray[Any]]):
    """The columns of some transitions, by name.

    Arrays have the shape ``(B, ...)`` in a batch of transitions and ``(B, L, ...)`` in one of
    windows. ``batch["reward"]`` and ``batch.reward`` are the same.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    columns : dict of str to numpy.ndarray
        The columns.
    """

    __slots__ = ("_columns", "schema")

    def __init__(self, schema: Schema, columns: dict[str, NDArray[Any]]) -> None:
        self.schema = schema
        self._columns = columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise NoSuchColumnError(self.schema.name, name, self._columns) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}: {array.dtype} {array.shape}" for name, array in self.items())
        return f"Batch({shapes})"

    @property
    def observation(self) -> NDArray[np.float32]:
        """The observations, ``float32 [B, F]``."""
        return self["observation"]

    @property
    def next_observation(self) -> NDArray[np.float32]:
        """The observations after the transitions, ``float32 [B, F]``.

        In the last transition of an episode it is the final observation, from before the reset.
        """
        return self["next_observation"]

    @property
    def images(self) -> dict[str, NDArray[np.uint8]]:
        """The observed images by name, ``uint8 [B, H, W, C]``."""
        return {image.name: self[f"observation.{image.name}"] for image in self.schema.images}

    @property
    def next_images(self) -> dict[str, NDArray[np.uint8]]:
        """The images after the transitions by name, ``uint8 [B, H, W, C]``."""
        return {image.name: self[f"next_observation.{image.name}"] for image in self.schema.images}

    @property
    def entities(self) -> dict[str, NDArray[np.float32]]:
        """The lists of observed entities by name, ``float32 [B, capacity, features]``."""
        return {found.name: found.entities(self.observation) for found in self.schema.lists}

    @property
    def entity_masks(self) -> dict[str, NDArray[np.bool_]]:
        """Which places of the lists have an entity, by name, ``bool [B, capacity]``."""
        return {found.name: found.mask(self.observation) for found in self.schema.lists}

    @property
    def actions(self) -> dict[str, NDArray[Any]]:
        """The heads of the actions by name, each of its own type, ``[B, *shape]``."""
        return split_action(self.schema, self._columns)

    @property
    def action(self) -> NDArray[Any]:
        """The actions as one array, where that loses nothing.

        ``int64 [B]`` for one discrete action, ``float32 [B, A]`` for continuous ones.

        Raises
        ------
        UnsuitableError
            If heads have several types, or some are discrete and others continuous.
        """
        heads = self.actions
        if self.schema.has_parts and len(heads) != 1:
            raise UnsuitableError(
                f"the action has heads of several types ({', '.join(heads)}): `actions` has each of "
                "them, and `flat_action` a copy of all as float32"
            )
        return next(iter(heads.values())) if self.schema.has_parts else self["action"]

    @property
    def flat_action(self) -> NDArray[np.float32]:
        """All values of the actions, ``float32 [B, A]``: a discrete head as the index of its class.

        A regression of this array treats classes as amounts. Use `actions` to train on discrete
        heads.
        """
        return flat_action(self.schema, self._columns)

    @property
    def reward(self) -> NDArray[np.float64]:
        """The rewards, ``float64 [B]``."""
        return self["reward"]

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """Whether the world ended the episode: do not bootstrap. ``bool [B]``."""
        return self["terminated"]

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Whether only the recording ended: bootstrap from ``next_observation``. ``bool [B]``."""
        return self["truncated"]

    @property
    def action_mask(self) -> NDArray[np.bool_]:
        """Which alternatives the observations allow, ``bool [B, K]``."""
        return self["action_mask"]

    @property
    def next_action_mask(self) -> NDArray[np.bool_]:
        """Which alternatives the next observations allow, ``bool [B, K]``."""
        return self["next_action_mask"]

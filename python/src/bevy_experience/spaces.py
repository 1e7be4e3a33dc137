"""Gymnasium spaces of a schema. Needs the extra ``gymnasium``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import MissingExtraError
from .schema import Column, Schema


def observation_space(schema: Schema) -> Any:
    """Make the space of an observation.

    Parameters
    ----------
    schema : Schema
        The schema of a recording.

    Returns
    -------
    gymnasium.spaces.Box or gymnasium.spaces.Dict
        ``Box(float32 [F])``. With images a ``Dict`` of ``observation`` and ``observation.<name>``,
        the names of a batch.
    """
    spaces = _spaces()
    low, high = schema.observation_bounds
    box = spaces.Box(low, high, dtype=np.float32)
    if not schema.images:
        return box
    images = {f"observation.{image.name}": spaces.Box(0, 255, image.shape, np.uint8) for image in schema.images}
    return spaces.Dict({"observation": box, **images} if schema.observation_width else images)


def action_space(schema: Schema, *, flat: bool = False) -> Any:
    """Make the space of an action.

    Parameters
    ----------
    schema : Schema
        The schema of a recording.
    flat : bool
        Whether to describe `Batch.flat_action`, in which the index of a class is a ``float32``.

    Returns
    -------
    gymnasium.spaces.Space
        ``Discrete`` for one discrete head, ``Box(float32 [A])`` for continuous ones, and otherwise a
        ``Dict`` of the heads.
    """
    spaces = _spaces()
    low, high = schema.action_bounds
    if flat or (schema.is_continuous and schema.action_width):
        return spaces.Box(low, high, dtype=np.float32)
    if schema.is_single_discrete:
        return spaces.Discrete(max(1, schema.action[0].space.n))
    return spaces.Dict({name: head_space(head) for name, head in schema.heads.items()})


def head_space(head: Column) -> Any:
    """Make the space of one head.

    Returns
    -------
    gymnasium.spaces.Space
        ``Discrete``, ``MultiDiscrete`` for several choices, or ``Box``.
    """
    spaces = _spaces()
    if head.is_discrete and not head.shape:
        return spaces.Discrete(max(1, head.space.n))
    if head.is_discrete:
        return spaces.MultiDiscrete(np.full(head.shape, head.space.n))
    if head.dtype.kind in "iu":
        limits = np.iinfo(head.dtype)
        low, high = max(head.space.low, limits.min), min(head.space.high, limits.max)
        return spaces.Box(int(low), int(high), head.shape, head.dtype.type)
    return spaces.Box(head.space.low, head.space.high, head.shape, head.dtype.type)


def _spaces() -> Any:
    try:
        from gymnasium import spaces
    except ModuleNotFoundError as error:
        raise MissingExtraError("gymnasium", "gymnasium") from error
    return spaces

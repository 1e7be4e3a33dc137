"""What the adapters to trainers share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from .batch import Batch
from .errors import MissingExtraError, UnsuitableError
from .schema import Schema


def extra(module: str, name: str) -> Any:
    """Import the package of an extra."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(module.partition(".")[0], name) from error


def observation_only(schema: Schema) -> None:
    """Raise if the recording has images, which a flat observation has no place for."""
    if schema.images:
        names = ", ".join(image.name for image in schema.images)
        raise UnsuitableError(
            f"the observation of `{schema.name}` has images ({names}), and this trainer takes one array: "
            "use `bevy_experience.torch`, or the episodes"
        )


def chosen_action(schema: Schema, action: str | None, *, flat: bool) -> str | None:
    """Check which head a trainer that takes one array shall use.

    Returns
    -------
    str or None
        The head; ``None`` for all of them as one array.
    """
    if action is not None:
        if action not in schema.heads:
            heads = ", ".join(schema.heads)
            raise UnsuitableError(f"the action of `{schema.name}` has no head `{action}`; it has {heads}")
        return action
    if flat or not schema.has_parts or len(schema.heads) == 1:
        return None
    heads = ", ".join(f'"{name}"' for name in schema.heads)
    raise UnsuitableError(
        f"the action of `{schema.name}` has discrete and continuous heads, and this trainer takes one "
        f"array: name a head, `action=` one of {heads}, or take all as float32 with `flat=True`, which "
        "makes amounts of classes"
    )


def action_array(batch: Batch, action: str | None, *, flat: bool) -> NDArray[Any]:
    """Return the actions as one array, ``[B]`` or ``[B, A]``."""
    if action is not None:
        return batch.actions[action]
    return batch.flat_action if flat else batch.action


def is_discrete(schema: Schema, action: str | None, *, flat: bool) -> bool:
    """Whether the actions are the indices of classes."""
    if flat:
        return False
    head = schema.heads[action] if action is not None else next(iter(schema.heads.values()))
    return head.is_discrete and not head.shape and (action is not None or len(schema.heads) == 1)

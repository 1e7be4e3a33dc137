"""Normalization: means and deviations of the features, without flags and one-hot columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import UnsuitableError
from .schema import Schema
from .summary import Moments, measure_observations

if TYPE_CHECKING:
    from .transitions import Transitions

# Deviations below this, relative to the mean, are rounding errors of a constant.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class Normalization:
    """Scales observations to a mean of 0 and a deviation of 1.

    Flags have the mean 0 and the deviation 1 here, so that they stay 0 and 1; constant features have
    the deviation 1.

    Attributes
    ----------
    features : tuple of str
        The name of each feature.
    mean, std : numpy.ndarray
        ``float32 [F]``.
    low, high : numpy.ndarray
        The smallest and the largest finite value of each feature, ``float32 [F]``.
    flags : numpy.ndarray
        Which features are flags, ``bool [F]``.
    count : int
        The number of observations that were measured.
    """

    features: tuple[str, ...]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    flags: NDArray[np.bool_]
    count: int

    def apply(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalize observations of the shape ``[..., F]``."""
        scaled: NDArray[np.float32] = (observation - self.mean) / self.std
        return scaled

    def invert(self, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
        """Restore observations that `apply` has normalized."""
        restored: NDArray[np.float32] = normalized * self.std + self.mean
        return restored

    def to_json(self) -> str:
        """Write as JSON, with which `from_json` restores every bit."""
        document: dict[str, Any] = {"features": self.features, "count": self.count}
        for name in ("mean", "std", "low", "high", "flags"):
            document[name] = getattr(self, name).tolist()
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str | Path) -> Normalization:
        """Read what `to_json` wrote, from a string or a file."""
        document = json.loads(text.read_text() if isinstance(text, Path) else text)
        arrays: dict[str, Any] = {
            name: np.array(document[name], np.bool_ if name == "flags" else np.float32)
            for name in ("mean", "std", "low", "high", "flags")
        }
        return cls(features=tuple(document["features"]), count=document["count"], **arrays)


def measure(transitions: Transitions) -> Normalization:
    """Measure the features of a selection. Memory holds some rows at a time.

    A feature is a flag if the schema says so (the alternatives of a one-hot, ``present`` of a
    neighbour, ``is_some`` of an optional value), or if its bounds are 0 and 1 and no other value
    occurs, as in a ``bool`` field. Values that are not finite are left out. Final observations are
    not counted: no action follows them.

    Parameters
    ----------
    transitions : Transitions
        The selection: measure the part that trains, and no other.

    Raises
    ------
    UnsuitableError
        If the selection is empty.
    """
    if not len(transitions):
        raise UnsuitableError("there is nothing to measure: the selection is empty")
    return of_moments(transitions.schema, measure_observations(transitions), len(transitions))


def of_moments(schema: Schema, moments: Moments, count: int) -> Normalization:
    """Normalize by moments of the features, of ``count`` observations."""
    mean, std = moments.mean, moments.std
    flags = schema.flags | (schema.unit_bounded & moments.binary)
    is_constant = std <= _CONSTANT * np.maximum(np.abs(mean), 1e-30)
    return Normalization(
        features=schema.features,
        mean=np.where(flags, 0, mean).astype(np.float32),
        std=np.where(flags | is_constant, 1, std).astype(np.float32),
        low=moments.min.astype(np.float32),
        high=moments.max.astype(np.float32),
        flags=flags,
        count=count,
    )

"""What to know about the data: features that repeat the last action, and heads that cannot be learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsuitableError
from ..schema import Schema
from ..transitions import Transitions
from .heads import HeadScore

ROWS = 20_000
"""The rows that are compared."""
CORRELATION = 0.97
"""From which correlation on a feature counts as a copy of the last action."""


def ignored_features(schema: Schema, names: Sequence[str]) -> list[int]:
    """Find the indices of the features with these names, or that begin with one and a dot or a bracket.

    Raises
    ------
    UnsuitableError
        If a name has no feature, or no feature is left.
    """
    found: set[int] = set()
    for name in names:
        indices = [
            index
            for index, feature in enumerate(schema.features)
            if feature == name or feature.startswith((f"{name}.", f"{name}["))
        ]
        if not indices:
            raise UnsuitableError(
                f"`{schema.name}` has no feature `{name}` to ignore; its features are {', '.join(schema.features)}"
            )
        found.update(indices)
    if len(found) == schema.observation_width:
        raise UnsuitableError("all features are ignored: a policy needs one to decide by")
    return sorted(found)


def repeated_actions(train: Transitions, ignored: Sequence[str] = ()) -> list[str]:
    """Find features that are what the last action was.

    A policy that sees such a feature predicts an action by the one before, which is nearly the same
    in recorded play. When it acts, the feature is its own last action, so that it repeats its own
    errors, and they add up. Held-out data does not show that.

    Returns
    -------
    list of str
        A note for each feature whose value after an action has a correlation with it of
        `CORRELATION` or more.
    """
    if len(train) < 2:
        return []
    schema = train.schema
    rows = np.sort(np.random.default_rng(0).permutation(len(train))[:ROWS])
    batch = train.take(rows, columns=("next_observation", *train._source.action_names))
    after = _standard(batch.next_observation.astype(np.float64))
    skipped = set(ignored_features(schema, ignored))
    notes = []
    for name, head in schema.heads.items():
        done = batch.actions[name].reshape(len(rows), head.width)
        if head.is_discrete:
            done = (done[:, :, None] == np.arange(head.space.n)).reshape(len(rows), -1)
        correlation = np.abs(after.T @ _standard(done.astype(np.float64))).max(1) / len(rows)
        for index in np.flatnonzero(correlation >= CORRELATION):
            if index not in skipped:
                feature = schema.features[index]
                notes.append(
                    f"`{feature}` is the last `{name}` (correlation {correlation[index]:.3f}): a policy that sees it "
                    f"learns to repeat its own action; leave it out with --ignore {feature}"
                )
    return notes


def unlearned_heads(scores: Mapping[str, HeadScore], constant: Sequence[str] = ()) -> list[str]:
    """Name the continuous heads, apart from constant ones, that are predicted no better than by their mean."""
    return [
        f"`{name}` is predicted no better than by its mean: it is random, or follows from what is not observed, or the "
        "training is too short"
        for name, score in scores.items()
        if name not in constant and not score.recall and score.accuracy <= 0
    ]


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the mean of each column, and divide by its deviation; 0 for a constant column."""
    values = np.nan_to_num(values - values.mean(0))
    deviation = values.std(0)
    return np.where(deviation > 1e-9, values / np.maximum(deviation, 1e-9), 0.0)

"""Summaries: moments of the features and rewards, classes of discrete actions, steps of controllers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .schema import Schema

if TYPE_CHECKING:
    from .transitions import Transitions

# Bytes of values that are measured at once.
_CHUNK_BYTES = 32 << 20
# Alternatives beyond this number are counted together.
MAX_CLASSES = 256


@dataclass(frozen=True)
class Moments:
    """Moments of some columns. Values that are not finite are counted, and left out of the others.

    Attributes
    ----------
    names : tuple of str
        The name of each column.
    count, non_finite : numpy.ndarray
        How many values are finite, and how many are not, ``int64 [N]``.
    min, max, mean : numpy.ndarray
        ``float64 [N]``; 0 where no value is finite.
    squares : numpy.ndarray
        The sums of squared distances from the mean, ``float64 [N]``.
    binary : numpy.ndarray
        Whether every value is 0 or 1, ``bool [N]``.
    """

    names: tuple[str, ...]
    count: NDArray[np.int64]
    non_finite: NDArray[np.int64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    binary: NDArray[np.bool_]

    @property
    def std(self) -> NDArray[np.float64]:
        """The standard deviations of the populations, ``float64 [N]``."""
        deviations: NDArray[np.float64] = np.sqrt(self.squares / np.maximum(self.count, 1))
        return deviations

    @classmethod
    def of(cls, names: tuple[str, ...], values: NDArray[Any]) -> Moments:
        """Measure the columns of ``values``, of shape ``[rows, N]``."""
        wide = values.astype(np.float64)
        finite = np.isfinite(wide)
        count = finite.sum(axis=0, dtype=np.int64)
        none = count == 0
        mean = np.where(finite, wide, 0).sum(axis=0) / np.maximum(count, 1)
        deviation = np.where(finite, wide - mean, 0)
        return cls(
            names=names,
            count=count,
            non_finite=len(wide) - count,
            min=np.where(none, 0, np.where(finite, wide, np.inf).min(axis=0, initial=np.inf)),
            max=np.where(none, 0, np.where(finite, wide, -np.inf).max(axis=0, initial=-np.inf)),
            mean=mean,
            squares=(deviation**2).sum(axis=0),
            binary=((wide == 0) | (wide == 1)).all(axis=0),
        )

    def __add__(self, other: Moments) -> Moments:
        """Combine with the moments of other rows, by the method of Chan, Golub and LeVeque (1979)."""
        total = self.count + other.count
        part = other.count / np.maximum(total, 1)
        delta = other.mean - self.mean

        def bound(pick: Any, own: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
            both = pick(own, others)
            return np.where(other.count == 0, own, np.where(self.count == 0, others, both))

        return Moments(
            names=self.names,
            count=total,
            non_finite=self.non_finite + other.non_finite,
            min=bound(np.minimum, self.min, other.min),
            max=bound(np.maximum, self.max, other.max),
            mean=self.mean + delta * part,
            squares=self.squares + other.squares + delta**2 * self.count * part,
            binary=self.binary & other.binary,
        )


@dataclass(frozen=True)
class ActionClasses:
    """How often each alternative of a discrete action was chosen.

    Attributes
    ----------
    labels : tuple of str
        The alternatives, by number where they have no labels. There are 256 at most.
    counts : numpy.ndarray
        ``int64 [len(labels)]``.
    others : int
        Actions that are none of these alternatives.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    others: int

    @property
    def most_frequent(self) -> str | None:
        """The label of the alternative that was chosen most often; ``None`` if none was chosen."""
        return self.labels[int(self.counts.argmax())] if self.counts.any() else None


@dataclass(frozen=True)
class Summary:
    """Statistics of some transitions.

    Observations are those in which an action was taken: final observations are not counted.

    Attributes
    ----------
    transitions : int
        The number of transitions.
    observation : Moments
        Each feature.
    reward : Moments
        The reward of a transition, and each of its terms.
    action_classes : dict of str to ActionClasses
        Each value of each discrete head, by name.
    controllers : dict of str to int
        The transitions of each controller, the most active first; ``None`` is the key of those
        without a label.
    """

    transitions: int
    observation: Moments
    reward: Moments
    action_classes: Mapping[str, ActionClasses]
    controllers: Mapping[str | None, int]

    def __add__(self, other: Summary) -> Summary:
        """Combine with the summary of other transitions of the same schema."""
        own, others = self.action_classes, other.action_classes
        return Summary(
            transitions=self.transitions + other.transitions,
            observation=self.observation + other.observation,
            reward=self.reward + other.reward,
            action_classes={
                name: ActionClasses(
                    own[name].labels, own[name].counts + others[name].counts, own[name].others + others[name].others
                )
                for name in own
            },
            controllers=_by_steps(
                (label, steps) for found in (self, other) for label, steps in found.controllers.items()
            ),
        )


def _by_steps(found: Any) -> dict[str | None, int]:
    total: dict[str | None, int] = {}
    for label, steps in found:
        total[label] = total.get(label, 0) + int(steps)
    return dict(sorted(((label, steps) for label, steps in total.items() if steps), key=lambda item: -item[1]))


def class_labels(schema: Schema) -> dict[int, tuple[str, tuple[str, ...]]]:
    """The name and the labels of each discrete value of the action, by its index in the action."""
    found, index = {}, 0
    for head in schema.action:
        for name in head.element_names():
            if head.is_discrete:
                known = head.space.labels
                labels = tuple(
                    known[number] if number < len(known) else str(number)
                    for number in range(min(head.space.n, MAX_CLASSES))
                )
                found[index] = (name, labels)
            index += 1
    return found


def of_counts(
    schema: Schema,
    transitions: int,
    moments: tuple[Moments, Moments],
    counts: Mapping[int, tuple[NDArray[np.int64], int]],
    controllers: Any,
) -> Summary:
    """Make a summary; ``counts`` has the classes and the others of each discrete value."""
    classes = class_labels(schema)
    return Summary(
        transitions=transitions,
        observation=moments[0],
        reward=moments[1],
        action_classes={
            name: ActionClasses(labels, *counts[index]) for index, (name, labels) in classes.items() if index in counts
        },
        controllers=_by_steps(controllers),
    )


def reward_names(schema: Schema) -> tuple[str, ...]:
    """The names of the reward and of its terms."""
    return ("reward", *(f"reward.{term}" for term in schema.reward_terms))


def measure(transitions: Transitions) -> Summary:
    """Summarize a selection from its rows. Memory holds some rows at a time."""
    schema = transitions.schema
    step = max(1, _CHUNK_BYTES // (8 * (schema.observation_width + schema.action_width + 8)))
    starts = range(0, max(len(transitions), 1), step)
    return reduce(lambda a, b: a + b, (_measure(transitions, slice(start, start + step)) for start in starts))


def measure_observations(transitions: Transitions) -> Moments:
    """Measure the features of a selection alone."""
    schema = transitions.schema
    step = max(1, _CHUNK_BYTES // max(8 * schema.observation_width, 1))
    starts = range(0, max(len(transitions), 1), step)
    chunks = (_observations(transitions, slice(start, start + step)) for start in starts)
    return reduce(lambda a, b: a + b, chunks)


def _observations(transitions: Transitions, rows: slice) -> Moments:
    schema = transitions.schema
    if not schema.observation_width:
        return Moments.of((), np.zeros((0, 0)))
    return Moments.of(schema.features, transitions.take(rows, columns=["observation"]).observation)


def _measure(transitions: Transitions, rows: slice) -> Summary:
    schema = transitions.schema
    rewards = reward_names(schema)
    columns = [*transitions._source.action_names, *rewards]
    has_controller = "controller" in transitions.columns
    batch = transitions.take(rows, columns=[*columns, "controller"] if has_controller else columns)
    number = len(batch.reward)
    counts: dict[int, tuple[NDArray[np.int64], int]] = {}
    index = 0
    heads = batch.actions
    for head in schema.action:
        if head.is_discrete and head.width:
            values = heads[head.name].reshape(number, head.width)
            known = min(head.space.n, MAX_CLASSES)
            for element in range(head.width):
                counts[index + element] = _classes(values[:, element], known)
        index += head.width
    controllers: Any = [(None, number)]
    if has_controller:
        labels = [*transitions._source.store.labels("controller"), None]
        # -1, the code of a row without a label, is the last.
        found = np.bincount(batch["controller"] % len(labels), minlength=len(labels))
        controllers = zip(labels, found, strict=True)
    values = np.stack([batch[name].astype(np.float64) for name in rewards], axis=1)
    moments = (_observations(transitions, rows), Moments.of(rewards, values))
    return of_counts(schema, number, moments, counts, controllers)


def _classes(values: NDArray[Any], known: int) -> tuple[NDArray[np.int64], int]:
    is_class = (values >= 0) & (values < known)
    if values.dtype.kind == "f":
        is_class &= values == np.floor(values)
    counts = np.bincount(values[is_class].astype(np.int64), minlength=known).astype(np.int64)
    return counts, int(len(values) - counts.sum())

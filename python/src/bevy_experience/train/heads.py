"""The loss and the score of each head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..batch import Batch
from ..schema import Column, Schema
from ..transitions import Transitions

FORBIDDEN = -1e9
"""The logit of an alternative that the mask forbids."""


def class_weights(transitions: Transitions, head: Column, power: float) -> Tensor:
    """Weigh the classes of a head by ``frequency ** -power``, with a mean of 1 over the rows.

    Returns
    -------
    torch.Tensor
        ``float32 [n]``; 0 for a class that never occurs.
    """
    counts = np.zeros(head.space.n)
    for batch in transitions.batches(65_536, shuffle=False, columns=transitions._source.action_names):
        choices = batch.actions[head.name].reshape(-1).astype(np.int64)
        counts += np.bincount(choices, minlength=head.space.n)[: head.space.n]
    occurs = counts > 0
    weights = np.zeros(head.space.n)
    weights[occurs] = (counts[occurs] / counts.sum()) ** -power
    return torch.from_numpy(weights * counts.sum() / max((weights * counts).sum(), 1e-12)).float()


def mask_parts(schema: Schema, mask: NDArray[np.bool_]) -> dict[str, Tensor]:
    """Divide action masks ``[B, K]`` among the discrete heads.

    Returns
    -------
    dict of str to torch.Tensor
        ``bool [B, elements, n]`` for each discrete head; empty if the mask has another width.
    """
    discrete = [head for head in schema.heads.values() if head.is_discrete]
    widths = [head.width * head.space.n for head in discrete]
    if sum(widths) != schema.action_mask:
        return {}
    parts = torch.from_numpy(mask).split(widths, dim=1)
    return {
        head.name: part.unflatten(1, (head.width, head.space.n)) for head, part in zip(discrete, parts, strict=True)
    }


def targets(schema: Schema, batch: Batch) -> dict[str, Tensor]:
    """Convert the actions of a batch: ``int64`` or ``float32 [B, elements]`` for each head."""
    converted = {}
    for name, head in schema.heads.items():
        values = batch.actions[name].reshape(-1, head.width)
        converted[name] = torch.from_numpy(values.astype(np.int64 if head.is_discrete else np.float32))
    return converted


def head_loss(head: Column, output: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Compute the loss of each row, ``[B]``: cross-entropy, or the squared error of a continuous head.

    ``target`` of a continuous head is standardized, as ``output`` is.
    """
    if head.is_discrete:
        each = functional.cross_entropy(output.flatten(0, 1), target.flatten(), weight=weights, reduction="none")
        return each.unflatten(0, target.shape).mean(1)
    return (output - target).square().mean(1)


@dataclass
class HeadScore:
    """How well a head is predicted on held-out data.

    Attributes
    ----------
    loss : float
        The mean loss, without weights.
    accuracy : float
        The share of right choices; of a continuous head the explained share of the variance.
    recall : list of float
        The share of right choices of each class; NaN for a class that does not occur.
    deviation : list of float
        The root of the mean squared error of each element of a continuous head, in its units.
    """

    loss: float = 0.0
    accuracy: float = 0.0
    recall: list[float] = field(default_factory=list)
    deviation: list[float] = field(default_factory=list)


class HeadMeter:
    """Sums up what a `HeadScore` is made of."""

    def __init__(self, head: Column, factor: Tensor) -> None:
        self._head = head
        self._factor = factor
        self._loss = 0.0
        self._rows = 0
        n = head.space.n
        self._confusion = torch.zeros(n, n, dtype=torch.float64)
        self._squares = torch.zeros(head.width, dtype=torch.float64)
        self._sums = torch.zeros(2, head.width, dtype=torch.float64)

    def add(self, output: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self._loss += float(head_loss(self._head, output, target, None).sum())
        self._rows += len(target)
        if self._head.is_discrete:
            pairs = target.flatten() * self._head.space.n + output.argmax(-1).flatten()
            self._confusion += torch.bincount(pairs, minlength=self._confusion.numel()).view_as(self._confusion)
        else:
            self._squares += (output - target).double().square().sum(0)
            self._sums += torch.stack([target.double().sum(0), target.double().square().sum(0)])

    def score(self) -> HeadScore:
        """Compute the score of all batches."""
        rows = max(self._rows, 1)
        if self._head.is_discrete:
            right = self._confusion.diagonal()
            recall = (right / self._confusion.sum(1)).tolist()
            accuracy = float(right.sum() / self._confusion.sum().clamp(min=1))
            return HeadScore(self._loss / rows, accuracy, recall)
        variance = self._sums[1] / rows - (self._sums[0] / rows).square()
        unexplained = float(self._squares.sum() / rows / variance.sum().clamp(min=1e-12))
        deviation = ((self._squares / rows).sqrt() * self._factor).tolist()
        return HeadScore(self._loss / rows, 1 - unexplained, [], deviation)

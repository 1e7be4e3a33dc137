"""The policy network: normalization, a body of dense layers, and one output for each head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..normalization import Normalization
from ..schema import Column, Schema


class Policy(nn.Module):  # type: ignore[misc]
    """Maps observations to one output for each head of the action.

    Normalization is part of the network, so that a game passes observations as they are recorded.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    scale : Normalization
        The normalization of the observations.
    hidden : sequence of int
        The widths of the dense layers.
    ignored : sequence of int
        The indices of features that it does not see.
    """

    def __init__(
        self, schema: Schema, scale: Normalization, hidden: Sequence[int], ignored: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.heads = schema.heads
        self.register_buffer("mean", torch.from_numpy(scale.mean))
        self.register_buffer("deviation", torch.from_numpy(scale.std))
        sees = torch.ones(schema.observation_width)
        sees[list(ignored)] = 0.0
        self.register_buffer("sees", sees)
        widths = [schema.observation_width, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.outputs = nn.ModuleList(nn.Linear(widths[-1], outputs(head)) for head in self.heads.values())
        self.value = nn.Linear(widths[-1], 1)
        # Continuous heads are learned with a mean of 0 and a deviation of 1; `fit` sets these.
        for index, head in enumerate(self.heads.values()):
            self.register_buffer(f"offset_{index}", torch.zeros(head.width))
            self.register_buffer(f"factor_{index}", torch.ones(head.width))

    def features(self, observation: Tensor) -> Tensor:
        """Compute what the outputs are made of, ``float32 [B, H]``."""
        # A feature far outside of what was recorded does not overrule all others.
        return self.body(((observation - self.mean) / self.deviation).clamp(-10.0, 10.0) * self.sees)

    def standard(self, features: Tensor) -> list[Tensor]:
        """Compute the output of each head: logits ``[B, elements, n]``, or ``[B, elements]`` as learned."""
        found = []
        for head, layer in zip(self.heads.values(), self.outputs, strict=True):
            output = layer(features)
            found.append(output.unflatten(-1, (head.width, head.space.n)) if head.is_discrete else output)
        return found

    def forward(self, observation: Tensor) -> tuple[Tensor, ...]:
        """Compute the actions for observations ``float32 [B, F]``.

        Returns
        -------
        tuple of torch.Tensor
            For each head logits ``[B, elements * n]``, or the mean ``[B, elements]`` in the units of
            the action.
        """
        found = []
        for index, output in enumerate(self.standard(self.features(observation))):
            if output.ndim == 3:
                found.append(output.flatten(1))
            else:
                offset, factor = getattr(self, f"offset_{index}"), getattr(self, f"factor_{index}")
                found.append(output * factor + offset)
        return tuple(found)


def outputs(head: Column) -> int:
    """Count the outputs of a head: its elements, or the alternatives of each."""
    return head.width * head.space.n if head.is_discrete else head.width

"""The policy and the value function of a learner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._extras import observation_only
from ..batch import Batch
from ..errors import UnsuitableError
from ..normalization import Normalization
from ..schema import Schema
from ..train.export import write
from ..train.heads import FORBIDDEN, mask_parts, targets
from ..train.notes import ignored_features
from ..train.policy import Policy
from ..train.restore import restore

LOG_ROOT_TAU = 0.5 * math.log(math.tau)


class ActorCritic(nn.Module):  # type: ignore[misc]
    """A policy with a deviation for each continuous value, and a value function of its own.

    Actions are sampled as the game does: a class of the softmax of the logits, and a number of a
    Gaussian that is clamped to the bounds of its column. A number at a bound has the probability of
    all that lies beyond, as in `info.behavior_logp`.

    Parameters
    ----------
    policy : Policy
        The network of the policy.
    schema : Schema
        The schema of the recording.
    deviations : dict of str to sequence of float
        The deviation of each element of the continuous heads, in the units of the action.
    hidden : sequence of int
        The widths of the layers of the value function.
    """

    def __init__(
        self, policy: Policy, schema: Schema, deviations: Mapping[str, Sequence[float]], hidden: Sequence[int]
    ) -> None:
        super().__init__()
        observation_only(schema)
        self.policy, self.schema = policy, schema
        for name, head in schema.heads.items():
            if not head.is_discrete and head.dtype.kind != "f":
                raise UnsuitableError(f"`{name}` is a rounded number: a learner takes classes and floats")
        self.log_stds = nn.ParameterDict(
            {
                str(index): nn.Parameter(torch.tensor(deviations[name], dtype=torch.float32).log())
                for index, (name, head) in enumerate(schema.heads.items())
                if not head.is_discrete
            }
        )
        widths = [schema.observation_width, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.critic = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        nn.init.zeros_(self.critic[-1].weight)

    @classmethod
    def random(
        cls,
        schema: Schema,
        scale: Normalization,
        hidden: Sequence[int] = (128, 128),
        *,
        ignored: Sequence[str] = (),
        deviation: float = 0.5,
    ) -> ActorCritic:
        """Make a network that has learned nothing: all classes are as probable, all means in the middle.

        Parameters
        ----------
        schema : Schema
            The schema of the recording.
        scale : Normalization
            The normalization of the observations.
        hidden : sequence of int
            The widths of the layers, of the policy and of the value function.
        ignored : sequence of str
            Features that the policy does not see.
        deviation : float
            Of continuous values, as a share of half the range between their bounds.
        """
        policy = Policy(schema, scale, hidden, ignored_features(schema, ignored) if ignored else ())
        deviations: dict[str, Sequence[float]] = {}
        for index, (name, head) in enumerate(schema.heads.items()):
            nn.init.normal_(policy.outputs[index].weight, std=0.01)
            nn.init.zeros_(policy.outputs[index].bias)
            if not head.is_discrete:
                low, high = head.space.low, head.space.high
                is_bounded = math.isfinite(low) and math.isfinite(high)
                half = (high - low) / 2 if is_bounded else 1.0
                getattr(policy, f"offset_{index}").fill_((high + low) / 2 if is_bounded else 0.0)
                getattr(policy, f"factor_{index}").fill_(half)
                deviations[name] = [deviation * half] * head.width
        return cls(policy, schema, deviations, hidden)

    @classmethod
    def from_file(
        cls, path: Path, schema: Schema, hidden: Sequence[int] = (128, 128), *, least_deviation: float = 0.0
    ) -> ActorCritic:
        """Begin with the policy of a file of ``bevy-experience train``, and a value function of nothing.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        schema : Schema
            The schema of the recording.
        hidden : sequence of int
            The widths of the layers of the value function.
        least_deviation : float
            The least deviation of continuous values, in the units of the action. Those of a file are
            its errors, which can be so small that nothing new is tried.

        Raises
        ------
        UnsuitableError
            If the file is of another recording, or no export of this package.
        """
        policy, deviations = restore(path, schema)
        found = {name: [max(each, least_deviation) for each in values] for name, values in deviations.items()}
        return cls(policy, schema, found, hidden)

    def value(self, observation: Tensor) -> Tensor:
        """Compute the values of observations ``float32 [B, F]``: ``float32 [B]``."""
        scaled = ((observation - self.policy.mean) / self.policy.deviation).clamp(-10.0, 10.0)
        return self.critic(scaled).squeeze(-1)

    def distribution(self, observation: Tensor, mask: NDArray[np.bool_] | None = None) -> list[tuple[Tensor, Tensor]]:
        """Compute what actions are sampled from.

        Returns
        -------
        list of (torch.Tensor, torch.Tensor)
            For each head the logarithms of the probabilities ``[B, elements, n]`` with an empty
            tensor, or the means ``[B, elements]`` and the logarithms of the deviations ``[elements]``.
        """
        masks = {} if mask is None else mask_parts(self.schema, mask)
        found = []
        outputs = self.policy.standard(self.policy.features(observation))
        for index, (name, output) in enumerate(zip(self.schema.heads, outputs, strict=True)):
            if output.ndim == 3:
                if name in masks:
                    output = output.masked_fill(~masks[name], FORBIDDEN)
                found.append((output.log_softmax(-1), output.new_empty(0)))
            else:
                factor, offset = (getattr(self.policy, f"{part}_{index}") for part in ("factor", "offset"))
                found.append((output * factor + offset, self.log_stds[str(index)]))
        return found

    def log_prob(self, distribution: list[tuple[Tensor, Tensor]], actions: dict[str, Tensor]) -> Tensor:
        """Compute the logarithm of the probability of actions, as `train.heads.targets` converts them: ``[B]``."""
        total = 0.0
        for (name, head), (first, log_std) in zip(self.schema.heads.items(), distribution, strict=True):
            action = actions[name]
            if head.is_discrete:
                each = first.gather(-1, action.unsqueeze(-1)).squeeze(-1)
            else:
                each = _clamped_log_prob(first, log_std, action, head.space.low, head.space.high)
            total = total + each.sum(-1)
        return total

    def entropy(self, distribution: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute the entropy, without regard to bounds: ``[B]``."""
        total = 0.0
        for first, log_std in distribution:
            is_discrete = first.ndim == 3
            each = -(first.exp() * first).sum(-1) if is_discrete else (log_std + LOG_ROOT_TAU + 0.5).expand_as(first)
            total = total + each.sum(-1)
        return total

    def divergence(self, ours: list[tuple[Tensor, Tensor]], theirs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute the Kullback-Leibler divergence of two distributions, without regard to bounds: ``[B]``."""
        total = 0.0
        for (first, log_std), (other, other_log_std) in zip(ours, theirs, strict=True):
            if first.ndim == 3:
                each = (first.exp() * (first - other)).sum(-1)
            else:
                variance, other_variance = (2 * log_std).exp(), (2 * other_log_std).exp()
                each = (variance + (first - other).square()) / (2 * other_variance) - 0.5 + other_log_std - log_std
            total = total + each.sum(-1)
        return total

    def deviations(self) -> dict[str, list[float]]:
        """Return the deviation of each element of the continuous heads."""
        names = list(self.schema.heads)
        return {names[int(index)]: log_std.detach().exp().tolist() for index, log_std in self.log_stds.items()}

    def export(self, path: Path, observation: NDArray[np.float32], version: int) -> float:
        """Replace an ONNX file, which games may watch.

        Parameters
        ----------
        path : pathlib.Path
            The file. It is replaced when the new one is complete.
        observation : numpy.ndarray
            Observations for the comparison of its outputs with torch's, ``float32 [B, F]``.
        version : int
            Its version, above 0: the column ``info.policy_version`` of what it decides.

        Returns
        -------
        float
            The largest difference of an output; see `train.export`.

        Raises
        ------
        UnsuitableError
            If the difference is too large, or a weight is NaN. No file is written.
        """
        return write(self.policy, self.deviations(), self.schema, path, observation, version=version)


def tensors(schema: Schema, batch: Batch) -> tuple[Tensor, dict[str, Tensor], NDArray[np.bool_] | None]:
    """Convert a batch: observations, actions, and the action mask if there is one."""
    mask = np.asarray(batch.action_mask) if schema.action_mask else None
    return torch.from_numpy(np.ascontiguousarray(batch.observation)), targets(schema, batch), mask


def _clamped_log_prob(mean: Tensor, log_std: Tensor, action: Tensor, low: float, high: float) -> Tensor:
    deviation = log_std.exp()
    noise = (action - mean) / deviation
    found = -0.5 * noise.square() - log_std - LOG_ROOT_TAU
    # What is sampled beyond a bound becomes the bound.
    for bound, sign in ((low, -1.0), (high, 1.0)):
        if math.isfinite(bound):
            beyond = torch.special.log_ndtr(sign * (mean - bound) / deviation)
            is_clamped = (action - np.float32(bound)) * sign >= 0
            found = torch.where(is_clamped, beyond, found)
    return found

"""The update of a learner: proximal policy optimization with corrections for older policies."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import UnsuitableError
from .actor_critic import ActorCritic, tensors
from .advantages import vtrace
from .rollout import LOGP, Rollout

CHUNK = 8192
"""Rows that are evaluated at once, without gradients."""


@dataclass(frozen=True)
class LearnerSettings:
    """The settings of an update.

    Attributes
    ----------
    learning_rate : float
        That of Adam.
    gamma, lambda_ : float
        The discount of a step, and the decay of the traces; see `vtrace`.
    rho_bar, c_bar : float
        The bounds of the importance ratios.
    clip : float
        How far the probability of an action moves in an update: by a factor of ``1 - clip`` to ``1 + clip``.
    epochs, minibatch : int
        How often each row is used, and the rows of a step.
    entropy : float
        The weight of the entropy, which keeps actions random.
    target_kl : float
        The divergence from the policy before the update at which it ends early.
    reference_kl : float
        The weight of the divergence from the policy that the learner began with.
    value_only_updates : int
        First updates that train the value function alone.
    """

    learning_rate: float = 3e-4
    gamma: float = 0.99
    lambda_: float = 0.95
    rho_bar: float = 1.0
    c_bar: float = 1.0
    clip: float = 0.2
    epochs: int = 3
    minibatch: int = 2048
    entropy: float = 0.001
    target_kl: float = 0.03
    reference_kl: float = 0.0
    value_only_updates: int = 0


@dataclass
class _Rows:
    """The rows of an update, or some of them."""

    observation: Tensor
    actions: dict[str, Tensor]
    mask: NDArray[np.bool_] | None
    log_prob: Tensor | None = None
    """Of the actions, before the update."""
    weight: Tensor | None = None
    advantage: Tensor | None = None
    target: Tensor | None = None

    def take(self, rows: Tensor | slice) -> _Rows:
        optional = (self.log_prob, self.weight, self.advantage, self.target)
        return _Rows(
            self.observation[rows],
            {name: values[rows] for name, values in self.actions.items()},
            None if self.mask is None else self.mask[rows],
            *(None if values is None else values[rows] for values in optional),
        )

    def parts(self) -> Iterator[_Rows]:
        for start in range(0, len(self.observation), CHUNK):
            yield self.take(slice(start, start + CHUNK))


class Learner:
    """Improves a policy with rollouts.

    The loss of the policy is that of Schulman et al., `Proximal policy optimization
    <https://arxiv.org/abs/1707.06347>`_, relative to the policy before the update. Each row has the weight
    ``min(rho_bar, pi / mu)``, where ``mu`` is the probability with which its action was chosen, as in
    Hilton et al., `Batch size-invariance for policy optimization <https://arxiv.org/abs/2110.00641>`_.

    Parameters
    ----------
    network : ActorCritic
        The network, which is changed.
    settings : LearnerSettings
        The settings.
    seed : int
        The seed of the order of rows.
    """

    def __init__(self, network: ActorCritic, settings: LearnerSettings = LearnerSettings(), seed: int = 0) -> None:
        if not 0 <= settings.gamma <= 1 or not 0 <= settings.lambda_ <= 1:
            raise UnsuitableError("`gamma` and `lambda_` are from 0 to 1")
        self.network, self.settings, self.updates = network, settings, 0
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, eps=1e-5)
        self._reference = copy.deepcopy(network) if settings.reference_kl > 0 else None
        self._generator = torch.Generator().manual_seed(seed)

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Improve the network with a rollout.

        Returns
        -------
        dict of str to float
            Measures of the update. ``ratio`` and ``ratio_max`` are importance ratios before it;
            ``rejected`` is 1 if a weight became NaN, so that the network is as before.
        """
        network, settings = self.network, self.settings
        before = _Rows(*tensors(network.schema, rollout.batch))
        values, log_probs = zip(*(self._evaluate(part) for part in before.parts()), strict=True)
        value = torch.cat(values).double().numpy()
        following = torch.from_numpy(np.ascontiguousarray(rollout.batch.next_observation))
        with torch.no_grad():
            next_value = torch.cat([network.value(part) for part in following.split(CHUNK)]).double().numpy()
        before.log_prob = torch.cat(log_probs)
        behavior = torch.from_numpy(rollout.batch[LOGP].astype(np.float32))
        ratio = (before.log_prob - behavior).clamp(-20, 20).exp()
        found = vtrace(
            rollout.batch.reward,
            value,
            next_value,
            terminated=rollout.batch.terminated,
            follows=rollout.follows,
            ratio=ratio.double().numpy(),
            gamma=settings.gamma,
            lambda_=settings.lambda_,
            rho_bar=settings.rho_bar,
            c_bar=settings.c_bar,
        )
        advantage = torch.from_numpy(found.advantage).float()
        before.advantage = (advantage - advantage.mean()) / (advantage.std(unbiased=False) + 1e-8)
        before.weight = ratio.clamp(max=settings.rho_bar)
        before.target = torch.from_numpy(found.target).float()
        saved = copy.deepcopy((network.state_dict(), self.optimizer.state_dict()))
        steps: list[dict[str, float]] = []
        for _ in range(settings.epochs):
            order = torch.randperm(len(rollout), generator=self._generator)
            steps.extend(self._step(before.take(rows)) for rows in order.split(settings.minibatch))
            if steps[-1]["kl"] > settings.target_kl:
                break
        self.updates += 1
        is_finite = all(bool(values.isfinite().all()) for values in network.parameters())
        if not is_finite:
            network.load_state_dict(saved[0])
            self.optimizer.load_state_dict(saved[1])
        variance = float(np.var(found.target))
        return {
            **{name: float(np.mean([step[name] for step in steps])) for name in steps[0]},
            "steps": float(len(steps)),
            "ratio": float(ratio.mean()),
            "ratio_max": float(ratio.max()),
            "explained_variance": 1.0 - float(np.var(found.target - value)) / max(variance, 1e-12),
            "value": float(value.mean()),
            "rejected": float(not is_finite),
        }

    def _step(self, rows: _Rows) -> dict[str, float]:
        network, settings = self.network, self.settings
        error = (network.value(rows.observation) - rows.target).square().mean()
        loss = 0.5 * error
        measures = {"value_loss": float(error.detach()), "kl": 0.0, "clipped": 0.0, "entropy": 0.0, "reference_kl": 0.0}
        if self.updates >= settings.value_only_updates:
            distribution = network.distribution(rows.observation, rows.mask)
            change = network.log_prob(distribution, rows.actions) - rows.log_prob
            moved = change.exp()
            clamped = moved.clamp(1 - settings.clip, 1 + settings.clip)
            gain = torch.min(moved * rows.advantage, clamped * rows.advantage)
            entropy = network.entropy(distribution).mean()
            loss = loss - (rows.weight * gain).mean() - settings.entropy * entropy
            if self._reference is not None:
                with torch.no_grad():
                    reference = self._reference.distribution(rows.observation, rows.mask)
                divergence = network.divergence(distribution, reference).mean()
                loss = loss + settings.reference_kl * divergence
                measures["reference_kl"] = float(divergence.detach())
            # The estimate of the divergence that is never negative.
            measures["kl"] = float((moved - 1 - change).mean().detach())
            measures["clipped"] = float(((moved - 1).abs() > settings.clip).float().mean())
            measures["entropy"] = float(entropy.detach())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        self.optimizer.step()
        return measures

    def _evaluate(self, rows: _Rows) -> tuple[Tensor, Tensor]:
        """Compute the values of observations, and the logarithms of the probabilities of actions."""
        with torch.no_grad():
            distribution = self.network.distribution(rows.observation, rows.mask)
            return self.network.value(rows.observation), self.network.log_prob(distribution, rows.actions)

"""Training: batches of the training part, the loss of each head, and an early stop."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._extras import observation_only
from ..batch import Batch
from ..errors import UnsuitableError
from ..normalization import Normalization
from ..schema import Schema
from ..transitions import Transitions
from .heads import FORBIDDEN, HeadMeter, HeadScore, class_weights, head_loss, mask_parts, targets
from .notes import ignored_features, repeated_actions, unlearned_heads
from .policy import Policy


@dataclass(frozen=True)
class Settings:
    """The settings of a training.

    Attributes
    ----------
    algorithm : {"bc", "awr"}
        Behaviour cloning imitates every action alike. Advantage-weighted regression imitates those
        more that led to more reward than expected.
    hidden : tuple of int
        The widths of the dense layers.
    batch_size, epochs, patience : int
        Rows of a batch, the most epochs, and epochs without a better held-out loss before the end.
    learning_rate : float
        That of Adam in the first steps. It falls to 0 along half a cosine by the last epoch.
    class_power : float
        Classes are weighted by ``frequency ** -class_power``: 0 imitates the frequencies, 1 makes
        rare classes as important as common ones.
    gamma, beta : float
        The discount, and the temperature of the advantages in standard deviations, of ``"awr"``.
    n_step : int
        Steps of a return before it is bootstrapped from the value, of ``"awr"``.
    ignored : tuple of str
        Features that the policy does not see: whole names, or all that begin with one and a dot or a
        bracket.
    seed : int
        The seed of the network and the batches.
    """

    algorithm: Literal["bc", "awr"] = "bc"
    hidden: tuple[int, ...] = (128, 128)
    batch_size: int = 512
    epochs: int = 30
    patience: int = 4
    learning_rate: float = 3e-3
    class_power: float = 0.5
    gamma: float = 0.99
    beta: float = 1.0
    n_step: int = 20
    ignored: tuple[str, ...] = ()
    seed: int = 0


@dataclass
class Fitted:
    """A trained policy, with the weights of the epoch that has the smallest held-out loss.

    Attributes
    ----------
    policy : Policy
        The network.
    scale : Normalization
        The normalization in it.
    train_losses, valid_losses : list of float
        The loss of each epoch, on the training and on the held-out part.
    scores : dict of str to HeadScore
        The score of each head on the held-out part.
    best_epoch : int
        The index of the epoch whose weights it has.
    notes : list of str
        What to know about the data, such as an action that never varies.
    """

    policy: Policy
    scale: Normalization
    train_losses: list[float] = field(default_factory=list)
    valid_losses: list[float] = field(default_factory=list)
    scores: dict[str, HeadScore] = field(default_factory=dict)
    best_epoch: int = 0
    notes: list[str] = field(default_factory=list)


def fit(train: Transitions, valid: Transitions, settings: Settings = Settings(), *, progress: bool = False) -> Fitted:
    """Train a policy.

    Parameters
    ----------
    train, valid : Transitions
        The part that trains, and the one that is held out; see `Transitions.split`.
    settings : Settings
        The settings.
    progress : bool
        Whether to show a progress bar on standard error.

    Returns
    -------
    Fitted
        The policy.

    Raises
    ------
    UnsuitableError
        If a part is empty, the action has no values, or the recording observes images.
    """
    schema = train.schema
    observation_only(schema)
    if not schema.heads or not schema.observation_width:
        raise UnsuitableError(f"`{schema.name}` has no action or no observation: there is nothing to imitate")
    _check(settings)
    if not len(train) or not len(valid):
        raise UnsuitableError("the training or the held-out part is empty: record more episodes, or filter less")
    torch.manual_seed(settings.seed)
    scale = train.normalization()
    fitted = Fitted(Policy(schema, scale, settings.hidden, ignored_features(schema, settings.ignored)), scale)
    fitted.notes.extend(repeated_actions(train, settings.ignored))
    trainer = _Trainer(train, valid, settings, fitted)
    best, best_loss = copy.deepcopy(fitted.policy.state_dict()), np.inf
    for epoch in range(settings.epochs):
        fitted.train_losses.append(trainer.epoch(epoch, show=progress))
        loss, scores = trainer.evaluate()
        fitted.valid_losses.append(loss)
        if loss < best_loss:
            best, best_loss = copy.deepcopy(fitted.policy.state_dict()), loss
            fitted.scores, fitted.best_epoch = scores, epoch
        if epoch - fitted.best_epoch >= settings.patience:
            break
    if not np.isfinite(best_loss):
        raise UnsuitableError(
            "the loss is not finite: a recorded value is NaN or infinite (see `experience doctor`), or the "
            "learning rate is too high"
        )
    fitted.notes.extend(unlearned_heads(fitted.scores, trainer.constant))
    fitted.policy.load_state_dict(best)
    fitted.policy.eval()
    return fitted


def _check(settings: Settings) -> None:
    for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 1), ("n_step", 1)):
        if getattr(settings, name) < least:
            raise UnsuitableError(f"`{name}` is {getattr(settings, name)}: give {least} or more")
    for name in ("learning_rate", "beta"):
        if not 0 < getattr(settings, name) < np.inf:
            raise UnsuitableError(f"`{name}` is {getattr(settings, name)}: give a number above 0")
    if not 0 <= settings.gamma <= 1:
        raise UnsuitableError(f"`gamma` is {settings.gamma}: give a number from 0 to 1")


class _Trainer:
    def __init__(self, train: Transitions, valid: Transitions, settings: Settings, fitted: Fitted) -> None:
        self._train, self._valid, self._settings = train, valid, settings
        self._policy = fitted.policy
        self._schema: Schema = train.schema
        self._rng = np.random.default_rng(settings.seed)
        self._optimizer = torch.optim.Adam(self._policy.parameters(), lr=settings.learning_rate)
        steps = settings.epochs * -(-len(train) // settings.batch_size)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, max(steps, 1))
        self._advantage_scale = 1.0
        self._weights: dict[str, Tensor] = {}
        self.constant: list[str] = []
        self._columns = ("observation", *train._source.action_names)
        if self._schema.action_mask:
            self._columns += ("action_mask",)
        for index, (name, head) in enumerate(self._schema.heads.items()):
            if head.is_discrete:
                self._weights[name] = class_weights(train, head, settings.class_power)
                occurs = int((self._weights[name] > 0).sum())
                if occurs < 2:
                    self.constant.append(name)
                # A class that is in the held-out part alone is still scored.
                self._weights[name].clamp_(min=1e-3)
            else:
                offset, factor, constant = _moments(train, name, head.width)
                if constant.any():
                    self.constant.append(name)
                getattr(self._policy, f"offset_{index}").copy_(torch.from_numpy(offset))
                getattr(self._policy, f"factor_{index}").copy_(torch.from_numpy(factor))
        fitted.notes.extend(f"`{name}` never varies in the training part" for name in self.constant)

    def epoch(self, number: int, *, show: bool) -> float:
        """Train on every row once. Returns the mean loss."""
        self._policy.train()
        total, rows = 0.0, 0
        for batch in self._batches(self._train, self._rng):
            loss = self._loss(batch)
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._policy.parameters(), 1.0)
            self._optimizer.step()
            self._schedule.step()
            total, rows = total + float(loss.detach()) * len(batch.observation), rows + len(batch.observation)
            if show:
                _show(number, self._settings.epochs, rows / len(self._train), total / rows)
        if show:
            sys.stderr.write("\n")
        return total / max(rows, 1)

    def _batches(self, part: Transitions, rng: np.random.Generator | None) -> Iterator[Batch]:
        """Read every row of a part once, in a random order if ``rng`` is given."""
        count, size = len(part), self._settings.batch_size
        order = np.arange(count) if rng is None else rng.permutation(count)
        is_cloning = self._settings.algorithm == "bc"
        steps = part.n_step(self._settings.n_step, self._settings.gamma)
        for start in range(0, count, size):
            index = order[start : start + size]
            if is_cloning:
                yield part.take(index, columns=self._columns)
            else:
                yield steps.take(index, columns=(*self._columns, "next_observation"))

    def _loss(self, batch: Batch) -> Tensor:
        features = self._policy.features(torch.from_numpy(batch.observation))
        losses = self._head_losses(batch, features, self._weights)
        each = torch.stack(list(losses.values())).sum(0)
        if self._settings.algorithm == "bc":
            return each.mean()
        weight, value_loss = self._advantage_weights(batch, features)
        return (weight * each).mean() + value_loss

    def _advantage_weights(self, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh each row by how much better it turned out than the value function expected."""
        value = self._policy.value(features).squeeze(-1)
        with torch.no_grad():
            following = self._policy.value(self._policy.features(torch.from_numpy(batch.next_observation))).squeeze(-1)
            reward, discount = (torch.from_numpy(batch[name]).float() for name in ("reward", "discount"))
            target = reward + discount * following
            advantage = target - value
            if self._policy.training:
                scale = float(advantage.square().mean().sqrt())
                self._advantage_scale = 0.99 * self._advantage_scale + 0.01 * scale
            weight = (advantage / (self._settings.beta * max(self._advantage_scale, 1e-6))).exp().clamp(max=20.0)
        error = (value - target) / max(self._advantage_scale, 1e-6)
        return weight / weight.mean().clamp(min=1e-6), torch.nn.functional.smooth_l1_loss(
            error, torch.zeros_like(error)
        )

    def _head_losses(self, batch: Batch, features: Tensor, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: head_loss(self._schema.heads[name], output, target, weights.get(name))
            for name, output, target in self._outputs(batch, features)
        }

    def _outputs(self, batch: Batch, features: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Pair the output of each head with what was done, both standardized."""
        wanted = targets(self._schema, batch)
        masks = mask_parts(self._schema, batch.action_mask) if self._schema.action_mask else {}
        for index, (name, output) in enumerate(zip(self._schema.heads, self._policy.standard(features), strict=True)):
            target = wanted[name]
            if name in masks:
                # What was done is allowed, whatever the mask says.
                allowed = masks[name].scatter(2, target.unsqueeze(-1), True)
                output = output.masked_fill(~allowed, FORBIDDEN)
            elif not self._schema.heads[name].is_discrete:
                offset, factor = (getattr(self._policy, f"{part}_{index}") for part in ("offset", "factor"))
                target = (target - offset) / factor
            yield name, output, target

    def evaluate(self) -> tuple[float, dict[str, HeadScore]]:
        """Compute the loss, weighted as in training, and the score of each head, on the held-out part."""
        self._policy.eval()
        meters = {
            name: HeadMeter(head, getattr(self._policy, f"factor_{index}"))
            for index, (name, head) in enumerate(self._schema.heads.items())
        }
        total = 0.0
        with torch.no_grad():
            for batch in self._batches(self._valid, None):
                features = self._policy.features(torch.from_numpy(batch.observation))
                weight = torch.ones(len(features))
                if self._settings.algorithm == "awr":
                    weight, _ = self._advantage_weights(batch, features)
                for name, output, target in self._outputs(batch, features):
                    meters[name].add(output, target)
                    each = head_loss(self._schema.heads[name], output, target, self._weights.get(name))
                    total += float((weight * each).sum())
        return total / len(self._valid), {name: meter.score() for name, meter in meters.items()}


def _moments(
    transitions: Transitions, name: str, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Compute the mean and the deviation of each element of a head, and which are constant."""
    count, mean, squares = 0, np.zeros(width), np.zeros(width)
    for batch in transitions.batches(65_536, shuffle=False, columns=transitions._source.action_names):
        values = batch.actions[name].reshape(-1, width).astype(np.float64)
        delta, total = values.mean(0) - mean, count + len(values)
        squares += values.var(0) * len(values) + delta**2 * count * len(values) / total
        mean += delta * len(values) / total
        count = total
    std = np.sqrt(squares / count)
    constant = std <= 1e-6 * np.maximum(np.abs(mean), 1.0)
    return mean.astype(np.float32), np.where(constant, 1, std).astype(np.float32), constant


def _show(epoch: int, epochs: int, share: float, loss: float) -> None:
    width = 30
    bar = ("#" * round(share * width)).ljust(width)
    sys.stderr.write(f"\repoch {epoch + 1:3}/{epochs} [{bar}] loss {loss:.4f}")
    sys.stderr.flush()

"""Advantages and value targets of pieces of episodes, corrected for actions of an older policy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Advantages(NamedTuple):
    """What an update aims at.

    Attributes
    ----------
    advantage : numpy.ndarray
        How much better each action was than the value of its observation, ``float64 [N]``.
    target : numpy.ndarray
        The value that each observation should have, ``float64 [N]``.
    """

    advantage: Floats
    target: Floats


def vtrace(
    reward: Floats,
    value: Floats,
    next_value: Floats,
    *,
    terminated: NDArray[np.bool_],
    follows: NDArray[np.bool_],
    ratio: Floats,
    gamma: float,
    lambda_: float,
    rho_bar: float = 1.0,
    c_bar: float = 1.0,
) -> Advantages:
    """Compute V-trace targets, and the advantages that belong to them.

    V-trace is that of Espeholt et al., `IMPALA <https://arxiv.org/abs/1802.01561>`_ (ICML 2018), with
    the factor ``lambda_`` in its traces (their remark 2). Where all ratios are 1, the advantages are
    those of Schulman et al., `generalized advantage estimation <https://arxiv.org/abs/1506.02438>`_.

    The advantage of an action is not weighted by its own ratio, because the loss of the policy is.

    Parameters
    ----------
    reward : numpy.ndarray
        ``[N]``. Rows of an episode are next to each other, in the order of steps.
    value, next_value : numpy.ndarray
        The values of the observation and of the next observation of each row, ``[N]``. In the last
        row of an episode the latter is the true final observation, from before a reset.
    terminated : numpy.ndarray
        Rows after which nothing follows in the world: ``next_value`` does not count. After a row that
        was truncated, or is the last that has arrived, it does.
    follows : numpy.ndarray
        Rows that are followed by the next one of the same episode, ``bool [N]``.
    ratio : numpy.ndarray
        The probability of each action now, divided by that with which it was chosen, ``[N]``.
    gamma, lambda_ : float
        The discount of a step, and the decay of the traces.
    rho_bar, c_bar : float
        The bounds of the ratios: of the errors, which decides to which policy's value the targets
        tend, and of the traces.

    Returns
    -------
    Advantages
        ``advantage`` and ``target``.
    """
    count = len(reward)
    follows = follows & ~terminated
    error = reward + gamma * np.where(terminated, 0.0, next_value) - value
    trace = gamma * lambda_ * np.minimum(ratio, c_bar)
    # How much the target differs from the value: from each row and from all that follow.
    change = np.minimum(ratio, rho_bar) * error
    # All rows with one distance to the end of their piece are computed at once.
    ends = np.where(follows, count, np.arange(count))
    distance = np.minimum.accumulate(ends[::-1])[::-1] - np.arange(count)
    order = np.argsort(distance, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(distance))[:-1])[1:]:
        change[rows] += trace[rows] * change[rows + 1]
    following = np.where(follows, np.append(change[1:], 0.0), 0.0)
    return Advantages(error + gamma * lambda_ * following, value + change)

"""Filters: episodes by tag, end, agent, run and return, and rows by what controlled the player."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .errors import NoSuchColumnError, UnsuitableError

if TYPE_CHECKING:
    from .transitions import Transitions

Words = str | Iterable[str] | None
Numbers = int | Iterable[int] | None


class Conditions(TypedDict, total=False):
    """The conditions of `where`."""

    tag: Words
    without_tag: Words
    end_reason: Words
    terminated: bool | None
    agent_id: Numbers
    run: Numbers
    episode_id: Numbers
    min_return: float | None
    max_return: float | None
    return_quantile: tuple[float, float] | None
    min_length: int | None
    max_length: int | None
    controller: str | int | Iterable[str | int] | None


def where(
    transitions: Transitions,
    *,
    tag: Words = None,
    without_tag: Words = None,
    end_reason: Words = None,
    terminated: bool | None = None,
    agent_id: Numbers = None,
    run: Numbers = None,
    episode_id: Numbers = None,
    min_return: float | None = None,
    max_return: float | None = None,
    return_quantile: tuple[float, float] | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    controller: str | int | Iterable[str | int] | None = None,
) -> Transitions:
    """Select the transitions for which all conditions hold.

    Parameters
    ----------
    transitions : Transitions
        The transitions to select from.
    tag, without_tag : str or iterable of str, optional
        Episodes with one of these tags, or without any of them.
    end_reason : str or iterable of str, optional
        Episodes that ended for one of these reasons.
    terminated : bool, optional
        Episodes that the world ended (``True``), or that were truncated (``False``).
    agent_id, run, episode_id : int or iterable of int, optional
        Episodes of these agents or runs, or these episodes. A negative agent id stands for another
        player in each run.
    min_return, max_return : float, optional
        Episodes by the sum of their rewards, both bounds included.
    return_quantile : tuple of float, optional
        Episodes whose return is between two quantiles of the selection's returns: ``(0.9, 1.0)`` is
        the best tenth.
    min_length, max_length : int, optional
        Episodes by their number of transitions, both bounds included.
    controller : str or int or iterable of them, optional
        Rows in which one of these controlled the player: ``"person"``, ``"script:hunter"``,
        ``"policy:fighter@3"``, or ``"policy:fighter@*"`` for all versions of a policy. An episode in
        which the controller changes is cut there. Needs the column ``controller`` or
        ``info.controller``.

    Returns
    -------
    Transitions
        The selected transitions.
    """
    source, segments = transitions._source, transitions._segments
    store = source.store
    mask = np.ones(len(segments), bool)

    def column(name: str) -> NDArray[Any]:
        return store[f"episodes.{name}"].take(segments.episode)

    for name, wanted in (("agent_id", agent_id), ("run", run), ("episode_id", episode_id)):
        if wanted is not None:
            mask &= np.isin(column(name), np.array(_alternatives(wanted), np.int64))
    if terminated is not None:
        mask &= column("terminated") == terminated
    if end_reason is not None:
        labels = store.labels("end_reason")
        codes = [labels.index(word) for word in _alternatives(end_reason) if word in labels]
        mask &= np.isin(column("end_reason"), codes)
    if tag is not None:
        mask &= _tagged(transitions, column("episode_id"), tag)
    if without_tag is not None:
        mask &= ~_tagged(transitions, column("episode_id"), without_tag)
    returns, lengths = column("return"), column("length")
    if min_return is not None:
        mask &= returns >= min_return
    if max_return is not None:
        mask &= returns <= max_return
    if min_length is not None:
        mask &= lengths >= min_length
    if max_length is not None:
        mask &= lengths <= max_length
    if return_quantile is not None and len(segments):
        low, high = return_quantile
        if not 0 <= low <= high <= 1:
            reason = f"return_quantile={return_quantile}: give two numbers from 0 to 1, in order"
            raise UnsuitableError(reason)
        _, once = np.unique(segments.episode, return_index=True)
        bounds = np.quantile(returns[once], [low, high])
        mask &= (returns >= bounds[0]) & (returns <= bounds[1])
    selected = transitions._with(segments.select(mask))
    return selected if controller is None else selected.filter(_controlled(selected, controller))


def _alternatives(wanted: object) -> list[Any]:
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        return [wanted]
    return list(wanted)


def _tagged(transitions: Transitions, episodes: NDArray[Any], tag: Words) -> NDArray[np.bool_]:
    wanted, tags = set(_alternatives(tag)), transitions._tags()
    found = [not wanted.isdisjoint(tags.get(int(episode), ())) for episode in episodes]
    return np.array(found, bool)


def controllers(transitions: Transitions) -> tuple[NDArray[Any], list[str]]:
    """Return what controlled the player in each row.

    Returns
    -------
    codes : numpy.ndarray
        Shape ``(len(transitions),)``; -1 where nothing says what controlled the player.
    labels : list of str
        The name of each code; empty where they have no names.

    Raises
    ------
    NoSuchColumnError
        If the recording has neither a column ``controller`` nor ``info.controller``.
    """
    if "controller" in transitions.columns:
        return transitions["controller"], transitions._source.store.labels("controller")
    for column in transitions.schema.info:
        if column.name == "controller":
            return transitions["info.controller"], list(column.space.labels)
    schema = transitions.schema
    raise NoSuchColumnError(schema.name, "controller", transitions.columns)


def _controlled(transitions: Transitions, wanted: object) -> NDArray[np.bool_]:
    codes, labels = controllers(transitions)
    alternatives = []
    for word in _alternatives(wanted):
        if not isinstance(word, str):
            alternatives.append(word)
        elif word in labels:
            alternatives.append(labels.index(word))
        elif word.startswith("policy:") and word.endswith("@*"):
            alternatives += [code for code, label in enumerate(labels) if label.rpartition("@")[0] == word[:-2]]
    return np.isin(codes, alternatives)

"""Adapter to RLlib's episodes. Needs the extra ``rllib``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._extras import extra
from .episodes import Episode
from .spaces import action_space, observation_space
from .transitions import Transitions


def to_single_agent_episodes(transitions: Transitions, *, flat: bool = False) -> Iterator[Any]:
    """Make one episode of RLlib for each episode. Memory holds those that are used.

    Parameters
    ----------
    transitions : Transitions
        The transitions.
    flat : bool
        Whether actions are all heads as ``float32``, discrete ones as the index of their class.
        Otherwise actions with discrete and continuous heads are dictionaries.

    Yields
    ------
    ray.rllib.env.single_agent_episode.SingleAgentEpisode
    """
    single = extra("ray.rllib.env.single_agent_episode", "rllib").SingleAgentEpisode
    spaces = _spaces(transitions, flat)
    for episode in transitions.episodes:
        yield single(
            id_=str(episode.episode_id),
            agent_id=str(episode.agent_id),
            observations=_observations(episode),
            actions=_actions(episode, flat),
            rewards=episode.rewards.tolist(),
            terminated=episode.terminated,
            truncated=episode.truncated,
            t_started=episode.first_step,
            len_lookback_buffer=0,
            **spaces,
        )


def to_multi_agent_episodes(transitions: Transitions, *, flat: bool = False) -> Iterator[Any]:
    """Make one episode of RLlib for each match, with all players of it.

    RLlib knows one episode for each agent, and a player of a game has several in a match. So each
    episode of a player is an agent of its own, ``<agent id>/<episode id>``. A step of the environment
    is a tick at which a player decided; players that did not are absent from it. Memory holds a match.

    Parameters
    ----------
    transitions : Transitions
        The transitions: whole matches, such as those of ``split(..., by="match")``.
    flat : bool
        See `to_single_agent_episodes`.

    Yields
    ------
    ray.rllib.env.multi_agent_episode.MultiAgentEpisode
    """
    multi = extra("ray.rllib.env.multi_agent_episode", "rllib").MultiAgentEpisode
    spaces = _spaces(transitions, flat)
    table = transitions.episodes.table
    matches: dict[tuple[int, int | None], list[int]] = {}
    for position, (run, match) in enumerate(zip(table["run"].tolist(), table["match_id"].tolist(), strict=True)):
        matches.setdefault((run, match), []).append(position)
    for (run, match), positions in matches.items():
        episodes = [transitions.episodes[position] for position in positions]
        names = [_agent(episode) for episode in episodes]
        yield multi(
            id_=f"{run:08x}/{match}",
            len_lookback_buffer=0,
            **_steps(episodes, flat),
            **{key: dict.fromkeys(names, space) for key, space in spaces.items()},
        )


def _steps(episodes: list[Episode], flat: bool) -> dict[str, Any]:
    """Lay the transitions of all players of a match out by tick."""
    ticks = [np.append(e.columns["tick"], e.columns["tick"][-1] + e.columns["ticks"][-1]) for e in episodes]
    times = np.unique(np.concatenate(ticks))
    observations: list[dict[str, Any]] = [{} for _ in times]
    actions: list[dict[str, Any]] = [{} for _ in times[1:]]
    rewards: list[dict[str, Any]] = [{} for _ in times[1:]]
    terminateds: dict[str, bool] = {"__all__": True}
    truncateds: dict[str, bool] = {"__all__": False}
    for episode, own in zip(episodes, ticks, strict=True):
        name = _agent(episode)
        places = np.searchsorted(times, own).tolist()
        taken = _actions(episode, flat)
        for step, observation in enumerate(_observations(episode)):
            observations[places[step]][name] = observation
            if step < len(episode):
                actions[places[step]][name] = taken[step]
                # A reward arrives with the observation that follows the action.
                rewards[places[step + 1] - 1][name] = float(episode.rewards[step])
        terminateds[name], truncateds[name] = episode.terminated, episode.truncated
    return {
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "terminateds": terminateds,
        "truncateds": truncateds,
    }


def _agent(episode: Episode) -> str:
    return f"{episode.agent_id}/{episode.episode_id}"


def _spaces(transitions: Transitions, flat: bool) -> dict[str, Any]:
    schema = transitions.schema
    return {
        "observation_space": observation_space(schema),
        "action_space": action_space(schema, flat=flat),
    }


def _observations(episode: Episode) -> list[Any]:
    if not episode.images:
        return list(episode.observations)
    frames: dict[str, NDArray[Any]] = {}
    if episode.schema.observation_width:
        frames["observation"] = episode.observations
    frames.update({f"observation.{name}": images for name, images in episode.images.items()})
    return [{name: values[step] for name, values in frames.items()} for step in range(len(episode) + 1)]


def _actions(episode: Episode, flat: bool) -> list[Any]:
    if flat:
        return list(episode.flat_actions)
    if not episode.schema.has_parts:
        return list(episode.columns.action) if episode.schema.heads else [{}] * len(episode)
    return [{name: values[step] for name, values in episode.actions.items()} for step in range(len(episode))]

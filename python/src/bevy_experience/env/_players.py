"""Actions, observations and infos of players, in the forms of the spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schema import Schema
from ..spaces import action_space, observation_space
from ._exchange import TERMINATED, TRUNCATED, WITHOUT_OBSERVATION, Decision


class PlayerCodec:
    """Converts between the rows of a decision and the values of the spaces.

    Parameters
    ----------
    schema : Schema
        The schema of the recording.
    mask_in_observation : bool
        Whether an observation is a ``Dict`` of ``observation`` and ``action_mask``.
    """

    def __init__(self, schema: Schema, *, mask_in_observation: bool = False) -> None:
        self.schema = schema
        self.heads = [head for head in schema.action if head.width > 0]
        alternatives = sum(head.width * head.space.n for head in self.heads if head.is_discrete)
        # Another mask does not restrict the choices.
        self.applies_mask = bool(schema.action_mask) and schema.action_mask == alternatives
        self.mask_in_observation = mask_in_observation and bool(schema.action_mask)
        self._is_dict = not schema.is_single_discrete and not schema.is_continuous

    def observation_space(self) -> Any:
        """Make the space of an observation."""
        space = observation_space(self.schema)
        if not self.mask_in_observation:
            return space
        from gymnasium import spaces

        mask = spaces.MultiBinary(self.schema.action_mask)
        return spaces.Dict({"observation": space, "action_mask": mask})

    def action_space(self) -> Any:
        """Make the space of an action."""
        return action_space(self.schema)

    def observation(self, decision: Decision, row: int) -> Any:
        """The observation of a row, in memory of its own."""
        values: Any = decision.observation[row].copy()
        if self.schema.images:
            images = {f"observation.{name}": pixels[row].copy() for name, pixels in decision.images.items()}
            values = {"observation": values, **images} if self.schema.observation_width else images
        if self.mask_in_observation and decision.action_mask is not None:
            return {"observation": values, "action_mask": decision.action_mask[row].astype(np.int8)}
        return values

    def info(self, decision: Decision, row: int) -> dict[str, Any]:
        """What is said of a row besides: nothing that differs between two runs with one seed."""
        info: dict[str, Any] = {
            "agent_id": int(decision.agent_id[row]),
            "ticks": int(decision.ticks[row]),
            "transitions": int(decision.transitions[row]),
        }
        if decision.reward_terms is not None:
            terms = decision.reward_terms[row]
            info["reward_terms"] = {
                name: float(term) for name, term in zip(self.schema.reward_terms, terms, strict=True)
            }
        if decision.action_mask is not None:
            info["action_mask"] = self.mask(decision.action_mask[row])
        return info

    def mask(self, bits: NDArray[np.uint8]) -> Any:
        """A mask in the form that ``Space.sample`` of the action's space takes."""
        bits = bits.astype(np.int8)
        if not self.applies_mask or self.schema.is_single_discrete:
            return bits
        masks: dict[str, Any] = {}
        first = 0
        for head in self.heads:
            if not head.is_discrete:
                masks[head.name] = None
                continue
            part = bits[first : first + head.width * head.space.n]
            first += len(part)
            masks[head.name] = tuple(part.reshape(head.width, -1)) if head.shape else part
        return masks

    def write_action(self, action: Any, values: NDArray[np.float64]) -> None:
        """Write an action to the values of a player."""
        if not self._is_dict:
            values[:] = np.asarray(action, np.float64).reshape(-1)
            return
        first = 0
        for head in self.heads:
            values[first : first + head.width] = np.asarray(action[head.name], np.float64).reshape(-1)
            first += head.width


def is_terminated(code: int) -> bool:
    """Whether the world has ended the episode."""
    return bool(code & TERMINATED)


def is_truncated(code: int) -> bool:
    """Whether the episode was cut."""
    return bool(code & TRUNCATED)


def has_final_observation(code: int) -> bool:
    """Whether the row of an end has the final observation."""
    return not code & WITHOUT_OBSERVATION

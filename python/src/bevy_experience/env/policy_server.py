"""`PolicyServer`: decides for the remote policies of any number of games."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schema import Column, Schema
from ._exchange import Decision, Exchange, GameClosedError, Hello
from ._server import GameServer


@dataclass
class Actions:
    """What a policy has decided for the players of a decision.

    Attributes
    ----------
    action : numpy.ndarray
        ``[P]`` or ``[P, A]``: one value for each element of each head, the index of a class for a discrete one.
    behavior_logp : numpy.ndarray, optional
        ``[P]``: the logarithm of the probability of each action.
    decided : numpy.ndarray, optional
        ``bool [P]``: players whose action changes. The others keep theirs.
    policy_version : int, optional
        The version of the policy in the data, above 0.
    """

    action: NDArray[Any]
    behavior_logp: NDArray[Any] | None = None
    decided: NDArray[np.bool_] | None = None
    policy_version: int | None = None


class PolicyServer:
    """Decides for games that connect with ``RemotePolicy::new(address)``.

    Parameters
    ----------
    decide : callable
        Gets a `Decision` and the `Hello` of the game, and returns `Actions`, or an array of actions. It is called
        in a thread of each game.
    address : str
        Where to listen. Port 0 chooses a free one; see `address`.
    schema : Schema, optional
        What the policy was made for. A game with other features, heads or masks refuses it, and says what differs.
    token, tls
        As those of `GameServer`.

    Examples
    --------
    >>> def decide(decision, game):
    ...     return decision.observation[: decision.players, 0] > 0
    >>> with PolicyServer(decide, "grpc://127.0.0.1:0") as server:
    ...     server.address.startswith("grpc://127.0.0.1:")
    True
    """

    def __init__(
        self,
        decide: Callable[[Decision, Hello], Actions | NDArray[Any]],
        address: str = "grpc://127.0.0.1:7712",
        *,
        schema: Schema | None = None,
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._decide = decide
        self._model = None if schema is None else describe(schema)
        self._server = GameServer(self._serve, address, token=token, tls=tls)
        self.address = self._server.address

    def wait(self) -> None:
        """Serve until the process ends."""
        self._server.wait()

    def close(self) -> None:
        """Stop to listen."""
        self._server.close()

    def __enter__(self) -> PolicyServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _serve(self, exchange: Exchange) -> None:
        exchange.accept(self._model)
        while not exchange.closed.is_set():
            try:
                decision = exchange.receive()
                if decision.players == 0:
                    exchange.control(keep=True)
                    continue
                decided = self._decide(decision, exchange.hello)
                answer = decided if isinstance(decided, Actions) else Actions(np.asarray(decided))
                exchange.answer(
                    np.asarray(answer.action, np.float64).reshape(decision.players, -1),
                    decided=answer.decided,
                    behavior_logp=answer.behavior_logp,
                    policy_version=answer.policy_version,
                )
            except GameClosedError:
                return


def describe(schema: Schema) -> dict[str, Any]:
    """What a policy for a schema takes and decides, as in the metadata of a model file."""
    return {
        "recording": schema.name,
        "schema_hash": schema.hash,
        "features": list(schema.features),
        "heads": [_head(head) for head in schema.action],
        "action_mask": schema.action_mask,
    }


def _head(head: Column) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": head.name,
        "output": f"action.{head.name}",
        "kind": "discrete" if head.is_discrete else "box",
        "shape": list(head.shape),
    }
    if head.is_discrete:
        described |= {"n": head.space.n, "labels": list(head.space.labels)}
    return described

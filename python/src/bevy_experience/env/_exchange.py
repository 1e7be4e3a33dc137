"""The exchange of decisions with one game: what arrives, and what is answered."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import ExperienceError, UnsuitableError
from ..schema import Schema

PROTOCOL = 1
TERMINATED = 1
TRUNCATED = 2
WITHOUT_OBSERVATION = 4


class GameClosedError(ExperienceError, ConnectionError):
    """The game has ended, or the connection to it."""


@dataclass(frozen=True)
class Hello:
    """What a game says of itself when it connects.

    Attributes
    ----------
    schema : Schema
        The schema of the recording whose players are to be decided for.
    lockstep : bool
        Whether the game waits for each decision.
    seed : int or None
        The seed with which an environment has started it.
    game : str or None
        The name with which an environment has started it.
    process : int
        The id of its process.
    """

    schema: Schema
    lockstep: bool
    seed: int | None
    game: str | None
    process: int

    @classmethod
    def parse(cls, command: bytes) -> Hello:
        """Parse the command of an exchange.

        Raises
        ------
        UnsuitableError
            If it is not that of a game, or of another version of the protocol.
        """
        try:
            content = json.loads(command)
            protocol = content["protocol"]
            if protocol != PROTOCOL:
                raise UnsuitableError(
                    f"the protocol of the game is {protocol} and that of this package {PROTOCOL}: use the same "
                    "version of both"
                )
            return cls(
                schema=Schema.parse(content["schema"], str(content["schema_hash"])),
                lockstep=bool(content["lockstep"]),
                seed=content.get("seed"),
                game=content.get("game"),
                process=int(content.get("process", 0)),
            )
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, UnsuitableError):
                raise
            raise UnsuitableError(f"the command is not that of a game: {type(error).__name__}: {error}") from None


class Decision:
    """A batch that a game sends: players that need an action, and episodes that have ended.

    The first `players` rows are the players that need an action; the others are ends. Arrays are views
    of the received memory, and made when they are asked for.

    Attributes
    ----------
    tick : int
        The tick whose actions are decided.
    players : int
        The number of players that need an action, ``P``.
    agent_id, episode_id : numpy.ndarray
        ``int64 [R]``. The episode is -1 between two episodes.
    step, transitions, ticks : numpy.ndarray
        ``int32 [R]``: transitions of the episode so far, and transitions and ticks since the last decision.
    reward : numpy.ndarray
        ``float64 [R]``, since the last decision.
    outcome : numpy.ndarray
        ``uint8 [R]``: 0, or 1 for terminated and 2 for truncated, and 4 more without a final observation.
    observation : numpy.ndarray
        ``float32 [R, F]``; of an end, the final one.
    action_mask : numpy.ndarray or None
        ``uint8 [R, K]``.
    reward_terms : numpy.ndarray or None
        ``float32 [R, T]``.
    images : dict of str to numpy.ndarray
        ``uint8 [R, H, W, C]`` by the name of the image.
    reset : bool or None
        What the game says about the last reset that it was asked for.
    """

    def __init__(self, batch: Any, metadata: dict[str, Any], schema: Schema) -> None:
        self._batch = batch
        self._schema = schema
        self.tick: int = metadata["tick"]
        self.players: int = metadata["players"]
        self.missed: int = metadata.get("missed", 0)
        self.reset: bool | None = metadata.get("reset")

    # The buffer of the rows; two of each number; three of the text, its offsets and bytes; three of each list. One call
    # for all columns: an object for each takes longer than all else here. What was received has no offset.
    @cached_property
    def _buffers(self) -> list[Any]:
        buffers: list[Any] = self._batch.to_struct_array().buffers()
        return buffers

    @cached_property
    def agent_id(self) -> NDArray[np.int64]:
        return self._numbers(2, np.int64)

    @cached_property
    def episode_id(self) -> NDArray[np.int64]:
        return self._numbers(4, np.int64)

    @cached_property
    def step(self) -> NDArray[np.int32]:
        return self._numbers(6, np.int32)

    @cached_property
    def transitions(self) -> NDArray[np.int32]:
        return self._numbers(8, np.int32)

    @cached_property
    def ticks(self) -> NDArray[np.int32]:
        return self._numbers(10, np.int32)

    @cached_property
    def reward(self) -> NDArray[np.float64]:
        return self._numbers(12, np.float64)

    @cached_property
    def outcome(self) -> NDArray[np.uint8]:
        return self._numbers(14, np.uint8)

    @cached_property
    def observation(self) -> NDArray[np.float32]:
        return self._lists(20, np.float32, self._schema.observation_width)

    @cached_property
    def action_mask(self) -> NDArray[np.uint8] | None:
        width = self._schema.action_mask
        return self._lists(23, np.uint8, width) if width else None

    @cached_property
    def reward_terms(self) -> NDArray[np.float32] | None:
        width = len(self._schema.reward_terms)
        return self._lists(23 + 3 * bool(self._schema.action_mask), np.float32, width) if width else None

    @cached_property
    def images(self) -> dict[str, NDArray[np.uint8]]:
        first = 23 + 3 * bool(self._schema.action_mask) + 3 * bool(self._schema.reward_terms)
        images: dict[str, NDArray[np.uint8]] = {}
        for number, image in enumerate(self._schema.images):
            pixels = self._lists(first + 3 * number, np.uint8, image.width)
            images[image.name] = pixels.reshape(len(self), *image.shape)
        return images

    def end_reason(self, row: int) -> str:
        """Why the episode of a row has ended; empty where it has not."""
        return str(self._batch.column(7)[row].as_py())

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def _numbers(self, index: int, dtype: Any) -> NDArray[Any]:
        return self._lists(index, dtype, 1)[:, 0]

    def _lists(self, index: int, dtype: Any, width: int) -> NDArray[Any]:
        rows = len(self)
        if rows * width == 0:
            return np.empty((rows, width), dtype)
        return np.frombuffer(self._buffers[index], dtype, rows * width).reshape(rows, width)


class _Answer:
    """The record batch of an answer, in memory that is used again."""

    def __init__(self, schema: Any, players: int, width: int) -> None:
        self.action = np.zeros((players, width))
        self.behavior_logp = np.zeros(players)
        self.decided = np.zeros((players + 7) // 8, np.uint8)
        values = pa.Array.from_buffers(pa.float64(), players * width, [None, pa.py_buffer(self.action)])
        columns = [
            pa.Array.from_buffers(schema.field(0).type, players, [None], children=[values]),
            pa.Array.from_buffers(pa.float64(), players, [None, pa.py_buffer(self.behavior_logp)]),
            pa.Array.from_buffers(pa.bool_(), players, [None, pa.py_buffer(self.decided)]),
        ]
        self.batch = pa.RecordBatch.from_arrays(columns, schema=schema)


class Exchange:
    """One stream of decisions. One thread receives and answers; another may send heartbeats."""

    def __init__(self, hello: Hello, reader: Any, writer: Any) -> None:
        self.hello = hello
        self._schema = hello.schema
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()
        self._width = max(hello.schema.action_width, 0)
        values = pa.list_(pa.field("item", pa.float64(), nullable=False), self._width)
        fields = [
            pa.field("action", values, nullable=False),
            pa.field("behavior_logp", pa.float64(), nullable=False),
            pa.field("decided", pa.bool_(), nullable=False),
        ]
        self._answer_schema = pa.schema(fields)
        # The last answer. A game has received it before it asks anew, so its memory can be written again.
        self._answer: _Answer | None = None
        self._is_asked = False
        self._spoke_at = time.monotonic()
        self.receiving_since: float | None = None
        self.closed = threading.Event()

    def accept(self, model: dict[str, Any] | None = None) -> None:
        """Accept the game. With `model`, the game refuses a policy of another schema."""
        content: dict[str, Any] = {"protocol": PROTOCOL}
        if model is not None:
            content["model"] = model
        with self._lock:
            self._writer.begin(self._answer_schema)
            self._writer.write_metadata(pa.py_buffer(json.dumps({"accepted": content}).encode()))

    def receive(self) -> Decision:
        """Wait for the next decision.

        Raises
        ------
        GameClosedError
            If the connection ends.
        """
        self.receiving_since = time.monotonic()
        try:
            chunk = self._reader.read_chunk()
        except StopIteration:
            raise GameClosedError("the game has ended the connection") from None
        except (pa.ArrowException, OSError) as error:
            raise GameClosedError(f"the connection to the game is lost: {_first_line(error)}") from None
        finally:
            self.receiving_since = None
        metadata = json.loads(chunk.app_metadata.to_pybytes())
        decision = Decision(chunk.data, metadata, self._schema)
        self._spoke_at = time.monotonic()
        self._is_asked = True
        return decision

    def answer(
        self,
        actions: NDArray[np.float64],
        *,
        decided: NDArray[np.bool_] | None = None,
        behavior_logp: NDArray[np.float64] | None = None,
        policy_version: int | None = None,
    ) -> None:
        """Answer a decision with actions ``float64 [P, A]``."""
        actions = np.asarray(actions)
        players = len(actions)
        if actions.shape != (players, self._width):
            raise UnsuitableError(
                f"the actions have the shape {actions.shape}, and ({players}, {self._width}) is needed: one value "
                "for each element of each head"
            )
        if any(given is not None and np.shape(given) != (players,) for given in (behavior_logp, decided)):
            raise UnsuitableError(f"`behavior_logp` and `decided` need one value for each of {players} players")
        if self._answer is None or len(self._answer.action) != players:
            self._answer = _Answer(self._answer_schema, players, self._width)
        answer = self._answer
        answer.action[:] = actions
        answer.behavior_logp[:] = 0.0 if behavior_logp is None else behavior_logp
        answer.decided[:] = 0xFF if decided is None else np.packbits(np.asarray(decided, bool), bitorder="little")
        with self._lock:
            self._is_asked = False
            try:
                if policy_version is None:
                    self._writer.write_batch(answer.batch)
                else:
                    metadata = json.dumps({"policy_version": int(policy_version)}).encode()
                    self._writer.write_with_metadata(answer.batch, pa.py_buffer(metadata))
            except (pa.ArrowException, OSError) as error:
                raise GameClosedError(f"the connection to the game is lost: {_first_line(error)}") from None

    def control(self, **content: Any) -> None:
        """Answer a decision with a message: ``keep=True``, ``reset={"seed": 1}`` or ``exit=True``."""
        self._is_asked = False
        self._send(content)

    def heartbeat(self, interval: float) -> None:
        """Tell a game that waits that this process is alive, if it has not been told for `interval` seconds."""
        if self._is_asked and time.monotonic() - self._spoke_at > interval:
            self._spoke_at = time.monotonic()
            try:
                self._send({"heartbeat": True}, only_if_asked=True)
            except GameClosedError:
                self.closed.set()

    def _send(self, content: dict[str, Any], *, only_if_asked: bool = False) -> None:
        with self._lock:
            if only_if_asked and not self._is_asked:
                return
            try:
                self._writer.write_metadata(pa.py_buffer(json.dumps(content).encode()))
            except (pa.ArrowException, OSError) as error:
                raise GameClosedError(f"the connection to the game is lost: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:300]

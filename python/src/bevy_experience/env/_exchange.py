"""The exchange of decisions with one game: what arrives, and what is answered."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
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
    of the received memory.

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

    __slots__ = (
        "_batch",
        "action_mask",
        "agent_id",
        "episode_id",
        "images",
        "missed",
        "observation",
        "outcome",
        "players",
        "reset",
        "reward",
        "reward_terms",
        "step",
        "tick",
        "ticks",
        "transitions",
    )

    def __init__(self, batch: Any, metadata: dict[str, Any], schema: Schema) -> None:
        rows = batch.num_rows
        columns = batch.columns
        self._batch = batch
        self.tick: int = metadata["tick"]
        self.players: int = metadata["players"]
        self.missed: int = metadata.get("missed", 0)
        self.reset: bool | None = metadata.get("reset")
        self.agent_id = _values(columns[0], np.int64, rows)
        self.episode_id = _values(columns[1], np.int64, rows)
        self.step = _values(columns[2], np.int32, rows)
        self.transitions = _values(columns[3], np.int32, rows)
        self.ticks = _values(columns[4], np.int32, rows)
        self.reward = _values(columns[5], np.float64, rows)
        self.outcome = _values(columns[6], np.uint8, rows)
        self.observation = _lists(columns[8], np.float32, rows, schema.observation_width)
        index = 9
        self.action_mask: NDArray[np.uint8] | None = None
        if schema.action_mask:
            self.action_mask = _lists(columns[index], np.uint8, rows, schema.action_mask)
            index += 1
        self.reward_terms: NDArray[np.float32] | None = None
        if schema.reward_terms:
            self.reward_terms = _lists(columns[index], np.float32, rows, len(schema.reward_terms))
            index += 1
        self.images = {
            image.name: _lists(columns[index + number], np.uint8, rows, image.width).reshape(rows, *image.shape)
            for number, image in enumerate(schema.images)
        }

    def end_reason(self, row: int) -> str:
        """Why the episode of a row has ended; empty where it has not."""
        return str(self._batch.column(7)[row].as_py())

    def __len__(self) -> int:
        return len(self.agent_id)


def _values(column: Any, dtype: Any, rows: int) -> NDArray[Any]:
    if rows == 0:
        return np.empty(0, dtype)
    return np.frombuffer(column.buffers()[1], dtype, rows, column.offset * np.dtype(dtype).itemsize)


def _lists(column: Any, dtype: Any, rows: int, width: int) -> NDArray[Any]:
    if rows == 0 or width == 0:
        return np.empty((rows, width), dtype)
    start = column.offset * width * np.dtype(dtype).itemsize
    return np.frombuffer(column.buffers()[-1], dtype, rows * width, start).reshape(rows, width)


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
        self._list_type = values
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
        players = len(actions)
        values = np.ascontiguousarray(actions, np.float64)
        if values.shape != (players, self._width):
            raise UnsuitableError(
                f"the actions have the shape {values.shape}, and ({players}, {self._width}) is needed: one value "
                "for each element of each head"
            )
        logp = np.zeros(players) if behavior_logp is None else np.ascontiguousarray(behavior_logp, np.float64)
        bits = np.ones(players, bool) if decided is None else np.ascontiguousarray(decided, bool)
        if logp.shape != (players,) or bits.shape != (players,):
            raise UnsuitableError(f"`behavior_logp` and `decided` need one value for each of {players} players")
        flat = pa.Array.from_buffers(pa.float64(), players * self._width, [None, pa.py_buffer(values)])
        packed = pa.py_buffer(np.packbits(bits, bitorder="little"))
        batch = pa.RecordBatch.from_arrays(
            [
                pa.Array.from_buffers(self._list_type, players, [None], children=[flat]),
                pa.Array.from_buffers(pa.float64(), players, [None, pa.py_buffer(logp)]),
                pa.Array.from_buffers(pa.bool_(), players, [None, packed]),
            ],
            schema=self._answer_schema,
        )
        with self._lock:
            self._is_asked = False
            try:
                if policy_version is None:
                    self._writer.write_batch(batch)
                else:
                    metadata = json.dumps({"policy_version": int(policy_version)}).encode()
                    self._writer.write_with_metadata(batch, pa.py_buffer(metadata))
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

"""A game that an environment plays: its process, its connection, and how it begins anew."""

from __future__ import annotations

import contextlib
import numbers
import os
import secrets
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsuitableError
from ..schema import Schema
from ._exchange import Decision, Exchange, GameClosedError
from ._server import GameServer


class Game:
    """One game, started as a child or joined. It waits for an answer except while `receive` runs.

    Parameters
    ----------
    command : sequence of str, optional
        The program and its arguments. ``None`` waits for a game that runs.
    recording : str, optional
        The recording whose players act. Other recordings of the game are refused.
    address, token, tls
        Where the game connects to.
    seed : int, optional
        The seed with which the game starts.
    variables : mapping of str to str, optional
        Further environment variables of the child.
    cwd : path, optional
        The folder of the child.
    start_timeout, step_timeout : float
        Seconds until a game must have connected, and until a child must have made a step.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]] | None,
        *,
        recording: str | None = None,
        address: str = "grpc://127.0.0.1:0",
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        seed: int | None = None,
        variables: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        start_timeout: float = 60.0,
        step_timeout: float = 60.0,
    ) -> None:
        self._command = None if command is None else [os.fspath(part) for part in command]
        self._recording = recording
        self._variables = dict(variables or {})
        self._cwd = cwd
        self._start_timeout = start_timeout
        self._step_timeout = step_timeout
        # A child is known by a secret, so no other process can take its place.
        self._token = token or (secrets.token_hex(16) if command is not None else None)
        self._name: str | None = None
        self._connected = threading.Condition()
        self._exchange: Exchange | None = None
        self._child: subprocess.Popen[bytes] | None = None
        # A child trusts this certificate, unless it is told another authority.
        self._certificate = None if tls is None else tls[0].decode()
        self._seed = checked_seed(seed)
        self.decision: Decision
        self._is_fresh = False
        self._can_reset = True
        self._is_closed = False
        # The server holds no reference to the game, so that a game that is dropped is closed.
        this = weakref.ref(self)

        def serve(exchange: Exchange) -> None:
            game = this()
            if game is None or game._is_closed:
                raise UnsuitableError("the environment is closed")
            game._take(exchange)
            del game
            exchange.closed.wait()

        self._server = GameServer(serve, address, token=self._token, tls=tls)
        self.address = self._server.address
        self._children: list[subprocess.Popen[bytes]] = []
        self._finalizer = weakref.finalize(self, _end, self._server, self._children)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def schema(self) -> Schema:
        """The schema of the recording."""
        return self._open().hello.schema

    @property
    def process(self) -> int | None:
        """The id of the child, or ``None``."""
        return None if self._child is None else self._child.pid

    def send(self, actions: NDArray[np.float64], decided: NDArray[np.bool_] | None = None, **info: Any) -> None:
        """Answer the decision that was received last."""
        self._is_fresh = False
        with self._exit_status():
            self._open().answer(actions, decided=decided, **info)

    def keep(self) -> None:
        """Answer the decision that was received last: all players keep their actions."""
        self._is_fresh = False
        with self._exit_status():
            self._open().control(keep=True)

    def receive(self) -> Decision:
        """Wait for the next decision of the game."""
        with self._exit_status():
            return self._open().receive()

    def reset(self, seed: int | None) -> Decision:
        """Let the game begin anew.

        Returns
        -------
        Decision
            The first one after that.
        """
        seed = checked_seed(seed)
        # What a game starts with may differ from what its reset leaves, so a game is always reset in the same way.
        if not self._can_reset and seed is not None and self._is_fresh and self._seed == seed:
            return self.decision
        if self._can_reset or self._command is None:
            self._is_fresh = False
            with self._exit_status():
                self._open().control(reset={"seed": seed})
            while True:
                decision = self.receive()
                if decision.reset is not None:
                    break
                self.keep()
            self.decision = decision
            if decision.reset:
                return decision
            self._can_reset = False
        if self._command is None:
            raise UnsuitableError(
                "the game cannot begin anew: add an observer of `EnvironmentReset` to it, or let the environment "
                "start it"
            )
        self._stop_child()
        # Without a seed, the next episodes are others.
        self._seed = next_seed(self._seed) if seed is None else seed
        self._start()
        return self.decision

    def close(self) -> None:
        """End the child, or the connection to a game that was joined."""
        if self._is_closed:
            return
        self._is_closed = True
        exchange = self._exchange
        if exchange is not None and not exchange.closed.is_set() and self._command is not None:
            with contextlib.suppress(GameClosedError):
                exchange.control(exit=True)
            if self._child is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(2.0)
        self._finalizer()

    def _open(self) -> Exchange:
        if self._is_closed or self._exchange is None:
            raise UnsuitableError("the environment is closed: make another one")
        return self._exchange

    def _start(self) -> None:
        self._exchange = None
        if self._command is not None:
            self._name = secrets.token_hex(8)
            trusted = {} if self._certificate is None else {"BEVY_EXPERIENCE_REMOTE_CA": self._certificate}
            variables = {
                **trusted,
                **os.environ,
                **self._variables,
                "BEVY_EXPERIENCE_REMOTE": self.address,
                "BEVY_EXPERIENCE_REMOTE_GAME": self._name,
                "BEVY_EXPERIENCE_REMOTE_TOKEN": self._token or "",
                "BEVY_EXPERIENCE_REMOTE_EXIT": "stdin",
                "BEVY_EXPERIENCE_REMOTE_SEED": "" if self._seed is None else str(self._seed),
            }
            try:
                self._child = subprocess.Popen(
                    self._command, env=variables, cwd=self._cwd, stdin=subprocess.PIPE, bufsize=0
                )
            except OSError as error:
                raise UnsuitableError(f"the game `{self._command[0]}` cannot be started: {error}") from None
            self._children.append(self._child)
            # The end of this input tells the game that this process has ended, in any way.
            if self._child.stdin is not None:
                with contextlib.suppress(OSError):
                    self._child.stdin.write(b"\n")
        deadline = time.monotonic() + self._start_timeout
        with self._connected:
            while self._exchange is None:
                left = deadline - time.monotonic()
                has_ended = self._child is not None and self._child.poll() is not None
                if left <= 0 or has_ended:
                    raise GameClosedError(self._not_connected())
                self._connected.wait(min(left, 0.1))
        self._watch()
        self.decision = self.receive()
        self._is_fresh = True

    def _not_connected(self) -> str:
        if self._child is not None and self._child.poll() is not None:
            return (
                f"the game has ended before it connected{self._exit_text()}: start it by hand to see why, and let it "
                "use `RemotePolicy::from_env`"
            )
        named = "" if self._recording is None else f" with the recording `{self._recording}`"
        return (
            f"no game{named} has connected to `{self.address}` within {self._start_timeout} s: let the game use "
            "`RemotePolicy::from_env`, or `RemotePolicy::new` with this address"
        )

    @contextlib.contextmanager
    def _exit_status(self) -> Iterator[None]:
        """Add to the error of a connection that is lost with which status the game has ended."""
        try:
            yield
        except GameClosedError as error:
            raise GameClosedError(f"{error}{self._exit_text()}") from None

    def _exit_text(self) -> str:
        if self._child is None:
            return ""
        try:
            return f"; its process has ended with the status {self._child.wait(0.5)}"
        except subprocess.TimeoutExpired:
            return ""

    def _take(self, exchange: Exchange) -> None:
        hello = exchange.hello
        if self._recording is not None and hello.schema.name != self._recording:
            raise UnsuitableError(f"the environment is for the recording `{self._recording}`")
        if not hello.lockstep:
            raise UnsuitableError("an environment needs `RemotePolicy::lockstep`")
        with self._connected:
            if self._exchange is not None and not self._exchange.closed.is_set():
                raise UnsuitableError("the environment has a game: name one recording with `recording=`")
            if self._command is not None and hello.game != self._name:
                raise UnsuitableError("the environment has started another game")
            exchange.accept()
            self._exchange = exchange
            self._connected.notify_all()

    def _watch(self) -> None:
        """End a child that takes too long for a step, which ends the connection."""
        child, exchange, limit = self._child, self._exchange, self._step_timeout
        if child is None or exchange is None:
            return

        def watch() -> None:
            while not exchange.closed.wait(min(1.0, limit / 4)):
                since = exchange.receiving_since
                if since is not None and time.monotonic() - since > limit:
                    child.kill()
                if child.poll() is not None:
                    return

        threading.Thread(target=watch, name="bevy-experience-watch", daemon=True).start()

    def _stop_child(self) -> None:
        exchange, child = self._exchange, self._child
        if exchange is not None:
            with contextlib.suppress(GameClosedError):
                exchange.control(exit=True)
            exchange.closed.set()
        if child is not None:
            _kill(child)
            self._children.remove(child)
        self._child = None


def checked_seed(seed: Any) -> int | None:
    """A seed as an ``int``, if it is one that a game takes.

    Raises
    ------
    UnsuitableError
        If it is no integer from 0 to ``2**64 - 1``.
    """
    if seed is None:
        return None
    if not isinstance(seed, numbers.Integral) or not 0 <= int(seed) < 2**64:
        raise UnsuitableError(f"the seed {seed!r} is not an integer from 0 to 2**64 - 1")
    return int(seed)


def next_seed(seed: int | None) -> int:
    """The seed of a game that is started again without one: it follows from the seed before."""
    if seed is None:
        return secrets.randbits(63)
    return int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0])


def _close_input(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    _close_input(child)
    try:
        child.wait(1.0)
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            child.wait(2.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end(server: GameServer, children: list[subprocess.Popen[bytes]]) -> None:
    server.close()
    for child in children:
        _close_input(child)
        if child.poll() is None:
            child.kill()
            child.wait()

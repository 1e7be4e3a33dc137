"""The Arrow Flight server to which games connect."""

from __future__ import annotations

import errno
import hmac
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from pyarrow import flight

from ..errors import ExperienceError, UnsuitableError
from ._exchange import Exchange, Hello

# How long a close waits for the handlers.
_CLOSE_WAIT = 1.0
# How long a port may be in use by a server that is closing.
_PORT_WAIT = 5.0
# A game that waits hears of the server at least this often.
_HEARTBEAT = 2.0


def _host(address: str) -> str:
    authority = address.partition("://")[2]
    return authority.rpartition(":")[0].strip("[]")


def is_loopback(address: str) -> bool:
    """Whether only processes of this machine reach an address."""
    host = _host(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _await_port(address: str) -> None:
    """Wait until nothing listens at an address.

    Raises
    ------
    UnsuitableError
        If the address cannot be used.
    """
    port = address.rstrip("/").rpartition(":")[2]
    deadline = time.monotonic() + _PORT_WAIT
    while True:
        try:
            if int(port) not in range(1 << 16):
                raise ValueError(f"the port is {port}")
            found = socket.getaddrinfo(_host(address), int(port), type=socket.SOCK_STREAM)
            with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
                if os.name != "nt":
                    # A port whose connections have just ended is free. On Windows the option has another meaning.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(found[0][4])
                return
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise UnsuitableError(
                f"cannot listen at `{address}`: {error}; close the environment or server that listens there, or use "
                "another port of this machine, or 0 for a free one: `grpc://127.0.0.1:0`"
            ) from None


class _TokenCheck(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        super().__init__()
        self._expected = f"Bearer {token}".encode()

    def start_call(self, info: Any, headers: dict[str, list[str]]) -> None:
        """Refuse a call without the token."""
        given = [value for key, values in headers.items() if key.lower() == "authorization" for value in values]
        found = [value.encode() if isinstance(value, str) else value for value in given]
        if not any(hmac.compare_digest(value, self._expected) for value in found):
            raise flight.FlightUnauthenticatedError("the token is missing or wrong: give the game that of the server")


class GameServer(flight.FlightServerBase):  # type: ignore[misc]
    """Accepts games, and calls `serve` for each in a thread of its own.

    Parameters
    ----------
    serve : callable
        Gets the `Exchange` of a game that has connected, accepts it, and returns when it ends. An
        `ExperienceError` that it raises before it accepts refuses the game, which logs its text.
    address : str
        ``grpc://host:port``; port 0 chooses a free one. ``grpc+tls://`` needs `tls`.
    token : str, optional
        What games must know. Needed for an address that other machines reach.
    tls : tuple of bytes, optional
        The certificate chain and the private key, in PEM.
    """

    def __init__(
        self,
        serve: Callable[[Exchange], None],
        address: str = "grpc://127.0.0.1:0",
        *,
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
    ) -> None:
        if not _host(address):
            raise UnsuitableError(f"`{address}` is not an address to listen at: write it as `grpc://127.0.0.1:7712`")
        if not is_loopback(address) and not token:
            raise UnsuitableError(
                f"`{address}` is reached by other machines: give a `token`, and the game the same one"
            )
        if address.startswith("grpc+tls://") != (tls is not None):
            raise UnsuitableError(
                f"`{address}` and `tls` do not fit: an address with `grpc+tls://` needs a certificate and a key"
            )
        _await_port(address)
        middleware = {"token": _TokenCheck(token)} if token else None
        super().__init__(location=address, tls_certificates=[tls] if tls else None, middleware=middleware)
        scheme = "grpc+tls" if tls else "grpc"
        host = _host(address)
        bracketed = f"[{host}]" if ":" in host else host
        self.address = f"{scheme}://{bracketed}:{self.port}"
        self._serve = serve
        self._exchanges: set[Exchange] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        threading.Thread(target=self._beat, name="bevy-experience-heartbeat", daemon=True).start()

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Serve one game."""
        try:
            hello = Hello.parse(descriptor.command or b"")
        except ExperienceError as error:
            raise flight.FlightServerError(str(error)) from None
        exchange = Exchange(hello, reader, writer)
        with self._lock:
            self._exchanges.add(exchange)
        try:
            self._serve(exchange)
        except ExperienceError as error:
            if not exchange.closed.is_set():
                raise flight.FlightServerError(str(error)) from None
        finally:
            exchange.closed.set()
            with self._lock:
                self._exchanges.discard(exchange)

    def close(self) -> None:
        """End all exchanges, and stop to listen."""
        self._stopped.set()
        with self._lock:
            exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.closed.set()
        # Waits for the handlers. One that waits for a message of a game ends when the game does.
        ending = threading.Thread(target=self.shutdown, name="bevy-experience-shutdown", daemon=True)
        ending.start()
        # Then the port is free for the next server.
        ending.join(_CLOSE_WAIT)

    def _beat(self) -> None:
        while not self._stopped.wait(_HEARTBEAT / 4):
            with self._lock:
                exchanges = list(self._exchanges)
            for exchange in exchanges:
                exchange.heartbeat(_HEARTBEAT)

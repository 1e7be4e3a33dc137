"""The Arrow Flight server to which games connect."""

from __future__ import annotations

import hmac
import ipaddress
import threading
from collections.abc import Callable
from typing import Any

from pyarrow import flight

from ..errors import ExperienceError, UnsuitableError
from ._exchange import Exchange, Hello

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
        if not is_loopback(address) and not token:
            raise UnsuitableError(
                f"`{address}` is reached by other machines: give a `token`, and the game the same one"
            )
        if address.startswith("grpc+tls://") != (tls is not None):
            raise UnsuitableError(
                f"`{address}` and `tls` do not fit: an address with `grpc+tls://` needs a certificate and a key"
            )
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
        # Waits for the handlers, which end when their games do.
        threading.Thread(target=self.shutdown, name="bevy-experience-shutdown", daemon=True).start()

    def _beat(self) -> None:
        while not self._stopped.wait(_HEARTBEAT / 4):
            with self._lock:
                exchanges = list(self._exchanges)
            for exchange in exchanges:
                exchange.heartbeat(_HEARTBEAT)

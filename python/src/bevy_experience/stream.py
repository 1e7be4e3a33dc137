"""Receives recordings from a running game, over Arrow Flight.

The game has a ``StreamSink``. `stream` subscribes to one of its recordings, reconnects where the
connection is lost, and continues exactly after the last transition that it has received. What it
could not get is counted in `Stream.missed`.

Examples
--------
>>> import bevy_experience
>>> for batch in bevy_experience.stream("grpc://127.0.0.1:7711", "fighter"):  # doctest: +SKIP
...     train(batch.observation, batch.action, batch.reward)
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ._stream_columns import StreamColumns, SuccessorJoin
from .batch import Batch
from .errors import StreamError
from .replay_ring import ReplayRing
from .schema import Schema

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Missed", "Position", "ReplayRing", "Stream", "stream"]

Unit = Literal["episodes", "transitions"]

_EXPERIENCE_KEY = b"bevy_experience.experience"
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0
_KEEPALIVE = 20.0
"""Seconds between two pings to a game that sends nothing, and until one of them must be answered."""
_NOT_FOUND_PATIENCE = 2.0
"""How long a recording may be missing at a server that has others, while a game starts."""


@dataclass(frozen=True)
class Position:
    """A place in the stream of a recording, counted from the start of the game and before filters.

    Attributes
    ----------
    run : int
        The run that records, as in the column ``run``.
    unit : str
        ``"episodes"`` or ``"transitions"``: each has a stream of its own.
    transitions, episodes : int
        What precedes the place: transitions, and episodes whose last transition is among them.
    """

    run: int
    unit: Unit
    transitions: int
    episodes: int


@dataclass(frozen=True)
class Missed:
    """What a stream has not received, because it was too slow or away for too long.

    Attributes
    ----------
    transitions, episodes : int
        Transitions, and episodes whose last transition is among them, before filters.
    restarts : int
        Times that another run of the game followed. What the run before would still have sent is
        not known, and not in the other counts.
    """

    transitions: int = 0
    episodes: int = 0
    restarts: int = 0


class Stream(Iterator[Batch]):
    """An iterator over the batches of a recording of a running game.

    It ends when the game closes the recording. See `stream` for the parameters. It is for one
    thread, apart from `close`.

    Attributes
    ----------
    missed : Missed
        What was not received.
    position : Position or None
        The place after the last batch, or where the stream begins: `stream` continues there with
        ``start=position``.
    incomplete : int
        Rows that were left out because the row after them, which has their next observation, was
        filtered or missed. Always 0 unless observations are images or larger than 1 KiB. Where the
        iteration ends before the recording, or another `stream` continues it, the last row of each
        open episode is among them, counted when ``next`` finds the stream closed.
    """

    def __init__(
        self,
        address: str,
        recording: str,
        *,
        start: Literal["now", "oldest"] | Position = "now",
        unit: Unit = "episodes",
        agents: Iterable[int] | None = None,
        controllers: str | Iterable[str] | None = None,
        columns: Iterable[str] | None = None,
        token: str | None = None,
        tls_root_certs: bytes | str | None = None,
        patience: float | None = 30.0,
    ) -> None:
        self._address = address if "://" in address else f"grpc://{address}"
        self._names = None if columns is None else tuple(columns)
        self._ticket: dict[str, Any] = {"recording": recording, "unit": unit}
        if agents is not None:
            self._ticket["agents"] = [int(agent) for agent in agents]
        if controllers is not None:
            self._ticket["controllers"] = [controllers] if isinstance(controllers, str) else list(controllers)
        self._token = token
        self._certificates = tls_root_certs.encode() if isinstance(tls_root_certs, str) else tls_root_certs
        self._patience = patience
        self._start: Any = start
        self.position = start if isinstance(start, Position) else None
        self.missed = Missed()
        self._withdrawn: list[int] = []
        self._on_withdrawn: Callable[[list[int]], None] | None = None
        """Is called at once with the ids of discarded episodes, instead of `take_withdrawn`."""
        self._columns: StreamColumns | None = None
        self._join: SuccessorJoin | None = None
        self._client: Any = None
        self._reader: Any = None
        self._is_closed = False
        # Of the connection, which another thread may close.
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._wait = _FIRST_WAIT

    @property
    def recording(self) -> str:
        """The name of the recording."""
        return str(self._ticket["recording"])

    @property
    def schema(self) -> Schema:
        """The schema of the recording. Connects to the game if that was not done before."""
        while self._columns is None:
            if self._is_closed:
                raise StreamError(
                    f"the stream of `{self.recording}` was closed before it had its schema: subscribe anew"
                )
            self._attempt(self._connect)
        return self._columns.schema

    @property
    def incomplete(self) -> int:
        """Rows that were left out because their next observation did not follow."""
        return self._join.incomplete if self._join else 0

    def take_withdrawn(self) -> list[int]:
        """Return the ids of episodes that were discarded since the last call.

        Their players have opted out, or the game has withdrawn them. Transitions that were received
        before must not be used.
        """
        withdrawn, self._withdrawn = self._withdrawn, []
        return withdrawn

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        while not self._is_closed:
            batch: Batch | None = self._attempt(self._receive)
            if batch is not None:
                return batch
        self.close()
        if self._join is not None:
            self._join.forget()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription. A call of ``next`` in another thread ends too."""
        with self._lock:
            self._is_closed = True
        self._disconnect()

    def _hold(self, client: Any, reader: Any = None) -> None:
        """Make the connection one that `close` ends. If the stream is closed, end it."""
        with self._lock:
            if not self._is_closed:
                self._client, self._reader = client, reader
                return
        if reader is not None:
            reader.cancel()
        client.close()
        raise OSError("the stream is closed")

    def _disconnect(self) -> None:
        with self._lock:
            reader, client, self._reader, self._client = self._reader, self._client, None, None
        if reader is not None:
            reader.cancel()
        if client is not None:
            client.close()

    def _attempt(self, action: Any) -> Any:
        """Call ``action``. After a failure that may pass, wait, so that the next call reconnects."""
        import pyarrow as pa
        from pyarrow import flight

        try:
            return action()
        except (pa.ArrowException, OSError) as error:
            # `ArrowKeyError` and `FlightError` are among them.
            if self._is_closed:
                return None
            if isinstance(error, flight.FlightUnauthenticatedError):
                self.close()
                raise StreamError(f"`{self._address}` refuses the token: {_message(error)}") from error
            if isinstance(error, pa.ArrowInvalid):
                self.close()
                raise StreamError(f"`{self._address}` refuses the subscription: {_message(error)}") from error
            if (remedy := _tls_remedy(str(error))) is not None:
                self.close()
                raise StreamError(f"no secure connection to `{self._address}`: {remedy}") from error
            self._disconnect()
            self._wait_after(error, isinstance(error, KeyError) and "the recordings are" in str(error))
            return None

    def _wait_after(self, error: Exception, is_unknown: bool) -> None:
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        patience = self._patience
        if is_unknown:
            patience = min(_NOT_FOUND_PATIENCE, patience if patience is not None else _NOT_FOUND_PATIENCE)
        if patience is not None and now - self._failing_since >= patience:
            self.close()
            raise StreamError(
                f"`{self._address}` cannot be read for {patience:g} seconds: {_message(error)}; check that the "
                "game runs with a `StreamSink` at this address, which begins with `grpc+tls://` where that has a "
                "certificate, and raise `patience` if it starts later"
            ) from error
        time.sleep(self._wait * random.uniform(0.5, 1.0))
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _connect(self) -> Any:
        from pyarrow import flight

        options = [
            ("grpc.keepalive_time_ms", round(1000 * _KEEPALIVE)),
            ("grpc.keepalive_timeout_ms", round(1000 * _KEEPALIVE)),
            # A subscriber sends nothing. By default two pings are sent without data and no more, and a game that is
            # gone without a word is waited for without end.
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.ping_timeout_ms", round(1000 * _KEEPALIVE)),
        ]
        client = flight.FlightClient(self._address, tls_root_certs=self._certificates, generic_options=options)
        self._hold(client)
        headers = [] if self._token is None else [(b"authorization", f"Bearer {self._token}".encode())]
        call = flight.FlightCallOptions(headers=headers)
        if self._columns is None:
            descriptor = flight.FlightDescriptor.for_path(self.recording)
            self._columns = StreamColumns(_schema(client.get_flight_info(descriptor, call).schema), self._names)
            self._join = SuccessorJoin(self._columns) if self._columns.joined else None
        start = {"position": asdict(self.position)} if self.position is not None else self._start
        ticket = {**self._ticket, "from": start, "columns": list(self._columns.requested)}
        reader = client.do_get(flight.Ticket(json.dumps(ticket).encode()), call)
        self._hold(client, reader)
        schema = _schema(reader.schema)
        if schema.hash != self._columns.schema.hash:
            self.close()
            raise StreamError(
                f"the game at `{self._address}` was started again with other columns of `{self.recording}`: "
                "subscribe anew"
            )
        return reader

    def _receive(self) -> Batch | None:
        reader = self._reader
        if reader is None:
            reader = self._connect()
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            # Without the message that the recording is closed.
            raise OSError("the connection was lost") from None
        self._failing_since, self._wait = None, _FIRST_WAIT
        if chunk.app_metadata is not None:
            self._take(json.loads(chunk.app_metadata.to_pybytes()))
        if chunk.data is None or self._columns is None:
            return None
        columns = self._columns.convert(chunk.data)
        if self._join is not None:
            columns = self._join.join(columns)
        columns = {name: columns[name] for name in self._columns.names}
        return Batch(self._columns.schema, columns) if len(columns["episode_id"]) else None

    def _take(self, metadata: dict[str, Any]) -> None:
        missed = metadata.get("missed", {})
        restarts = int(metadata.get("restarted", False))
        if (missed or restarts) and self._join is not None:
            self._join.forget()
        self.missed = Missed(
            self.missed.transitions + missed.get("transitions", 0),
            self.missed.episodes + missed.get("episodes", 0),
            self.missed.restarts + restarts,
        )
        if withdrawn := metadata.get("withdrawn"):
            if self._join is not None:
                self._join.withdraw(withdrawn)
            if self._on_withdrawn is None:
                self._withdrawn.extend(withdrawn)
            else:
                self._on_withdrawn(withdrawn)
        self.position = Position(**metadata["position"])
        if metadata.get("closed", False):
            self._is_closed = True


def _schema(arrow: Any) -> Schema:
    document = (arrow.metadata or {}).get(_EXPERIENCE_KEY)
    if document is None:
        raise StreamError("the server is not a `StreamSink` of `bevy_experience`: its schema has no description")
    content = json.loads(document)
    return Schema.parse(content["schema"], content["schema_hash"], content.get("lists", ()))


def _tls_remedy(error: str) -> str | None:
    """What is wrong with the certificate of a server and what to do, for an error that is about it."""
    text = error.lower().replace("_", " ")
    if "is not in peer certificate" in text:
        return (
            "its certificate names other hosts: connect to one that it names, or give the game one for this host, with "
            "a `subjectAltName` for an IP address too"
        )
    if "certificate verify failed" in text:
        return (
            "its certificate is not signed by a trusted authority: give the authority's certificate as "
            "`tls_root_certs`, or the game's own if that signs itself"
        )
    if "wrong version number" in text:
        return "the game answers without TLS: set `StreamSink::with_tls` there, or connect to `grpc://`"
    return None


def _message(error: Exception) -> str:
    """The server's own words, without what gRPC adds."""
    text = str(error.args[0]) if error.args else str(error)
    return text.partition(". gRPC client debug context")[0].partition(". Detail:")[0]


def stream(
    address: str,
    recording: str,
    *,
    start: Literal["now", "oldest"] | Position = "now",
    unit: Unit = "episodes",
    agents: Iterable[int] | None = None,
    controllers: str | Iterable[str] | None = None,
    columns: Iterable[str] | None = None,
    token: str | None = None,
    tls_root_certs: bytes | str | None = None,
    patience: float | None = 30.0,
) -> Stream:
    """Subscribe to a recording of a running game.

    Parameters
    ----------
    address : str
        Where the game's ``StreamSink`` listens: ``"grpc://127.0.0.1:7711"``, or
        ``"grpc+tls://host:7711"`` where it has a certificate.
    recording : str
        The name of the recording.
    start : "now", "oldest" or Position
        Begin with what is recorded from now on, with the oldest transition that the game still
        holds, or after a position of an earlier stream.
    unit : "episodes" or "transitions"
        Whole episodes when they have ended, or transitions as they happen. Episodes that are
        discarded after transitions were sent are in `Stream.take_withdrawn`.
    agents : iterable of int, optional
        Only transitions of these agents.
    controllers : str or iterable of str, optional
        Only transitions that these controlled, such as ``"policy:fighter@3"``, or ``"policy:fighter@*"`` for
        all versions of a policy.
    columns : iterable of str, optional
        The columns; by default those that trainers need. ``episode_id`` is always there.
    token : str, optional
        The token of the ``StreamSink``.
    tls_root_certs : bytes or str, optional
        Certificates in PEM that the server's is checked against; by default those of the system. A certificate that
        does not pass raises at once.
    patience : float, optional
        How many seconds the game may be out of reach before the iteration raises; ``None`` for ever.

    Returns
    -------
    Stream
        An iterator over batches of ``(B, ...)`` arrays, which may be read-only. It ends when the
        game closes the recording.

    Raises
    ------
    StreamError
        By the iteration: if the token or the subscription is refused, or the game is out of reach.
    """
    return Stream(
        address,
        recording,
        start=start,
        unit=unit,
        agents=agents,
        controllers=controllers,
        columns=columns,
        token=token,
        tls_root_certs=tls_root_certs,
        patience=patience,
    )

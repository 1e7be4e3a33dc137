"""Streams of the arena, beside the dataset that it writes.

EXPERIENCE_ARENA=target/debug/arena pytest tests/test_stream.py

The arena is built with ``--features stream``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from conftest import Certificate, MakeCertificate
from writer import column
from writer import schema as definition

import bevy_experience as bx
from bevy_experience._stream_columns import StreamColumns, SuccessorJoin

Unit = Literal["episodes", "transitions"]
Arena = Callable[..., subprocess.Popen]


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"grpc://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def arena(address: str, tmp_path: Path) -> Iterator[Arena]:
    command = os.environ.get("EXPERIENCE_ARENA")
    if not command:
        pytest.skip("EXPERIENCE_ARENA names no arena with the feature `stream`")
    running: list[subprocess.Popen] = []

    def start(*arguments: str, token: str | None = None, tls: Certificate | None = None) -> subprocess.Popen:
        settings = [f"--stream={address.removeprefix('grpc://')}", f"--out={tmp_path / 'arena'}", "--players=8"]
        environment = {**os.environ, **({} if token is None else {"ARENA_STREAM_TOKEN": token})}
        if tls is not None:
            environment |= {"ARENA_STREAM_CERTIFICATE": str(tls.file), "ARENA_STREAM_KEY": str(tls.key)}
        process = subprocess.Popen(
            [command, *settings, *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def joined(batches: list[bx.Batch]) -> dict[str, np.ndarray]:
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.lexsort((columns["step"], columns["episode_id"]))
    return {name: values[order] for name, values in columns.items()}


ALL = ("episode_id", "step", "tick", "agent_id", "observation", "reward", "next_observation", "terminated", "truncated",
       "end_reason", "reward.coin", "reward.hit")  # fmt: skip


@pytest.mark.parametrize("unit", ["episodes", "transitions"])
def test_a_stream_has_the_rows_of_the_dataset(arena: Arena, address: str, tmp_path: Path, unit: Unit) -> None:
    process = arena("--realtime", "--hz=300", "--ticks=900")
    stream = bx.stream(address, "fighter", start="oldest", unit=unit, columns=ALL)
    batches = list(stream)
    assert process.wait(20) == 0
    assert stream.missed == bx.Missed()
    assert stream.position is not None and stream.position.transitions == sum(len(b["step"]) for b in batches)
    fighter = bx.open(tmp_path / "arena")["fighter"]
    assert stream.schema == fighter.schema
    written = fighter.take(slice(None), columns=ALL)
    order = np.lexsort((written["step"], written["episode_id"]))
    found = joined(batches)
    for name in ALL:
        assert (found[name] == written[name][order]).all(), name
    assert len(found["step"]) > 3000
    if unit == "transitions":
        assert len(batches) > 100


def test_a_lost_connection_continues_at_its_position(arena: Arena, address: str) -> None:
    arena("--realtime", "--hz=300", "--ticks=1500")
    stream = bx.stream(address, "fighter", start="oldest", unit="transitions", columns=("episode_id", "step"))
    rows: list[tuple[int, int]] = []
    for number, batch in enumerate(stream):
        rows += zip(batch["episode_id"].tolist(), batch["step"].tolist(), strict=True)
        if number % 40 == 7:
            # As if the network had cut it.
            stream._disconnect()
    assert stream.missed == bx.Missed() and len(rows) == len(set(rows)) > 5000
    assert stream.position is not None and stream.position.transitions == len(rows)
    # Without a gap: each episode is complete up to its last step.
    steps: dict[int, list[int]] = {}
    for episode, step in rows:
        steps.setdefault(episode, []).append(step)
    assert all(found == list(range(len(found))) for found in steps.values())


def test_a_game_that_starts_late_and_again_is_found(arena: Arena, address: str, tmp_path: Path) -> None:
    stream = bx.stream(address, "fighter", start="oldest", unit="transitions", columns=("run",))
    first = arena("--realtime", "--ticks=100000")
    runs = set(next(stream)["run"].tolist())
    first.kill()
    first.wait()
    arena("--realtime", "--ticks=100000")
    while len(runs) < 2:
        runs |= set(next(stream)["run"].tolist())
    assert stream.missed.restarts == 1 and stream.position is not None and stream.position.run in runs
    stream.close()
    assert list(stream) == []


def test_filters_and_default_columns(arena: Arena, address: str) -> None:
    arena("--realtime", "--hz=300", "--ticks=600")
    with bx.stream(address, "fighter", agents=[1, 4], unit="transitions", start="oldest") as stream:
        batch = next(stream)
        assert batch.observation.shape == batch.next_observation.shape and batch.observation.dtype == np.float32
        assert set(batch) > {"observation", "reward", "next_observation", "terminated", "truncated", "episode_id"}
        assert "tick" not in batch and batch.actions.keys() == stream.schema.heads.keys()
    with bx.stream(address, "fighter", controllers="script:hunter", columns=("controller", "agent_id")) as stream:
        found = next(stream)
        assert set(found["controller"]) == {"script:hunter"}


def test_refusals_are_errors_at_once(arena: Arena, address: str) -> None:
    arena("--realtime", "--ticks=100000", token="secret")
    for token in (None, "wrong"):
        with pytest.raises(bx.StreamError, match="token"):
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                next(bx.stream(address, "fighter", token=token))
    with bx.stream(address, "fighter", token="secret", unit="transitions") as stream:
        assert len(next(stream)["reward"]) > 0
    with pytest.raises(bx.StreamError, match="recordings are fighter"):
        next(bx.stream(address, "wizard", token="secret"))
    with pytest.raises(bx.NoSuchColumnError, match="mana"):
        next(bx.stream(address, "fighter", token="secret", columns=["mana"]))
    with pytest.raises(bx.StreamError, match="position"):
        start = bx.Position(1, "episodes", 0, 0)
        next(bx.stream(address, "fighter", token="secret", start=start, unit="transitions"))


def test_a_secure_stream_is_read_with_its_certificate_alone(
    arena: Arena, address: str, make_certificate: MakeCertificate
) -> None:
    own = make_certificate("IP:127.0.0.1")
    arena("--realtime", "--ticks=100000", token="secret", tls=own)
    secure = address.replace("grpc://", "grpc+tls://")
    options: dict[str, Any] = {"token": "secret", "unit": "transitions", "patience": 20}
    with bx.stream(secure, "fighter", tls_root_certs=own.pem, **options) as stream:
        assert len(next(stream)["reward"]) > 0
    for other in (make_certificate("IP:127.0.0.1").pem, None):
        begun = time.monotonic()
        with pytest.raises(bx.StreamError, match="tls_root_certs"):
            next(bx.stream(secure, "fighter", tls_root_certs=other, **options))
        assert time.monotonic() - begun < 10
    with pytest.raises(bx.StreamError, match=r"grpc\+tls://"):
        next(bx.stream(address, "fighter", **{**options, "patience": 0.5}))


def test_certificates_that_do_not_fit_name_a_remedy(address: str, make_certificate: MakeCertificate) -> None:
    flight = pytest.importorskip("pyarrow.flight")
    elsewhere = make_certificate("DNS:elsewhere.example")
    secure = address.replace("grpc://", "grpc+tls://")
    for tls, expected in ((elsewhere, "names other hosts"), (None, "without TLS")):
        chain = [] if tls is None else [(tls.pem, tls.key.read_bytes())]
        with flight.FlightServerBase(secure if chain else address, tls_certificates=chain):
            begun = time.monotonic()
            with pytest.raises(bx.StreamError, match=expected):
                next(bx.stream(secure, "fighter", tls_root_certs=elsewhere.pem))
            assert time.monotonic() - begun < 10


@pytest.mark.skipif(int(pa.__version__.split(".")[0]) < 20, reason="takes 20 s, once")
def test_an_idle_subscription_stays_and_notices_a_game_that_is_gone(
    arena: Arena, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a relay that stops to pass bytes on without closing the connection, as a router that forgets it."""
    monkeypatch.setattr(sys.modules["bevy_experience.stream"], "_KEEPALIVE", 0.5)
    # No episode ends for a minute.
    arena("--realtime", "--hz=1")
    with Relay(address) as relay, bx.stream(relay.address, "fighter", patience=None) as stream:
        reader = threading.Thread(target=lambda: list(stream), daemon=True)
        reader.start()
        deadline = time.monotonic() + 20
        while stream.position is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        connections, passed = relay.connections, relay.passed
        time.sleep(6.0)
        assert relay.connections == connections and relay.passed > passed
        relay.is_silent = True
        deadline = time.monotonic() + 30
        while relay.connections == connections:
            assert time.monotonic() < deadline, "the subscription waits for ever"
            time.sleep(0.05)
        stream.close()
        reader.join(10)


class Relay:
    """Passes bytes between a port of this host and an address, and none while it is silent."""

    def __init__(self, to: str) -> None:
        host, _, port = to.removeprefix("grpc://").rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = self.passed = 0
        self.is_silent = False
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for side in self._sockets:
            side.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                game = socket.create_connection(self._to)
            except OSError:
                # The game has not started yet.
                client.close()
                continue
            self._sockets += [client, game]
            self.connections += 1
            for source, sink in ((client, game), (game, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self.is_silent:
                    self.passed += len(data)
                    sink.sendall(data)
        except OSError:
            pass


def test_an_address_without_a_game_is_an_error_after_the_patience(address: str) -> None:
    begun = time.monotonic()
    with pytest.raises(bx.StreamError, match="StreamSink"):
        next(bx.stream(address, "fighter", patience=0.5))
    assert 0.5 <= time.monotonic() - begun < 10


def test_a_ring_follows_a_stream(arena: Arena, address: str) -> None:
    arena("--realtime", "--hz=300", "--ticks=1200")
    ring = bx.ReplayRing(1000, seed=1).follow(bx.stream(address, "fighter", unit="transitions"))
    assert ring.wait(2000, timeout=60)
    drawn = ring.sample_prioritized(256)
    ring.update_priorities(drawn.ids, np.abs(drawn.batch.reward))
    assert len(ring) == 1000 and ring.sample(256).observation.shape[0] == 256
    ring.close()


def test_an_error_of_the_stream_is_raised_by_the_ring(address: str) -> None:
    ring = bx.ReplayRing(10).follow(bx.stream(address, "fighter", patience=0.1))
    with pytest.raises(bx.StreamError):
        ring.wait(1, timeout=30)
    ring.close()


def test_a_torch_dataset_has_batches_of_one_size(arena: Arena, address: str) -> None:
    torch = pytest.importorskip("torch")
    from bevy_experience.torch import StreamDataset

    arena("--realtime", "--hz=300", "--ticks=600")
    dataset = StreamDataset(address, "fighter", size=128, start="oldest", unit="transitions")
    sizes = []
    for batch in torch.utils.data.DataLoader(dataset, batch_size=None):
        assert batch["observation"].dtype == torch.float32
        sizes.append(len(batch["reward"]))
    assert len(sizes) > 10 and set(sizes[:-1]) == {128}


def test_next_observations_of_wide_rows_come_from_the_next_row(rng: np.random.Generator) -> None:
    """A stream, like a dataset, has them in the last row of an episode alone."""
    wide = definition(observation=[column("x", shape=(300,))])
    columns = StreamColumns(bx.Schema.parse(wide, "0" * 16), None)
    assert columns.joined == ("next_observation",) and "step" in columns.requested
    join = SuccessorJoin(columns)

    def rows(
        episode: int, steps: range, end: int | None, skip: int | None = None, agent: int | None = None
    ) -> dict[str, np.ndarray]:
        found = np.array([step for step in steps if step != skip])
        observation = np.repeat((1000.0 * episode + found)[:, None], 300, 1).astype(np.float32)
        final = found == end
        following = np.where(final[:, None], observation + 1, 0).astype(np.float32)
        return {
            "episode_id": np.full(len(found), episode),
            "agent_id": np.full(len(found), episode if agent is None else agent),
            "step": found,
            "observation": observation,
            "next_observation": following,
            "terminated": final,
            "truncated": np.zeros(len(found), bool),
        }

    def together(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    found = [
        join.join(together(rows(1, range(3), None), rows(2, range(1), None))),
        join.join(together(rows(2, range(1, 4), 3), rows(1, range(3, 5), 4), rows(3, range(6), None, skip=2))),
    ]
    assert [len(part["step"]) for part in found] == [2, 4 + 3 + 3]
    for part in found:
        assert (part["next_observation"] == part["observation"] + 1).all()
    # Of step 1 of episode 3 the next row is not there, and step 5 waits.
    assert join.incomplete == 1
    join.forget()
    assert join.incomplete == 2
    # Rows wait for the newest episode of an agent alone.
    for episode in (9, 4, 7):
        assert len(join.join(rows(episode, range(3), None, agent=1))["step"]) == 2
    assert join.incomplete == 4
    join.withdraw([7])
    assert len(join.join(rows(7, range(3, 5), 4, agent=1))["step"]) == 2
    assert join.incomplete == 4


def test_discarded_episodes_are_forgotten_without_another_batch(address: str) -> None:
    stream = bx.stream(address, "fighter", patience=None)
    ring = bx.ReplayRing(10).follow(stream)
    schema = bx.Schema.parse(definition(), "0" * 16)
    ring.add(bx.Batch(schema, {"episode_id": np.array([1, 2, 1]), "reward": np.zeros(3)}))
    position = {"run": 1, "unit": "episodes", "transitions": 3, "episodes": 2}
    stream._take({"position": position, "withdrawn": [1]})
    assert len(ring) == 1 and stream.take_withdrawn() == []
    ring.close()


def test_a_stream_that_is_closed_while_it_connects_ends(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, goes_on, is_cancelled = threading.Event(), threading.Event(), threading.Event()
    schema = bx.Schema.parse(definition(), "0" * 16)

    class Reader:
        schema = None

        def cancel(self) -> None:
            is_cancelled.set()

        def read_chunk(self) -> None:
            is_cancelled.wait(30)
            raise OSError("cancelled")

    class Client:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def do_get(self, *_: Any) -> Reader:
            connecting.set()
            goes_on.wait(30)
            return Reader()

        def close(self) -> None:
            pass

    monkeypatch.setattr("pyarrow.flight.FlightClient", Client)
    stream = bx.stream(address, "fighter")
    stream._columns = StreamColumns(schema, None)
    found: list[list[bx.Batch]] = []
    reader = threading.Thread(target=lambda: found.append(list(stream)), daemon=True)
    reader.start()
    assert connecting.wait(10)
    stream.close()
    goes_on.set()
    reader.join(10)
    assert found == [[]] and is_cancelled.is_set()


def test_a_closed_stream_has_no_schema(address: str) -> None:
    stream = bx.stream(address, "fighter")
    stream.close()
    with pytest.raises(bx.StreamError, match="closed"):
        stream.schema  # noqa: B018


def test_words_and_missing_values_are_converted() -> None:
    schema = bx.Schema.parse(definition(), "0" * 16)
    columns = StreamColumns(schema, ("end_reason", "match_id", "controller"))
    batch = pa.RecordBatch.from_pydict(
        {
            "end_reason": pa.array([None, "death"]).dictionary_encode(),
            "match_id": pa.array([3, None], pa.int64()),
            "controller": pa.array([None, None], pa.string()).dictionary_encode(),
            "episode_id": pa.array([1, 2], pa.int64()),
        }
    )
    found = columns.convert(batch)
    assert found["end_reason"].tolist() == [None, "death"] and found["controller"].tolist() == [None, None]
    assert found["match_id"].tolist() == [3, None]

"""Measures how many transitions a second arrive in Python, beside a plain Flight client and a plain server.

cargo bench -p experience_stream --bench stream -- 127.0.0.1:7711 full
python benchmarks/stream_rate.py 127.0.0.1:7711
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from pyarrow import flight

import bevy_experience


def plain(address: str, columns: tuple[str, ...] | None = None) -> Iterator[int]:
    """Yield the rows of each batch that a plain Flight client receives."""
    client = flight.FlightClient(f"grpc://{address}")
    ticket: dict[str, Any] = {"recording": "fighter"}
    if columns is not None:
        ticket["columns"] = columns
    reader = client.do_get(flight.Ticket(json.dumps(ticket).encode()))
    try:
        while True:
            chunk = reader.read_chunk()
            yield 0 if chunk.data is None else chunk.data.num_rows
    finally:
        reader.cancel()
        client.close()


def streamed(address: str, columns: tuple[str, ...] | None = None) -> Iterator[int]:
    """Yield the rows of each batch of `bevy_experience.stream`."""
    with bevy_experience.stream(f"grpc://{address}", "fighter", columns=columns) as batches:
        for batch in batches:
            yield len(batch.reward)


def measure(name: str, rows: Iterator[int], seconds: float) -> None:
    """Print the millions of rows a second, after a second of warm-up."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < 1.0:
        next(rows)
    begun, total = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        total += next(rows)
    rate = total / (time.perf_counter() - begun) / 1e6
    rows.close()  # type: ignore[attr-defined]
    print(f"{name}: {rate:.2f} million transitions a second")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    address, seconds = arguments.address, arguments.seconds
    host, _, port = address.rpartition(":")
    with bevy_experience.stream(f"grpc://{address}", "fighter") as batches:
        defaults = tuple(next(batches))
        every = (*defaults, "agent_id", "run", "step", "tick", "ticks", "timestamp", "end_reason", "controller")
    print(f"the columns of trainers: {', '.join(defaults)}")
    measure("the columns of trainers, `bevy_experience.stream`", streamed(address), seconds)
    measure("the same, a plain Flight client", plain(address, defaults), seconds)
    measure("more columns, `bevy_experience.stream`", streamed(address, every), seconds)
    measure("all columns, a plain Flight client", plain(address), seconds)
    measure("all columns, a plain Flight client and a plain server", plain(f"{host}:{int(port) + 1}"), seconds)


if __name__ == "__main__":
    main()

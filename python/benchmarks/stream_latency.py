"""Measures the time from the push of a transition in the game to its batch in Python.

cargo bench -p experience_stream --bench stream -- 127.0.0.1:7711
python benchmarks/stream_latency.py grpc://127.0.0.1:7711
"""

from __future__ import annotations

import sys
import time

import numpy as np

import bevy_experience


def main() -> None:
    """Print quantiles of 10 seconds."""
    address = sys.argv[1] if len(sys.argv) > 1 else "grpc://127.0.0.1:7711"
    columns = ("info.sent", "terminated", "observation", "next_observation", "reward")
    waits: dict[bool, list[float]] = {True: [], False: []}
    begun = time.monotonic()
    for batch in bevy_experience.stream(address, "fighter", unit="transitions", columns=columns):
        now = time.time()
        for is_end, sent in zip(batch.terminated, batch["info.sent"], strict=True):
            waits[bool(is_end)].append(now - sent)
        if time.monotonic() - begun > 10:
            break
    for is_end, name in ((True, "last of an episode"), (False, "others, which wait for the next tick")):
        median, high, most = np.quantile(waits[is_end], [0.5, 0.99, 1.0]) * 1e3
        count = len(waits[is_end])
        print(f"{count} transitions, {name}: median {median:.2f} ms, 99th percentile {high:.2f} ms, most {most:.2f} ms")


if __name__ == "__main__":
    main()

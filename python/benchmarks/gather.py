"""Shuffled batches of a recording, beside a bare NumPy gather of the same columns.

    python benchmarks/gather.py DATASET [--recording fighter] [--size 256]

Both read memory-mapped files that are in the page cache. The bare gather reads one ``.npy`` file for
each column, ``next_observation`` included, which the package does not store. Times are CPU times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bevy_experience


def seconds_per_batch(run: Callable[[], Iterator[object]], batches: int) -> float:
    start = time.process_time()
    for _ in run():
        pass
    return (time.process_time() - start) / batches


def bare(arrays: dict[str, NDArray[Any]], size: int, rows: int) -> Iterator[object]:
    order = np.random.default_rng(1).permutation(rows)
    for start in range(0, rows - size + 1, size):
        index = order[start : start + size]
        yield {name: array[index] for name, array in arrays.items()}


def bare_take(arrays: dict[str, NDArray[Any]], size: int, rows: int) -> Iterator[object]:
    order = np.random.default_rng(1).permutation(rows)
    for start in range(0, rows - size + 1, size):
        index = order[start : start + size]
        yield {name: array.take(index, axis=0) for name, array in arrays.items()}


def n_steps(recording: bevy_experience.Recording, size: int) -> Iterator[object]:
    order = np.random.default_rng(1).permutation(len(recording))
    n_step = recording.n_step(5, 0.99)
    for start in range(0, len(recording) - size + 1, size):
        yield n_step[order[start : start + size]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--recording", default="fighter")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    recording = bevy_experience.open(arguments.dataset)[arguments.recording]
    rows, size = len(recording), arguments.size
    begin = time.perf_counter()
    first = recording[:1]
    print(f"{rows:,} rows; the cache was opened or built in {time.perf_counter() - begin:.2f} s")
    with TemporaryDirectory() as folder:
        arrays = {}
        for number, name in enumerate(first):
            np.save(f"{folder}/{number}.npy", recording[name])
            arrays[name] = np.load(f"{folder}/{number}.npy", mmap_mode="r")
        plain = {name: np.asarray(array).view(np.ndarray) for name, array in arrays.items()}
        half, _ = recording.split(0.5, 0.5)
        cases: dict[str, tuple[Callable[[], Iterator[object]], int]] = {
            "bare gather": (lambda: bare(plain, size, rows), rows // size),
            "bare gather, take": (lambda: bare_take(plain, size, rows), rows // size),
            "bare gather, np.memmap": (lambda: bare(arrays, size, rows), rows // size),
            "recording.batches": (
                lambda: recording.batches(size, seed=1, drop_last=True),
                rows // size,
            ),
            "half.batches": (
                lambda: half.batches(size, seed=1, drop_last=True),
                len(half) // size,
            ),
            "n_step(5)": (lambda: n_steps(recording, size), rows // size),
            "windows(20)": (
                lambda: recording.windows(20).batches(size, seed=1, drop_last=True),
                rows // size,
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(arguments.repeat):
            for name, (run, batches) in cases.items():
                times[name].append(seconds_per_batch(run, batches))
        base = statistics.median(times["bare gather"])
        for name, found in times.items():
            each = statistics.median(found)
            print(f"{name:24} {each * 1e6:8.1f} µs a batch, {size / each:12,.0f} rows a second, {each / base:5.2f}")


if __name__ == "__main__":
    main()

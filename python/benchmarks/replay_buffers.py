"""Replay buffers on the same rows: this package's, cpprb's and TorchRL's.

    pip install cpprb torchrl
    python benchmarks/replay_buffers.py DATASET [--recording fighter] [--size 256] [--rows 100000]

Each buffer gets the columns of a transition of a recording, in their types, in batches of ``--size`` rows, and
draws uniform batches of that size. ``recording.batches`` and the buffers in files follow: those read
memory-mapped files that are in the page cache. A library that is not installed is left out.

Prints a Markdown table of microseconds of CPU time a call: the median, and the range, of ``--repeat`` runs, in
each of which the buffers take turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import bevy_experience
from bevy_experience.stream import ReplayRing

Columns = dict[str, NDArray[Any]]


class Buffer(Protocol):
    """What is measured of a buffer."""

    def add(self, batch: bevy_experience.Batch) -> object: ...

    def sample(self, size: int) -> object: ...


class PackageRing:
    """`ReplayRing`, which `stream` fills."""

    def __init__(self, capacity: int) -> None:
        self._ring = ReplayRing(capacity, seed=1)

    def add(self, batch: bevy_experience.Batch) -> None:
        self._ring.add(batch)

    def sample(self, size: int) -> object:
        return self._ring.sample(size)


class PackagePriorities(PackageRing):
    """`ReplayRing` with priorities, which are set after each draw."""

    def sample(self, size: int) -> object:
        drawn = self._ring.sample_prioritized(size)
        self._ring.update_priorities(drawn.ids, np.abs(drawn.batch.reward) + 1e-3)
        return drawn


class Cpprb:
    """`cpprb.ReplayBuffer`."""

    def __init__(self, capacity: int, columns: Columns, folder: str | None = None) -> None:
        import cpprb

        fields = {name: {"shape": values.shape[1:] or 1, "dtype": values.dtype} for name, values in columns.items()}
        files = {} if folder is None else {"mmap_prefix": f"{folder}/cpprb"}
        self._buffer = cpprb.ReplayBuffer(capacity, fields, **files)

    def add(self, batch: bevy_experience.Batch) -> object:
        return self._buffer.add(**batch)

    def sample(self, size: int) -> object:
        return self._buffer.sample(size)


class CpprbPriorities(Cpprb):
    """`cpprb.PrioritizedReplayBuffer`."""

    def __init__(self, capacity: int, columns: Columns) -> None:
        import cpprb

        fields = {name: {"shape": values.shape[1:] or 1, "dtype": values.dtype} for name, values in columns.items()}
        self._buffer = cpprb.PrioritizedReplayBuffer(capacity, fields)

    def sample(self, size: int) -> object:
        drawn = self._buffer.sample(size)
        self._buffer.update_priorities(drawn["indexes"], np.abs(drawn["reward"].reshape(-1)) + 1e-3)
        return drawn


class TorchRl:
    """`torchrl.data.ReplayBuffer`, in memory or, with a folder, in memory-mapped files."""

    def __init__(self, capacity: int, folder: str | None = None) -> None:
        from torchrl.data import LazyMemmapStorage, LazyTensorStorage, ReplayBuffer

        storage = LazyTensorStorage(capacity) if folder is None else LazyMemmapStorage(capacity, scratch_dir=folder)
        self._buffer = ReplayBuffer(storage=storage)

    def add(self, batch: bevy_experience.Batch) -> object:
        return self._buffer.extend(tensors(batch))

    def sample(self, size: int) -> object:
        return self._buffer.sample(size)


class TorchRlPriorities(TorchRl):
    """`torchrl.data.ReplayBuffer` with a `PrioritizedSampler`."""

    def __init__(self, capacity: int) -> None:
        from torchrl.data import LazyTensorStorage, PrioritizedSampler, ReplayBuffer

        sampler = PrioritizedSampler(capacity, alpha=0.6, beta=0.4)
        self._buffer = ReplayBuffer(storage=LazyTensorStorage(capacity), sampler=sampler)

    def sample(self, size: int) -> object:
        drawn, info = self._buffer.sample(size, return_info=True)
        self._buffer.update_priority(info["index"], drawn["reward"].abs().float() + 1e-3)
        return drawn


def tensors(batch: bevy_experience.Batch) -> Any:
    """Share the arrays of a batch with a `TensorDict`."""
    import torch
    from tensordict import TensorDict

    columns = {name: torch.from_numpy(values) for name, values in batch.items()}
    return TensorDict(columns, batch_size=[len(batch.reward)])


class Reader:
    """`Transitions.batches`: shuffled batches from the cache of a recording."""

    def __init__(self, recording: bevy_experience.Recording, size: int) -> None:
        self._recording = recording
        self._size = size
        self._batches: Iterator[bevy_experience.Batch] = iter(())

    def sample(self, size: int) -> object:
        assert size == self._size
        batch = next(self._batches, None)
        if batch is None:
            self._batches = self._recording.batches(size, drop_last=True)
            batch = next(self._batches)
        return batch


def microseconds(work: Callable[[Any], object], inputs: Sequence[object]) -> float:
    start = time.process_time()
    for value in inputs:
        work(value)
    return (time.process_time() - start) / len(inputs) * 1e6


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--recording", default="fighter")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rows", type=int, default=100_000, help="the capacity of the buffers")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    arguments = parser.parse_args()
    size, capacity = arguments.size, arguments.rows
    recording = bevy_experience.open(arguments.dataset)[arguments.recording]
    batches = list(recording.batches(size, seed=1, drop_last=True))
    columns = dict(batches[0])
    if has("torchrl"):
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(1)
    with TemporaryDirectory() as folder:
        buffers: dict[str, Buffer] = {"`ReplayRing`": PackageRing(capacity)}
        if has("cpprb"):
            buffers["cpprb `ReplayBuffer`"] = Cpprb(capacity, columns)
        if has("torchrl"):
            buffers["TorchRL `LazyTensorStorage`"] = TorchRl(capacity)
        buffers["`ReplayRing`, priorities"] = PackagePriorities(capacity)
        if has("cpprb"):
            buffers["cpprb `PrioritizedReplayBuffer`"] = CpprbPriorities(capacity, columns)
        if has("torchrl"):
            buffers["TorchRL `PrioritizedSampler`"] = TorchRlPriorities(capacity)
        if has("cpprb"):
            buffers["cpprb, `mmap_prefix`"] = Cpprb(capacity, columns, folder)
        if has("torchrl"):
            buffers["TorchRL `LazyMemmapStorage`"] = TorchRl(capacity, f"{folder}/torchrl")
        # All buffers are full before they are measured.
        for index in range(-(-capacity // size)):
            for buffer in buffers.values():
                buffer.add(batches[index % len(batches)])
        adds: dict[str, list[float]] = {name: [] for name in buffers}
        samples: dict[str, list[float]] = {name: [] for name in (*buffers, "`recording.batches`")}
        reader = Reader(recording, size)
        added = [batches[index % len(batches)] for index in range(arguments.calls)]
        sizes = [size] * arguments.calls
        for _ in range(arguments.repeat):
            for name, buffer in buffers.items():
                adds[name].append(microseconds(buffer.add, added))
                samples[name].append(microseconds(buffer.sample, sizes))
            samples["`recording.batches`"].append(microseconds(reader.sample, sizes))
        print(f"| {capacity:,} rows of {len(columns)} columns | add {size}, µs | sample {size}, µs |")
        print("|---|---|---|")
        for name, found in samples.items():
            print(f"| {name} | {cell(adds.get(name))} | {cell(found)} |")


def cell(times: list[float] | None) -> str:
    if times is None:
        return ""
    return f"{statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})"


if __name__ == "__main__":
    main()

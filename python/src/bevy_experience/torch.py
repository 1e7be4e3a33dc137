"""PyTorch datasets of transitions and windows. Needs the extra ``torch``.

Examples
--------
>>> from bevy_experience.torch import TransitionDataset, loader  # doctest: +SKIP
>>> for batch in loader(TransitionDataset(fighter), 256, seed=0):  # doctest: +SKIP
...     loss = train(batch["observation"], batch["action.intent.deed"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._stream_columns import concatenate
from .batch import Batch
from .errors import MissingExtraError, UnsuitableError
from .returns import NStep
from .stream import Stream

if TYPE_CHECKING:
    from .transitions import Transitions
    from .windows import Windows

try:
    import torch
    from torch.utils.data import (
        BatchSampler,
        DataLoader,
        Dataset,
        IterableDataset,
        RandomSampler,
        SequentialSampler,
        get_worker_info,
    )
except ModuleNotFoundError as missing:
    raise MissingExtraError("torch", "torch") from missing

Tensors = dict[str, Any]
"""Tensors by the name of their column, and further ones that `tensors` adds."""


def tensors(batch: Batch, reasons: Sequence[str] = ()) -> Tensors:
    """Convert the columns of a batch to tensors.

    Tensors have no nulls. ``match_id`` and ``continues`` are 0 where there is none, and
    ``<name>.valid`` says which rows have one; ``end_reason`` is the index in ``reasons``, or -1.
    Rewards, discounts and returns are ``float32``, and unsigned integers that PyTorch does not
    support are ``int64``.

    Parameters
    ----------
    batch : Batch
        The columns.
    reasons : sequence of str
        The end reasons, for the column ``end_reason``.

    Returns
    -------
    dict of str to torch.Tensor
        Shapes ``[B, ...]``.
    """
    converted: Tensors = {}
    for name, values in batch.items():
        if np.ma.isMaskedArray(values):
            converted[f"{name}.valid"] = torch.from_numpy(~np.ma.getmaskarray(values))
            values = np.ma.filled(values, 0)
        elif values.dtype == object:
            codes = [-1 if word is None else reasons.index(word) for word in values.reshape(-1)]
            values = np.array(codes, np.int64).reshape(values.shape)
        elif values.dtype.kind == "u" and values.dtype.itemsize > 1:
            values = values.astype(np.int64)
        elif values.dtype == np.float64 and name in ("reward", "discount", "return_to_go"):
            values = values.astype(np.float32)
        converted[name] = torch.from_numpy(np.ascontiguousarray(values))
    return converted


class _BatchDataset(Dataset):  # type: ignore[misc]
    """Items that are rows of a batch. A sampler of batches copies all rows of one at once."""

    def __init__(
        self,
        take: Callable[[Any], Batch],
        count: int,
        transitions: Transitions,
        transform: Callable[[Tensors], Tensors] | None,
    ) -> None:
        self._take = take
        self._count = count
        self._transform = transform
        self.end_reasons = tuple(transitions._source.store.labels("end_reason"))
        """The end reasons that the codes in the column ``end_reason`` stand for."""

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int | Sequence[int]) -> Tensors:
        """Return one item, or a batch of items for a list of positions."""
        is_one = np.ndim(index) == 0
        if is_one and not -self._count <= int(np.asarray(index)) < self._count:
            raise IndexError(f"position {index} of {self._count}")
        batch = tensors(self._take(index), self.end_reasons)
        if is_one:
            batch = {name: values[0] for name, values in batch.items()}
        return batch if self._transform is None else self._transform(batch)


class TransitionDataset(_BatchDataset):
    """A map-style dataset of transitions, for ``torch.utils.data.DataLoader``.

    Parameters
    ----------
    transitions : Transitions or NStep
        The transitions.
    columns : iterable of str, optional
        The columns; by default those that trainers need.
    transform : callable, optional
        Is called with the tensors of an item or of a batch, in the process that reads them.
    """

    def __init__(
        self,
        transitions: Transitions | NStep,
        *,
        columns: Iterable[str] | None = None,
        transform: Callable[[Tensors], Tensors] | None = None,
    ) -> None:
        self._columns = None if columns is None else tuple(columns)
        self._transitions = transitions
        source = transitions._transitions if isinstance(transitions, NStep) else transitions
        super().__init__(self._read, len(transitions), source, transform)

    def _read(self, index: Any) -> Batch:
        return self._transitions.take(index, columns=self._columns)


class WindowDataset(_BatchDataset):
    """A map-style dataset of windows, for ``torch.utils.data.DataLoader``.

    Parameters
    ----------
    windows : Windows
        The windows.
    transform : callable, optional
        Is called with the tensors of an item or of a batch, in the process that reads them.
    """

    def __init__(self, windows: Windows, *, transform: Callable[[Tensors], Tensors] | None = None) -> None:
        super().__init__(windows.__getitem__, len(windows), windows._transitions, transform)


class StreamDataset(IterableDataset):  # type: ignore[misc]
    """An iterable dataset of the transitions of a running game, as `bevy_experience.stream` receives them.

    Items are batches: use ``DataLoader(dataset, batch_size=None)``, with at most one worker, because each would
    receive all transitions.

    Parameters
    ----------
    address, recording : str
        The game, and the recording.
    size : int, optional
        Transitions in each batch; by default as many as arrive together. What is left at the end is smaller.
    transform : callable, optional
        Is called with the tensors of a batch, in the process that reads them.
    **settings
        Further arguments of `bevy_experience.stream`.
    """

    def __init__(
        self,
        address: str,
        recording: str,
        *,
        size: int | None = None,
        transform: Callable[[Tensors], Tensors] | None = None,
        **settings: Any,
    ) -> None:
        if size is not None and size < 1:
            raise UnsuitableError(f"a batch of {size} transitions: `size` must be 1 or more")
        self._arguments = (address, recording, settings)
        self._size = size
        self._transform = transform

    def __iter__(self) -> Iterator[Tensors]:
        """Subscribe, and yield batches until the game closes the recording."""
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            raise UnsuitableError(
                f"{worker.num_workers} workers would each receive all transitions: use `num_workers=0` or 1"
            )
        address, recording, settings = self._arguments
        with Stream(address, recording, **settings) as stream:
            # Tensors that were yielded are not taken back.
            stream._on_withdrawn = _ignore
            for batch in stream if self._size is None else _of_size(stream, self._size):
                # Tensors are writable, and the columns of a stream may not be.
                writable = {name: values.copy() for name, values in batch.items() if values.dtype != object}
                converted = tensors(Batch(batch.schema, writable))
                yield converted if self._transform is None else self._transform(converted)


def _ignore(_: list[int]) -> None:
    pass


def _of_size(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """Divide and join batches, so that all but the last have ``size`` rows."""
    schema = None
    held: list[dict[str, Any]] = []
    rows = 0
    for batch in batches:
        schema = batch.schema
        held.append(dict(batch))
        rows += len(batch["episode_id"])
        if rows < size:
            continue
        joined = _joined(held)
        for start in range(0, rows - size + 1, size):
            yield Batch(schema, {name: values[start : start + size] for name, values in joined.items()})
        rest = rows % size
        held = [{name: values[rows - rest :] for name, values in joined.items()}] if rest else []
        rows = rest
    if rows and schema is not None:
        yield Batch(schema, _joined(held))


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: concatenate([part[name] for part in parts]) for name in parts[0]}


def loader(
    dataset: Dataset,
    size: int,
    *,
    shuffle: bool = True,
    seed: int | None = None,
    drop_last: bool = False,
    **settings: Any,
) -> DataLoader:
    """Make a loader that copies all rows of a batch at once.

    It yields the batches of ``DataLoader(dataset, batch_size=size)``, several times faster.

    Parameters
    ----------
    dataset : TransitionDataset or WindowDataset
        The dataset.
    size : int
        Items in a batch.
    shuffle : bool
        Whether the order is random, another one in each epoch.
    seed : int, optional
        The seed of the orders.
    drop_last : bool
        Whether to leave out a last batch that is smaller.
    **settings
        Further arguments of ``DataLoader``, such as ``num_workers`` and ``pin_memory``.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    order = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
    sampler = BatchSampler(order, size, drop_last)
    return DataLoader(dataset, sampler=sampler, batch_size=None, **settings)

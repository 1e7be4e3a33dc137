"""Adapter to TorchRL. Needs the extra ``torchrl``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._extras import extra
from .batch import Batch
from .transitions import Index, Transitions


def to_tensordict(transitions: Transitions, index: Index = slice(None), *, flat: bool = False) -> Any:
    """Copy some transitions to a TensorDict.

    Parameters
    ----------
    transitions : Transitions
        The transitions.
    index : int, slice, sequence of int or numpy.ndarray
        Positions, or a mask; all by default.
    flat : bool
        Whether ``action`` has all heads as ``float32``, discrete ones as the index of their class.

    Returns
    -------
    tensordict.TensorDict
        ``observation``, ``action``, ``action_mask`` and ``("next", ...)`` with ``observation``,
        ``reward``, ``terminated``, ``truncated``, ``done``. An action with discrete and continuous
        heads is nested: ``("action", <head>)``. Images have the key ``observation.<name>``. Scalars
        have the shape ``[B, 1]``, as TorchRL's environments give them.
    """
    return _tensordict(transitions.take(index), flat=flat)


def to_replay_buffer(
    transitions: Transitions,
    batch_size: int,
    *,
    scratch_dir: str | None = None,
    flat: bool = False,
    chunk: int = 65_536,
) -> Any:
    """Make a replay buffer of all transitions, on disk.

    Parameters
    ----------
    transitions : Transitions
        The transitions.
    batch_size : int
        Transitions in a sample.
    scratch_dir : str, optional
        The folder of its memory-mapped files; a temporary one by default.
    flat : bool
        See `to_tensordict`.
    chunk : int
        Transitions that are copied at once.

    Returns
    -------
    torchrl.data.TensorDictReplayBuffer
    """
    data = extra("torchrl.data", "torchrl")
    storage = data.LazyMemmapStorage(max(1, len(transitions)), scratch_dir=scratch_dir)
    buffer = data.TensorDictReplayBuffer(storage=storage, batch_size=batch_size)
    for start in range(0, len(transitions), chunk):
        buffer.extend(to_tensordict(transitions, slice(start, start + chunk), flat=flat))
    return buffer


def _tensordict(batch: Batch, *, flat: bool) -> Any:
    tensordict = extra("tensordict", "torchrl")
    torch = extra("torch", "torch")
    schema, count = batch.schema, len(batch.reward)

    def column(values: Any) -> Any:
        tensor = torch.from_numpy(values)
        return tensor.unsqueeze(-1) if tensor.ndim == 1 else tensor

    if flat or not schema.has_parts:
        action = column(batch.flat_action if flat else batch.action) if schema.heads else None
    else:
        heads = {name: column(values) for name, values in batch.actions.items()}
        action = tensordict.TensorDict(heads, batch_size=[count])

    def observed(prefix: str) -> Iterator[tuple[str, Any]]:
        names = ("observation", "action_mask", *(f"observation.{image.name}" for image in schema.images))
        for name in names:
            if prefix + name in batch:
                yield name, torch.from_numpy(batch[prefix + name])

    terminated, truncated = column(batch.terminated), column(batch.truncated)
    following = {
        **dict(observed("next_")),
        "reward": column(batch.reward).float(),
        "terminated": terminated,
        "truncated": truncated,
        "done": terminated | truncated,
    }
    content = {
        **dict(observed("")),
        **({} if action is None else {"action": action}),
        "next": tensordict.TensorDict(following, batch_size=[count]),
    }
    return tensordict.TensorDict(content, batch_size=[count])
